#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace claudefs {
void check_failed(std::string_view what, std::source_location where) {
  std::fprintf(stderr, "%s:%u: %s: check failed: %.*s\n", where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name(), static_cast<int>(what.size()),
               what.data());
  std::abort();
}
}  // namespace claudefs
