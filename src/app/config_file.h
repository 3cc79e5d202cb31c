// The TOML configuration file behind --config: the same names as the flags, one table a subcommand or none.
#pragma once

#include <memory>

#include <CLI/CLI.hpp>

namespace claudefs::app {
// A parser for CLI11. Errors name file, line and column.
std::shared_ptr<CLI::Config> toml_config();
}  // namespace claudefs::app
