// Which groups a thread of this machine belongs to.
#pragma once

#include <vector>

#include "base/ids.h"

namespace claudefs::app {
// Supplementary groups as /proc has them; none when the thread is gone or hidden.
std::vector<u32> groups_of_thread(u32 pid);
}  // namespace claudefs::app
