#pragma once

#include "codec/chunk_frame.h"
#include "data/chunk_io.h"
#include "data/detail/journal_writer.h"
#include "data/detail/segment_reader.h"
#include "store/shard_store.h"

namespace claudefs::data {

inline constexpr u64 kMemoryUnit = 64_KiB;
inline constexpr u64 kMemoryUnits = 2048;  // 128 MiB of plain bytes in store() calls; more wait

class ChunkIoImpl final : public ChunkIo {
 public:
  ChunkIoImpl(Parts parts, Options options);
  runtime::Task<Result<StoredChunks>> store(std::vector<Buffer> plain) override;
  runtime::Task<Result<Buffer>> read(meta::ChunkRef ref) override;
  void set_compression(codec::Compression how) override { compression_ = how; }
  const ChunkIoStats& stats() const override {
    stats_.degraded_reads = reader_.degraded_reads();
    return stats_;
  }

 private:
  struct Batch;  // one store()
  using BatchPtr = std::shared_ptr<Batch>;
  runtime::Task<Result<void>> begin_call();
  static runtime::Task<void> watch_map(ChunkIoImpl* self);
  // chunk_store.cpp
  runtime::Task<void> hash_all(BatchPtr batch);
  runtime::Task<Result<void>> find_and_pin(BatchPtr batch);
  template <class Op>
  runtime::Task<Result<void>> ask_index(BatchPtr batch, std::vector<std::size_t> which);
  runtime::Task<Result<void>> seal_new(BatchPtr batch);
  runtime::Task<Result<void>> write_new(BatchPtr batch);
  runtime::Task<Result<void>> write_to_journals(BatchPtr batch);
  runtime::Task<Result<void>> write_segments(BatchPtr batch);
  runtime::Task<Result<WrittenSegment>> write_segment(BatchPtr batch, std::vector<std::size_t> chunks);
  runtime::Task<Result<void>> seal_segments(std::vector<WrittenSegment> written);
  StoredChunks answer(const Batch& batch);
  // chunk_read.cpp
  enum class Use : u8 { content, base };  // of a base the form must be whole
  static runtime::Task<Result<Buffer>> fetch(ChunkIoImpl* self, meta::ChunkRef ref, Use use);
  runtime::Task<Result<Buffer>> fetch_from(meta::ChunkRef ref, meta::Location at, bool fresh, Use use);
  runtime::Task<Result<Buffer>> base_of(meta::ChunkRef ref, Buffer stored, Use use);
  runtime::Task<Result<Buffer>> open(meta::ChunkRef ref, Buffer stored, Buffer base);
  runtime::Task<Result<Buffer>> open_around_lies(meta::ChunkRef ref, SegmentPtr record, SegmentRange range,
                                                 Use use);
  runtime::Task<Result<ChunkPlace>> find_in_index(codec::ChunkHash hash);
  void report(const ReportBadCopy& bad);
  static runtime::Task<void> send_report(cluster::Router* router, ReportBadCopy bad);

  runtime::Env& env_;
  cluster::Router& router_;
  const codec::DomainKey domain_key_;
  codec::Compression compression_;
  mutable ChunkIoStats stats_;
  u64 calls_ = 0;  // since the map was last fetched
  bool watching_ = false;
  runtime::Semaphore memory_;
  runtime::Semaphore writing_;
  Nodes nodes_;
  SegmentReader reader_;
  SegmentPool pool_;
  DirectWriter direct_;
  Lru<codec::ChunkHash, Buffer> cache_;
  SegmentDirectory directory_;
  JournalWriter journal_;
  Flights<codec::ChunkHash, Buffer> fetching_;
  // Apart: who fetches a chunk waits for its base, and who fetches a base waits for nobody.
  Flights<codec::ChunkHash, Buffer> fetching_bases_;
  Lru<store::ShardKey, runtime::Instant> reported_{1024};
  Lru<codec::ChunkHash, Location> moved_{16384};  // where the index found what was not at its hint
  runtime::Scope scope_;  // last: what it runs uses the others, and is destroyed before them
};

}  // namespace claudefs::data
