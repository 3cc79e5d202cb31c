// Chunks in and out of the cluster: used by clients, and by servers' background work.
#pragma once

#include <memory>
#include <vector>

#include "cluster/shard_call.h"
#include "codec/chunk_hash.h"
#include "codec/compress.h"
#include "meta/types.h"
#include "net/rpc.h"
#include "runtime/env.h"

namespace claudefs::data {

struct StoredChunk {
  meta::ChunkRef ref;        // offset_in_chunk is 0
  u32 new_stored_bytes = 0;  // 0: it was there already
};
struct StoredChunks {
  std::vector<StoredChunk> chunks;  // as given
  meta::Hlc valid_until{};          // a commit that refers to them carries it (CommitWrite::valid_until)
};

struct ChunkIoStats {  // totals since creation
  u64 chunks_stored = 0, chunks_deduplicated = 0, plain_bytes = 0, stored_bytes = 0;
  u64 chunks_read = 0, cache_hits = 0, degraded_reads = 0;
};

class ChunkIo {
 public:
  struct Parts {  // all outlive it
    runtime::Env& env;
    net::Client& client;
    cluster::Router& router;
    SessionId session{};
    codec::DomainKey domain_key;
  };
  struct Options {
    u64 cache_bytes = 32u << 20;  // of plain chunks
  };
  static std::unique_ptr<ChunkIo> create(Parts parts, Options options);
  virtual ~ChunkIo() = default;

  // Stores plain chunks (4 KiB to 1 MiB each; cut with codec::Chunker where the content is a stream): looks
  // them up, seals (compress, encrypt) what is new, writes it in the widest layout the living nodes allow, or
  // to two journals when it is little. When it ends all of them are durable. Errors: no_space, unavailable
  // (not even one-failure-safe places could be found within the time limit; one node alone is fine on a
  // one-node cluster).
  virtual runtime::Task<Result<StoredChunks>> store(std::vector<Buffer> plain) = 0;

  // The whole plain chunk, verified against its hash. Falls back from the hint to the index, from a missing
  // or damaged shard to a rebuild from the others. Errors: corrupt, unavailable.
  virtual runtime::Task<Result<Buffer>> read(meta::ChunkRef ref) = 0;

  // Of what is stored from now on.
  virtual void set_compression(codec::Compression how) = 0;
  virtual const ChunkIoStats& stats() const = 0;
};

}  // namespace claudefs::data
