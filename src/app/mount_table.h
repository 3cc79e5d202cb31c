// What the kernel says is mounted where.
#pragma once

#include <optional>
#include <string>

namespace claudefs::app {
// A ClaudeFS is mounted at `path` (absolute), alive or dead.
bool is_claudefs_mount(const std::string& path);
struct MountedPath {
  std::string volume;
  std::string path;  // from its root
};
// Where an absolute path is in the ClaudeFS that is mounted there. Nothing: it is in none.
std::optional<MountedPath> path_in_mount(const std::string& path);
}  // namespace claudefs::app
