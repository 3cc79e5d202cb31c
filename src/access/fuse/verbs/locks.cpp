#include <fcntl.h>

#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

client::Lock lock_of(const fuse_lk_in& in) {
  client::Lock lock;
  lock.owner = in.owner;
  lock.flock = (in.lk_flags & FUSE_LK_FLOCK) != 0;
  lock.exclusive = in.lk.type == F_WRLCK;
  lock.start = lock.flock ? 0 : in.lk.start;
  lock.end = lock.flock ? INT64_MAX : in.lk.end;
  lock.pid = in.lk.pid;
  return lock;
}

}  // namespace

Task<Result<Reply>> getlk(Context& context, Request request) {
  const auto in = request.as<fuse_lk_in>();
  const std::optional<client::Lock> other =
      co_await context.fs.test_lock(client::HandleId{in.fh}, lock_of(in));
  fuse_lk_out out{};
  out.lk = in.lk;
  out.lk.type = F_UNLCK;
  if (other) {
    out.lk.type = other->exclusive ? F_WRLCK : F_RDLCK;
    out.lk.start = other->start;
    out.lk.end = other->end;
    out.lk.pid = other->pid;
  }
  co_return Reply::of(out);
}

Task<Result<Reply>> setlk(Context& context, Request request) {
  const auto in = request.as<fuse_lk_in>();
  const client::HandleId handle{in.fh};
  if (in.lk.type == F_UNLCK) {
    co_await context.fs.unlock(handle, lock_of(in));
    co_return Reply{};
  }
  const bool held = co_await context.fs.set_lock(handle, lock_of(in));
  co_return held ? Reply{} : Reply::with_error(EAGAIN);
}

Task<Result<Reply>> setlkw(Context& context, Request request) {
  const auto in = request.as<fuse_lk_in>();
  if (in.lk.type == F_UNLCK) co_return co_await setlk(context, std::move(request)).result();
  detail::LockRequest wait(context, request.header.unique);
  switch (co_await context.fs.wait_for_lock(client::HandleId{in.fh}, lock_of(in), wait)) {
    case client::LockOutcome::held:
      co_return Reply{};
    case client::LockOutcome::interrupted:
      co_return Reply::with_error(EINTR);
    case client::LockOutcome::would_deadlock:
      co_return Reply::with_error(EDEADLK);
  }
  co_return Reply{};
}

}  // namespace claudefs::access::fuse::verbs
