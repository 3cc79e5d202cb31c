#include "app/playground.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "access/fuse/mount.h"
#include "app/cluster_access.h"
#include "app/mount_table.h"
#include "app/process.h"
#include "app/text.h"
#include "base/crc32c.h"
#include "meta/operations.h"

namespace claudefs::app {
namespace fs = std::filesystem;
namespace {
using namespace std::chrono_literals;
constexpr int kFirstPort = 17700;
// Playgrounds that start at the same moment in different directories do not look at the same ports.
int first_port(const std::string& directory) {
  constexpr u32 kPlaces = 500, kPortsEach = 20;
  return kFirstPort + static_cast<int>(crc32c(as_bytes(directory)) % kPlaces * kPortsEach);
}
constexpr double kStopSeconds = 20;
constexpr double kServingSeconds = 60;

std::string home() {
  const char* value = std::getenv("HOME");
  return value != nullptr && *value != '\0' ? value : "/root";
}

Result<void> save(const PlaygroundOptions& options) {
  const nlohmann::json state = {{"version", 1},
                                {"nodes", options.nodes},
                                {"mount", options.mount},
                                {"size", options.size_bytes},
                                {"fast_size", options.fast_bytes},
                                {"reduce_minutes", options.reduce_minutes}};
  return write_file(options.directory + "/playground.json", state.dump(2) + "\n");
}

runtime::Task<Result<void>> ask_every_shard(runtime::Reactor& reactor, cluster::ClusterSpec spec) {
  ClusterClient cluster = connect_cluster(reactor.env(), spec, {}, 1s);
  co_await cluster.router->refresh();
  for (u16 shard = 0; shard < spec.shards; ++shard)
    co_await cluster.router->call(ShardId{shard}, meta::ShardUsage());
  co_await cluster.rpc->stop();
  co_return Result<void>();
}
}  // namespace

std::string default_playground_directory() { return home() + "/.local/share/claudefs/playground"; }
std::string default_playground_mount() { return home() + "/claudefs"; }

Result<Playground> Playground::open(const std::string& directory) {
  const Result<std::string> text = read_file(directory + "/playground.json");
  if (!text)
    return fail(Errc::not_found,
                fmt::format("{} holds no playground; make one with `claudefs playground up --dir {}`",
                            directory, directory));
  const nlohmann::json state = nlohmann::json::parse(*text, nullptr, false);
  if (state.is_discarded() || !state.contains("nodes"))
    return fail(Errc::corrupt,
                fmt::format("{}/playground.json is damaged; `claudefs playground destroy` is no longer safe: "
                            "remove the directory by hand",
                            directory));
  Playground out;
  out.options_.directory = directory;
  out.options_.nodes = state.value("nodes", 0u);
  out.options_.mount = state.value("mount", std::string());
  out.options_.size_bytes = state.value("size", u64{0});
  out.options_.fast_bytes = state.value("fast_size", u64{0});
  out.options_.reduce_minutes = state.value("reduce_minutes", PlaygroundOptions().reduce_minutes);
  TRY_ASSIGN(out.spec_, load_cluster_file(directory + "/cluster.toml"));
  return out;
}

Result<Playground> Playground::open_or_create(const PlaygroundOptions& options) {
  std::error_code error;
  if (fs::exists(options.directory + "/playground.json", error)) return open(options.directory);
  if (fs::exists(options.directory, error) && !fs::is_empty(options.directory, error))
    return fail(Errc::invalid_argument,
                fmt::format("{} holds other files; choose an empty or new --dir", options.directory));
  fs::create_directories(options.directory, error);
  if (error) return fail(Errc::io_error, fmt::format("make {}: {}", options.directory, error.message()));
  // Neighbouring ports for nodes and, above them, for their metrics pages.
  TRY_ASSIGN(const int port,
             find_free_ports(static_cast<int>(options.nodes) * 2, first_port(options.directory)));
  std::vector<cluster::NodeSpec> nodes;
  for (unsigned n = 1; n <= options.nodes; ++n)
    nodes.push_back(
        {NodeId{static_cast<u16>(n)}, fmt::format("127.0.0.1:{}", port + static_cast<int>(n) - 1)});
  TRY_ASSIGN(const cluster::ClusterSpec spec, make_cluster("playground", nodes, 16, options.trash_hours));
  TRY(write_file(options.directory + "/cluster.toml", cluster::format_spec(spec), 0600));
  TRY(save(options));
  return open(options.directory);
}

std::string Playground::node_path(unsigned node, const char* name) const {
  return fmt::format("{}/node-{}/{}", options_.directory, node, name);
}
std::string Playground::client_path(const char* name) const {
  return fmt::format("{}/client.{}", options_.directory, name);
}

bool Playground::node_runs(unsigned node) const {
  return living_process(node_path(node, "pid"), node_path(node, "data")).has_value();
}
bool Playground::mounted() const {
  return living_process(client_path("pid"), options_.mount).has_value() && is_claudefs_mount(options_.mount);
}

Result<void> Playground::check_node(unsigned node) const {
  if (node >= 1 && node <= options_.nodes) return {};
  return fail(Errc::invalid_argument,
              fmt::format("there is no node {}: this playground has nodes 1 to {}", node, options_.nodes));
}

Result<void> Playground::start_node(unsigned node) {
  TRY(check_node(node));
  if (node_runs(node)) return {};
  std::error_code error;
  fs::create_directories(fmt::format("{}/node-{}", options_.directory, node), error);
  const std::string& address = spec_.nodes[node - 1].address;
  const int port = std::atoi(address.c_str() + address.rfind(':') + 1);
  const std::string metrics = fmt::format("127.0.0.1:{}", port + static_cast<int>(options_.nodes));
  std::vector<std::string> command = {own_executable(),   "server",
                                      "--cluster",        options_.directory + "/cluster.toml",
                                      "--node",           std::to_string(node),
                                      "--data",           node_path(node, "data"),
                                      "--size",           std::to_string(options_.size_bytes),
                                      "--metrics",        metrics,
                                      "--log-file",       node_path(node, "log"),
                                      "--reduce-minutes", std::to_string(options_.reduce_minutes)};
  if (options_.fast_bytes != 0) {
    command.insert(command.end(), {"--fast", node_path(node, "fast")});
    command.insert(command.end(), {"--fast-size", std::to_string(options_.fast_bytes)});
  }
  TRY_ASSIGN(const pid_t pid, start_process(command, node_path(node, "log")));
  return write_file(node_path(node, "pid"), std::to_string(pid));
}

Result<void> Playground::kill_node(unsigned node) {
  TRY(check_node(node));
  const std::optional<pid_t> pid = living_process(node_path(node, "pid"), node_path(node, "data"));
  if (!pid)
    return fail(Errc::not_found,
                fmt::format("node {} does not run; `claudefs playground start {}` starts it", node, node));
  ::kill(*pid, SIGKILL);
  wait_gone(*pid, kStopSeconds);
  return {};
}

Result<void> Playground::wait_until_serving() {
  const double start = monotonic_seconds();
  Result<void> last;
  for (bool told = false; monotonic_seconds() < start + kServingSeconds;) {
    for (unsigned n = 1; n <= options_.nodes; ++n) {
      if (node_runs(n)) continue;
      const Result<std::string> log = read_file(node_path(n, "log"));
      const std::string tail = log ? log->substr(log->size() - std::min<std::size_t>(log->size(), 600)) : "";
      return fail(Errc::unavailable, fmt::format("node {} ended at its start; the end of {}:\n{}", n,
                                                 node_path(n, "log"), tail));
    }
    last = run_on_reactor([this](runtime::Reactor& reactor) { return ask_every_shard(reactor, spec_); });
    if (told && last) std::fputs("\n", stderr);
    if (last) return {};
    if (monotonic_seconds() > start + 2 && ::isatty(2) != 0) {
      told = true;
      std::fprintf(stderr, "\rwaiting for the cluster to serve: %.0f s", monotonic_seconds() - start);
    }
    sleep_seconds(0.1);
  }
  return fail(Errc::unavailable, "the cluster does not serve after a minute: " + last.error().text);
}

Result<void> Playground::mount() {
  std::error_code error;
  if (is_claudefs_mount(options_.mount)) TRY(access::fuse::unmount(options_.mount));  // left by a dead daemon
  fs::create_directories(options_.mount, error);
  std::vector<std::string> command = {own_executable(),
                                      "mount",
                                      spec_.nodes[0].address,
                                      options_.mount,
                                      "--cluster",
                                      options_.directory + "/cluster.toml",
                                      "--log-file",
                                      client_path("log"),
                                      "--pid-file",
                                      client_path("pid")};
  TRY_ASSIGN(const pid_t pid, start_process(command, client_path("out")));
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  const Result<std::string> out = read_file(client_path("out"));
  return fail(Errc::io_error, fmt::format("mounting {} failed: {}", options_.mount,
                                          out && !out->empty() ? *out : "see " + client_path("log")));
}

Result<bool> Playground::up() {
  bool changed = false;
  for (unsigned n = 1; n <= options_.nodes; ++n) {
    if (node_runs(n)) continue;
    changed = true;
    TRY(start_node(n));
  }
  TRY(wait_until_serving());
  if (!options_.mount.empty() && !mounted()) {
    changed = true;
    TRY(mount());
  }
  return changed;
}

Result<void> Playground::stop_process(const std::string& pid_file, const std::string& what) {
  const std::optional<pid_t> pid = living_process(pid_file, what);
  if (!pid) return {};
  ::kill(*pid, SIGTERM);
  if (!wait_gone(*pid, kStopSeconds)) {
    ::kill(*pid, SIGKILL);
    wait_gone(*pid, kStopSeconds);
  }
  return {};
}

Result<void> Playground::down() {
  if (!options_.mount.empty()) {
    if (is_claudefs_mount(options_.mount)) TRY(access::fuse::unmount(options_.mount));
    TRY(stop_process(client_path("pid"), options_.mount));
  }
  for (unsigned n = 1; n <= options_.nodes; ++n)
    if (const auto pid = living_process(node_path(n, "pid"), node_path(n, "data"))) ::kill(*pid, SIGTERM);
  for (unsigned n = 1; n <= options_.nodes; ++n) TRY(stop_process(node_path(n, "pid"), node_path(n, "data")));
  return {};
}

Result<void> Playground::destroy() {
  TRY(down());
  std::error_code error;
  fs::remove_all(options_.directory, error);
  if (error) return fail(Errc::io_error, fmt::format("remove {}: {}", options_.directory, error.message()));
  if (!options_.mount.empty()) fs::remove(options_.mount, error);  // only if empty
  return {};
}

std::string Playground::summary() const {
  const std::string dir =
      options_.directory == default_playground_directory() ? "" : " --dir " + options_.directory;
  const std::string self = ::system("command -v claudefs >/dev/null") == 0 ? "claudefs" : own_executable();
  std::string out = fmt::format("ClaudeFS runs: {} nodes in {}\n", options_.nodes, options_.directory);
  if (!options_.mount.empty()) out += fmt::format("  files       {}\n", options_.mount);
  out += fmt::format("  health      {} playground status{}\n", self, dir);
  if (options_.nodes > 2) {
    out += fmt::format("  kill one    {} playground kill 2{}    (go on working: nothing stops)\n", self, dir);
    out += fmt::format("  bring back  {} playground start 2{}\n", self, dir);
  }
  if (!options_.mount.empty()) out += fmt::format("  measure     {} bench {}\n", self, options_.mount);
  out += fmt::format("  stop        {} playground down{}      (`up` starts it again, with all files)\n", self,
                     dir);
  out += fmt::format("  remove      {} playground destroy{}   (with all files)\n", self, dir);
  out += fmt::format("  logs        {0}/node-*/log, {0}/client.log\n", options_.directory);
  return out;
}

}  // namespace claudefs::app
