// Reads everything that this node's journal and shard store hold, and its other files, again and again at a
// bounded rate, so that damage at rest is found while good copies exist. A shard that does not check no
// longer counts as held and is reported to its segment's leader, which lays the segment out anew.
#pragma once

#include <map>
#include <set>

#include "data/detail/background.h"
#include "data/detail/handlers.h"
#include "data/scrub.h"
#include "store/journal.h"
#include "store/shard_store.h"

namespace claudefs::data {

class Scrubber {
 public:
  // A pass begins so often by itself; more than zero.
  Scrubber(Background& background, Handlers& handlers, store::Journal& journal, store::ShardStore& shards,
           runtime::Duration every, std::function<std::vector<ScrubFile>()> files)
      : background_(background),
        handlers_(handlers),
        journal_(journal),
        shards_(shards),
        every_(every),
        files_(std::move(files)),
        wake_(background.env.executor()) {}
  runtime::Task<void> run();  // until stopping
  // Tells leaders, again where it has been a while, of damage that is still there. To be called often.
  runtime::Task<void> report();
  void begin_now();
  void wake() { wake_.notify_all(); }
  ScrubReply status();

 private:
  runtime::Task<void> pass();
  runtime::Task<bool> turn(u64 bytes);
  runtime::Task<void> wait(runtime::Duration time);
  runtime::Task<void> check(store::OpenSegment held);
  runtime::Task<void> check(store::ShardInfo shard);
  runtime::Task<void> check(ScrubFile file);
  runtime::Task<void> look_again_at_files();
  void note_verified(u64 bytes);
  void settle();
  bool is_asked() const { return asked_ > status_.pass; }

  Background& background_;
  Handlers& handlers_;
  store::Journal& journal_;
  store::ShardStore& shards_;
  const runtime::Duration every_;
  const std::function<std::vector<ScrubFile>()> files_;
  runtime::Condition wake_;
  ScrubReply status_;
  u64 asked_ = 0;  // the pass that begin_now() asked for
  bool hurry_ = false;
  // Found and still there. Of shards: when to report them.
  std::map<store::ShardKey, runtime::Instant> bad_shards_;
  std::set<SegmentId> bad_journals_;
  std::map<std::string, ScrubFile> bad_files_;
  runtime::Instant look_again_at_{};
};

}  // namespace claudefs::data
