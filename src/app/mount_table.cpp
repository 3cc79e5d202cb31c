#include "app/mount_table.h"

#include <mntent.h>

#include <cstdio>
#include <string_view>

namespace claudefs::app {

bool is_claudefs_mount(const std::string& path) {
  std::FILE* table = ::setmntent("/proc/self/mounts", "r");
  if (table == nullptr) return false;
  bool found = false;
  while (const mntent* entry = ::getmntent(table))
    if (path == entry->mnt_dir) found = std::string_view(entry->mnt_type) == "fuse.claudefs";
  ::endmntent(table);
  return found;
}

std::optional<std::string> path_in_mount(const std::string& path) {
  std::FILE* table = ::setmntent("/proc/self/mounts", "r");
  if (table == nullptr) return std::nullopt;
  std::string longest;
  bool ours = false;
  while (const mntent* entry = ::getmntent(table)) {
    const std::string mount = entry->mnt_dir;
    const bool above = mount == "/" || path == mount || path.starts_with(mount + "/");
    if (!above || mount.size() < longest.size()) continue;
    longest = mount;
    ours = std::string_view(entry->mnt_type) == "fuse.claudefs";
  }
  ::endmntent(table);
  if (!ours) return std::nullopt;
  const std::string below = path.substr(longest.size());
  return below.empty() ? "/" : below;
}

}  // namespace claudefs::app
