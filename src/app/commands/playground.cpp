// `claudefs playground`: a cluster on this machine for trying things.
#include "app/playground.h"

#include <filesystem>

#include <fmt/format.h>

#include "app/cli.h"
#include "app/show_status.h"
#include "app/text.h"
#include "base/log.h"

namespace claudefs::app {
namespace {

struct Options {
  unsigned nodes = 3;
  std::string directory = default_playground_directory();
  std::string mount = default_playground_mount();
  std::string size = "0";
  std::string fast_size = "0";
  unsigned trash_hours = 24;
  unsigned reduce_minutes = PlaygroundOptions().reduce_minutes;
  unsigned node = 0;
  StatusOptions status;
};
using Shared = std::shared_ptr<Options>;

// Where nothing is said each node may take an equal part of half of what is free.
Result<u64> node_size(const Options& options, const std::string& directory) {
  TRY_ASSIGN(u64 size, parse_size(options.size));
  if (size != 0) return size;
  std::error_code error;
  std::filesystem::path at = directory;
  while (!std::filesystem::exists(at, error) && at.has_parent_path() && at != at.parent_path())
    at = at.parent_path();
  const std::filesystem::space_info space = std::filesystem::space(at, error);
  if (error) return fail(Errc::io_error, fmt::format("free space of {}: {}", directory, error.message()));
  return space.available / 2 / options.nodes;
}

Result<void> up(const Options& options) {
  PlaygroundOptions wanted;
  wanted.nodes = options.nodes;
  wanted.directory = absolute_path(options.directory);
  wanted.mount = options.mount == "none" ? "" : absolute_path(options.mount);
  wanted.trash_hours = options.trash_hours;
  wanted.reduce_minutes = options.reduce_minutes;
  TRY_ASSIGN(wanted.size_bytes, node_size(options, wanted.directory));
  if (wanted.size_bytes < 256_MiB)
    return fail(
        Errc::no_space,
        fmt::format("{} a node is too little: give --size 256MiB or more, on a disk with room for {} nodes",
                    format_size(wanted.size_bytes), options.nodes));
  TRY_ASSIGN(wanted.fast_bytes, parse_size(options.fast_size));
  TRY_ASSIGN(Playground playground, Playground::open_or_create(wanted));
  TRY_ASSIGN(const bool changed, playground.up());
  if (!changed) fmt::print("Already up, nothing changed.\n");
  fmt::print("{}", playground.summary());
  return {};
}

Result<Playground> open(const Options& options) { return Playground::open(absolute_path(options.directory)); }

CLI::App* add_verb(Cli& cli, CLI::App* group, const Shared& options, const char* name, const char* help,
                   Result<void> (*run)(const Options&)) {
  CLI::App* verb = group->add_subcommand(name, help);
  verb->final_callback([&cli, options, run] { cli.run = [options, run] { return run(*options); }; });
  verb->add_option("--dir", options->directory, "the playground's directory")->capture_default_str();
  return verb;
}

Result<void> kill_one(const Options& options) {
  TRY_ASSIGN(Playground playground, open(options));
  TRY(playground.kill_node(options.node));
  fmt::print("Node {} killed (kill -9).\n", options.node);
  return {};
}
Result<void> start_one(const Options& options) {
  TRY_ASSIGN(Playground playground, open(options));
  TRY(playground.start_node(options.node));
  fmt::print("Node {} started.\n", options.node);
  return {};
}
Result<void> status(const Options& options) {
  TRY_ASSIGN(const Playground playground, open(options));
  return show_status(playground.spec(), options.status);
}
Result<void> down(const Options& options) {
  TRY_ASSIGN(Playground playground, open(options));
  TRY(playground.down());
  fmt::print("Down. `claudefs playground up` starts it again, with all files.\n");
  return {};
}
Result<void> destroy(const Options& options) {
  TRY_ASSIGN(Playground playground, open(options));
  TRY(playground.destroy());
  fmt::print("Removed.\n");
  return {};
}
}  // namespace

void add_playground(Cli& cli) {
  const Shared options = std::make_shared<Options>();
  CLI::App* group = cli.root.add_subcommand("playground", "a cluster on this machine for trying things");
  group->require_subcommand(1);
  CLI::App* verb =
      add_verb(cli, group, options, "up", "make and start it, and mount it; fine if it runs", up);
  verb->add_option("--nodes", options->nodes, "server processes")
      ->check(CLI::Range(1, 32))
      ->capture_default_str();
  verb->add_option("--mount", options->mount, "where to mount it, or none")->capture_default_str();
  verb->add_option("--size", options->size,
                   "how much data each node may hold, as 10GiB (default: of half the free disk)");
  verb->add_option("--fast-size", options->fast_size,
                   "give each node a second directory of this size, as its fast device (when it is made)");
  verb->add_option("--trash-hours", options->trash_hours,
                   "how long what is removed can be restored; 0: not (when it is made)")
      ->check(CLI::Range(0, 87840))
      ->capture_default_str();
  verb->add_option("--reduce-minutes", options->reduce_minutes,
                   "reduce what has not changed for so many minutes (when it is made)")
      ->check(CLI::Range(1, 525'600))
      ->capture_default_str();
  verb = add_verb(cli, group, options, "status", "show its health", status);
  verb->add_flag("--json", options->status.json, "for scripts");
  verb->add_flag("--watch", options->status.watch, "again every two seconds");
  verb = add_verb(cli, group, options, "kill", "kill -9 a node", kill_one);
  verb->add_option("node", options->node, "its number")->required();
  verb = add_verb(cli, group, options, "start", "start a node again", start_one);
  verb->add_option("node", options->node, "its number")->required();
  add_verb(cli, group, options, "down", "unmount and stop all processes; files stay", down);
  add_verb(cli, group, options, "destroy", "stop it and remove all its files", destroy);
}

}  // namespace claudefs::app
