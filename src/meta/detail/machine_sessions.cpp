// Exactly once: the outcomes of requests, by session and sequence.
#include "base/mutant.h"
#include "meta/detail/keys.h"
#include "meta/detail/machine.h"
#include "meta/hlc.h"

CFS_DEFINE_MUTANT(fence_not_checked, "meta: a fenced session's commands are executed");

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_retry_applied_twice, "meta: a request that comes again is executed again");
namespace {

constexpr u64 kDropEvery = 32;          // outcomes are dropped in bunches
constexpr u64 kUseResolution = 60'000;  // milliseconds: how exactly a session's last use is known

std::optional<Outcome> find(const std::function<std::optional<std::string>(std::string_view)>& get,
                            const cluster::RequestId& id, ShardId shard) {
  if (const std::optional<std::string> bytes = get(outcome_key(id.session, id.sequence))) {
    Result<Outcome> outcome = wire::decode<Outcome>(as_bytes(*bytes));
    if (!outcome) state_unusable(shard, outcome.error());
    return std::move(*outcome);
  }
  return std::nullopt;
}

SessionRecord decode_session(const std::optional<std::string>& bytes, ShardId shard) {
  if (!bytes) return {};
  Result<SessionRecord> record = wire::decode<SessionRecord>(as_bytes(*bytes));
  if (!record) state_unusable(shard, record.error());
  return *record;
}

}  // namespace

std::optional<Outcome> Machine::recorded(const cluster::RequestId& id) const {
  if (id.session == SessionId{} || CFS_MUTANT(meta_retry_applied_twice)) return std::nullopt;
  return find([this](std::string_view key) { return stored_.get(key); }, id, stored_.shard());
}

std::optional<Outcome> Machine::recall(const Batch& batch, const cluster::RequestId& id) const {
  if (CFS_MUTANT(meta_retry_applied_twice)) return std::nullopt;
  const auto get = [&](std::string_view key) { return batch.overlay.get(key); };
  if (id.sequence != 0)
    if (std::optional<Outcome> outcome = find(get, id, stored_.shard())) return outcome;
  const SessionRecord session = decode_session(get(session_key(id.session)), stored_.shard());
  if (session.fenced && !CFS_MUTANT(fence_not_checked))
    return Outcome{Errc::fenced, fmt::format("session {} has expired; open a new one", id.session), {}};
  if (id.sequence == 0 || id.sequence >= session.dropped_below) return std::nullopt;
  return Outcome{
      Errc::invalid_argument, "this request was answered before, and its sender has the answer", {}};
}

void Machine::remember(Batch& batch, const cluster::RequestId& id, const Outcome& outcome) {
  batch.overlay.put(outcome_key(id.session, id.sequence), std::string(wire::encode(outcome).text()));
  const std::string key = session_key(id.session);
  SessionRecord session = decode_session(batch.overlay.get(key), stored_.shard());
  const bool drop = id.done_below >= session.dropped_below + kDropEvery;
  if (!drop && session.last_used != Hlc{} && hlc_after(session.last_used, kUseResolution) > hlc_) return;
  session.last_used = hlc_;
  if (drop) {
    std::vector<std::string> done;
    const std::string end = outcome_key(id.session, id.done_below);
    batch.overlay.scan(outcomes_key(id.session), outcome_key(id.session, session.dropped_below),
                       [&](std::string_view at, std::string_view) {
                         if (at >= end) return false;
                         done.emplace_back(at);
                         return true;
                       });
    for (std::string& at : done) batch.overlay.remove(std::move(at));
    session.dropped_below = id.done_below;
  }
  batch.overlay.put(key, std::string(wire::encode(session).text()));
}

}  // namespace claudefs::meta
