#include "meta/detail/file_locks.h"
#include "meta/detail/quota.h"
#include "meta/detail/records.h"
#include "meta/detail/volumes.h"
#include "meta/hlc.h"
#include "meta/ops/ops.h"
#include "meta/session_volume.h"

namespace claudefs::meta {
namespace {
constexpr u64 kFencedKept = 7 * 86'400'000;  // milliseconds
}  // namespace

Result<OpenSessionReply> apply_admit_session(ApplyContext& context, const AdmitSession& op) {
  if (context.shard() != ShardId{0}) return fail(Errc::invalid_argument, "sessions are opened at shard 0");
  if (op.volume != VolumeId{}) {
    const std::optional<Volume> volume = load_volume(context, op.volume);
    if (!volume || volume->state != VolumeState::active) return fail(Errc::stale, "the volume was deleted");
  }
  std::optional<DomainKeyRecord> record = context.load<DomainKeyRecord>(domain_key_key());
  if (!record) {
    record = DomainKeyRecord{op.proposed};
    context.store(domain_key_key(), *record);
  }
  const u64 squashed = op.squash_root ? kSquashedSession : 0;
  const SessionId session{context.next("session") | squashed | session_bits_of(op.volume)};
  return OpenSessionReply{session, record->key};
}

Result<Nothing> apply_attach_session(ApplyContext& context, const AttachSession& op) {
  SessionRecord record = context.load<SessionRecord>(session_key(op.session)).value_or(SessionRecord{});
  if (record.fenced) return fail(Errc::fenced, fmt::format("session {} has expired", op.session));
  if (record.attached) return Nothing{};
  record.attached = true;
  record.last_used = context.hlc();
  context.store(session_key(op.session), record);
  return Nothing{};
}

Result<Nothing> apply_fence_session(ApplyContext& context, const FenceSession& op) {
  SessionRecord record = context.load<SessionRecord>(session_key(op.session)).value_or(SessionRecord{});
  if (record.fenced) return Nothing{};
  record.attached = false;
  record.fenced = true;
  record.last_used = context.hlc();
  context.store(session_key(op.session), record);
  // The outcomes stay: what was executed before, and is asked for again now, must not be told that it was
  // refused.
  drop_locks_of(context, op.session);
  drop_reserves_of(context, op.session);
  return Nothing{};
}

Result<PurgeReply> apply_expire(ApplyContext& context, const Expire& op) {
  std::vector<std::string> gone;
  const std::string sessions = key_of_table(Table::session);
  context.scan(sessions, sessions, [&](std::string_view key, std::string_view value) {
    const Result<SessionRecord> record = wire::decode<SessionRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    if (record->attached) return true;  // it lives, or will be fenced
    // What a fenced session sent may come very late.
    const Hlc before = record->fenced ? hlc_before(op.sessions_before, kFencedKept) : op.sessions_before;
    if (record->last_used >= before) return true;
    const std::string outcomes = outcomes_key(SessionId{number_in(key, sessions.size())});
    context.scan(outcomes, outcomes, [&](std::string_view outcome, std::string_view) {
      gone.emplace_back(outcome);
      return gone.size() < op.records_max;
    });
    if (gone.size() < op.records_max) gone.emplace_back(key);
    return gone.size() < op.records_max;
  });
  const std::string tombstones = key_of_table(Table::tombstone);
  context.scan(tombstones, tombstones, [&](std::string_view key, std::string_view value) {
    if (gone.size() >= op.records_max) return false;
    const Result<DecisionRecord> record = wire::decode<DecisionRecord>(as_bytes(value));
    CFS_CHECK(record.has_value());
    if (record->decided < op.tombstones_before) gone.emplace_back(key);
    return true;
  });
  const bool more = gone.size() >= op.records_max;
  for (std::string& key : gone) context.remove(std::move(key));
  return PurgeReply{more};
}

}  // namespace claudefs::meta
