// The workload's locks. A lane holds one at a time: nobody can wait in a circle.
#include <fmt/format.h>

#include "simulator/workload.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {

class Patient final : public client::LockWait {
 public:
  bool cancelled() const override { return false; }
};

client::Lock draw_lock(sim::RandomStream& random, u64 owner) {
  client::Lock lock;
  lock.owner = owner;
  lock.flock = random.coin();
  lock.exclusive = random.chance(700'000);
  if (lock.flock) return lock;
  lock.start = 10 * random.between(0, 3);
  lock.end = lock.start + 10 * random.between(1, 3) - 1;
  return lock;
}

}  // namespace

runtime::Task<void> Workload::hold_lock(Client* client, Random* random) {
  const Result<InodeId> inode = co_await find_file(client, random, true).result();
  if (!inode) co_return;
  const Result<OpenFile> file = co_await open(client, *inode, true).result();
  if (!file) co_return;
  const u64 number = ++last_lock_;
  const client::Lock lock = draw_lock(*random, number);
  const Process by = process(*client);
  note(fmt::format("lock    client {} file {:#x} lock {}: {} {} [{}, {}]", client->number, *inode, number,
                   lock.flock ? "flock" : "fcntl", lock.exclusive ? "exclusive" : "shared", lock.start,
                   lock.end));
  bool held = false;
  if (random->coin()) {
    Patient wait;
    const auto outcome = co_await client->files().wait_for_lock(file->handle, lock, wait).result();
    held = outcome && *outcome == client::LockOutcome::held;
  } else {
    const Result<bool> outcome = co_await client->files().set_lock(file->handle, lock).result();
    held = outcome && *outcome;
  }
  note(fmt::format("lock    {} {}", number, held ? "held" : "not held"));
  if (held) {
    locks_.granted(number, {*inode, lock.flock, lock.exclusive, lock.start, lock.end, by}, now());
    ++report_.operations;
    co_await client->machine->executor().sleep(random->between_times(0ms, 400ms));
    locks_.released(number);
    if (random->coin()) (void)co_await client->files().unlock(file->handle, lock).result();
  }
  co_await release(client, *file);
}

// What was suspicious while it was not known who had lost what.
void Workload::judge_suspicions() {
  for (const auto& client : cluster_.clients())
    if (client->ready && client->files().lease_stats().sessions_lost != 0) lost(process(*client));
  if (std::optional<std::string> wrong = content_.judge_suspicions()) violation(std::move(*wrong));
  if (std::optional<std::string> wrong = locks_.judge_suspicions()) violation(std::move(*wrong));
}

void Workload::lost(Process by) {
  content_.lost(by);
  locks_.lost(by);
}

}  // namespace claudefs::simulator
