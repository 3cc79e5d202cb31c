// What every handler works with: the file system, the options, and what the kernel holds.
#pragma once

#include "access/fuse/detail/caller_cache.h"
#include "access/fuse/detail/directory_places.h"
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
  DirectoryPlaces places;
  // The kernel calls the root of whatever is mounted 1.
  InodeId inode_of(u64 node) const { return node == FUSE_ROOT_ID ? fs.volume().root : InodeId{node}; }
  u64 node_of(InodeId inode) const { return inode == fs.volume().root ? FUSE_ROOT_ID : inode.value; }
  // Requests that wait for a lock, by their number: an interrupt ends them.
  std::map<u64, class LockRequest*> lock_waits;
};
class LockRequest final : public client::LockWait {
 public:
  LockRequest(Context& context, u64 unique) : context_(context), unique_(unique) {
    context_.lock_waits[unique_] = this;
  }
  ~LockRequest() override { context_.lock_waits.erase(unique_); }
  LockRequest(const LockRequest&) = delete;
  LockRequest& operator=(const LockRequest&) = delete;
  bool cancelled() const override { return cancelled_; }
  void cancel() { cancelled_ = true; }

 private:
  Context& context_;
  u64 unique_;
  bool cancelled_ = false;
};

// Runs to its end on the session's Scope; `context` outlives it.
using Handler = Task<Result<Reply>> (*)(Context& context, Request request);
// Null for opcodes that are answered ENOSYS.
Handler find_handler(u32 opcode);

// Shared pieces of answers.
fuse_attr attributes_of(const client::Inode& inode);
// Of the name in `parent`; `inode` may be less of what is behind it.
fuse_entry_out entry_of(const Context& context, InodeId parent, const std::string& name,
                        const client::Inode& inode);
fuse_attr_out attr_out_of(const Context& context, const client::Inode& inode);
Reply entry_reply(const Context& context, InodeId parent, const std::string& name,
                  const client::Inode& inode);
// That there is no such name, where the kernel may keep that.
std::optional<Reply> absent_reply(const Context& context, InodeId parent, const std::string& name);
Reply attributes_reply(const Context& context, const client::Inode& inode);
u32 generation_of(const client::Inode& inode);
client::Caller caller_of(Context& context, const Request& request);

}  // namespace claudefs::access::fuse::detail
