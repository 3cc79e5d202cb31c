// Little data: appended to open segments that two nodes mirror in their journals.
//
// Each lane fills one open segment with one append under way; what comes meanwhile shares the next append. So
// the bytes that both journals have acknowledged are always a prefix of the segment, and either journal can
// seal it.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "data/detail/direct_writer.h"
#include "data/detail/segment_directory.h"

namespace claudefs::data {

struct Appended {
  SegmentId segment{};
  u32 offset = 0;  // of the first piece; the others follow
  Hlc granted{};
};

class JournalWriter {
 public:
  JournalWriter(runtime::Env& env, Nodes& nodes, SegmentPool& pool, SegmentDirectory& directory,
                runtime::Scope& scope)
      : env_(env), nodes_(nodes), pool_(pool), directory_(directory), scope_(scope), wake_(env.executor()) {}
  // Durable on two nodes (on a cluster of one: one) when it ends. Requires at most kSegmentMax bytes
  // together. Errors: no_space, unavailable.
  runtime::Task<Result<Appended>> append(std::vector<Buffer> pieces);

 private:
  struct Pending {
    explicit Pending(runtime::Executor& executor) : done(executor) {}
    std::vector<Buffer> pieces;
    u32 bytes = 0;
    runtime::Promised<Result<Appended>> done;
  };
  using Batch = std::vector<std::shared_ptr<Pending>>;
  struct Open {
    Granted granted;
    std::vector<NodeId> journals;
    u32 length = 0;
  };
  static constexpr std::size_t kLanesMax = 2;

  runtime::Task<void> lane();
  Batch take_batch();
  runtime::Task<Result<void>> write_batch(std::optional<Open>& open, Batch& batch);
  runtime::Task<Result<Open>> open_segment(std::vector<NodeId> candidates);
  runtime::Task<std::vector<ShardFailure>> append_to_all(const Open& open, Buffer bytes);

  runtime::Env& env_;
  Nodes& nodes_;
  SegmentPool& pool_;
  SegmentDirectory& directory_;
  runtime::Scope& scope_;
  runtime::Condition wake_;
  std::deque<std::shared_ptr<Pending>> queue_;
  std::size_t lanes_ = 0;
  std::size_t busy_ = 0;
};

}  // namespace claudefs::data
