// Seeded mutants: bugs planted on purpose, to prove that the tests would notice them. A build with
// CLAUDEFS_MUTANTS (the `sim` preset) can switch one on by its name; every other build compiles them away.
//
//   CFS_DEFINE_MUTANT(log_skips_flush, "store: the log answers before its flush");   // at namespace scope of
//   a .cpp if (!CFS_MUTANT(log_skips_flush)) co_await file.flush();                         // where the bug
//   would be
//
// Used in any module's .cpp files. Switched by the simulator and by tests only, before the code runs, on one
// thread.
#pragma once

#ifdef CLAUDEFS_MUTANTS

#include <string_view>
#include <vector>

namespace claudefs {
class Mutant {
 public:
  Mutant(std::string_view name, std::string_view what);
  bool on() const { return on_; }
  std::string_view name() const { return name_; }
  std::string_view what() const { return what_; }

  // All that are linked in, by name.
  static std::vector<Mutant*> all();
  // Switches every mutant off, then the named one on; false where there is none of that name. An empty name:
  // all off.
  static bool select(std::string_view name);

 private:
  std::string_view name_, what_;
  bool on_ = false;
};
}  // namespace claudefs

#define CFS_DEFINE_MUTANT(name, what)                               \
  namespace {                                                       \
  const ::claudefs::Mutant& mutant_##name() {                       \
    static ::claudefs::Mutant mutant(#name, what);                  \
    return mutant;                                                  \
  }                                                                 \
  [[maybe_unused]] const auto& registered_##name = mutant_##name(); \
  }                                                                 \
  static_assert(true)
#define CFS_MUTANT(name) (mutant_##name().on())

#else

#define CFS_DEFINE_MUTANT(name, what) static_assert(true)
#define CFS_MUTANT(name) false

#endif
