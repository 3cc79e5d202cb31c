// The TOML configuration file behind --config: the same names as the flags, at the top or in a table named
// like the subcommand.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace claudefs::app {
// Sets the options of `command` that neither a flag nor the environment has set. CLI11 reads configuration
// files for its main application only, and would let them beat the environment.
// Throws CLI::ParseError, which names file, line and option at fault.
void apply_config_file(CLI::App& command, const std::string& path);
}  // namespace claudefs::app
