#include "simulator/kernel.h"

#include <algorithm>

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {

constexpr u64 kPage = 4096;

Buffer joined(const client::ReadResult& read) {
  Buffer out = Buffer::allocate(read.size());
  std::size_t at = 0;
  for (const Buffer& piece : read.pieces) {
    std::memcpy(out.data() + at, piece.data(), piece.size());
    at += piece.size();
  }
  return out;
}

}  // namespace

Kernel::Kernel(sim::Node& machine, client::FileSystem& files, bool keeps)
    : machine_(machine),
      files_(files),
      keeps_(keeps),
      random_(machine.world().seed(), "kernel", machine.index()) {
  if (keeps_) files_.set_kernel(this);
}

// Attributes are as of the answer, whatever was told to be forgotten while it was under way.
void Kernel::take(u64 asked, const client::Inode& inode) {
  const runtime::Duration valid = files_.give_attributes(inode.id);
  File& file = known_[inode.id];
  if (file.version > asked) return;
  if (file.attributes.size != inode.size || !(file.attributes.modified == inode.modified)) drop_pages(file);
  file.version = ++clock_;
  file.attributes = inode;
  file.valid_until = machine_.executor().now() + valid;
}

runtime::Task<Result<client::Inode>> Kernel::lookup(InodeId parent, std::string name) {
  const u64 asked = clock_;
  Result<client::Inode> found = co_await files_.lookup(parent, std::move(name)).result();
  if (found && keeps_) take(asked, *found);
  co_return found;
}

runtime::Task<Result<client::Inode>> Kernel::get_attributes(InodeId inode) {
  if (keeps_) {
    const File& file = known_[inode];
    if (machine_.executor().now() < file.valid_until) co_return file.attributes;
  }
  const u64 asked = clock_;
  Result<client::Inode> got = co_await files_.get_attributes(inode).result();
  if (got && keeps_) take(asked, *got);
  co_return got;
}

runtime::Task<Result<client::HandleId>> Kernel::open(InodeId inode, client::OpenFlags flags) {
  const client::Opened opened = co_await files_.open(inode, flags);
  if (keeps_ && !opened.keep_cache) drop_pages(known_[inode]);
  co_return opened.handle;
}

Buffer Kernel::from_pages(const File& file, u64 offset, u64 end) {
  Buffer out = Buffer::allocate(end - offset);
  for (u64 at = offset; at < end;) {
    const u64 count = std::min(end - at, kPage - at % kPage);
    std::memcpy(out.data() + (at - offset), file.pages.at(at / kPage).data() + at % kPage, count);
    at += count;
  }
  return out;
}

// The attributes first, always; then what pages do not have.
runtime::Task<Result<Buffer>> Kernel::read(client::HandleId handle, InodeId inode, u64 offset, u64 length) {
  if (!keeps_) co_return joined(co_await files_.read(handle, offset, length));
  co_await get_attributes(inode);
  File& file = known_[inode];
  u64 end = std::min(offset + length, file.attributes.size);
  if (offset >= end) co_return Buffer();
  u64 first = offset / kPage;
  while (first * kPage < end && file.pages.contains(first)) ++first;
  if (first * kPage >= end) co_return from_pages(file, offset, end);
  // What is there as it is now, the rest as the file system has it a moment later.
  const u64 begin = first * kPage;
  Buffer out = Buffer::allocate(end - offset);
  const u64 present = begin > offset ? begin - offset : 0;
  if (present != 0) std::memcpy(out.data(), from_pages(file, offset, begin).data(), present);
  const u64 drops = file.drops;
  const u64 asked_end = (end + kPage - 1) / kPage * kPage;
  const Buffer got = joined(co_await files_.read(handle, begin, asked_end - begin));
  Buffer whole = Buffer::zeros(asked_end - begin);
  std::memcpy(whole.data(), got.data(), got.size());
  if (file.drops == drops)
    for (u64 at = begin; at < asked_end; at += kPage)
      file.pages.insert_or_assign(at / kPage, whole.slice(at - begin, kPage));
  std::memcpy(out.data() + present, whole.data() + (offset + present - begin), out.size() - present);
  co_return out;
}

runtime::Task<Result<void>> Kernel::write(client::HandleId handle, InodeId inode, u64 offset, Buffer data) {
  if (!keeps_) co_return co_await files_.write(handle, offset, std::move(data)).result();
  File& file = known_[inode];
  const u64 end = offset + data.size();
  // Into the pages that are there; what is being read from the file system meanwhile may lack it.
  ++file.drops;
  for (auto page = file.pages.lower_bound(offset / kPage);
       page != file.pages.end() && page->first * kPage < end; ++page) {
    const u64 from = std::max(offset, page->first * kPage);
    const u64 to = std::min(end, (page->first + 1) * kPage);
    Buffer changed = Buffer::copy_of(page->second.span());
    std::memcpy(changed.data() + from % kPage, data.data() + (from - offset), to - from);
    page->second = std::move(changed);
  }
  Result<void> done = co_await files_.write(handle, offset, std::move(data)).result();
  ++file.drops;
  distrust(file);
  if (done)
    file.attributes.size = std::max(file.attributes.size, end);
  else
    drop_pages(file);
  co_return done;
}

runtime::Task<Result<client::Inode>> Kernel::truncate(InodeId inode, u64 size) {
  client::AttributeChange change;
  change.size = size;
  Result<client::Inode> done = co_await files_.set_attributes(inode, change).result();
  if (!keeps_) co_return done;
  File& file = known_[inode];
  distrust(file);
  drop_pages(file);
  if (done) take(clock_, *done);
  co_return done;
}

runtime::Task<Result<void>> Kernel::allocate(client::HandleId handle, InodeId inode,
                                             client::AllocateRequest request) {
  Result<void> done = co_await files_.allocate(handle, request).result();
  if (!keeps_) co_return done;
  File& file = known_[inode];
  distrust(file);
  drop_pages(file);
  co_return done;
}

void Kernel::forget_attributes(InodeId inode) { distrust(known_[inode]); }

// A notice goes to the kernel like a request: it takes a while.
runtime::Task<void> Kernel::forget_content(InodeId inode) {
  co_await machine_.executor().sleep(random_.between_times(5us, 500us));
  File& file = known_[inode];
  distrust(file);
  drop_pages(file);
}

runtime::Task<void> Kernel::forget_name(InodeId, std::string) { co_return; }

}  // namespace claudefs::simulator
