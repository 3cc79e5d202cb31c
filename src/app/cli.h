// The command line: every subcommand registers itself here and runs after parsing. main.cpp is the only
// caller.
//
// Every option has one name in all three places: --listen, CLAUDEFS_LISTEN, `listen = ...` in the TOML file.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "base/ids.h"
#include "base/result.h"

namespace claudefs::app {

// What the process ends with: 0, or 1 after one line on standard error.
using Run = std::function<Result<void>()>;

struct Cli {
  CLI::App& root;
  Run run;            // set by the subcommand that was chosen
  int exit_code = 0;  // what the process ends with when `run` succeeded
};

// Each adds one subcommand (commands/NAME.cpp).
void add_server(Cli& cli);
void add_cluster(Cli& cli);
void add_mount(Cli& cli);
void add_umount(Cli& cli);
void add_status(Cli& cli);
void add_playground(Cli& cli);
void add_bench(Cli& cli);
void add_fsck(Cli& cli);
void add_scrub(Cli& cli);
void add_trash(Cli& cli);
void add_quota(Cli& cli);
void add_volume(Cli& cli);
void add_completion(Cli& cli);

// A new subcommand with --config FILE (TOML) that runs `run` when chosen.
CLI::App* add_command(Cli& cli, const std::string& name, const std::string& description, Run run);
// An option with its environment variable: name "data" gives --data and CLAUDEFS_DATA.
template <class T>
CLI::Option* add_option(CLI::App* app, const std::string& name, T& value, const std::string& description) {
  std::string env = "CLAUDEFS_" + name;
  for (char& c : env) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return app->add_option("--" + name, value, description)->envname(env);
}

}  // namespace claudefs::app
