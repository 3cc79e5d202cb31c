#include "base/mutant.h"

#ifdef CLAUDEFS_MUTANTS

#include <algorithm>

namespace claudefs {
namespace {
std::vector<Mutant*>& registry() {
  static std::vector<Mutant*> mutants;
  return mutants;
}
}  // namespace

Mutant::Mutant(std::string_view name, std::string_view what) : name_(name), what_(what) {
  registry().push_back(this);
}

std::vector<Mutant*> Mutant::all() {
  std::vector<Mutant*> mutants = registry();
  std::ranges::sort(mutants, {}, &Mutant::name);
  return mutants;
}

bool Mutant::select(std::string_view name) {
  bool found = name.empty();
  for (Mutant* mutant : registry()) {
    mutant->on_ = mutant->name_ == name;
    found |= mutant->on_;
  }
  return found;
}
}  // namespace claudefs

#endif
