#include "simulator/detail/image_kv.h"

#include "base/crc32c.h"
#include "wire/codec.h"

namespace claudefs::simulator {
namespace {

constexpr u32 kMagic = 0x56'4b'4d'53;  // "SMKV"
constexpr u64 kOwnFlushOneIn = 400;    // writes: as when a memtable is full

Buffer encode(const store::Kv& kv) {
  wire::Writer body;
  const std::unique_ptr<store::KvIterator> at = kv.iterate();
  for (at->seek({}); at->valid(); at->next()) {
    body.put(std::string(at->key()));
    body.put(std::string(at->value()));
  }
  const Buffer content = std::move(body).finish();
  wire::Writer out;
  out.fixed32(kMagic);
  out.fixed32(crc32c(content));
  out.raw(content);
  return std::move(out).finish();
}

Result<store::KvBatch> decode(const Buffer& bytes) {
  wire::Reader head(bytes);
  const u32 magic = head.fixed32();
  const u32 checksum = head.fixed32();
  if (!head.ok() || magic != kMagic || crc32c(bytes.slice(8)) != checksum)
    return fail(Errc::corrupt, "the image of the metadata store is damaged; wipe the node and join it anew");
  wire::Reader in(bytes.slice(8));
  store::KvBatch batch;
  while (in.ok() && in.left() != 0) {
    std::string key, value;
    in.get(key);
    in.get(value);
    batch.put(std::move(key), std::move(value));
  }
  return batch;
}

}  // namespace

ImageKv::ImageKv(runtime::Env& env, std::string directory)
    : env_(env), directory_(std::move(directory)), writing_(env.executor()), scope_(env.executor()) {}

runtime::Task<Result<std::unique_ptr<store::Kv>>> ImageKv::open(runtime::Env& env, std::string directory) {
  auto kv = std::make_unique<ImageKv>(env, std::move(directory));
  co_await env.disk().make_directory(kv->directory_);
  co_await kv->load();
  co_return std::unique_ptr<store::Kv>(std::move(kv));
}

runtime::Task<Result<void>> ImageKv::load() {
  Result<std::unique_ptr<runtime::File>> file =
      co_await env_.disk().open(path("image"), runtime::OpenMode::read_only).result();
  if (!file && file.error().code == Errc::not_found) co_return Result<void>();
  if (!file) co_return fail(file.error());
  const u64 size = co_await (*file)->size();
  Buffer bytes = Buffer::allocate(size);
  co_await (*file)->read_at(0, bytes.mutable_span());
  const store::KvBatch batch = co_await decode(bytes);
  image_bytes_ = size;
  co_return memory_.write(batch);
}

Result<void> ImageKv::write(const store::KvBatch& batch) {
  TRY(memory_.write(batch));
  ++written_;
  if (env_.random().next() % kOwnFlushOneIn == 0 && scope_.running() == 0) scope_.spawn(flush_by_itself());
  return {};
}

runtime::Task<void> ImageKv::flush_by_itself() { (void)co_await flush().result(); }

runtime::Task<Result<void>> ImageKv::flush() {
  auto turn = co_await writing_.lock();
  if (durable_ == written_) co_return Result<void>();
  co_return co_await write_image().result();
}

runtime::Task<Result<void>> ImageKv::write_image() {
  const u64 has = written_;
  const Buffer bytes = encode(memory_);
  co_await memory_.flush();  // forgets the batches: the image has them
  Result<std::unique_ptr<runtime::File>> old =
      co_await env_.disk().open(path("new"), runtime::OpenMode::create).result();
  if (!old) co_return fail(old.error());
  co_await (*old)->truncate(0);
  std::vector<Buffer> whole(1, bytes);
  co_await (*old)->write_at(0, std::move(whole));
  co_await (*old)->flush();
  co_await env_.disk().rename(path("new"), path("image"));
  co_await env_.disk().sync_directory(directory_);
  image_bytes_ = bytes.size();
  durable_ = has;
  co_return Result<void>();
}

store::KvStats ImageKv::stats() const {
  store::KvStats out;
  out.disk_bytes = image_bytes_;
  return out;
}

}  // namespace claudefs::simulator
