// What every handler works with: the file system, the options, and what the kernel holds.
#pragma once

#include "access/fuse/detail/caller_cache.h"
#include "access/fuse/detail/lookup_table.h"
#include "access/fuse/detail/reply.h"
#include "access/fuse/detail/request.h"
#include "access/fuse/session.h"

namespace claudefs::access::fuse::detail {

using runtime::Task;

struct Context {
  runtime::Env& env;
  client::FileSystem& fs;
  SessionOptions options;
  LookupTable lookups;
  CallerCache callers;
};

// Runs to its end on the session's Scope; `context` outlives it.
using Handler = Task<Result<Reply>> (*)(Context& context, Request request);
// Null for opcodes that are answered ENOSYS.
Handler find_handler(u32 opcode);

// Shared pieces of answers.
fuse_attr attributes_of(const client::Inode& inode);
fuse_entry_out entry_of(const Context& context, const client::Inode& inode);
fuse_attr_out attr_out_of(const Context& context, const client::Inode& inode);
Reply entry_reply(const Context& context, const client::Inode& inode);
Reply attributes_reply(const Context& context, const client::Inode& inode);
u32 generation_of(const client::Inode& inode);
client::Caller caller_of(Context& context, const Request& request);

}  // namespace claudefs::access::fuse::detail
