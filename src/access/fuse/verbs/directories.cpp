#include <dirent.h>

#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

// Positions the kernel sees: 0 is the start, 1 behind ".", 2 behind "..", then the server's cookies + 2.
constexpr u64 kDot = 1;
constexpr u64 kDotDot = 2;
constexpr u64 kFirstCookie = 2;

u32 entry_type(client::FileType type) {
  switch (type) {
    case client::FileType::regular:
      return DT_REG;
    case client::FileType::directory:
      return DT_DIR;
    case client::FileType::symlink:
      return DT_LNK;
    case client::FileType::fifo:
      return DT_FIFO;
    case client::FileType::socket:
      return DT_SOCK;
    case client::FileType::character_device:
      return DT_CHR;
    case client::FileType::block_device:
      return DT_BLK;
    case client::FileType::none:
      break;
  }
  return DT_UNKNOWN;
}

// Fills an answer of at most `limit` bytes.
class Listing {
 public:
  Listing(const Context& context, InodeId directory, u64 limit, bool plus)
      : context_(context), directory_(directory), limit_(limit), plus_(plus) {}

  // False when it does not fit any more.
  bool add(const client::DirectoryEntry& entry, u64 position) {
    const std::size_t head = (plus_ ? sizeof(fuse_entry_out) : 0) + FUSE_NAME_OFFSET;
    const std::size_t size = FUSE_DIRENT_ALIGN(head + entry.name.size());
    if (out_.size() + size > limit_) return false;
    if (plus_) {
      // Node id 0 tells the kernel that this entry comes without attributes.
      fuse_entry_out attributes{};
      if (entry.attributes) {
        attributes = entry_of(context_, directory_, entry.name, *entry.attributes);
        looked_up_.push_back(entry.inode);
        flags_.emplace_back(entry.inode, entry.attributes->flags);
        if (entry.type == client::FileType::directory)
          directories_.emplace_back(entry.inode, detail::Place{directory_, entry.name});
      }
      append(&attributes, sizeof(attributes));
    }
    fuse_dirent dirent{};
    dirent.ino = entry.inode.value;
    dirent.off = position;
    dirent.namelen = static_cast<u32>(entry.name.size());
    dirent.type = entry_type(entry.type);
    append(&dirent, FUSE_NAME_OFFSET);
    out_.append(entry.name);
    out_.append(size - head - entry.name.size(), '\0');
    return true;
  }
  Reply finish() && {
    Reply reply;
    reply.looked_up = std::move(looked_up_);
    reply.flags = std::move(flags_);
    reply.directories = std::move(directories_);
    reply.pieces.push_back(Buffer::adopt(std::move(out_)));
    return reply;
  }

 private:
  void append(const void* bytes, std::size_t size) { out_.append(static_cast<const char*>(bytes), size); }
  const Context& context_;
  InodeId directory_;
  u64 limit_;
  bool plus_;
  std::string out_;
  std::vector<InodeId> looked_up_;
  std::vector<std::pair<InodeId, u32>> flags_;
  std::vector<std::pair<InodeId, detail::Place>> directories_;
};

client::DirectoryEntry dots(std::string name, InodeId inode) {
  client::DirectoryEntry entry;
  entry.name = std::move(name);
  entry.inode = inode;
  entry.type = client::FileType::directory;
  return entry;
}

Task<Result<Reply>> list(Context& context, Request request, bool plus) {
  const auto in = request.as<fuse_read_in>();
  Listing listing(context, request.node(), std::min(in.size, context.options.io_bytes_max), plus);
  const client::HandleId handle{in.fh};
  const u64 after = in.offset > kFirstCookie ? in.offset - kFirstCookie : 0;
  client::DirectoryPage page = co_await context.fs.read_directory(handle, after, plus);
  const InodeId parent = page.parent.value != 0 ? page.parent : request.node();
  bool fits = true;
  if (in.offset < kDot) fits = listing.add(dots(".", request.node()), kDot);
  if (fits && in.offset < kDotDot) fits = listing.add(dots("..", parent), kDotDot);
  while (fits && !page.entries.empty()) {
    for (const client::DirectoryEntry& entry : page.entries) {
      fits = listing.add(entry, entry.cookie + kFirstCookie);
      if (!fits) break;
    }
    if (!fits) break;
    page = co_await context.fs.read_directory(handle, page.entries.back().cookie, plus);
  }
  co_return std::move(listing).finish();
}

}  // namespace

Task<Result<Reply>> opendir(Context& context, Request request) {
  const client::HandleId handle =
      co_await context.fs.open_directory(request.node(), caller_of(context, request));
  fuse_open_out out{};
  out.fh = handle.value;
  Reply reply = Reply::of(out);
  reply.opened_directory = handle;
  co_return reply;
}

Task<Result<Reply>> readdir(Context& context, Request request) {
  return list(context, std::move(request), false);
}
Task<Result<Reply>> readdirplus(Context& context, Request request) {
  return list(context, std::move(request), true);
}

Task<Result<Reply>> releasedir(Context& context, Request request) {
  context.fs.release_directory(client::HandleId{request.as<fuse_release_in>().fh});
  co_return Reply{};
}

// Names are durable when the verb that made them has been answered.
Task<Result<Reply>> fsyncdir(Context&, Request) { co_return Reply{}; }

}  // namespace claudefs::access::fuse::verbs
