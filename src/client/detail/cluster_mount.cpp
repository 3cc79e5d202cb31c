#include "client/cluster_mount.h"

#include <fmt/format.h>

namespace claudefs::client {

using namespace std::chrono_literals;

ClusterMount::ClusterMount(runtime::Env& env, Settings settings)
    : env_(env), settings_(std::move(settings)) {}
ClusterMount::~ClusterMount() = default;

runtime::Task<Result<void>> ClusterMount::find_cluster() {
  const runtime::Instant deadline = env_.now() + settings_.connect_within;
  for (;;) {
    Result<void> known = co_await router_->refresh().result();
    if (known) co_return known;
    if (known.error().code == Errc::wrong_cluster || known.error().code == Errc::access_denied)
      co_return known;
    if (env_.now() > deadline)
      co_return fail(
          Errc::unavailable,
          fmt::format("the cluster does not answer ({}); are its nodes running?", known.error().text));
    co_await env_.executor().sleep(200ms);
  }
}

runtime::Task<Result<void>> ClusterMount::start() {
  // What a start that failed has left; its calls end before what they use.
  files_.reset();
  chunks_.reset();
  router_.reset();
  rpc_.reset();
  pushes_ = {};
  rpc_ = net::Client::create(env_, settings_.identity, &pushes_);
  router_ = cluster::Router::create(env_, *rpc_, settings_.seeds, settings_.routing);
  co_await find_cluster();
  ChunkIoFactory over = chunk_io_over(env_, *rpc_, *router_, settings_.chunks);
  ChunkIoFactory keep = [this, over](SessionId session, codec::DomainKey key) {
    chunks_ = over(session, key);
    return chunks_;
  };
  FileSystem::Parts parts{env_, *router_, keep, rpc_.get(), &pushes_};
  files_ = FileSystem::create(parts, settings_.files);
  co_await files_->start();
  set_patience(settings_.patience);
  co_return Result<void>();
}

void ClusterMount::set_patience(runtime::Duration patience) {
  settings_.patience = patience;
  if (router_) router_->set_give_up_after(patience);
  if (files_) files_->set_patience(patience);
}

runtime::Task<Result<void>> ClusterMount::stop() {
  Result<void> flushed;
  set_patience(std::min<runtime::Duration>(settings_.patience, 60s));
  if (files_) flushed = co_await files_->stop().result();
  if (rpc_) co_await rpc_->stop();
  co_return flushed;
}

}  // namespace claudefs::client
