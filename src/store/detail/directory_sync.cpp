#include "store/detail/directory_sync.h"

namespace claudefs::store::detail {

// Whoever runs the sync may be destroyed in the middle: the others must not wait for it for ever.
struct DirectorySync::Run {
  std::shared_ptr<Group> group;
  explicit Run(std::shared_ptr<Group> g) : group(std::move(g)) { group->running = true; }
  ~Run() {
    group->running = false;
    group->done.notify_all();
  }
};

runtime::Task<Result<void>> DirectorySync::sync(std::string path) {
  std::shared_ptr<Group>& slot = groups_[path];
  if (slot == nullptr) slot = std::make_shared<Group>(env_.executor());
  const std::shared_ptr<Group> group = slot;
  const u64 wanted = group->started + 1;  // one that is under way may have begun before our change
  while (group->finished < wanted) {
    if (group->running) {
      co_await group->done.wait();
      continue;
    }
    Run run(group);
    const u64 mine = ++group->started;
    const auto synced = co_await env_.disk().sync_directory(path).result();
    group->finished = mine;
    if (!synced) {
      group->failed = mine;
      group->error = synced.error();
    }
  }
  if (group->failed >= wanted) co_return fail(group->error);
  co_return Result<void>();
}

}  // namespace claudefs::store::detail
