// The replicated state of one shard: a table of operations over ordered keys.
//
// A command is proposed as it came (operation, request id, HLC stamp by the leader) and executed when it is
// applied, on every replica alike: its order in the log is its order in the world. A command that fails
// leaves no trace but its recorded answer. Operations live elsewhere (meta/ops/, data/ops/), one file a verb,
// and register themselves in an OperationTable. Keys are without the shard's prefix here:
// docs/formats/metadata.md.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/shard_call.h"
#include "meta/quota.h"
#include "meta/squash.h"
#include "meta/types.h"
#include "raft/state_machine.h"
#include "store/kv.h"

namespace claudefs::meta {

// Reads of one shard. Valid only during the call it was handed to. An I/O error of the store ends the process
// with a clear message: a replica that cannot read its state must not answer.
class ReadContext {
 public:
  virtual ~ReadContext() = default;
  virtual std::optional<std::string> get(std::string_view key) const = 0;
  // In key order from `first`, while keys begin with `prefix` and `visit` returns true.
  virtual void scan(std::string_view prefix, std::string_view first,
                    const std::function<bool(std::string_view key, std::string_view value)>& visit) const = 0;
  virtual ShardId shard() const = 0;
  virtual u16 shard_count() const = 0;

  template <class T>
  std::optional<T> load(std::string_view key) const;  // decoded; damage ends the process like an I/O error
};

// One command's execution: reads see its own writes. Dropped whole when the operation fails.
class ApplyContext : public ReadContext {
 public:
  virtual void put(std::string key, std::string value) = 0;
  virtual void remove(std::string key) = 0;
  virtual Hlc hlc() const = 0;
  virtual const cluster::RequestId& request() const = 0;
  // Sends a command to another shard (or this one), exactly once, in order per destination, when this one is
  // applied.
  virtual void emit(ShardId to, u16 kind, Buffer body) = 0;
  // Nothing of the command shall happen before `need` has been asked for. False: it has to happen.
  virtual bool lacks(const QuotaSubject& subject, const QuotaUse& need) = 0;
  // 1, 2, 3, ... a counter of this shard.
  virtual u64 next(std::string_view counter) = 0;
  Time now() const;  // from hlc()

  template <class T>
  void store(std::string key, const T& value) {
    put(std::move(key), std::string(wire::encode(value).text()));
  }
  template <class Op>
  void emit(ShardId to, const Op& op) {
    emit(to, Op::kKind, wire::encode(op));
  }
};

class OperationTable {
 public:
  using Command = std::function<Result<Buffer>(ApplyContext&, const Buffer& body)>;
  using Query = std::function<Result<Buffer>(const ReadContext&, const Buffer& body)>;
  void add_command(u16 kind, Command command) { commands_[kind] = std::move(command); }
  void add_query(u16 kind, Query query) { queries_[kind] = std::move(query); }
  const Command* find_command(u16 kind) const;
  const Query* find_query(u16 kind) const;

  // table.command<Create>(apply_create), with Result<Create::Reply> apply_create(ApplyContext&, const
  // Create&).
  template <class Op>
  void command(Result<typename Op::Reply> (*apply)(ApplyContext&, const Op&)) {
    add_command(Op::kKind, [apply](ApplyContext& context, const Buffer& body) -> Result<Buffer> {
      TRY_ASSIGN(Op op, wire::decode<Op>(body));
      if constexpr (requires { op.caller; }) squash_in(context.request().session, op.caller);
      TRY_ASSIGN(const auto reply, apply(context, op));
      return wire::encode(reply);
    });
  }
  template <class Op>
  void query(Result<typename Op::Reply> (*read)(const ReadContext&, const Op&)) {
    add_query(Op::kKind, [read](const ReadContext& context, const Buffer& body) -> Result<Buffer> {
      TRY_ASSIGN(const Op op, wire::decode<Op>(body));
      TRY_ASSIGN(const auto reply, read(context, op));
      return wire::encode(reply);
    });
  }

 private:
  std::map<u16, Command> commands_;
  std::map<u16, Query> queries_;
};

// The log entry of a command.
struct CommandEntry {
  u16 kind = 0;
  Hlc hlc{};
  cluster::RequestId id;
  Buffer body;
  static auto fields(auto& self) { return std::tie(self.kind, self.hlc, self.id, self.body); }
};
// What apply() answers: an operation's outcome.
struct Outcome {
  Errc code = Errc::ok;
  std::string text;
  Buffer body;
  static auto fields(auto& self) { return std::tie(self.code, self.text, self.body); }
};

class ShardMachine : public raft::StateMachine {
 public:
  // `kv` and `table` must outlive it. Errors: corrupt state.
  static Result<std::unique_ptr<ShardMachine>> open(store::Kv& kv, const OperationTable& table, ShardId shard,
                                                    u16 shard_count);
  // Runs a query on the applied state; the caller has done a read barrier.
  virtual Result<Buffer> query(u16 kind, const Buffer& body) = 0;
  // The recorded outcome of a request already applied.
  virtual std::optional<Outcome> recorded(const cluster::RequestId& id) const = 0;
  virtual Hlc last_hlc() const = 0;
  virtual void set_leadership_listener(std::function<void(bool leader, Term term)> listener) = 0;
  // Called after each applied batch that put something into the outbox; `soon`: somebody waits for it.
  virtual void set_outbox_listener(std::function<void(bool soon)> listener) = 0;
  // Direct read access for leader tasks (after a barrier). Valid until the next suspension.
  virtual const ReadContext& reader() const = 0;
  // Told by the owner after Kv::flush(): `index` is durable.
  virtual void note_durable(LogIndex index) = 0;
};

template <class T>
std::optional<T> ReadContext::load(std::string_view key) const {
  std::optional<std::string> bytes = get(key);
  if (!bytes) return std::nullopt;
  Result<T> value = wire::decode<T>(as_bytes(*bytes));
  CFS_CHECK(value.has_value());
  return std::move(*value);
}

}  // namespace claudefs::meta
