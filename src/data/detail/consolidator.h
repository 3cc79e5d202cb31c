// Moves what was written inline, and has been left alone for a while, out of the metadata into chunks.
#pragma once

#include "data/detail/background.h"
#include "data/detail/inline_plan.h"
#include "data/detail/server_chunks.h"
#include "meta/operations.h"

namespace claudefs::data {

class Consolidator {
 public:
  Consolidator(Background& background, ServerChunks& chunks)
      : background_(background), chunks_(chunks), permits_(background.env.executor(), 2) {}
  runtime::Task<void> run(ShardId shard);  // until destroyed or stopping

 private:
  // One file's content that is to become chunks, all as of one version of it.
  struct Rewrite {
    InodeId inode{};
    u64 data_version = 0;
    struct Piece {
      u64 offset = 0;
      Buffer bytes;
    };
    std::vector<Piece> pieces;
  };
  using Skips = std::map<InodeId, runtime::Instant>;

  runtime::Task<Result<std::size_t>> round(ShardId shard, Skips& skips);
  runtime::Task<Result<void>> collect(InodeId inode, std::vector<Rewrite>& rewrites, u64& bytes);
  runtime::Task<Result<Buffer>> read_run(std::vector<meta::Extent> extents);
  runtime::Task<Result<void>> move(std::vector<Rewrite> rewrites, Skips& skips);

  Background& background_;
  ServerChunks& chunks_;
  runtime::Semaphore permits_;  // over all shards of this node
};

}  // namespace claudefs::data
