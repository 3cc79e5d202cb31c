// What the kernel says is mounted where.
#pragma once

#include <string>

namespace claudefs::app {
// A ClaudeFS is mounted at `path` (absolute), alive or dead.
bool is_claudefs_mount(const std::string& path);
}  // namespace claudefs::app
