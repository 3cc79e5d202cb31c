#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

// A transaction's decision is kept until every participant has heard of it.
void heard(ApplyContext& context, const CommandEntry& message) {
  if (message.kind != CommitTransaction::kKind) return;
  const Result<CommitTransaction> commit = wire::decode<CommitTransaction>(message.body);
  CFS_CHECK(commit.has_value());
  const std::string key = txn_key(Table::decision, commit->txn);
  std::optional<DecisionRecord> decision = context.load<DecisionRecord>(key);
  if (!decision) return;
  if (decision->unheard > 1) {
    --decision->unheard;
    context.store(key, *decision);
  } else {
    context.remove(key);
  }
}

}  // namespace

Result<Nothing> apply_outbox_ack(ApplyContext& context, const OutboxAck& op) {
  for (const OutboxAck::Delivered& delivered : op.delivered) {
    std::vector<std::pair<std::string, CommandEntry>> gone;
    const std::string prefix = outbox_key(delivered.to);
    const std::string last = outbox_key(delivered.to, delivered.through);
    context.scan(prefix, prefix, [&](std::string_view key, std::string_view value) {
      if (key > last) return false;
      Result<CommandEntry> message = wire::decode<CommandEntry>(as_bytes(value));
      CFS_CHECK(message.has_value());
      gone.emplace_back(std::string(key), std::move(*message));
      return true;
    });
    for (auto& [key, message] : gone) {
      heard(context, message);
      context.remove(std::move(key));
    }
  }
  return Nothing{};
}

Result<OutboxStatusReply> apply_outbox_status(ApplyContext& context, const OutboxStatus&) {
  OutboxStatusReply reply{context.hlc(), context.hlc()};
  for (u32 to = 0; to < context.shard_count(); ++to) {
    const std::string prefix = outbox_key(ShardId{static_cast<u16>(to)});
    // Per destination they are in the order of their stamps: the first one is the oldest.
    context.scan(prefix, prefix, [&](std::string_view, std::string_view value) {
      const Result<CommandEntry> message = wire::decode<CommandEntry>(as_bytes(value));
      CFS_CHECK(message.has_value());
      reply.delivered = std::min(reply.delivered, Hlc{message->hlc.value - 1});
      return false;
    });
  }
  return reply;
}

}  // namespace claudefs::meta
