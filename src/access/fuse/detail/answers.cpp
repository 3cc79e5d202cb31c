#include <sys/stat.h>

#include <algorithm>

#include "access/fuse/detail/context.h"

namespace claudefs::access::fuse::detail {
namespace {

u32 type_bits(client::FileType type) {
  switch (type) {
    case client::FileType::regular:
      return S_IFREG;
    case client::FileType::directory:
      return S_IFDIR;
    case client::FileType::symlink:
      return S_IFLNK;
    case client::FileType::fifo:
      return S_IFIFO;
    case client::FileType::socket:
      return S_IFSOCK;
    case client::FileType::character_device:
      return S_IFCHR;
    case client::FileType::block_device:
      return S_IFBLK;
    case client::FileType::none:
      break;
  }
  return 0;
}

struct Validity {
  u64 seconds;
  u32 nanoseconds;
};
Validity validity_of(runtime::Duration time) {
  return {static_cast<u64>(time.count() / 1'000'000'000), static_cast<u32>(time.count() % 1'000'000'000)};
}

}  // namespace

fuse_attr attributes_of(const client::Inode& inode) {
  fuse_attr out{};
  out.ino = inode.id.value;
  out.size = inode.size;
  out.blocks = (inode.allocated_bytes + 511) / 512;
  out.atime = static_cast<u64>(inode.accessed.seconds);
  out.mtime = static_cast<u64>(inode.modified.seconds);
  out.ctime = static_cast<u64>(inode.changed.seconds);
  out.atimensec = inode.accessed.nanoseconds;
  out.mtimensec = inode.modified.nanoseconds;
  out.ctimensec = inode.changed.nanoseconds;
  out.mode = type_bits(inode.type) | inode.mode;
  out.nlink = inode.nlink;
  out.uid = inode.uid;
  out.gid = inode.gid;
  out.rdev = static_cast<u32>(inode.rdev);
  out.blksize = 128 << 10;
  return out;
}

fuse_entry_out entry_of(const Context& context, InodeId parent, const std::string& name,
                        const client::Inode& inode) {
  fuse_entry_out out{};
  out.nodeid = context.node_of(inode.id);
  out.generation = generation_of(inode);
  const Validity entry =
      validity_of(std::max(context.options.entry_valid, context.fs.give_name(parent, name, inode.id)));
  const Validity attributes =
      validity_of(std::max(context.options.attributes_valid, context.fs.give_attributes(inode.id)));
  out.entry_valid = entry.seconds;
  out.entry_valid_nsec = entry.nanoseconds;
  out.attr_valid = attributes.seconds;
  out.attr_valid_nsec = attributes.nanoseconds;
  out.attr = attributes_of(inode);
  return out;
}

fuse_attr_out attr_out_of(const Context& context, const client::Inode& inode) {
  fuse_attr_out out{};
  const Validity attributes =
      validity_of(std::max(context.options.attributes_valid, context.fs.give_attributes(inode.id)));
  out.attr_valid = attributes.seconds;
  out.attr_valid_nsec = attributes.nanoseconds;
  out.attr = attributes_of(inode);
  return out;
}

Reply entry_reply(const Context& context, InodeId parent, const std::string& name,
                  const client::Inode& inode) {
  Reply reply = Reply::of(entry_of(context, parent, name, inode));
  reply.looked_up.push_back(inode.id);
  reply.flags.emplace_back(inode.id, inode.flags);
  // "." and "..": of who opens a handle.
  if (inode.type == client::FileType::directory && name != "." && name != "..")
    reply.directories.emplace_back(inode.id, Place{parent, name});
  return reply;
}

std::optional<Reply> absent_reply(const Context& context, InodeId parent, const std::string& name) {
  const runtime::Duration trusted = context.fs.give_name(parent, name, InodeId{});
  if (trusted <= runtime::Duration(0)) return std::nullopt;
  const Validity entry = validity_of(trusted);
  fuse_entry_out out{};
  out.entry_valid = entry.seconds;
  out.entry_valid_nsec = entry.nanoseconds;
  return Reply::of(out);
}

Reply attributes_reply(const Context& context, const client::Inode& inode) {
  Reply reply = Reply::of(attr_out_of(context, inode));
  reply.flags.emplace_back(inode.id, inode.flags);
  return reply;
}

// Directories of one name get one id again and again: the time of birth tells them apart.
u32 generation_of(const client::Inode& inode) {
  const u64 born = static_cast<u64>(inode.born.seconds) * 1'000'000'000 + inode.born.nanoseconds;
  return static_cast<u32>((born * 0x9e3779b97f4a7c15ULL) >> 33);
}

client::Caller caller_of(Context& context, const Request& request) {
  return context.callers.find(request.header.pid, request.header.uid, request.header.gid);
}

}  // namespace claudefs::access::fuse::detail
