#include "client/detail/fragments.h"

#include <algorithm>

#include "base/probe.h"
#include "client/detail/state.h"
#include "meta/names.h"

namespace claudefs::client {

using namespace std::chrono_literals;

namespace {
constexpr std::size_t kDirectoriesMost = 4096;
constexpr int kLooksMost = 24;  // against a directory that is split and merged all the time
}  // namespace

void merge_fragment(meta::Inode& directory, const meta::Inode& fragment) {
  directory.size += fragment.size;
  directory.nlink += fragment.nlink - 2;
  directory.modified = std::max(directory.modified, fragment.modified);
  directory.changed = std::max(directory.changed, fragment.changed);
}

InodeId Fragments::place_at(InodeId directory, u64 cookie) const {
  const auto known = known_.find(directory);
  if (known == known_.end()) return directory;
  const auto behind = std::ranges::upper_bound(known->second, cookie, {}, &meta::Fragment::first);
  return behind == known->second.begin() ? directory : (behind - 1)->inode;
}

InodeId Fragments::place_of(InodeId directory, const std::string& name) const {
  if (known_.empty()) return directory;
  return place_at(directory, meta::cookie_of(name));
}

const meta::FragmentMap& Fragments::of(InodeId directory) const {
  static const meta::FragmentMap kNone;
  const auto known = known_.find(directory);
  return known == known_.end() ? kNone : known->second;
}

void Fragments::learn(InodeId directory, meta::FragmentMap map) {
  if (map.empty()) {
    known_.erase(directory);
    return;
  }
  if (known_.size() >= kDirectoriesMost && !known_.contains(directory)) known_.erase(known_.begin());
  known_[directory] = std::move(map);
}

Task<Result<void>> State::learn_fragments(InodeId directory) {
  const u64 started = clock();
  meta::ReadFragments::Reply reply = co_await ask(directory.shard(), meta::ReadFragments(directory));
  if (leases) leases->learn_attributes(started, reply.inode);
  if (leases) leases->learn_fragments(started, directory, reply.fragments);
  fragments.learn(directory, std::move(reply.fragments));
  co_return Result<void>();
}

Task<Result<bool>> State::look_again(Error error, int attempt, Asked one, Asked other) {
  const bool is_of_fragment = one.place != one.directory || other.place != other.directory;
  const bool gone = error.code == Errc::stale && is_of_fragment;
  if (attempt >= kLooksMost || (error.code != Errc::moved && !gone)) co_return false;
  CFS_PROBE(client_name_moved, "a name is looked for where it is not any more");
  if (attempt > 2) co_await env.executor().sleep(attempt * 2ms);
  bool differs = false;
  for (const Asked* asked : {&one, &other}) {
    if (asked->directory == InodeId{}) continue;
    co_await learn_fragments(asked->directory);
    differs = differs || fragments.place_at(asked->directory, asked->cookie) != asked->place;
  }
  // What is gone, and not because its fragment is, will not come back.
  co_return differs || error.code == Errc::moved;
}

State::Asked State::aim(InodeId directory, const std::string& name) const {
  return {directory, fragments.place_of(directory, name), name.empty() ? 0 : meta::cookie_of(name)};
}

OwnChanges::OwnChanges(State& state, InodeId directory) {
  if (!state.leases) return;
  changes_.emplace_back(state.own(), directory);
  for (const meta::Fragment& fragment : state.fragments.of(directory))
    changes_.emplace_back(state.own(), fragment.inode);
}

}  // namespace claudefs::client
