// `claudefs mount`: also behind `mount -t claudefs` and /etc/fstab (as mount.claudefs).
#include <unistd.h>

#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/mount_daemon.h"
#include "app/mount_table.h"
#include "app/process.h"
#include "app/text.h"
#include "base/log.h"

namespace claudefs::app {
namespace {

struct Options {
  std::string source;
  std::string mount_point;
  std::vector<std::string> mount_options;  // -o a,b=c
  std::string cluster = kClusterFile;
  std::string metrics = "127.0.0.1:9821";
  std::string cache = "64MiB";
  std::string dirty = "64MiB";
  std::string log_file;
  std::string log_level = "info";
  std::string pid_file;
  unsigned timeout_seconds = 30;
  double attribute_seconds = 0;
  bool foreground = false;
  bool read_only = false;
  bool kernel_writeback = false;
  bool nonempty = false;
  bool squash_root = false;
  bool keep_removed = true;
  client::AccessTimes access_times = client::AccessTimes::relative;
};

// What mount(8) and fstab pass along and a file system need not know.
bool is_generic(std::string_view name) {
  for (std::string_view known :
       {"defaults", "rw", "auto", "noauto", "user", "nouser", "users", "nofail", "_netdev", "exec", "noexec",
        "suid", "nosuid", "dev", "nodev", "allow_other", "x-mount.mkdir"})
    if (name == known) return true;
  return name.starts_with("x-");
}

Result<void> apply_mount_option(Options& options, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : text.substr(equals + 1);
  if (name == "ro")
    options.read_only = true;
  else if (name == "nonempty")
    options.nonempty = true;
  else if (name == "root_squash" || name == "root-squash")
    options.squash_root = true;
  else if (name == "no_trash" || name == "no-trash")
    options.keep_removed = false;
  else if (name == "relatime")
    options.access_times = client::AccessTimes::relative;
  else if (name == "strictatime")
    options.access_times = client::AccessTimes::strict;
  else if (name == "noatime")
    options.access_times = client::AccessTimes::none;
  else if (name == "kernel_writeback")
    options.kernel_writeback = true;
  else if (name == "cluster")
    options.cluster = value;
  else if (name == "metrics")
    options.metrics = value;
  else if (name == "cache")
    options.cache = value;
  else if (name == "dirty")
    options.dirty = value;
  else if (name == "log-file")
    options.log_file = value;
  else if (!is_generic(name))
    return fail(
        Errc::invalid_argument,
        fmt::format(
            "-o {}: unknown; known are ro, nonempty, root_squash, no_trash, relatime, strictatime, noatime, "
            "kernel_writeback, cluster=, metrics=, cache=, dirty=, log-file=",
            name));
  return {};
}

Result<MountDaemonOptions> daemon_options(const Options& options) {
  MountDaemonOptions out;
  TRY_ASSIGN(const MountSource source, parse_mount_source(options.source));
  TRY_ASSIGN(out.spec, load_cluster_file(options.cluster));
  out.seeds = {source.address};
  out.volume = source.volume;
  for (const std::string& address : addresses_of(out.spec))
    if (address != source.address) out.seeds.push_back(address);
  TRY_ASSIGN(out.cache_bytes, parse_size(options.cache));
  TRY_ASSIGN(out.dirty_bytes, parse_size(options.dirty));
  out.metrics_address = options.metrics == "off" ? "" : options.metrics;
  out.connect_within = std::chrono::seconds(options.timeout_seconds);
  out.mount.mount_point = absolute_path(options.mount_point);
  out.mount.source = "claudefs#" + options.source;
  out.mount.read_only = options.read_only;
  out.mount.allow_not_empty = options.nonempty;
  const auto valid = std::chrono::nanoseconds(static_cast<std::int64_t>(options.attribute_seconds * 1e9));
  out.session.entry_valid = out.session.attributes_valid = valid;
  out.session.kernel_writeback = options.kernel_writeback;
  out.squash_root = options.squash_root;
  out.keep_removed = options.keep_removed;
  out.access_times = options.access_times;
  return out;
}

Result<void> run(Options options) {
  for (const std::string& text : options.mount_options) TRY(apply_mount_option(options, text));
  TRY_ASSIGN(MountDaemonOptions daemon, daemon_options(options));
  TRY(access::fuse::check_mount_point(daemon.mount));  // before the wait for the cluster
  if (!options.log_file.empty()) options.log_file = absolute_path(options.log_file);
  if (!options.pid_file.empty()) options.pid_file = absolute_path(options.pid_file);
  Daemonizer background = Daemonizer::foreground();
  if (!options.foreground) {
    TRY_ASSIGN(background, Daemonizer::detach());
    if (options.log_file.empty()) options.log_file = "/dev/null";
    (void)!::chdir("/");
  }
  TRY(prepare_process(options.log_file, options.log_level));
  daemon.on_mounted = [&] {
    if (!options.pid_file.empty()) (void)write_file(options.pid_file, std::to_string(::getpid()));
    background.ready();
  };
  Result<void> outcome =
      run_on_reactor([&](runtime::Reactor& reactor) { return serve_mount(reactor, daemon); });
  if (!outcome) {
    log::error("mount", outcome.error().text);
    background.failed(outcome.error().text);
  }
  return outcome;
}
}  // namespace

void add_mount(Cli& cli) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(cli, "mount", "mount a cluster's files at a directory",
                                  [options] { return run(*options); });
  command->add_option("source", options->source, "HOST:PORT of any node, or HOST:PORT/VOLUME")->required();
  command->add_option("mountpoint", options->mount_point, "an empty directory")->required();
  command
      ->add_option("-o", options->mount_options,
                   "options as in fstab: ro, nonempty, kernel_writeback, cluster=FILE, metrics=ADDRESS, ...")
      ->delimiter(',')
      ->allow_extra_args(false);
  add_option(command, "cluster", options->cluster, "the cluster's file")->capture_default_str();
  add_option(command, "timeout", options->timeout_seconds, "seconds to wait for the cluster before giving up")
      ->capture_default_str();
  add_option(command, "metrics", options->metrics,
             "HOST:PORT of the Prometheus page, or off; another port when taken")
      ->capture_default_str();
  add_option(command, "cache", options->cache, "memory for content that was read")->capture_default_str();
  add_option(command, "dirty", options->dirty, "memory for writes not yet committed")->capture_default_str();
  add_option(command, "attribute-cache", options->attribute_seconds,
             "seconds the kernel may trust names and attributes without a lease: how old they may be")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  add_option(command, "log-file", options->log_file, "append the log to this file");
  add_option(command, "log-level", options->log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  add_option(command, "pid-file", options->pid_file, "write the process id here");
  command->add_flag("--foreground", options->foreground, "do not go to the background");
  command->add_flag("--read-only", options->read_only, "as -o ro");
  command->add_flag("--root-squash", options->squash_root, "root here is nobody (65534) to the servers");
  command->add_flag_callback(
      "--no-trash", [options] { options->keep_removed = false; }, "what is removed here goes for good");
}

}  // namespace claudefs::app
