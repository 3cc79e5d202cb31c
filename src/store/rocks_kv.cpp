#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>

#include "base/log.h"
#include "store/detail/kv_cache.h"
#include "store/detail/recent_rows.h"
#include "store/kv.h"

namespace claudefs::store {
namespace {

constexpr std::size_t kRowCacheBytes = 16_MiB;
constexpr std::size_t kCachedRowMost = 16_KiB;
constexpr std::string_view kChecksumName = "FileChecksumCrc32c";
// Writing them out takes a millisecond or so, in which the reactor does nothing else.
constexpr std::size_t kRecentBytes = 256_KiB;

Error error_of(const rocksdb::Status& status, const std::string& directory) {
  const std::string text = directory + ": " + status.ToString();
  if (status.IsCorruption())
    return {Errc::corrupt, text + "; stop this node, empty its data directory and let it rejoin the cluster"};
  if (status.IsIOError() && text.find("lock") != std::string::npos)
    return {Errc::locked, text + "; another process uses it"};
  if (status.IsNoSpace()) return {Errc::no_space, text};
  if (status.IsInvalidArgument()) return {Errc::invalid_argument, text};
  return {Errc::io_error, text};
}
rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view(const rocksdb::Slice& text) { return {text.data(), text.size()}; }

rocksdb::CompressionType lz4_or_none() {
  const auto supported = rocksdb::GetSupportedCompressions();
  const bool lz4 = std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end();
  return lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

// Small memory before all: a node shares its RAM with everything else on the machine.
rocksdb::Options options_for(const RocksOptions& wanted) {
  rocksdb::BlockBasedTableOptions table;
  // One reactor reads; and what is larger than one of the cache's parts is read anew each time.
  constexpr int kCachePartBits = 1;
  table.block_cache = rocksdb::NewLRUCache(wanted.cache_bytes, kCachePartBits);
  // In pieces: filter and index of a table grow with it, to more than a megabyte.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.cache_index_and_filter_blocks = true;
  table.pin_top_level_index_and_filter = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10, false));
  table.block_size = 8 << 10;
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;

  rocksdb::Options options;
  options.create_if_missing = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = wanted.write_buffer_bytes;
  options.max_write_buffer_number = 2;
  // Most rows looked for in vain (names to be made, requests not seen before) are told without a search.
  options.memtable_prefix_bloom_size_ratio = 0.04;
  options.memtable_whole_key_filtering = true;
  options.target_file_size_base = std::max<u64>(wanted.write_buffer_bytes, 8_MiB);
  options.max_bytes_for_level_base = 8 * options.target_file_size_base;
  options.level_compaction_dynamic_level_bytes = true;
  options.compression = lz4_or_none();
  options.max_background_jobs = 2;
  options.max_open_files = 512;
  options.skip_stats_update_on_db_open = true;
  options.bytes_per_sync = 1_MiB;  // no write-back storm at the end of a compaction
  options.paranoid_checks = true;
  options.file_checksum_gen_factory = rocksdb::GetFileChecksumGenCrc32cFactory();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.max_log_file_size = 1_MiB;
  options.keep_log_file_num = 2;
  options.info_log_level = rocksdb::WARN_LEVEL;
  return options;
}

// A table's bytes against the checksum that was noted when it was written.
rocksdb::Status verify_whole(const std::string& path, const std::string& known) {
  std::unique_ptr<rocksdb::SequentialFile> file;
  rocksdb::Status status = rocksdb::Env::Default()->NewSequentialFile(path, &file, rocksdb::EnvOptions());
  const auto sum = rocksdb::GetFileChecksumGenCrc32cFactory()->CreateFileChecksumGenerator({});
  std::string piece(1_MiB, '\0');
  rocksdb::Slice read;
  for (bool end = false; status.ok() && !end;) {
    status = file->Read(piece.size(), &read, piece.data());
    if (status.ok()) sum->Update(read.data(), read.size());
    end = read.empty();
  }
  if (!status.ok()) return status;
  sum->Finalize();
  if (sum->GetChecksum() == known) return status;
  return rocksdb::Status::Corruption("the file's checksum is wrong");
}

// Of a table without such a checksum. Not the pieces of its filter.
rocksdb::Status verify_blocks(const std::string& path) {
  rocksdb::SstFileReader reader{rocksdb::Options()};
  const rocksdb::Status status = reader.Open(path);
  return status.ok() ? reader.VerifyChecksum() : status;
}

class RocksIterator final : public KvIterator {
 public:
  explicit RocksIterator(rocksdb::DB& db) {
    rocksdb::ReadOptions how;
    how.iterate_upper_bound = &end_;  // read anew by every Seek
    it_.reset(db.NewIterator(how));
  }
  void seek(std::string_view key, std::string_view end) override {
    end_text_ = end.empty() ? kBehindAll : end;
    end_ = slice(end_text_);
    it_->Seek(slice(key));
  }
  bool valid() const override {
    if (it_->Valid()) return true;
    // An iteration that ends early must not look like one that is complete: nobody can act on half a scan.
    if (!it_->status().ok())
      log::error("store", "key-value scan failed", {log::kv("error", it_->status().ToString())});
    return false;
  }
  void next() override { it_->Next(); }
  std::string_view key() const override { return view(it_->key()); }
  std::string_view value() const override { return view(it_->value()); }
  Result<void> status() const override {
    if (it_->status().ok()) return {};
    return fail(error_of(it_->status(), "key-value scan"));
  }

 private:
  static constexpr std::string_view kBehindAll =
      "\xff\xff\xff\xff\xff\xff\xff\xff";  // no shard has such a number
  std::string end_text_{kBehindAll};
  rocksdb::Slice end_ = slice(end_text_);
  std::unique_ptr<rocksdb::Iterator> it_;
};

class RocksKv final : public Kv {
 public:
  RocksKv(runtime::Env& env, std::string directory, std::shared_ptr<rocksdb::DB> db)
      : env_(env), directory_(std::move(directory)), db_(std::move(db)) {}

  Result<std::optional<std::string>> get(std::string_view key) const override {
    if (const std::optional<std::string>* known = rows_.find(key)) return *known;
    if (const std::optional<std::string>* recent = recent_.find(key)) return *recent;
    std::string value;
    const rocksdb::Status status = db_->Get({}, slice(key), &value);
    if (!status.ok() && !status.IsNotFound()) return fail(error_of(status, directory_));
    std::optional<std::string> row;
    if (status.ok()) row = std::move(value);
    if (!row || row->size() <= kCachedRowMost) rows_.learn(key, row);
    return row;
  }

  Result<void> write(const KvBatch& batch) override {
    const bool ranges = std::ranges::any_of(
        batch.ops(), [](const KvBatch::Op& op) { return op.kind == KvBatch::Op::Kind::remove_range; });
    if (ranges || recent_.watched() || recent_.bytes() >= kRecentBytes) TRY(write_recent());
    if (ranges)
      TRY(write_below(batch));
    else
      recent_.apply(batch);
    rows_.apply(batch);
    return {};
  }

  std::unique_ptr<KvIterator> iterate() const override {
    auto below = std::make_unique<RocksIterator>(*db_);
    if (recent_.empty()) return below;
    return detail::merge(recent_.watch(), std::move(below));
  }

  runtime::Task<Result<void>> flush() override {
    co_await write_recent();
    // Shared with the worker: it may outlive a caller that is destroyed meanwhile.
    auto status = std::make_shared<rocksdb::Status>();
    co_await env_.offload().run([db = db_, status] {
      rocksdb::FlushOptions how;
      how.wait = true;
      *status = db->Flush(how);
    });
    if (!status->ok()) co_return fail(error_of(*status, directory_));
    co_return Result<void>();
  }

  std::vector<KvFile> files() const override {
    std::vector<rocksdb::LiveFileMetaData> live;
    db_->GetLiveFilesMetaData(&live);
    std::vector<KvFile> out;
    for (const rocksdb::LiveFileMetaData& file : live) out.push_back({file.name, file.size});
    return out;
  }
  runtime::Task<Result<void>> verify(std::string file) override {
    auto status = std::make_shared<rocksdb::Status>();
    co_await env_.offload().run([path = directory_ + file, known = checksum_of(file), status] {
      *status = known.empty() ? verify_blocks(path) : verify_whole(path, known);
    });
    if (status->ok()) co_return Result<void>();
    const std::vector<KvFile> live = files();
    if (std::ranges::none_of(live, [&](const KvFile& one) { return one.name == file; }))
      co_return fail(Errc::not_found, directory_ + file + " is gone");  // compacted away meanwhile
    co_return fail(error_of(*status, directory_ + file));
  }

  KvStats stats() const override {
    KvStats stats;
    u64 tables = 0, pinned = 0, memory = 0, cache = 0;
    db_->GetIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &tables);
    db_->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &memory);
    db_->GetIntProperty(rocksdb::DB::Properties::kEstimateTableReadersMem, &pinned);
    db_->GetIntProperty(rocksdb::DB::Properties::kBlockCacheUsage, &cache);
    stats.disk_bytes = tables;
    stats.memory_bytes = memory + pinned + cache + rows_.bytes() + recent_.bytes();
    return stats;
  }

 private:
  // Empty: the table was made without one, or is gone.
  std::string checksum_of(const std::string& file) const {
    std::vector<rocksdb::LiveFileMetaData> live;
    db_->GetLiveFilesMetaData(&live);
    for (const rocksdb::LiveFileMetaData& one : live)
      if (one.name == file && one.file_checksum_func_name == kChecksumName) return one.file_checksum;
    return {};
  }
  // As one batch: the store below stays a prefix of what was written.
  Result<void> write_recent() {
    if (recent_.empty()) return {};
    rocksdb::WriteBatch rows;
    for (const auto& [key, value] : recent_.rows()) {
      if (value)
        rows.Put(key, *value);
      else
        rows.Delete(key);
    }
    TRY(put_below(rows));
    recent_.clear();
    return {};
  }
  Result<void> write_below(const KvBatch& batch) {
    rocksdb::WriteBatch rows;
    for (const KvBatch::Op& op : batch.ops()) {
      switch (op.kind) {
        case KvBatch::Op::Kind::put:
          rows.Put(op.key, op.value);
          break;
        case KvBatch::Op::Kind::remove:
          rows.Delete(op.key);
          break;
        case KvBatch::Op::Kind::remove_range:
          if (op.key < op.value) rows.DeleteRange(op.key, op.value);
          break;
      }
    }
    return put_below(rows);
  }
  Result<void> put_below(rocksdb::WriteBatch& rows) {
    rocksdb::WriteOptions how;
    how.disableWAL = true;
    const rocksdb::Status status = db_->Write(how, &rows);
    if (status.ok()) return {};
    rows_.clear();  // nobody knows what it took
    return fail(error_of(status, directory_));
  }

  runtime::Env& env_;
  std::string directory_;
  std::shared_ptr<rocksdb::DB> db_;
  mutable detail::KvCache rows_{kRowCacheBytes};
  detail::RecentRows recent_;
};
}  // namespace

Result<std::unique_ptr<Kv>> open_rocks(runtime::Env& env, const std::string& directory,
                                       RocksOptions options) {
  rocksdb::DB* raw = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options_for(options), directory, &raw);
  if (!status.ok()) return fail(error_of(status, directory));
  return std::unique_ptr<Kv>(std::make_unique<RocksKv>(env, directory, std::shared_ptr<rocksdb::DB>(raw)));
}

}  // namespace claudefs::store
