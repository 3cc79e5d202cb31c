// Sizes, durations and tables as people write and read them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace claudefs::app {

// "10GiB", "10G" (both 2^30), "1.5T", "4096". Errors: invalid_argument, naming the text and the form.
Result<u64> parse_size(std::string_view text);
std::string format_size(u64 bytes);          // "1.50 GiB"
std::string format_rate(double per_second);  // "12,345"
// Columns aligned; the first row is the heading.
std::string format_table(const std::vector<std::vector<std::string>>& rows);
// HOST:PORT[/VOLUME]
struct MountSource {
  std::string address;
  std::string volume = "default";
};
Result<MountSource> parse_mount_source(std::string_view text);
std::string absolute_path(const std::string& path);

}  // namespace claudefs::app
