#include "app/mount_daemon.h"

#include <unistd.h>

#include <fmt/format.h>

#include "admin/metrics.h"
#include "app/cluster_access.h"
#include "app/mount_table.h"
#include "app/process.h"
#include "app/process_groups.h"
#include "base/log.h"
#include "client/cluster_mount.h"

namespace claudefs::app {
namespace {
using namespace std::chrono_literals;

// In the order of construction; destroyed in reverse.
struct Mount {
  runtime::Reactor& reactor;
  MountDaemonOptions options;
  std::unique_ptr<client::ClusterMount> client;
  std::unique_ptr<access::fuse::FuseSession> session;
  std::unique_ptr<admin::MetricsServer> metrics;
  runtime::Scope background;

  Mount(runtime::Reactor& r, MountDaemonOptions o)
      : reactor(r), options(std::move(o)), background(r.env().executor()) {}
};

void collect(const Mount& mount, admin::MetricSet& set) {
  using admin::MetricKind;
  admin::add_process_metrics(set, "client", resident_bytes(), cpu_seconds());
  const auto counter = [&set](const char* name, const char* help, u64 value) {
    set.add(MetricKind::counter, name, help, static_cast<double>(value));
  };
  const auto gauge = [&set](const char* name, const char* help, u64 value) {
    set.add(MetricKind::gauge, name, help, static_cast<double>(value));
  };
  const access::fuse::SessionStats fuse = mount.session->stats();
  counter("claudefs_fuse_requests_total", "Requests of the kernel.", fuse.requests);
  counter("claudefs_fuse_failed_total", "Requests answered with an error other than no such entry.",
          fuse.failed);
  counter("claudefs_fuse_interrupted_total", "Requests interrupted by their caller.", fuse.interrupted);
  gauge("claudefs_fuse_known_inodes", "Inodes that the kernel holds.", fuse.known_inodes);
  gauge("claudefs_client_dirty_bytes", "Buffered writes not yet committed.",
        mount.client->files().dirty_bytes());
  gauge("claudefs_client_open_files", "Open handles.", mount.client->files().open_files());
  const client::LeaseStats leases = mount.client->files().lease_stats();
  gauge("claudefs_leases_held", "Inodes on which this client holds a lease.", leases.held);
  counter("claudefs_lease_recalls_total", "Leases that others asked back.", leases.recalls);
  counter("claudefs_lease_answers_total", "Lookups, attributes and opens answered without a message.",
          leases.answered_here);
  counter("claudefs_sessions_lost_total", "Sessions that expired under this client.", leases.sessions_lost);
  counter("claudefs_rpc_calls_total", "Messages to nodes that want an answer.",
          mount.client->rpc().stats().calls_made);
  if (mount.client->chunks() == nullptr) return;
  const data::ChunkIoStats& io = mount.client->chunks()->stats();
  counter("claudefs_chunks_stored_total", "Chunks written.", io.chunks_stored);
  counter("claudefs_chunks_deduplicated_total", "Chunks that were there already.", io.chunks_deduplicated);
  counter("claudefs_chunk_plain_bytes_total", "Content given to the chunk store.", io.plain_bytes);
  counter("claudefs_chunk_stored_bytes_total", "Bytes written after reduction.", io.stored_bytes);
  counter("claudefs_chunks_read_total", "Chunks read.", io.chunks_read);
  counter("claudefs_chunk_cache_hits_total", "Chunks found in the client's cache.", io.cache_hits);
  counter("claudefs_chunk_degraded_reads_total", "Chunks rebuilt from other shards.", io.degraded_reads);
}

// A program that runs for days shall not fail because the cluster was away for an hour: it waits, as long as
// whoever started it does not interrupt it.
constexpr runtime::Duration kForever = std::chrono::hours(24 * 365);
// Once the mount is told to end.
constexpr runtime::Duration kLastPatience = std::chrono::seconds(10);

client::ClusterMount::Settings settings_of(const MountDaemonOptions& options) {
  client::ClusterMount::Settings out;
  out.identity = identity_of(options.spec, NodeId{});
  out.seeds = options.seeds;
  out.connect_within = options.connect_within;
  out.patience = kForever;
  out.chunks.cache_bytes = options.cache_bytes;
  out.files.dirty_bytes_total = options.dirty_bytes;
  out.files.volume = options.volume;
  out.files.squash_root = options.squash_root;
  out.files.keep_removed = options.keep_removed;
  out.files.access_times = options.access_times;
  return out;
}

void request_stop(Mount& mount, int signal) {
  log::info("mount", "unmounting", {log::kv("signal", signal)});
  const Result<void> gone = access::fuse::unmount(mount.options.mount.mount_point);
  if (gone) return;  // the session ends when the kernel lets go
  log::warn("mount", "unmount failed", {log::kv("error", gone.error().text)});
  mount.session->close();
}

// A lazy unmount waits for open files; after a stop was asked for it waits no longer than this.
runtime::Task<void> close_after(Mount& mount, runtime::Duration time) {
  mount.client->set_patience(kLastPatience);
  co_await mount.reactor.env().executor().sleep(time);
  mount.session->close();
}

runtime::Task<Result<void>> attach_and_serve(Mount& mount) {
  const int device = co_await access::fuse::mount(mount.options.mount);
  runtime::Env& env = mount.reactor.env();
  mount.options.session.groups_of = groups_of_thread;
  mount.session = access::fuse::FuseSession::create(env, mount.reactor.packet_device(device),
                                                    mount.client->files(), mount.options.session);
  Mount* at = &mount;
  mount.reactor.on_signal([at](int signal) {
    request_stop(*at, signal);
    at->background.spawn(close_after(*at, 10s));
  });
  if (!mount.options.metrics_address.empty()) {
    std::function<void(admin::MetricSet&)> collector = [at](admin::MetricSet& set) { collect(*at, set); };
    Result<std::unique_ptr<admin::MetricsServer>> started =
        admin::MetricsServer::start(env, mount.options.metrics_address, collector);
    // Several mounts on one machine are normal: the page moves, the mount does not fail for it.
    if (!started) started = admin::MetricsServer::start(env, "127.0.0.1:0", collector);
    if (started) mount.metrics = std::move(*started);
  }
  log::info("mount", "mounted",
            {log::kv("volume", mount.options.volume), log::kv("at", mount.options.mount.mount_point),
             log::kv("metrics", mount.metrics ? mount.metrics->address() : "off")});
  if (mount.options.on_mounted) mount.options.on_mounted();
  co_return co_await mount.session->run().result();
}
}  // namespace

runtime::Task<Result<void>> serve_mount(runtime::Reactor& reactor, MountDaemonOptions options) {
  Mount mount(reactor, std::move(options));
  mount.client = std::make_unique<client::ClusterMount>(reactor.env(), settings_of(mount.options));
  Result<void> outcome = co_await mount.client->start().result();
  if (outcome) outcome = co_await attach_and_serve(mount).result();
  reactor.on_signal(nullptr);
  if (mount.metrics) co_await mount.metrics->stop();
  const Result<void> flushed = co_await mount.client->stop().result();
  if (!flushed) {
    log::error("mount", "some writes could not be written back",
               {log::kv("error", flushed.error().to_string())});
    if (outcome) outcome = flushed;
  }
  if (is_claudefs_mount(mount.options.mount.mount_point) && mount.session)
    (void)access::fuse::unmount(mount.options.mount.mount_point);
  log::info("mount", "ended", {log::kv("at", mount.options.mount.mount_point)});
  co_return outcome;
}

}  // namespace claudefs::app
