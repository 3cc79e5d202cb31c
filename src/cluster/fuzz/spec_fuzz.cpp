// Goal: no text in a cluster file does more than give an error, and what is accepted survives a round trip.
#include <cstdlib>
#include <string_view>

#include "cluster/spec.h"

extern "C" int LLVMFuzzerTestOneInput(const char* data, std::size_t size) {
  using namespace claudefs::cluster;
  const auto spec = parse_spec(std::string_view(data, size));
  if (!spec) return 0;
  const std::string text = format_spec(*spec);
  const auto again = parse_spec(text);
  if (!again || format_spec(*again) != text) std::abort();
  return 0;
}
