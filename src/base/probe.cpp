#include "base/probe.h"

#ifdef CLAUDEFS_MUTANTS

#include <algorithm>

namespace claudefs {
namespace {
std::vector<Probe*>& registry() {
  static std::vector<Probe*> probes;
  return probes;
}
}  // namespace

Probe::Probe(std::string_view name, std::string_view what) : name_(name), what_(what) {
  registry().push_back(this);
}

std::vector<Probe*> Probe::all() {
  std::vector<Probe*> probes = registry();
  std::ranges::sort(probes, {}, &Probe::name);
  return probes;
}
}  // namespace claudefs

#endif
