#include <algorithm>

#include "client/detail/state.h"

namespace claudefs::client {

namespace {

constexpr u64 kNoCookie = u64{1} << 63;  // all are below it

// What is behind `after`, in the first range of the directory that has something there.
Task<Result<meta::ReadDirectoryReply>> ask_page(State& state, meta::ReadDirectory read, u64* from) {
  const InodeId directory = read.directory;
  read.after_cookie = *from - 1;
  for (int attempt = 1;; ++attempt) {
    const State::Asked asked{directory, state.fragments.place_at(directory, *from), *from};
    read.directory = asked.place;
    Result<meta::ReadDirectoryReply> reply = co_await state.ask(asked.place.shard(), read).result();
    if (!reply) {
      const bool again = co_await state.look_again(reply.error(), attempt, asked);
      if (!again) co_return fail(std::move(reply.error()));
      continue;
    }
    if (!reply->entries.empty() || !reply->end || reply->range_end == 0) co_return reply;
    attempt = 0;
    read.opener.reset();
    *from = reply->range_end;
    read.after_cookie = *from - 1;
  }
}

// ".." of a fragment is not what its shard knows.
Task<Result<InodeId>> parent_of(State& state, InodeId directory) {
  const meta::InodeReply reply = co_await state.ask(directory.shard(), meta::GetAttributes(directory));
  const InodeId parent = reply.inode.parent;
  co_return parent == InodeId{} ? directory : parent;
}

// Fills the handle's page with what follows `after`.
Task<Result<void>> fetch_page(State& state, HandleId handle, u64 after, bool with_attributes) {
  meta::ReadDirectory read;
  u64 from = after + 1;
  {
    const DirectoryHandle& directory = state.directories.at(handle);
    read.directory = directory.inode;
    read.with_inodes = with_attributes;
    read.opener = directory.opener;
    // Behind the end of a range.
    if (directory.page_valid && !directory.page.empty() && directory.page.back().cookie == after)
      from = std::max(from, directory.page_to);
  }
  const InodeId inode = read.directory;
  const u64 started = state.clock();
  meta::ReadDirectoryReply reply = co_await ask_page(state, std::move(read), &from);
  if (reply.parent == InodeId{}) reply.parent = co_await parent_of(state, inode);
  auto found = state.directories.find(handle);
  if (found == state.directories.end()) co_return fail(Errc::stale, "the directory handle was released");
  DirectoryHandle& directory = found->second;
  directory.opener.reset();
  directory.page.clear();
  directory.page_after = after;
  directory.page_valid = true;
  directory.page_has_attributes = with_attributes;
  directory.page_is_last = reply.end && reply.range_end == 0;
  directory.page_from = from;
  directory.page_to = reply.range_end != 0 ? reply.range_end : kNoCookie;
  if (!reply.end) directory.page_to = reply.entries.back().cookie + 1;
  directory.parent = reply.parent;
  for (meta::ReadDirectoryReply::Entry& entry : reply.entries) {
    DirectoryEntry out;
    out.inode = entry.dentry.inode;
    out.type = entry.dentry.type;
    out.cookie = entry.cookie;
    if (entry.inode && !is_split(*entry.inode) && !state.asked_since(out.inode, started))
      out.attributes = state.learn(started, *entry.inode);
    out.name = std::move(entry.dentry.name);
    directory.page.push_back(std::move(out));
  }
  co_return Result<void>();
}

// The entries of the page that follow `after`, when the page has them.
std::optional<std::vector<DirectoryEntry>> rest_of(const DirectoryHandle& directory, u64 after,
                                                   bool with_attributes) {
  if (!directory.page_valid || (with_attributes && !directory.page_has_attributes)) return std::nullopt;
  auto from = directory.page.begin();
  if (after != directory.page_after) {
    while (from != directory.page.end() && from->cookie != after) ++from;
    if (from == directory.page.end()) return std::nullopt;
    ++from;
  }
  if (from == directory.page.end() && !directory.page_is_last) return std::nullopt;
  return std::vector<DirectoryEntry>(from, directory.page.end());
}

// They were read with an earlier part of the page: others may have changed them.
void refresh(State& state, std::vector<DirectoryEntry>& entries) {
  if (!state.leases) return;
  for (DirectoryEntry& entry : entries) {
    const Inode* known = state.leases->attributes(entry.inode);
    entry.attributes = known == nullptr ? std::nullopt : std::optional(state.present(*known));
  }
}

}  // namespace

Task<Result<HandleId>> FileSystem::open_directory(InodeId directory, Caller caller) {
  const HandleId handle{++state_->last_handle};
  DirectoryHandle opened;
  opened.inode = directory;
  opened.opener = state_->known_as(std::move(caller));
  state_->directories.emplace(handle, std::move(opened));
  co_return handle;
}

Task<Result<DirectoryPage>> FileSystem::read_directory(HandleId handle, u64 after_cookie,
                                                       bool with_attributes) {
  State& state = *state_;
  if (!state.directories.contains(handle)) co_return fail(Errc::stale, "unknown directory handle");
  // From the start again (rewinddir) means afresh.
  std::optional<std::vector<DirectoryEntry>> entries;
  if (after_cookie != 0) {
    entries = rest_of(state.directories.at(handle), after_cookie, with_attributes);
    if (entries && with_attributes) refresh(state, *entries);
  }
  if (!entries) {
    co_await fetch_page(state, handle, after_cookie, with_attributes);
    entries = state.directories.at(handle).page;
  }
  DirectoryPage page;
  page.entries = std::move(*entries);
  const DirectoryHandle& directory = state.directories.at(handle);
  page.parent = directory.parent;
  page.covers_from = std::max(after_cookie + 1, directory.page_from);
  page.covers_to = directory.page_to;
  co_return page;
}

void FileSystem::release_directory(HandleId handle) { state_->directories.erase(handle); }

}  // namespace claudefs::client
