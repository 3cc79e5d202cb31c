#include <sys/stat.h>

#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

client::FileType type_of(u32 mode) {
  switch (mode & S_IFMT) {
    case 0:
    case S_IFREG:
      return client::FileType::regular;
    case S_IFIFO:
      return client::FileType::fifo;
    case S_IFSOCK:
      return client::FileType::socket;
    case S_IFCHR:
      return client::FileType::character_device;
    case S_IFBLK:
      return client::FileType::block_device;
    default:
      return client::FileType::none;
  }
}

client::NewNode node_of(Context& context, Request& request, client::FileType type, u32 mode, u32 umask) {
  client::NewNode node;
  node.parent = request.node();
  node.name = std::move(request.names[0]);
  node.type = type;
  node.mode = static_cast<u16>(mode & 07777);
  node.umask = static_cast<u16>(umask & 0777);
  node.caller = caller_of(context, request);
  return node;
}

}  // namespace

Task<Result<Reply>> mknod(Context& context, Request request) {
  const auto in = request.as<fuse_mknod_in>();
  const client::FileType type = type_of(in.mode);
  if (type == client::FileType::none)
    co_return fail(Errc::invalid_argument, "mknod: not a type that can be made");
  client::NewNode node = node_of(context, request, type, in.mode, in.umask);
  node.rdev = in.rdev;
  const client::Inode inode = co_await context.fs.make_node(node);
  co_return entry_reply(context, node.parent, node.name, inode);
}

Task<Result<Reply>> mkdir(Context& context, Request request) {
  const auto in = request.as<fuse_mkdir_in>();
  client::NewNode node = node_of(context, request, client::FileType::directory, in.mode, in.umask);
  const client::Inode inode = co_await context.fs.make_directory(node);
  co_return entry_reply(context, node.parent, node.name, inode);
}

Task<Result<Reply>> symlink(Context& context, Request request) {
  client::NewNode node = node_of(context, request, client::FileType::symlink, 0777, 0);
  node.target = std::move(request.names[1]);
  const client::Inode inode = co_await context.fs.make_node(node);
  co_return entry_reply(context, node.parent, node.name, inode);
}

Task<Result<Reply>> readlink(Context& context, Request request) {
  std::string target = co_await context.fs.read_link(request.node());
  Reply reply;
  reply.pieces.push_back(Buffer::adopt(std::move(target)));
  co_return reply;
}

Task<Result<Reply>> link(Context& context, Request request) {
  const InodeId target = context.inode_of(request.as<fuse_link_in>().oldnodeid);
  const client::Caller caller = caller_of(context, request);
  const client::Inode inode = co_await context.fs.link(target, request.node(), request.names[0], caller);
  co_return entry_reply(context, request.node(), request.names[0], inode);
}

}  // namespace claudefs::access::fuse::verbs
