// Locks over all clients: docs/architecture/leases.md.
#include "client/detail/state.h"

namespace claudefs::client {
namespace {

using namespace std::chrono_literals;
constexpr runtime::Duration kTryAgain = 1s;        // when nobody says that the lock is free
constexpr runtime::Duration kLookAtCancel = 50ms;  // a signal ends a wait within that
constexpr runtime::Duration kConfirmCircle = 200ms;

meta::FileLock file_lock(const State& state, const Lock& lock) {
  meta::FileLock out;
  out.session = state.session;
  out.owner = lock.owner;
  out.flock = lock.flock;
  out.exclusive = lock.exclusive;
  out.start = lock.start;
  out.end = std::min<u64>(lock.end, INT64_MAX);
  out.pid = lock.pid;
  return out;
}

// Who is in the way; nobody: it is held now.
Task<Result<std::vector<meta::FileLock>>> try_lock(State& state, HandleId handle, Lock lock, bool waits) {
  Handle* const found = co_await state.find_usable_handle(handle);
  const FilePtr file = found->file;
  meta::SetLock set;
  set.inode = file->id();
  set.waits = waits;
  set.lock = file_lock(state, lock);
  const SessionId session = state.session;
  // Before the answer: a lock whose answer is lost is given back all the same.
  found->lock_owners.emplace(lock.owner, lock.flock);
  meta::SetLockReply reply = co_await state.command(file->id().shard(), std::move(set));
  if (state.session != session)
    co_return fail(Errc::io_error, "the session expired while the lock was taken");
  if (reply.in_the_way.empty()) file->has_locks = true;
  co_return std::move(reply.in_the_way);
}

Task<Result<bool>> tell_waiting(State& state, u64 owner, std::vector<meta::LockOwner> holders) {
  meta::WaitForLock wait;
  wait.waiter = {state.session, owner};
  wait.holders = std::move(holders);
  const meta::WaitForLockReply reply = co_await state.ask(ShardId{0}, std::move(wait));
  co_return reply.circle;
}

std::vector<meta::LockOwner> owners_of(const std::vector<meta::FileLock>& locks) {
  std::vector<meta::LockOwner> out;
  for (const meta::FileLock& lock : locks) out.push_back({lock.session, lock.owner});
  return out;
}

// True when it was cancelled.
Task<bool> pause(State& state, runtime::Duration time, LockWait& wait) {
  const runtime::Instant until = state.env.now() + time;
  while (!wait.cancelled() && state.env.now() < until) {
    const runtime::Instant next = std::min(until, state.env.now() + kLookAtCancel);
    if (state.leases == nullptr)
      co_await state.env.executor().sleep_until(next);
    else if (co_await state.leases->lock_released().wait_until(next))
      break;
  }
  co_return wait.cancelled();
}

}  // namespace

Task<void> State::release_lock(FilePtr file, u64 owner, bool flock) {
  Lock all;
  all.owner = owner;
  all.flock = flock;
  const SessionId of = session;
  while (session == of && !stopping.is_set()) {
    meta::SetLock set;
    set.inode = file->id();
    set.unlock = true;
    set.lock = file_lock(*this, all);
    const auto done = co_await command(file->id().shard(), std::move(set)).result();
    if (done || !is_retryable(done.error().code)) co_return;
  }
}

Task<Result<std::optional<Lock>>> FileSystem::test_lock(HandleId handle, Lock lock) {
  State& state = *state_;
  const FilePtr file = co_await state.file_of(handle);
  meta::TestLock test;
  test.inode = file->id();
  test.lock = file_lock(state, lock);
  const meta::SetLockReply reply = co_await state.ask(file->id().shard(), std::move(test));
  if (reply.in_the_way.empty()) co_return std::nullopt;
  const meta::FileLock& other = reply.in_the_way.front();
  Lock out;
  out.owner = other.owner;
  out.flock = other.flock;
  out.exclusive = other.exclusive;
  out.start = other.start;
  out.end = other.end;
  out.pid =
      other.session == state.session ? other.pid : 0;  // a process of another machine means nothing here
  co_return out;
}

Task<Result<bool>> FileSystem::set_lock(HandleId handle, Lock lock) {
  const std::vector<meta::FileLock> others = co_await try_lock(*state_, handle, lock, false);
  co_return others.empty();
}

Task<Result<LockOutcome>> FileSystem::wait_for_lock(HandleId handle, Lock lock, LockWait& wait) {
  State& state = *state_;
  const bool looks_for_circles = !lock.flock;
  bool told = false;
  bool circle = false;
  Result<LockOutcome> outcome = LockOutcome::held;
  for (;;) {
    const auto others = co_await try_lock(state, handle, lock, true).result();
    if (!others) outcome = fail(others.error());
    if (!others || others->empty()) break;
    bool closes = false;
    if (looks_for_circles) {
      told = true;
      const Result<bool> answer = co_await tell_waiting(state, lock.owner, owners_of(*others)).result();
      closes = answer && *answer;
    }
    if (closes && circle) {
      outcome = LockOutcome::would_deadlock;
      break;
    }
    circle = closes;
    if (co_await pause(state, closes ? kConfirmCircle : kTryAgain, wait)) {
      outcome = LockOutcome::interrupted;
      break;
    }
  }
  // Before the caller goes on: it may take other locks now, and waits for none.
  if (told) (void)co_await tell_waiting(state, lock.owner, {}).result();
  co_return outcome;
}

Task<Result<void>> FileSystem::unlock(HandleId handle, Lock lock) {
  State& state = *state_;
  const FilePtr file = co_await state.file_of(handle);
  meta::SetLock set;
  set.inode = file->id();
  set.unlock = true;
  set.lock = file_lock(state, lock);
  co_await state.command(file->id().shard(), std::move(set));
  co_return Result<void>();
}

Task<Result<void>> FileSystem::unlock_all(HandleId handle, u64 owner) {
  State& state = *state_;
  const FilePtr file = co_await state.file_of(handle);
  if (!file->has_locks) co_return Result<void>();
  bool any = false;
  for (auto& [number, other] : state.handles)
    if (other.file == file) any |= other.lock_owners.erase({owner, false}) != 0;
  if (any) co_await state.release_lock(file, owner, false);
  co_return Result<void>();
}

}  // namespace claudefs::client
