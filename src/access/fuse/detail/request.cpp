#include "access/fuse/detail/request.h"

#include <fmt/format.h>

#include "access/fuse/detail/newer.h"

namespace claudefs::access::fuse::detail {
namespace {

constexpr Shape kShapes[] = {
    {FUSE_LOOKUP, "lookup", 0, 1, 0},
    {FUSE_FORGET, "forget", sizeof(fuse_forget_in), 0, 0},
    {FUSE_GETATTR, "getattr", sizeof(fuse_getattr_in), 0, 0},
    {FUSE_SETATTR, "setattr", sizeof(fuse_setattr_in), 0, 0},
    {FUSE_READLINK, "readlink", 0, 0, 0},
    {FUSE_SYMLINK, "symlink", 0, 2, 0},
    {FUSE_MKNOD, "mknod", sizeof(fuse_mknod_in), 1, 0},
    {FUSE_MKDIR, "mkdir", sizeof(fuse_mkdir_in), 1, 0},
    {FUSE_UNLINK, "unlink", 0, 1, 0},
    {FUSE_RMDIR, "rmdir", 0, 1, 0},
    {FUSE_RENAME, "rename", sizeof(fuse_rename_in), 2, 0},
    {FUSE_LINK, "link", sizeof(fuse_link_in), 1, 0},
    {FUSE_OPEN, "open", sizeof(fuse_open_in), 0, 0},
    {FUSE_READ, "read", sizeof(fuse_read_in), 0, 0},
    {FUSE_WRITE, "write", sizeof(fuse_write_in), 0, 0},
    {FUSE_STATFS, "statfs", 0, 0, 0},
    {FUSE_RELEASE, "release", sizeof(fuse_release_in), 0, 0},
    {FUSE_FSYNC, "fsync", sizeof(fuse_fsync_in), 0, 0},
    {FUSE_SETXATTR, "setxattr", FUSE_COMPAT_SETXATTR_IN_SIZE, 1, 0},
    {FUSE_GETXATTR, "getxattr", sizeof(fuse_getxattr_in), 1, 0},
    {FUSE_LISTXATTR, "listxattr", sizeof(fuse_getxattr_in), 0, 0},
    {FUSE_REMOVEXATTR, "removexattr", 0, 1, 0},
    {FUSE_FLUSH, "flush", sizeof(fuse_flush_in), 0, 0},
    // 16 bytes before 7.36, with flags2 since.
    {FUSE_INIT, "init", 16, 0, sizeof(fuse_init_in)},
    {FUSE_OPENDIR, "opendir", sizeof(fuse_open_in), 0, 0},
    {FUSE_READDIR, "readdir", sizeof(fuse_read_in), 0, 0},
    {FUSE_RELEASEDIR, "releasedir", sizeof(fuse_release_in), 0, 0},
    {FUSE_FSYNCDIR, "fsyncdir", sizeof(fuse_fsync_in), 0, 0},
    {FUSE_ACCESS, "access", sizeof(fuse_access_in), 0, 0},
    {FUSE_CREATE, "create", sizeof(fuse_create_in), 1, 0},
    {FUSE_INTERRUPT, "interrupt", sizeof(fuse_interrupt_in), 0, 0},
    {FUSE_DESTROY, "destroy", 0, 0, 0},
    {FUSE_BATCH_FORGET, "batch_forget", sizeof(fuse_batch_forget_in), 0, 0},
    {FUSE_FALLOCATE, "fallocate", sizeof(fuse_fallocate_in), 0, 0},
    {FUSE_READDIRPLUS, "readdirplus", sizeof(fuse_read_in), 0, 0},
    {FUSE_RENAME2, "rename2", sizeof(fuse_rename2_in), 2, 0},
    {FUSE_GETLK, "getlk", sizeof(fuse_lk_in), 0, 0},
    {FUSE_SETLK, "setlk", sizeof(fuse_lk_in), 0, 0},
    {FUSE_SETLKW, "setlkw", sizeof(fuse_lk_in), 0, 0},
    {FUSE_LSEEK, "lseek", sizeof(fuse_lseek_in), 0, 0},
    {FUSE_COPY_FILE_RANGE, "copy_file_range", sizeof(fuse_copy_file_range_in), 0, 0},
    {FUSE_SYNCFS, "syncfs", 8, 0, 0},
    {kTmpfile, "tmpfile", sizeof(fuse_create_in), 1, 0},
    {kStatx, "statx", sizeof(StatxIn), 0, 0},
};

}  // namespace

const Shape* find_shape(u32 opcode) {
  for (const Shape& shape : kShapes)
    if (shape.opcode == opcode) return &shape;
  return nullptr;
}

Result<Request> parse_request(const Buffer& packet, fuse_in_header& header) {
  header = {};
  if (packet.size() < sizeof(fuse_in_header))
    return fail(Errc::invalid_argument, "packet without a whole header");
  std::memcpy(&header, packet.data(), sizeof(header));
  if (header.len != packet.size())
    return fail(Errc::invalid_argument,
                fmt::format("packet of {} bytes says it has {}", packet.size(), header.len));
  Request request;
  request.header = header;
  request.shape = find_shape(header.opcode);
  // Extensions (supplementary groups, security contexts) lie behind everything else; none was asked for.
  const std::size_t extensions = std::size_t{header.total_extlen} * 8;
  if (extensions > packet.size() - sizeof(header))
    return fail(Errc::invalid_argument, "extensions are longer than the packet");
  Buffer rest = packet.slice(sizeof(header), packet.size() - sizeof(header) - extensions);
  if (request.shape == nullptr) {
    request.data = std::move(rest);
    return request;
  }
  const Shape& shape = *request.shape;
  if (rest.size() < shape.fixed)
    return fail(Errc::invalid_argument,
                fmt::format("{}: body of {} bytes, {} needed", shape.name, rest.size(), shape.fixed));
  const std::size_t fixed = std::min<std::size_t>(rest.size(), std::max(shape.fixed, shape.fixed_full));
  request.fixed = rest.slice(0, fixed);
  rest = rest.slice(fixed);
  for (u32 i = 0; i < shape.names; ++i) {
    const std::size_t end = rest.text().find('\0');
    if (end == std::string_view::npos)
      return fail(Errc::invalid_argument, fmt::format("{}: a name does not end", shape.name));
    if (end == 0) return fail(Errc::invalid_argument, fmt::format("{}: a name is empty", shape.name));
    request.names.emplace_back(rest.text().substr(0, end));
    rest = rest.slice(end + 1);
  }
  request.data = std::move(rest);
  return request;
}

}  // namespace claudefs::access::fuse::detail
