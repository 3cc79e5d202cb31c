// Reads requests, hands each to its handler, writes the answers.
#pragma once

#include <map>
#include <memory>

#include "access/fuse/detail/context.h"
#include "runtime/scope.h"
#include "runtime/sync.h"

namespace claudefs::access::fuse::detail {

class Session final : public FuseSession, public client::KernelCaches {
 public:
  Session(runtime::Env& env, std::unique_ptr<runtime::PacketDevice> device, client::FileSystem& file_system,
          SessionOptions options);
  Task<Result<void>> run() override;
  void close() override;
  SessionStats stats() const override;
  ~Session() override { context_.fs.set_kernel(nullptr); }

  // notices.cpp
  void forget_attributes(InodeId inode) override;
  Task<void> forget_content(InodeId inode) override;
  Task<void> forget_name(InodeId parent, std::string name) override;

 private:
  // A request that has not been answered yet. Lives in the frame of serve().
  struct Pending {
    runtime::Instant started;
    u64 serial = 0;
    bool interruptible = true;
    bool answered = false;
  };

  Task<void> read_requests();
  void take(Buffer packet);
  Task<void> serve(Request request);
  Task<void> initialise(Request request);
  Task<void> interrupt(Request request);
  Task<Result<Reply>> dispatch(Request request);
  Task<void> answer(Request request, Result<Reply> outcome);
  Task<void> answer_error(u64 unique, int error);
  // The kernel never learnt of what this answer would have opened: close it.
  Task<void> discard(Reply reply);
  Task<bool> send(u64 unique, int error, std::vector<Buffer> pieces);
  void end(Result<void> why);
  Task<void> notify(std::vector<Buffer> packet);
  Task<void> notify_patiently(std::vector<Buffer> packet);
  Task<void> drop_name(Place place, u32 flags);
  // Before the kernel is told where a directory is: it has it no longer where another client took it from.
  // False when there was nothing to do.
  Task<bool> unhook(InodeId directory, Place now);
  Task<void> drop_old_place(InodeId directory, Place old);

  runtime::Env& env_;
  std::unique_ptr<runtime::PacketDevice> device_;
  Context context_;
  std::map<u64, Pending*> pending_;
  // Until the kernel has dropped the old name of the directory.
  struct Unhooking {
    InodeId from{}, to{};  // its parents
    std::shared_ptr<runtime::Event> done;
  };
  std::map<InodeId, Unhooking> unhooking_;
  SessionStats stats_;
  u64 serial_ = 0;
  unsigned readers_left_ = 0;
  bool ended_ = false;
  Result<void> why_;
  runtime::Condition changed_;
  runtime::Scope scope_;  // last: what runs on it uses the rest
};

}  // namespace claudefs::access::fuse::detail
