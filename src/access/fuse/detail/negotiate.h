// INIT: what this session and the kernel agree on. Pure.
#pragma once

#include "access/fuse/detail/request.h"
#include "access/fuse/session.h"

namespace claudefs::access::fuse::detail {

// Errors: wrong_version when the kernel is too old (before 7.28, Linux 4.20).
Result<fuse_init_out> negotiate(const fuse_init_in& in, const SessionOptions& options);

}  // namespace claudefs::access::fuse::detail
