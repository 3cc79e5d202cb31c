#include "data/detail/chunk_io.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

constexpr std::size_t kSegmentsAtOnce = 8;
constexpr runtime::Duration kMapAge = 3s;
constexpr runtime::Duration kReportAgain = 20s;

std::unique_ptr<ChunkIo> ChunkIo::create(Parts parts, Options options) {
  return std::make_unique<ChunkIoImpl>(std::move(parts), options);
}

ChunkIoImpl::ChunkIoImpl(Parts parts, Options options)
    : env_(parts.env),
      router_(parts.router),
      domain_key_(parts.domain_key),
      memory_(parts.env.executor(), kMemoryUnits),
      writing_(parts.env.executor(), kSegmentsAtOnce),
      nodes_(parts.env, parts.client, parts.router),
      reader_(parts.env, nodes_),
      pool_(parts.env, parts.router, parts.session),
      direct_(parts.env, nodes_, pool_),
      cache_(options.cache_bytes),
      directory_(parts.router, scope_),
      journal_(parts.env, nodes_, pool_, directory_, scope_),
      fetching_(scope_),
      fetching_bases_(scope_),
      scope_(parts.env.executor()) {
  reader_.on_bad_copy([this](const ReportBadCopy& bad) { report(bad); });
}

Task<Result<void>> ChunkIoImpl::begin_call() {
  ++calls_;
  if (router_.shard_count() == 0) co_await router_.refresh();
  if (!watching_) {
    watching_ = true;
    scope_.spawn(watch_map(this));
  }
  co_return Result<void>();
}

// Now and then for each copy: its segment's leader looks for itself, and what it makes anew has another
// generation.
void ChunkIoImpl::report(const ReportBadCopy& bad) {
  const store::ShardKey key{bad.segment, bad.index, bad.generation};
  const runtime::Instant* before = reported_.find(key);
  if (!bad.lies && before != nullptr && env_.now() - *before < kReportAgain) return;
  reported_.put(key, env_.now(), 1);
  scope_.spawn(send_report(&router_, bad));
}

Task<void> ChunkIoImpl::send_report(cluster::Router* router, ReportBadCopy bad) {
  (void)co_await router->call(shard_of(bad.segment), bad).result();
}

// A node that comes back is used again: nothing fails that would make somebody ask for the map. Ends when
// idle.
Task<void> ChunkIoImpl::watch_map(ChunkIoImpl* self) {
  while (self->calls_ != 0) {
    self->calls_ = 0;
    co_await self->env_.executor().sleep(kMapAge);
    co_await self->nodes_.refresh();
  }
  self->watching_ = false;
}

}  // namespace claudefs::data
