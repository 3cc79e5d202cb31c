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

}  // namespace claudefs::app
