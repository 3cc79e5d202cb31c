// claudefs: one executable; its subcommand picks the role. Installed also as `cfs` and `mount.claudefs`.

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "app/cli.h"
#include "base/heap.h"

namespace claudefs::app {

namespace {
// mount(8) calls `mount.claudefs SOURCE DIRECTORY [-sfnv] [-o OPTIONS]`.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> out(argv + 1, argv + argc);
  const char* base = std::strrchr(argv[0], '/');
  if (std::string(base != nullptr ? base + 1 : argv[0]) != "mount.claudefs") return out;
  std::erase_if(out, [](const std::string& a) { return a == "-n" || a == "-s" || a == "-v" || a == "-f"; });
  out.insert(out.begin(), "mount");
  return out;
}
}  // namespace
}  // namespace claudefs::app

// Read by jemalloc. Megabyte buffers come and go all the time: mapping and faulting each anew would cost more
// than its copy, and keeping the most there ever were would cost the machine's other programs. Unused pages
// go back after some seconds, those of the largest buffers like all others.
extern "C" const char* malloc_conf =
    "background_thread:true,narenas:2,dirty_decay_ms:5000,muzzy_decay_ms:0,oversize_threshold:0";

int main(int argc, char** argv) {
  using namespace claudefs::app;
  claudefs::keep_large_extents();
  std::signal(SIGPIPE, SIG_IGN);
  CLI::App root("ClaudeFS: a distributed POSIX file system", "claudefs");
  root.set_version_flag("--version,-V", "claudefs " CLAUDEFS_VERSION);
  root.require_subcommand(1);
  root.fallthrough(false);
  root.footer(
      "Start here: `claudefs playground up` makes a three-node cluster on this machine and mounts it.\n"
      "`claudefs COMMAND --help` tells more.");
  Cli cli{root, {}, 0};
  add_playground(cli);
  add_mount(cli);
  add_umount(cli);
  add_status(cli);
  add_bench(cli);
  add_server(cli);
  add_cluster(cli);
  add_fsck(cli);
  add_scrub(cli);
  add_volume(cli);
  add_trash(cli);
  add_quota(cli);
  add_completion(cli);

  std::vector<std::string> arguments = arguments_of(argc, argv);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 wants them last first
  try {
    root.parse(arguments);
  } catch (const CLI::Success& asked) {
    return root.exit(asked);
  } catch (const CLI::ParseError& error) {
    const std::vector<std::string> unknown = root.remaining();
    const bool is_word = root.get_subcommands().empty() && !unknown.empty() && unknown[0][0] != '-';
    const std::string what = is_word ? "there is no command `" + unknown[0] + "`" : error.what();
    std::fprintf(stderr, "claudefs: %s (see `claudefs --help`)\n", what.c_str());
    return 2;
  }
  if (!cli.run) return 2;
  if (const claudefs::Result<void> done = cli.run(); !done) {
    std::fprintf(stderr, "claudefs: %s\n", done.error().text.c_str());
    return 1;
  }
  return cli.exit_code;
}
