// A map that forgets what was not used for longest once its costs add up to more than its limit.
#pragma once

#include <list>
#include <map>
#include <utility>

#include "base/ids.h"

namespace claudefs::data {

template <class Key, class Value>
class Lru {
 public:
  explicit Lru(u64 cost_max) : cost_max_(cost_max) {}
  const Value* find(const Key& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, it->second);
    return &it->second->value;
  }
  void put(const Key& key, Value value, u64 cost) {
    erase(key);
    if (cost > cost_max_) return;
    order_.push_front({key, std::move(value), cost});
    index_[key] = order_.begin();
    cost_ += cost;
    while (cost_ > cost_max_) erase(Key(order_.back().key));
  }
  void erase(const Key& key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return;
    cost_ -= it->second->cost;
    order_.erase(it->second);
    index_.erase(it);
  }
  u64 cost() const { return cost_; }

 private:
  struct Entry {
    Key key;
    Value value;
    u64 cost;
  };
  const u64 cost_max_;
  u64 cost_ = 0;
  std::list<Entry> order_;
  std::map<Key, typename std::list<Entry>::iterator> index_;
};

}  // namespace claudefs::data
