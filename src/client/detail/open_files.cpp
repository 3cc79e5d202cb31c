#include <algorithm>
#include <set>

#include "base/mutant.h"
#include "client/detail/state.h"
#include "meta/squash.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_keeps_stale_extents, "client: a client reads by the extents of an older version");
CFS_DEFINE_MUTANT(client_shows_ended_session,
                  "client: bytes of a session that has ended are shown and committed under the next one");
CFS_DEFINE_MUTANT(open_file_not_told, "client: a lease is given back without a word that the file is open");

FilePtr State::find_file(InodeId inode) const {
  auto at = files.find(inode);
  return at == files.end() ? nullptr : at->second;
}

HandleId State::add_handle(const Inode& inode, OpenFlags flags) {
  FilePtr& file = files[inode.id];
  if (file == nullptr)
    file = std::make_shared<OpenFile>(env.executor(), inode);
  else
    note(*file, inode);
  ++file->handles;
  const HandleId handle{++last_handle};
  handles.emplace(handle, Handle{file, flags, file->failures});
  return handle;
}

Result<Handle*> State::find_handle(HandleId handle) {
  auto at = handles.find(handle);
  if (at == handles.end()) return fail(Errc::stale, "unknown file handle");
  return &at->second;
}

Result<Handle*> State::find_usable_handle(HandleId handle) {
  TRY_ASSIGN(Handle* const found, find_handle(handle));
  if (found->locks_lost)
    return fail(Errc::io_error, "the locks taken through this handle went with the session; close it");
  return found;
}

Result<FilePtr> State::file_of(HandleId handle) {
  TRY_ASSIGN(Handle* const found, find_handle(handle));
  return found->file;
}

void State::drop_if_idle(const FilePtr& file) {
  if (file->handles != 0 || find_file(file->id()) != file) return;
  if (file->is_lost_at_close(!leases)) {
    file->dirty.clear();
    file->attribute_changes.clear();
    recount(*file);
  }
  if (!file->is_dirty()) files.erase(file->id());
}

void State::note(OpenFile& file, const Inode& inode) {
  // Answers may overtake each other: an older one changes nothing.
  if (inode.data_version < file.attributes.data_version) return;
  if (inode.data_version == file.attributes.data_version && inode.changed < file.attributes.changed) return;
  file.attributes = inode;
  if (file.extents.version() < inode.data_version && !CFS_MUTANT(client_keeps_stale_extents))
    file.extents.reset(inode.data_version);
}

void State::note_own_change(const Inode& inode, u64 before) {
  if (FilePtr file = find_file(inode.id)) note(*file, inode);
  if (leases) leases->now_is(inode);
  // One step further than we knew: nobody wrote in between, and the kernel's pages show what we wrote.
  auto seen = seen_versions.find(inode.id);
  if (seen == seen_versions.end()) return;
  if (seen->second == before && inode.data_version <= before + 1)
    seen->second = inode.data_version;
  else
    seen_versions.erase(seen);
}

bool State::shows_flushing(const OpenFile& file) const {
  return file.flushing_session == session || CFS_MUTANT(client_shows_ended_session);
}

Inode State::visible(const OpenFile& file) const {
  Inode out = with_access_time(file.attributes);
  const bool flushing = !file.flushing.empty() && shows_flushing(file);
  if (flushing || !file.dirty.empty()) {
    out.size = std::max({out.size, file.dirty.end(), flushing ? file.flushing.end() : 0});
    const u64 not_committed = file.dirty.bytes() + (flushing ? file.flushing.bytes() : 0);
    out.allocated_bytes = std::min(out.size, out.allocated_bytes + not_committed);
    out.modified = std::max(out.modified, file.written_at);
    out.changed = std::max(out.changed, file.written_at);
  }
  for (const meta::SetAttributes& change : file.attribute_changes) {
    if (change.mode) out.mode = *change.mode & 07777;
    if (change.uid) out.uid = *change.uid;
    if (change.gid) out.gid = *change.gid;
    if (change.accessed) out.accessed = *change.accessed;
    if (change.modified) out.modified = *change.modified;
  }
  if (!file.attribute_changes.empty()) out.changed = std::max(out.changed, file.attributes_changed_at);
  return out;
}

Inode State::present(const Inode& inode) {
  const FilePtr file = find_file(inode.id);
  if (file == nullptr) return with_access_time(inode);
  note(*file, inode);
  return visible(*file);
}

// As long as the kernel believes the attributes it has been told.
void State::note_no_capability(OpenFile& file) {
  file.no_capability_until = env.now() + runtime::Duration(1'000'000'000);
}

void State::recount(OpenFile& file) {
  const u64 now = file.dirty.bytes() + file.flushing.bytes();
  dirty_total += now - file.counted_dirty;
  const bool less = now < file.counted_dirty;
  file.counted_dirty = now;
  if (less) room.notify_all();
}

Caller State::known_as(Caller caller) const {
  if (options.squash_root) meta::squash(caller);
  return caller;
}

meta::Time State::time_now() const {
  const auto ns = env.executor().wall_now().ns;
  return {ns / 1'000'000'000, static_cast<u32>(ns % 1'000'000'000)};
}

std::set<ShardId> State::shards_of_open_files() const {
  std::set<ShardId> shards;
  for (const auto& [inode, file] : files)
    if (file->handles != 0) shards.insert(inode.shard());
  return shards;
}

Task<void> State::hold_open_in(ShardId shard) {
  meta::HoldOpen hold;
  hold.session = session;
  for (const auto& [inode, file] : files)
    if (inode.shard() == shard && file->handles != 0) hold.inodes.push_back(inode);
  const meta::HoldOpen told = hold;
  // If it fails: it is sent again long before the shard would forget.
  const Result<meta::Nothing> done = co_await ask(shard, std::move(hold)).result();
  if (!done || told.session != session) co_return;
  for (const InodeId inode : told.inodes)
    if (const FilePtr file = find_file(inode)) file->told_open = file->handles != 0;
}

Task<void> State::hold_open() {
  std::set<ShardId> before;
  while (!co_await stopping.wait_until(env.now() + options.hold_interval)) {
    std::set<ShardId> now = shards_of_open_files();
    // A shard that had some gets one empty list.
    before.insert(now.begin(), now.end());
    std::vector<Task<void>> sends;
    for (const ShardId shard : before) sends.push_back(hold_open_in(shard));
    for (Task<void>& send : sends) scope.spawn(std::move(send));
    before = std::move(now);
  }
}

Task<void> State::tell_open(InodeId inode) {
  const FilePtr file = find_file(inode);
  if (!leases || file == nullptr || file->handles == 0 || file->told_open) co_return;
  // What has no name any more goes without a recall.
  if (leases->is_granted(inode) && file->attributes.nlink != 0) co_return;
  if (!CFS_MUTANT(open_file_not_told)) co_await hold_open_in(inode.shard());
}

}  // namespace claudefs::client
