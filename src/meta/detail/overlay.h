// One shard's keys in the node's store, and the writes of a batch over them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "meta/shard_machine.h"
#include "store/kv.h"

namespace claudefs::meta {

std::string shard_prefix(ShardId shard);

// Ends the process: a replica that cannot read or write its state must not answer.
[[noreturn]] void state_unusable(ShardId shard, const Error& error);

// Reads of what is in the store.
class StoredState final : public ReadContext {
 public:
  StoredState(store::Kv& kv, ShardId shard, u16 shard_count);
  std::optional<std::string> get(std::string_view key) const override;
  void scan(std::string_view prefix, std::string_view first,
            const std::function<bool(std::string_view, std::string_view)>& visit) const override;
  ShardId shard() const override { return shard_; }
  u16 shard_count() const override { return shard_count_; }
  const std::string& prefix() const { return prefix_; }
  std::unique_ptr<store::KvIterator> iterate() const { return kv_.iterate(); }

 private:
  store::Kv& kv_;
  ShardId shard_;
  u16 shard_count_;
  std::string prefix_;
};

// Writes that are not in the store yet; reads see them. Undone back to a mark when a command fails.
class Overlay {
 public:
  explicit Overlay(const StoredState& stored) : stored_(stored) {}
  std::optional<std::string> get(std::string_view key) const;
  void scan(std::string_view prefix, std::string_view first,
            const std::function<bool(std::string_view, std::string_view)>& visit) const;
  void put(std::string key, std::string value) { change(std::move(key), std::move(value)); }
  void remove(std::string key) { change(std::move(key), std::nullopt); }

  std::size_t mark() const { return undo_.size(); }
  void undo_to(std::size_t mark);
  // The batch to write. Afterwards nothing may be read from here.
  store::KvBatch finish();

 private:
  using Value = std::optional<std::string>;  // nothing: removed
  using Writes = std::map<std::string, Value, std::less<>>;
  struct Undo {
    Writes::iterator at;
    std::optional<Value> before;  // nothing: was not in the overlay
  };
  void change(std::string key, Value value);

  const StoredState& stored_;
  Writes writes_;
  std::vector<Undo> undo_;
  // Making an iterator costs more than a seek: one is kept for the scans of the batch that do not nest.
  mutable std::unique_ptr<store::KvIterator> spare_;
};

}  // namespace claudefs::meta
