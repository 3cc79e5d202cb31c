// One shard's state machine over a store in memory, fed directly.
#pragma once

#include "meta/commands.h"
#include "meta/hlc.h"
#include "meta/operations.h"
#include "meta/shard_service.h"
#include "store/memory_kv.h"

namespace claudefs::meta::testing {

// Whatever answers operations: one machine, or a cluster.
class System {
 public:
  virtual ~System() = default;
  virtual Result<Buffer> call_raw(ShardId shard, u16 kind, Buffer body) = 0;
  virtual u16 shard_count() const = 0;
  template <class Op>
  Result<typename Op::Reply> call(ShardId shard, const Op& op) {
    TRY_ASSIGN(const Buffer reply, call_raw(shard, Op::kKind, wire::encode(op)));
    return wire::decode<typename Op::Reply>(reply);
  }
};

class OneShard final : public System {
 public:
  explicit OneShard(ShardId shard = ShardId{0}, u16 shard_count = 1)
      : shard_(shard), shard_count_(shard_count) {
    register_namespace(table);
    open();
    (void)run(Format{});
  }
  void open() { machine = std::move(*ShardMachine::open(kv, table, shard_, shard_count_)); }

  Result<Buffer> call_raw(ShardId, u16 kind, Buffer body) override {
    if (table.find_query(kind) != nullptr) return machine->query(kind, body);
    return propose({kind, stamp(), {}, std::move(body)});
  }
  u16 shard_count() const override { return shard_count_; }

  template <class Op>
  Result<typename Op::Reply> run(const Op& op, cluster::RequestId id = {}) {
    TRY_ASSIGN(const Buffer reply, propose({Op::kKind, stamp(), id, wire::encode(op)}));
    return wire::decode<typename Op::Reply>(reply);
  }
  template <class Op>
  Result<typename Op::Reply> ask(const Op& op) {
    return call(shard_, op);
  }
  Result<Buffer> propose(const CommandEntry& entry) {
    log.push_back({LogIndex{log.size() + 1}, Term{1}, wire::encode(entry)});
    const Outcome outcome = *wire::decode<Outcome>(machine->apply({log.back()}).front());
    if (outcome.code != Errc::ok) return fail(outcome.code, outcome.text);
    return outcome.body;
  }
  Hlc stamp() { return hlc_of(runtime::WallTime{1'700'000'000'000'000'000 + 1'000'000 * ++milliseconds}); }

  store::MemoryKv kv;
  OperationTable table;
  std::unique_ptr<ShardMachine> machine;
  std::vector<raft::Committed> log;
  i64 milliseconds = 0;

 private:
  ShardId shard_;
  u16 shard_count_;
};

inline std::map<std::string, std::string> contents(const store::Kv& kv) {
  std::map<std::string, std::string> out;
  const auto it = kv.iterate();
  for (it->seek(""); it->valid(); it->next()) out.emplace(it->key(), it->value());
  return out;
}

}  // namespace claudefs::meta::testing
