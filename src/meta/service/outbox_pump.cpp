#include <set>

#include "base/probe.h"
#include "meta/commands.h"
#include "meta/detail/keys.h"
#include "meta/service/service.h"

namespace claudefs::meta {
namespace {

using namespace std::chrono_literals;
constexpr std::size_t kBatchMessages = 256;
constexpr std::size_t kBatchBytes = 512 << 10;
// Counts of references: nobody waits for them, and many to a destination cost as much as one.
constexpr runtime::Duration kGather = 1s;
constexpr runtime::Duration kGatherAcks = 500ms;

class Pump {
 public:
  Pump(ShardService& service, HostedShard& shard)
      : service_(service), shard_(shard), delivered_(executor()), scope_(executor()) {}

  runtime::Task<void> run() {
    scope_.spawn(acknowledge());
    for (;;) {
      shard_.outbox_dirty = shard_.outbox_urgent = false;
      for (const ShardId to : waiting())
        if (sending_.insert(to).second) scope_.spawn(send(to));
      if (!shard_.outbox_dirty) co_await shard_.outbox_grew.wait_until(executor().now() + 1s);
      const runtime::Instant gathered = executor().now() + kGather;
      while (!shard_.outbox_urgent && shard_.outbox_dirty && executor().now() < gathered)
        co_await shard_.outbox_grew.wait_until(gathered);
    }
  }

 private:
  runtime::Executor& executor() { return service_.env().executor(); }

  // Destinations that have messages not yet sent.
  std::vector<ShardId> waiting() const {
    std::vector<ShardId> out;
    const ReadContext& state = shard_.machine->reader();
    const std::string table = key_of_table(Table::outbox);
    for (u32 next = 0; next < service_.shard_count();) {
      const u32 from = next;
      next = service_.shard_count();
      state.scan(table, outbox_key(ShardId{static_cast<u16>(from)}),
                 [&](std::string_view key, std::string_view) {
                   const ShardId to{static_cast<u16>(number_in(key, 1, 2))};
                   out.push_back(to);
                   next = u32{to.value} + 1;
                   return false;
                 });
    }
    std::erase_if(out, [&](ShardId to) { return read(to).messages.empty(); });
    return out;
  }

  Deliver read(ShardId to) const {
    Deliver batch{shard_.id, 0, {}};
    const auto sent = sent_.find(to);
    const u64 first = sent == sent_.end() ? 0 : sent->second + 1;
    std::size_t bytes = 0;
    shard_.machine->reader().scan(
        outbox_key(to), outbox_key(to, first), [&](std::string_view key, std::string_view value) {
          Result<CommandEntry> message = wire::decode<CommandEntry>(as_bytes(value));
          CFS_CHECK(message.has_value());
          if (batch.messages.empty()) batch.first = number_in(key, 3);
          bytes += value.size();
          batch.messages.push_back(std::move(*message));
          return batch.messages.size() < kBatchMessages && bytes < kBatchBytes;
        });
    return batch;
  }

  runtime::Task<void> send(ShardId to) {
    runtime::Duration pause = 20ms;
    for (;;) {
      const Deliver batch = read(to);
      if (batch.messages.empty()) break;
      const Result<DeliverReply> got = co_await service_.call_op(to, batch).result();
      if (!got) {
        CFS_PROBE(meta_outbox_sent_again, "messages to another shard are sent again");
        sent_.erase(to);
        co_await executor().sleep(pause);
        pause = std::min<runtime::Duration>(pause * 2, 2s);
        continue;
      }
      pause = 20ms;
      sent_[to] = batch.first + batch.messages.size() - 1;
      unacknowledged_[to] = sent_[to];
      delivered_.notify_all();
    }
    sending_.erase(to);
  }

  runtime::Task<void> acknowledge() {
    for (;;) {
      while (unacknowledged_.empty()) co_await delivered_.wait();
      co_await executor().sleep(kGatherAcks);
      OutboxAck op;
      for (const auto& [to, through] : unacknowledged_) op.delivered.push_back({to, through});
      unacknowledged_.clear();
      const Result<Nothing> done = co_await service_.propose_op(shard_.id, op).result();
      if (done) continue;
      for (const auto& [to, through] : op.delivered) unacknowledged_.try_emplace(to, through);
      co_await executor().sleep(200ms);
    }
  }

  ShardService& service_;
  HostedShard& shard_;
  std::map<ShardId, u64> sent_;
  std::map<ShardId, u64> unacknowledged_;
  std::set<ShardId> sending_;
  runtime::Condition delivered_;
  runtime::Scope scope_;
};

}  // namespace

runtime::Task<void> pump_outbox(ShardService& service, HostedShard& shard) {
  Pump pump(service, shard);
  co_await pump.run();
}

}  // namespace claudefs::meta
