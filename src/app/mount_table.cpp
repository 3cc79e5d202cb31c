#include "app/mount_table.h"

#include <mntent.h>

#include <cstdio>
#include <string_view>

#include "app/text.h"

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

std::optional<MountedPath> path_in_mount(const std::string& path) {
  std::FILE* table = ::setmntent("/proc/self/mounts", "r");
  if (table == nullptr) return std::nullopt;
  std::string longest, source;
  bool ours = false;
  while (const mntent* entry = ::getmntent(table)) {
    const std::string mount = entry->mnt_dir;
    const bool above = mount == "/" || path == mount || path.starts_with(mount + "/");
    if (!above || mount.size() < longest.size()) continue;
    longest = mount;
    source = entry->mnt_fsname;
    ours = std::string_view(entry->mnt_type) == "fuse.claudefs";
  }
  ::endmntent(table);
  if (!ours) return std::nullopt;
  MountedPath out;
  if (const Result<MountSource> parts = parse_mount_source(source)) out.volume = parts->volume;
  out.path = path.substr(longest.size());
  if (out.path.empty()) out.path = "/";
  return out;
}

}  // namespace claudefs::app
