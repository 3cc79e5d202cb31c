#include "base/mutant.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_forgets_trashed_bytes,
                  "client: what was not written yet when a file went to the trash is dropped at its close");
namespace {
constexpr std::size_t kNamesMax = 8192;
}  // namespace

void State::remember_name(InodeId parent, const std::string& name, InodeId inode) {
  std::pair<InodeId, std::string> key(parent, name);
  auto [at, is_new] = names.insert_or_assign(key, inode);
  if (!is_new) return;
  names_order.push_back(std::move(key));
  if (names_order.size() <= kNamesMax) return;
  names.erase(names_order.front());
  names_order.pop_front();
}

void State::forget_name(InodeId parent, const std::string& name) {
  // Its place in the order stays and ages out: erasing an absent key is harmless.
  names.erase({parent, name});
}

Task<SessionId> State::holder_of(InodeId parent, std::string name) {
  if (handles.empty()) co_return SessionId{};
  InodeId inode{};
  if (auto at = names.find({parent, name}); at != names.end()) {
    inode = at->second;
  } else {
    meta::Lookup lookup;
    lookup.parent = parent;
    lookup.name = name;
    const auto found = co_await ask_name(std::move(lookup), &meta::Lookup::parent, std::move(name)).result();
    if (!found || !found->reply) co_return SessionId{};
    inode = found->reply->inode.id;
  }
  const FilePtr file = find_file(inode);
  co_return file != nullptr && file->handles != 0 ? session : SessionId{};
}

void State::note_nlink(InodeId inode, u32 nlink, bool in_trash) {
  const FilePtr file = find_file(inode);
  if (file == nullptr) return;
  file->attributes.nlink = nlink;
  file->unlinked = nlink == 0;
  file->in_trash = in_trash && !CFS_MUTANT(client_forgets_trashed_bytes);
  drop_if_idle(file);
}

// Until the kernel forgets it. Where there is no kernel nobody does: the number of them has a limit.
void State::note_removed_directory(const Inode& inode) {
  constexpr std::size_t kMost = 65536;
  if (inode.type != FileType::directory) return;
  if (removed_directories.size() >= kMost) removed_directories.erase(removed_directories.begin());
  removed_directories[inode.id] = inode;
}

}  // namespace claudefs::client
