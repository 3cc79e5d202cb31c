#include "meta/detail/machine.h"

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "meta/commands.h"
#include "meta/detail/keys.h"
#include "meta/hlc.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_outbox_delivered_twice,
                  "meta: a message of another shard that comes again is executed again");
CFS_DEFINE_MUTANT(meta_message_lost, "meta: every ninth message to another shard is forgotten");

const OperationTable::Command* OperationTable::find_command(u16 kind) const {
  const auto found = commands_.find(kind);
  return found == commands_.end() ? nullptr : &found->second;
}
const OperationTable::Query* OperationTable::find_query(u16 kind) const {
  const auto found = queries_.find(kind);
  return found == queries_.end() ? nullptr : &found->second;
}
Time ApplyContext::now() const { return time_of(hlc()); }

// What a command sees.
class Machine::Context final : public ApplyContext {
 public:
  Context(Machine& machine, Batch& batch, const cluster::RequestId& request, bool may_refuse)
      : machine_(machine), batch_(batch), request_(request), may_refuse_(may_refuse) {}
  std::optional<std::string> get(std::string_view key) const override { return batch_.overlay.get(key); }
  void scan(std::string_view prefix, std::string_view first,
            const std::function<bool(std::string_view, std::string_view)>& visit) const override {
    batch_.overlay.scan(prefix, first, visit);
  }
  ShardId shard() const override { return machine_.stored_.shard(); }
  u16 shard_count() const override { return machine_.stored_.shard_count(); }
  void put(std::string key, std::string value) override {
    batch_.overlay.put(std::move(key), std::move(value));
  }
  void remove(std::string key) override { batch_.overlay.remove(std::move(key)); }
  Hlc hlc() const override { return machine_.hlc_; }
  const cluster::RequestId& request() const override { return request_; }
  void emit(ShardId to, u16 kind, Buffer body) override {
    CommandEntry message{kind, hlc(), {}, std::move(body)};
    if (to == shard()) {
      batch_.to_self.push_back(std::move(message));
      return;
    }
    const u64 number = next(fmt::format("outbox.{}", to));
    if (CFS_MUTANT(meta_message_lost) && number % 9 == 0) message.body = {};
    ApplyContext::store(outbox_key(to, number), message);
    batch_.emitted = true;
    batch_.emitted_urgent |= kind < kFirstDataKind;
  }
  bool lacks(const QuotaSubject& subject, const QuotaUse& need) override {
    if (may_refuse_) needs.needs.push_back({subject, need});
    return may_refuse_;
  }
  u64 next(std::string_view counter) override {
    const std::string key = counter_key(counter);
    NumberRecord record = load<NumberRecord>(key).value_or(NumberRecord{});
    ++record.value;
    ApplyContext::store(key, record);
    return record.value;
  }
  QuotaNeeds needs;

 private:
  Machine& machine_;
  Batch& batch_;
  const cluster::RequestId& request_;
  bool may_refuse_;
};

std::vector<Buffer> Machine::apply(const std::vector<raft::Committed>& entries) {
  if (entries.empty()) return {};
  Batch batch(stored_);
  std::vector<Buffer> replies;
  replies.reserve(entries.size());
  for (const raft::Committed& entry : entries) {
    replies.push_back(entry.command.empty() ? Buffer() : wire::encode(apply_entry(batch, entry.command)));
    applied_ = {entry.index, entry.term};
  }
  batch.overlay.put(applied_key(), std::string(wire::encode(applied_).text()));
  batch.overlay.put(hlc_key(), std::string(wire::encode(HlcRecord{hlc_}).text()));
  write(batch.overlay.finish());
  if (batch.emitted && outbox_listener_) outbox_listener_(batch.emitted_urgent);
  return replies;
}

Outcome Machine::apply_entry(Batch& batch, const Buffer& command) {
  const Result<CommandEntry> entry = wire::decode<CommandEntry>(command);
  if (!entry) return {entry.error().code, entry.error().text, {}};
  // Proposals under way at once may carry equal stamps: the order of the log decides.
  hlc_ = std::max(entry->hlc, Hlc{hlc_.value + 1});
  Outcome outcome = apply_once(batch, *entry);
  run_to_self(batch);
  return outcome;
}

Outcome Machine::apply_once(Batch& batch, const CommandEntry& entry) {
  if (entry.kind == Deliver::kKind) return deliver(batch, entry);
  if (entry.id.session == SessionId{}) return execute(batch, entry, true);
  if (std::optional<Outcome> before = recall(batch, entry.id)) return std::move(*before);
  Outcome outcome = execute(batch, entry, true);
  // Without a number it may be executed again (PinChunks): there is nothing to remember it by.
  if (entry.id.sequence != 0 && !is_transient(outcome.code)) remember(batch, entry.id, outcome);
  return outcome;
}

Outcome Machine::execute(Batch& batch, const CommandEntry& entry, bool may_refuse) {
  const OperationTable::Command* command = table_.find_command(entry.kind);
  if (command == nullptr) {
    return {Errc::unsupported, fmt::format("this node knows no command {:#x}; upgrade it", entry.kind), {}};
  }
  const std::size_t mark = batch.overlay.mark();
  const std::size_t to_self = batch.to_self.size();
  const bool emitted = batch.emitted;
  Context context(*this, batch, entry.id, may_refuse);
  Result<Buffer> result = (*command)(context, entry.body);
  const bool lacks = result && !context.needs.needs.empty();
  if (result && !lacks) return {Errc::ok, {}, std::move(*result)};
  batch.overlay.undo_to(mark);
  batch.to_self.resize(to_self);
  batch.emitted = emitted;
  if (lacks) return {Errc::quota_exceeded, "a quota is asked for", wire::encode(context.needs)};
  return {result.error().code, std::move(result.error().text), {}};
}

void Machine::run_to_self(Batch& batch) {
  while (!batch.to_self.empty()) {
    const CommandEntry message = std::move(batch.to_self.front());
    batch.to_self.pop_front();
    const Outcome outcome = execute(batch, message, false);
    if (outcome.code != Errc::ok)
      log::error(
          "meta", "a message of a shard to itself failed",
          {log::kv("shard", stored_.shard()), log::kv("kind", message.kind), log::kv("error", outcome.text)});
  }
}

Outcome Machine::deliver(Batch& batch, const CommandEntry& entry) {
  const Result<Deliver> op = wire::decode<Deliver>(entry.body);
  if (!op) return {op.error().code, op.error().text, {}};
  const std::string key = inbound_key(op->source);
  const std::optional<std::string> stored = batch.overlay.get(key);
  u64 last = 0;
  if (stored) {
    const Result<NumberRecord> record = wire::decode<NumberRecord>(as_bytes(*stored));
    if (!record) state_unusable(stored_.shard(), record.error());
    last = record->value;
  }
  if (op->first > last + 1)
    return {Errc::invalid_argument,
            fmt::format("message {} of shard {} came before {}", op->first, op->source, last + 1),
            {}};
  for (std::size_t i = 0; i < op->messages.size(); ++i) {
    if (op->first + i <= last && !CFS_MUTANT(meta_outbox_delivered_twice)) {
      CFS_PROBE(meta_outbox_delivered_again, "a message that was delivered before is ignored");
      continue;
    }
    const CommandEntry& message = op->messages[i];
    hlc_ = std::max(hlc_, Hlc{message.hlc.value + 1});  // an effect is later than its cause
    CommandEntry inner{message.kind, hlc_, {}, message.body};
    const Outcome outcome = execute(batch, inner, false);
    if (outcome.code != Errc::ok)
      log::error("meta", "a message of another shard failed",
                 {log::kv("shard", stored_.shard()), log::kv("from", op->source),
                  log::kv("kind", message.kind), log::kv("error", outcome.text)});
    run_to_self(batch);
    last = op->first + i;
  }
  batch.overlay.put(key, std::string(wire::encode(NumberRecord{last}).text()));
  return {Errc::ok, {}, wire::encode(DeliverReply{last})};
}

void Machine::write(const store::KvBatch& batch) {
  if (Result<void> done = kv_.write(batch); !done) state_unusable(stored_.shard(), done.error());
}

Result<Buffer> Machine::query(u16 kind, const Buffer& body) {
  const OperationTable::Query* query = table_.find_query(kind);
  if (query == nullptr)
    return fail(Errc::unsupported, fmt::format("this node knows no query {:#x}; upgrade it", kind));
  return (*query)(stored_, body);
}

void Machine::on_leadership(bool leader, Term term) {
  if (leadership_listener_) leadership_listener_(leader, term);
}

}  // namespace claudefs::meta
