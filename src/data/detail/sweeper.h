// What this node holds and nobody needs: journal copies of sealed segments, shards of former layouts or of
// segments that are gone. Catches what was missed while the node was away.
#pragma once

#include <set>

#include "data/detail/background.h"
#include "store/journal.h"
#include "store/shard_store.h"

namespace claudefs::data {

class Sweeper {
 public:
  Sweeper(Background& background, store::Journal& journal, store::ShardStore& shards)
      : background_(background), journal_(journal), shards_(shards) {}
  runtime::Task<void> sweep_journal();  // once
  runtime::Task<void> sweep_shards();   // once

 private:
  runtime::Task<std::map<SegmentId, SegmentRecord>> records_of(std::set<SegmentId> segments);
  runtime::Task<void> sweep_batch(std::vector<store::ShardKey> keys, std::set<store::ShardKey>& suspects);

  Background& background_;
  store::Journal& journal_;
  store::ShardStore& shards_;
  std::set<store::ShardKey> suspects_;  // not wanted at the last sweep either
};

}  // namespace claudefs::data
