#include "access/fuse/detail/context.h"
#include "access/fuse/detail/newer.h"
#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::detail {
namespace {

struct Row {
  u32 opcode;
  Handler handler;
};
// INIT, INTERRUPT and DESTROY are the session's own.
constexpr Row kRows[] = {
    {FUSE_LOOKUP, verbs::lookup},
    {FUSE_FORGET, verbs::forget},
    {FUSE_BATCH_FORGET, verbs::batch_forget},
    {FUSE_GETATTR, verbs::getattr},
    {FUSE_SETATTR, verbs::setattr},
    {FUSE_ACCESS, verbs::access},
    {FUSE_MKNOD, verbs::mknod},
    {FUSE_MKDIR, verbs::mkdir},
    {FUSE_SYMLINK, verbs::symlink},
    {FUSE_READLINK, verbs::readlink},
    {FUSE_LINK, verbs::link},
    {FUSE_UNLINK, verbs::unlink},
    {FUSE_RMDIR, verbs::rmdir},
    {FUSE_RENAME, verbs::rename},
    {FUSE_RENAME2, verbs::rename2},
    {FUSE_OPEN, verbs::open},
    {FUSE_CREATE, verbs::create},
    {FUSE_RELEASE, verbs::release},
    {FUSE_FLUSH, verbs::flush},
    {FUSE_FSYNC, verbs::fsync},
    {FUSE_SYNCFS, verbs::syncfs},
    {FUSE_GETLK, verbs::getlk},
    {FUSE_SETLK, verbs::setlk},
    {FUSE_SETLKW, verbs::setlkw},
    {FUSE_READ, verbs::read},
    {FUSE_WRITE, verbs::write},
    {FUSE_LSEEK, verbs::lseek},
    {FUSE_FALLOCATE, verbs::fallocate},
    {FUSE_COPY_FILE_RANGE, verbs::copy_file_range},
    {FUSE_OPENDIR, verbs::opendir},
    {FUSE_READDIR, verbs::readdir},
    {FUSE_READDIRPLUS, verbs::readdirplus},
    {FUSE_RELEASEDIR, verbs::releasedir},
    {FUSE_FSYNCDIR, verbs::fsyncdir},
    {FUSE_SETXATTR, verbs::setxattr},
    {FUSE_GETXATTR, verbs::getxattr},
    {FUSE_LISTXATTR, verbs::listxattr},
    {FUSE_REMOVEXATTR, verbs::removexattr},
    {FUSE_STATFS, verbs::statfs},
    {kTmpfile, verbs::tmpfile},
    {kStatx, verbs::statx},
};

}  // namespace

Handler find_handler(u32 opcode) {
  for (const Row& row : kRows)
    if (row.opcode == opcode) return row.handler;
  return nullptr;
}

}  // namespace claudefs::access::fuse::detail
