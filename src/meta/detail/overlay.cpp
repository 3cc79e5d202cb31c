#include "meta/detail/overlay.h"

#include "base/log.h"

namespace claudefs::meta {

std::string shard_prefix(ShardId shard) {
  return {static_cast<char>(shard.value >> 8), static_cast<char>(shard.value & 0xff)};
}

void state_unusable(ShardId shard, const Error& error) {
  check_failed(
      fmt::format("shard {}: the metadata store cannot be used: {}; restart the node, and if this stays, "
                  "re-create it: its replicas hold the same state",
                  shard, error.to_string()));
}

StoredState::StoredState(store::Kv& kv, ShardId shard, u16 shard_count)
    : kv_(kv), shard_(shard), shard_count_(shard_count), prefix_(shard_prefix(shard)) {}

std::optional<std::string> StoredState::get(std::string_view key) const {
  std::string full = prefix_;
  full.append(key);
  auto value = kv_.get(full);
  if (!value) state_unusable(shard_, value.error());
  return std::move(*value);
}

void StoredState::scan(std::string_view prefix, std::string_view first,
                       const std::function<bool(std::string_view, std::string_view)>& visit) const {
  const std::string full_prefix = prefix_ + std::string(prefix);
  const std::unique_ptr<store::KvIterator> it = kv_.iterate();
  it->seek(prefix_ + std::string(std::max(prefix, first)), store::end_of_prefix(full_prefix));
  for (; it->valid(); it->next()) {
    if (!visit(it->key().substr(prefix_.size()), it->value())) return;
  }
}

std::optional<std::string> Overlay::get(std::string_view key) const {
  const auto found = writes_.find(key);
  return found != writes_.end() ? found->second : stored_.get(key);
}

void Overlay::scan(std::string_view prefix, std::string_view first,
                   const std::function<bool(std::string_view, std::string_view)>& visit) const {
  const std::string& shard_prefix = stored_.prefix();
  const std::string full_prefix = shard_prefix + std::string(prefix);
  const std::string start(std::max(prefix, first));
  std::unique_ptr<store::KvIterator> it = spare_ ? std::move(spare_) : stored_.iterate();
  it->seek(shard_prefix + start, store::end_of_prefix(full_prefix));
  auto own = writes_.lower_bound(start);
  for (bool go_on = true; go_on;) {
    const bool in_store = it->valid();
    const bool in_own = own != writes_.end() && own->first.starts_with(prefix);
    if (!in_store && !in_own) break;
    const std::string_view stored_key = in_store ? it->key().substr(shard_prefix.size()) : std::string_view();
    if (in_own && (!in_store || own->first <= stored_key)) {
      const auto current = own;
      if (in_store && own->first == stored_key) it->next();
      // Copied: the visitor may write this very key.
      const std::optional<std::string> value = current->second;
      if (value) go_on = visit(current->first, *value);
      own = std::next(current);
      continue;
    }
    const std::string last(stored_key);
    go_on = visit(stored_key, it->value());
    it->next();
    own = writes_.upper_bound(last);  // the visitor may have written
  }
  spare_ = std::move(it);
}

void Overlay::change(std::string key, Value value) {
  const auto [at, fresh] = writes_.try_emplace(std::move(key));
  undo_.push_back({at, fresh ? std::nullopt : std::optional<Value>(std::move(at->second))});
  at->second = std::move(value);
}

void Overlay::undo_to(std::size_t mark) {
  while (undo_.size() > mark) {
    Undo& undo = undo_.back();
    if (undo.before)
      undo.at->second = std::move(*undo.before);
    else
      writes_.erase(undo.at);
    undo_.pop_back();
  }
}

store::KvBatch Overlay::finish() {
  spare_.reset();
  undo_.clear();
  store::KvBatch batch;
  for (auto& [key, value] : writes_) {
    std::string full = stored_.prefix() + key;
    if (value)
      batch.put(std::move(full), std::move(*value));
    else
      batch.remove(std::move(full));
  }
  writes_.clear();
  return batch;
}

}  // namespace claudefs::meta
