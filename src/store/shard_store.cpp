#include "store/shard_store.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "runtime/sync.h"
#include "store/detail/directory_sync.h"
#include "store/detail/shard_format.h"

namespace claudefs::store {

CFS_DEFINE_MUTANT(store_shard_skips_flush, "store: a shard is acknowledged before its bytes are flushed");
CFS_DEFINE_MUTANT(store_shard_name_not_synced, "store: the name of a new shard is not made durable");
CFS_DEFINE_MUTANT(store_shard_reads_wrong_block, "store: a shard is read from one block too early");
namespace {
using namespace detail;
using runtime::File;
using runtime::Task;

constexpr std::size_t kOpenFilesMost = 256;
constexpr std::string_view kTemporary = "tmp.";

// An open shard: what a read needs beside the content.
struct OpenShard {
  std::unique_ptr<File> file;
  ShardHead head;
};

// State that frames of writes and reads refer to, also when they are destroyed after the store.
struct InUse {
  explicit InUse(runtime::Executor& executor) : changed(executor) {}
  runtime::Condition changed;
  std::set<ShardKey> writing;
  u64 reserved = 0;  // bytes of files being written
  std::size_t operations = 0;
};
class Operation {
 public:
  explicit Operation(std::shared_ptr<InUse> in_use) : in_use_(std::move(in_use)) { ++in_use_->operations; }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() {
    --in_use_->operations;
    in_use_->changed.notify_all();
  }

 private:
  std::shared_ptr<InUse> in_use_;
};
class Writing {
 public:
  Writing(std::shared_ptr<InUse> in_use, ShardKey key, u64 bytes)
      : in_use_(std::move(in_use)), key_(key), bytes_(bytes) {
    in_use_->writing.insert(key_);
    in_use_->reserved += bytes_;
  }
  Writing(const Writing&) = delete;
  Writing& operator=(const Writing&) = delete;
  ~Writing() {
    in_use_->writing.erase(key_);
    in_use_->reserved -= bytes_;
    in_use_->changed.notify_all();
  }

 private:
  std::shared_ptr<InUse> in_use_;
  ShardKey key_;
  u64 bytes_;
};

std::string name_of(const ShardKey& key) {
  return fmt::format("shard {:x}.{}.{}", key.segment.value, key.generation, key.index);
}

class DirectoryShards final : public ShardStore {
 public:
  DirectoryShards(runtime::Env& env, std::string directory, u64 bytes_max)
      : env_(env),
        root_(directory + "/shards"),
        bytes_max_(bytes_max),
        syncs_(env),
        in_use_(std::make_shared<InUse>(env.executor())) {}

  // Lengths stand in the names, so that an opening reads directories only.
  Task<Result<void>> start() {
    co_await env_.disk().make_directory(root_);
    const std::vector<std::string> names = co_await env_.disk().list(root_);
    for (const std::string& name : names) {
      if (name.size() != 2) continue;
      co_await scan(root_ + "/" + name);
      directories_.insert(name);
    }
    co_return Result<void>();
  }

  Task<Result<void>> write(ShardKey key, std::vector<Buffer> data) override {
    if (stopping_) co_return fail(Errc::cancelled, root_ + " is stopping");
    const Operation operation(in_use_);
    u64 length = 0;
    for (const Buffer& piece : data) length += piece.size();
    if (length > kShardBytesMax) co_return fail(Errc::too_big, name_of(key) + " is too long");
    while (in_use_->writing.contains(key)) co_await in_use_->changed.wait();
    const ShardInfo info{key, static_cast<u32>(length)};
    if (contains(key)) {
      const auto same = co_await holds_same(info, data).result();
      if (same && *same) co_return Result<void>();
      if (same) co_return fail(Errc::exists, name_of(key) + " is there with other bytes");
      // What is there is damaged: this write repairs it.
      CFS_PROBE(store_shard_replaced, "a damaged shard is written anew");
      log::warn("store", "replacing a damaged shard", {log::kv("error", same.error().to_string())});
      while (in_use_->writing.contains(key)) co_await in_use_->changed.wait();
    }
    const u64 bytes = shard_file_bytes(info.length);
    if (used_ + in_use_->reserved + bytes > bytes_max_)
      co_return fail(Errc::no_space, fmt::format("{}: {} of {} bytes are used", root_, used_, bytes_max_));
    const Writing writing(in_use_, key, bytes);
    co_await put(info, std::move(data));
    forget(key);
    index_[key] = info.length;
    used_ += bytes;
    co_return Result<void>();
  }

  Task<Result<Buffer>> read(ShardKey key, u32 offset, u32 length) override {
    if (stopping_) co_return fail(Errc::cancelled, root_ + " is stopping");
    const Operation operation(in_use_);
    const std::shared_ptr<OpenShard> shard = co_await open_shard(key);
    const ShardInfo& info = shard->head.info;
    if (u64{offset} + length > info.length)
      co_return fail(Errc::out_of_range, fmt::format("{} has {} bytes", name_of(key), info.length));
    const u32 from = offset / kShardBlock * kShardBlock;
    const u32 end =
        static_cast<u32>(std::min<u64>(u64{shard_blocks(offset + length)} * kShardBlock, info.length));
    if (length == 0) co_return Buffer();
    Buffer blocks = Buffer::allocate(end - from, kShardBlock);
    const std::size_t got = co_await shard->file->read_at(
        u64{shard_data_at(info.length)} + from -
            (CFS_MUTANT(store_shard_reads_wrong_block) && from != 0 ? kShardBlock : 0),
        blocks.mutable_span());
    if (got != blocks.size()) co_return fail(Errc::corrupt, name_of(key) + " is cut short");
    for (u32 at = from; at < end; at += kShardBlock) {
      const Buffer block = blocks.slice(at - from, std::min(kShardBlock, end - at));
      if (crc32c(block) != shard->head.checksums[at / kShardBlock])
        co_return fail(Errc::corrupt, fmt::format("{}: the block at {} does not check", name_of(key), at));
    }
    co_return blocks.slice(offset - from, length);
  }

  Task<Result<void>> verify(ShardKey key) override {
    if (stopping_) co_return fail(Errc::cancelled, root_ + " is stopping");
    const Operation operation(in_use_);
    const auto at = index_.find(key);
    if (at == index_.end()) co_return fail(Errc::not_found, name_of(key) + " is not here");
    const ShardInfo info{key, at->second};
    const Result<void> checked = co_await verify_file(info).result();
    // If it is being removed this moment, let that end: the caller asks whether it is still held.
    while (!checked && in_use_->writing.contains(key)) co_await in_use_->changed.wait();
    co_return checked;
  }

  // Not synced: a shard that comes back after a crash is as good as before, and is removed again.
  Task<Result<void>> remove(ShardKey key) override {
    if (stopping_) co_return fail(Errc::cancelled, root_ + " is stopping");
    const Operation operation(in_use_);
    while (in_use_->writing.contains(key)) co_await in_use_->changed.wait();
    const auto at = index_.find(key);
    if (at == index_.end()) co_return Result<void>();
    const ShardInfo info{key, at->second};
    const Writing writing(in_use_, key, 0);
    const auto removed = co_await env_.disk().remove(path(info)).result();
    if (!removed && removed.error().code != Errc::not_found) co_return fail(removed.error());
    forget(key);
    co_return Result<void>();
  }

  std::vector<ShardInfo> list() const override {
    std::vector<ShardInfo> out;
    out.reserve(index_.size());
    for (const auto& [key, length] : index_) out.push_back({key, length});
    return out;
  }
  bool contains(ShardKey key) const override { return index_.contains(key); }
  u64 used_bytes() const override { return used_; }
  u64 capacity_bytes() const override { return bytes_max_; }

  Task<void> stop() override {
    stopping_ = true;
    while (in_use_->operations != 0) co_await in_use_->changed.wait();
    open_.clear();
  }

 private:
  struct Cached {
    std::shared_ptr<OpenShard> shard;
    u64 used_at = 0;
  };

  std::string directory_of(SegmentId segment) const { return root_ + "/" + shard_directory_name(segment); }
  std::string path(const ShardInfo& info) const {
    return directory_of(info.key.segment) + "/" + shard_file_name(info);
  }

  Task<Result<void>> scan(std::string directory) {
    const std::vector<std::string> names = co_await env_.disk().list(directory);
    for (const std::string& name : names) {
      if (name.starts_with(kTemporary)) {
        co_await env_.disk().remove(directory + "/" + name);
      } else if (const auto info = parse_shard_file_name(name)) {
        index_[info->key] = info->length;
        used_ += shard_file_bytes(info->length);
      } else {
        log::warn("store", "not a shard", {log::kv("file", directory + "/" + name)});
      }
    }
    co_return Result<void>();
  }

  Task<Result<void>> prepare_directory(SegmentId segment) {
    const std::string name = shard_directory_name(segment);
    if (directories_.contains(name)) co_return Result<void>();
    co_await env_.disk().make_directory(root_ + "/" + name);
    directories_.insert(name);
    co_return Result<void>();
  }

  // The bytes under a temporary name, flushed, then under the shard's own.
  Task<Result<void>> put(ShardInfo info, std::vector<Buffer> data) {
    co_await prepare_directory(info.key.segment);
    const std::string directory = directory_of(info.key.segment);
    const std::string temporary = fmt::format("{}/{}{}", directory, kTemporary, ++temporaries_);
    auto stored = co_await put_temporary(temporary, info, std::move(data)).result();
    if (stored) stored = co_await env_.disk().rename(temporary, path(info)).result();
    if (!stored) {
      (void)co_await env_.disk().remove(temporary).result();
      co_return fail(stored.error());
    }
    if (CFS_MUTANT(store_shard_name_not_synced)) co_return Result<void>();
    co_return co_await syncs_.sync(directory).result();
  }

  Task<Result<void>> put_temporary(std::string temporary, ShardInfo info, std::vector<Buffer> data) {
    const std::unique_ptr<File> file = co_await env_.disk().open(temporary, runtime::OpenMode::create);
    std::vector<Buffer> pieces;
    pieces.reserve(data.size() + 1);
    pieces.push_back(encode_shard_head(info, block_checksums(data)));
    for (Buffer& piece : data) pieces.push_back(std::move(piece));
    co_await file->write_at(0, std::move(pieces));
    if (!CFS_MUTANT(store_shard_skips_flush)) co_await file->flush();
    co_return Result<void>();
  }

  // Errors: corrupt, io_error: what is there cannot be trusted.
  Task<Result<bool>> holds_same(ShardInfo info, std::vector<Buffer> data) {
    if (index_.at(info.key) != info.length) co_return false;
    const Buffer present = co_await read(info.key, 0, info.length);
    std::size_t at = 0;
    for (const Buffer& piece : data) {
      if (!(present.slice(at, piece.size()) == piece)) co_return false;
      at += piece.size();
    }
    co_return true;
  }

  Task<Result<std::shared_ptr<OpenShard>>> open_shard(ShardKey key) {
    const auto cached = open_.find(key);
    if (cached != open_.end()) {
      cached->second.used_at = ++clock_;
      co_return cached->second.shard;
    }
    const auto at = index_.find(key);
    if (at == index_.end()) co_return fail(Errc::not_found, name_of(key) + " is not here");
    const ShardInfo info{key, at->second};
    auto shard = std::make_shared<OpenShard>();
    shard->file = co_await env_.disk().open(path(info), runtime::OpenMode::read_only);
    Buffer bytes = Buffer::allocate(shard_data_at(info.length));
    const std::size_t got = co_await shard->file->read_at(0, bytes.mutable_span());
    auto head = parse_shard_head_of(info, bytes.span().first(got));
    if (!head) co_return fail(head.error().code, path(info) + ": " + head.error().text);
    shard->head = std::move(*head);
    // Not kept when the shard was removed or replaced while we read it.
    if (!index_.contains(key) || in_use_->writing.contains(key)) co_return shard;
    open_[key] = {shard, ++clock_};
    if (open_.size() > kOpenFilesMost) close_oldest();
    co_return shard;
  }

  Task<Result<void>> verify_file(ShardInfo info) {
    const std::unique_ptr<File> file = co_await env_.disk().open(path(info), runtime::OpenMode::read_only);
    // A block more than there should be: the file must end where it ends.
    Buffer bytes = Buffer::allocate(shard_file_bytes(info.length) + kShardBlock, kShardBlock);
    const std::size_t got = co_await file->read_at(0, bytes.mutable_span());
    const Result<void> checked = check_shard_file(info, bytes.span().first(got));
    if (!checked) co_return fail(checked.error().code, path(info) + ": " + checked.error().text);
    co_return Result<void>();
  }

  void close_oldest() {
    auto oldest = open_.begin();
    for (auto at = open_.begin(); at != open_.end(); ++at)
      if (at->second.used_at < oldest->second.used_at) oldest = at;
    open_.erase(oldest);
  }

  void forget(const ShardKey& key) {
    open_.erase(key);
    const auto at = index_.find(key);
    if (at == index_.end()) return;
    used_ -= shard_file_bytes(at->second);
    index_.erase(at);
  }

  runtime::Env& env_;
  std::string root_;
  u64 bytes_max_;
  DirectorySync syncs_;
  std::shared_ptr<InUse> in_use_;
  std::map<ShardKey, u32> index_;  // lengths
  u64 used_ = 0;
  std::set<std::string> directories_;  // that are there, durably
  std::map<ShardKey, Cached> open_;
  u64 clock_ = 0;
  u64 temporaries_ = 0;
  bool stopping_ = false;
};
}  // namespace

Task<Result<std::unique_ptr<ShardStore>>> ShardStore::open(runtime::Env& env, std::string directory,
                                                           u64 bytes_max) {
  auto store = std::make_unique<DirectoryShards>(env, std::move(directory), bytes_max);
  co_await store->start();
  co_return std::unique_ptr<ShardStore>(std::move(store));
}

}  // namespace claudefs::store
