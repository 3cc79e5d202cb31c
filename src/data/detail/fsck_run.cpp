#include "data/detail/fsck_run.h"

#include <algorithm>

#include "runtime/scope.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using runtime::Task;

u64 FsckReport::repaired() const {
  return static_cast<u64>(std::ranges::count_if(findings, &FsckFinding::repaired));
}

namespace {
Task<Result<std::vector<meta::OutboxStatusReply>>> ask_all(FsckRun& run) {
  std::vector<Task<Result<meta::OutboxStatusReply>>> asks;
  for (u16 shard = 0; shard < run.shards(); ++shard)
    asks.push_back(run.router.call(ShardId{shard}, meta::OutboxStatus{}));
  std::vector<meta::OutboxStatusReply> out;
  for (auto& reply : co_await runtime::join_all(run.env.executor(), std::move(asks)))
    out.push_back(co_await std::move(reply));
  co_return out;
}
}  // namespace

Task<Result<FsckRun::Stamps>> FsckRun::stamp() {
  Stamps out;
  for (const meta::OutboxStatusReply& status : co_await ask_all(*this)) out.push_back(status.clock);
  co_return out;
}

Task<Result<void>> FsckRun::drain(Stamps until) {
  const runtime::Instant deadline = env.now() + options.stuck_after + 60s;
  for (;;) {
    const std::vector<meta::OutboxStatusReply> now = co_await ask_all(*this);
    std::size_t waiting = 0;
    for (std::size_t i = 0; i < until.size(); ++i) waiting += now[i].delivered < until[i] ? 1 : 0;
    if (waiting == 0) co_return Result<void>();
    if (env.now() > deadline)
      co_return fail(Errc::timed_out,
                     fmt::format("messages of {} shards do not arrive at others: is every node up? see "
                                 "`claudefs status`",
                                 waiting));
    co_await env.executor().sleep(50ms);
  }
}

Task<Result<void>> FsckRun::settle() {
  Stamps until = co_await stamp();
  co_return co_await drain(std::move(until)).result();
}

Task<Result<FsckReport>> fsck(runtime::Env& env, net::Client& client, cluster::Router& router,
                              FsckOptions options, std::function<void(const FsckProgress&)> progress) {
  co_await router.refresh();
  FsckRun run{env, router, Nodes(env, client, router), options, std::move(progress), {}};
  co_await check_names(run);
  co_await check_references(run);
  co_await check_segments(run);
  co_await check_quota(run);
  co_await check_pending(run);
  co_return std::move(run.report);
}

// What waits for another shard or a purge must not wait for ever.
Task<Result<void>> check_pending(FsckRun& run) {
  const auto look = [&run](ShardId shard, const meta::AuditPendingReply& now, Hlc clock) {
    const auto old = [&](Hlc at) {
      const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(run.options.stuck_after);
      return at != Hlc{} && (clock.value >> 16) > (at.value >> 16) + static_cast<u64>(limit.count());
    };
    std::string what;
    if (old(now.oldest_message)) what += fmt::format(" {} messages to other shards;", now.outbox);
    if (old(now.oldest_prepared)) what += fmt::format(" {} prepared transactions;", now.prepared);
    if (old(now.oldest_decision)) what += fmt::format(" {} decided transactions;", now.decisions);
    if (now.locks != 0 && now.prepared == 0) what += fmt::format(" {} locks of no transaction;", now.locks);
    return what.empty() ? what : fmt::format("shard {}:{} they should be done by now", shard, what);
  };
  for (u16 i = 0; i < run.shards(); ++i) {
    run.progress({"transactions", i, run.shards()});
    const ShardId shard{i};
    std::string stuck;
    // Twice: what was seen may just be ending.
    for (int turn = 0; turn < 2; ++turn) {
      const meta::OutboxStatusReply clock = co_await run.router.call(shard, meta::OutboxStatus{});
      const meta::AuditPendingReply now = co_await run.router.call(shard, meta::AuditPending{});
      stuck = look(shard, now, clock.clock);
      if (stuck.empty()) break;
      co_await run.env.executor().sleep(2s);
    }
    if (!stuck.empty()) run.found("pending", stuck);
  }
  co_return Result<void>();
}

}  // namespace claudefs::data
