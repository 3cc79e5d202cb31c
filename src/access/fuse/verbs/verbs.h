// The handlers, one group of opcodes a file.
#pragma once

#include "access/fuse/detail/context.h"

namespace claudefs::access::fuse::verbs {

using detail::Context;
using detail::Reply;
using detail::Request;
using runtime::Task;

// entries.cpp
Task<Result<Reply>> lookup(Context& context, Request request);
Task<Result<Reply>> forget(Context& context, Request request);
Task<Result<Reply>> batch_forget(Context& context, Request request);
// attributes.cpp
Task<Result<Reply>> getattr(Context& context, Request request);
Task<Result<Reply>> setattr(Context& context, Request request);
Task<Result<Reply>> statx(Context& context, Request request);
Task<Result<Reply>> access(Context& context, Request request);
// nodes.cpp
Task<Result<Reply>> mknod(Context& context, Request request);
Task<Result<Reply>> mkdir(Context& context, Request request);
Task<Result<Reply>> symlink(Context& context, Request request);
Task<Result<Reply>> readlink(Context& context, Request request);
Task<Result<Reply>> link(Context& context, Request request);
// names.cpp
Task<Result<Reply>> unlink(Context& context, Request request);
Task<Result<Reply>> rmdir(Context& context, Request request);
Task<Result<Reply>> rename(Context& context, Request request);
Task<Result<Reply>> rename2(Context& context, Request request);
// files.cpp
Task<Result<Reply>> open(Context& context, Request request);
Task<Result<Reply>> create(Context& context, Request request);
Task<Result<Reply>> tmpfile(Context& context, Request request);
Task<Result<Reply>> release(Context& context, Request request);
Task<Result<Reply>> flush(Context& context, Request request);
Task<Result<Reply>> fsync(Context& context, Request request);
Task<Result<Reply>> syncfs(Context& context, Request request);
// locks.cpp
Task<Result<Reply>> getlk(Context& context, Request request);
Task<Result<Reply>> setlk(Context& context, Request request);
Task<Result<Reply>> setlkw(Context& context, Request request);
// data.cpp
Task<Result<Reply>> read(Context& context, Request request);
Task<Result<Reply>> write(Context& context, Request request);
Task<Result<Reply>> lseek(Context& context, Request request);
Task<Result<Reply>> fallocate(Context& context, Request request);
Task<Result<Reply>> copy_file_range(Context& context, Request request);
// directories.cpp
Task<Result<Reply>> opendir(Context& context, Request request);
Task<Result<Reply>> readdir(Context& context, Request request);
Task<Result<Reply>> readdirplus(Context& context, Request request);
Task<Result<Reply>> releasedir(Context& context, Request request);
Task<Result<Reply>> fsyncdir(Context& context, Request request);
// xattrs.cpp
Task<Result<Reply>> setxattr(Context& context, Request request);
Task<Result<Reply>> getxattr(Context& context, Request request);
Task<Result<Reply>> listxattr(Context& context, Request request);
Task<Result<Reply>> removexattr(Context& context, Request request);
// statfs.cpp
Task<Result<Reply>> statfs(Context& context, Request request);

}  // namespace claudefs::access::fuse::verbs
