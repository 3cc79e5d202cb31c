// Assertions for our own bugs. They stay on in release: a broken invariant must not reach a disk.
// Never use them on anything a disk, peer, client or operator can cause: that is a Result.
#pragma once

#include <source_location>
#include <string_view>

namespace claudefs {
// Prints where and why to standard error, then aborts.
[[noreturn]] void check_failed(std::string_view what,
                               std::source_location where = std::source_location::current());
}  // namespace claudefs

#define CFS_CHECK(condition)                \
  do {                                      \
    if (!(condition)) [[unlikely]]          \
      ::claudefs::check_failed(#condition); \
  } while (0)
