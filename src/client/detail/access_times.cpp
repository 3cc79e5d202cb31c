// Access times are a courtesy: kept here, shown here at once, told to the servers now and then.
#include "client/detail/state.h"

namespace claudefs::client {
namespace {
constexpr i64 kDay = 86'400;
constexpr std::size_t kReadsAtOnce = 1000;
}  // namespace

bool State::access_time_is_due(const Inode& given) const {
  if (options.access_times == AccessTimes::none) return false;
  if (options.access_times == AccessTimes::strict) return true;
  const Inode inode = with_access_time(given);
  return inode.accessed <= inode.modified || inode.accessed <= inode.changed ||
         time_now().seconds - inode.accessed.seconds >= kDay;
}

void State::note_accessed(const Inode& inode) {
  if (!access_time_is_due(inode)) return;
  meta::Time now = time_now();
  // Clocks of servers and clients differ a little: a read after a change must show as one.
  if (options.access_times == AccessTimes::relative) now = std::max({now, inode.modified, inode.changed});
  if (now == inode.modified || now == inode.changed)
    now.nanoseconds = std::min(now.nanoseconds + 1, 999'999'999u);
  accessed[inode.id] = now;
}

Inode State::with_access_time(Inode inode) const {
  if (const auto at = accessed.find(inode.id); at != accessed.end())
    inode.accessed = std::max(inode.accessed, at->second);
  return inode;
}

Task<void> State::tell_access_times() {
  while (!co_await stopping.wait_until(env.now() + options.access_times_after))
    co_await tell_access_times_now();
  co_await tell_access_times_now();
}

Task<void> State::tell_access_times_now() {
  std::map<ShardId, meta::NoteAccessed> told;
  for (const auto& [inode, at] : accessed) told[inode.shard()].reads.push_back({inode, at});
  for (auto& [shard, op] : told) {
    for (std::size_t from = 0; from < op.reads.size(); from += kReadsAtOnce) {
      meta::NoteAccessed part;
      const std::size_t to = std::min(op.reads.size(), from + kReadsAtOnce);
      part.reads.assign(op.reads.begin() + static_cast<std::ptrdiff_t>(from),
                        op.reads.begin() + static_cast<std::ptrdiff_t>(to));
      const std::vector<meta::NoteAccessed::Read> reads = part.reads;
      const Result<meta::Nothing> done = co_await command(shard, std::move(part)).result();
      if (!done) continue;
      for (const meta::NoteAccessed::Read& read : reads) {
        if (FilePtr file = find_file(read.inode))
          file->attributes.accessed = std::max(file->attributes.accessed, read.at);
        if (const auto at = accessed.find(read.inode); at != accessed.end() && at->second == read.at)
          accessed.erase(at);
      }
    }
  }
}

}  // namespace claudefs::client
