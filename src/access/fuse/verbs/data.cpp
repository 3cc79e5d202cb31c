#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

constexpr u64 kOffsetMax = static_cast<u64>(INT64_MAX);
// One writev takes at most 1024 pieces.
constexpr std::size_t kPiecesMax = 512;

Buffer join(const std::vector<Buffer>& pieces, std::size_t total) {
  Buffer whole = Buffer::allocate(total);
  std::size_t at = 0;
  for (const Buffer& piece : pieces) {
    std::memcpy(whole.data() + at, piece.data(), piece.size());
    at += piece.size();
  }
  return whole;
}

Task<Result<void>> drop_set_id(Context& context, InodeId inode, client::Caller caller) {
  const bool possible = co_await context.fs.may_have_set_id(inode);
  if (!possible) co_return Result<void>();
  client::AttributeChange change;
  change.clear_set_id = true;
  change.caller = std::move(caller);
  co_await context.fs.set_attributes(inode, std::move(change));
  co_return Result<void>();
}

}  // namespace

Task<Result<Reply>> read(Context& context, Request request) {
  const auto in = request.as<fuse_read_in>();
  if (in.offset > kOffsetMax) co_return fail(Errc::invalid_argument, "read: offset beyond every file");
  const u64 length = std::min(in.size, context.options.io_bytes_max);
  client::ReadResult got = co_await context.fs.read(client::HandleId{in.fh}, in.offset, length);
  Reply reply;
  if (got.pieces.size() > kPiecesMax)
    reply.pieces.push_back(join(got.pieces, got.size()));
  else
    reply.pieces = std::move(got.pieces);
  co_return reply;
}

Task<Result<Reply>> write(Context& context, Request request) {
  const auto in = request.as<fuse_write_in>();
  if (request.data.size() < in.size)
    co_return fail(Errc::invalid_argument, "write: less data than announced");
  if (in.offset > kOffsetMax - in.size) co_return fail(Errc::file_too_big, "write: beyond the largest file");
  if ((in.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0)
    co_await drop_set_id(context, request.node(), caller_of(context, request));
  Buffer data = request.data.slice(0, in.size);
  // The kernel's idea of where the file ends may be old. A write-back of its pages says where it belongs.
  const bool append = (in.flags & O_APPEND) != 0 && (in.write_flags & FUSE_WRITE_CACHE) == 0;
  co_await context.fs.write(client::HandleId{in.fh}, in.offset, std::move(data), append);
  fuse_write_out out{};
  out.size = in.size;
  co_return Reply::of(out);
}

Task<Result<Reply>> lseek(Context& context, Request request) {
  const auto in = request.as<fuse_lseek_in>();
  if (in.whence != SEEK_DATA && in.whence != SEEK_HOLE)
    co_return fail(Errc::invalid_argument, "lseek: the kernel asks for data and holes only");
  if (in.offset > kOffsetMax) co_return Reply::with_error(ENXIO);
  const auto target = in.whence == SEEK_DATA ? client::SeekTarget::data : client::SeekTarget::hole;
  const Result<u64> found = co_await context.fs.seek(client::HandleId{in.fh}, in.offset, target).result();
  if (!found && found.error().code == Errc::no_data) co_return Reply::with_error(ENXIO);
  if (!found) co_return fail(found.error());
  fuse_lseek_out out{};
  out.offset = *found;
  co_return Reply::of(out);
}

Task<Result<Reply>> fallocate(Context& context, Request request) {
  const auto in = request.as<fuse_fallocate_in>();
  if (in.offset > kOffsetMax || in.length > kOffsetMax - in.offset)
    co_return fail(Errc::file_too_big, "fallocate: beyond the largest file");
  client::AllocateRequest allocate;
  allocate.offset = in.offset;
  allocate.length = in.length;
  allocate.keep_size = (in.mode & FALLOC_FL_KEEP_SIZE) != 0;
  switch (in.mode & ~u32{FALLOC_FL_KEEP_SIZE}) {
    case 0:
      break;
    case FALLOC_FL_PUNCH_HOLE:
      allocate.mode = client::AllocateMode::punch_hole;
      break;
    case FALLOC_FL_ZERO_RANGE:
      allocate.mode = client::AllocateMode::zero_range;
      break;
    default:
      co_return fail(Errc::unsupported, "fallocate: collapsing and inserting ranges is not supported");
  }
  // Here the kernel leaves it to us, and does not say whether the caller may keep them.
  if (request.header.uid != 0) co_await drop_set_id(context, request.node(), caller_of(context, request));
  co_await context.fs.allocate(client::HandleId{in.fh}, allocate);
  co_return Reply{};
}

Task<Result<Reply>> copy_file_range(Context& context, Request request) {
  const auto in = request.as<fuse_copy_file_range_in>();
  if (in.off_in > kOffsetMax || in.off_out > kOffsetMax ||
      in.len > kOffsetMax - std::max(in.off_in, in.off_out))
    co_return fail(Errc::invalid_argument, "copy_file_range: beyond the largest file");
  client::CopyRequest copy;
  copy.from = client::HandleId{in.fh_in};
  copy.from_offset = in.off_in;
  copy.to = client::HandleId{in.fh_out};
  copy.to_offset = in.off_out;
  // The answer counts in 32 bits.
  copy.length = std::min<u64>(in.len, 1u << 30);
  if (request.header.uid != 0)
    co_await drop_set_id(context, context.inode_of(in.nodeid_out), caller_of(context, request));
  const u64 copied = co_await context.fs.copy_range(copy);
  fuse_write_out out{};
  out.size = static_cast<u32>(copied);
  co_return Reply::of(out);
}

}  // namespace claudefs::access::fuse::verbs
