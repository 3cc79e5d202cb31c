#include "app/process_groups.h"

#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include <fmt/format.h>

namespace claudefs::app {

std::vector<u32> groups_of_thread(u32 pid) {
  const int file = ::open(fmt::format("/proc/{}/status", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  std::string text;
  char block[4096];
  for (ssize_t got; (got = ::read(file, block, sizeof(block))) > 0;)
    text.append(block, static_cast<std::size_t>(got));
  ::close(file);
  const std::size_t line = text.find("\nGroups:");
  if (line == std::string::npos) return {};
  std::vector<u32> groups;
  const char* at = text.data() + line + 8;
  const char* const end = text.data() + std::min(text.find('\n', line + 1), text.size());
  while (at < end) {
    u32 group = 0;
    const auto [next, error] = std::from_chars(at, end, group);
    if (error == std::errc()) groups.push_back(group);
    at = next == at ? at + 1 : next;
  }
  return groups;
}

}  // namespace claudefs::app
