// Probes: counters in rare branches, so that a report can tell which of them no test has ever reached. In
// builds with CLAUDEFS_MUTANTS; every other build compiles them away.
//
//   CFS_PROBE(raft_vote_refused);   // in a function of any .cpp; names are unique
#pragma once

#ifdef CLAUDEFS_MUTANTS

#include <cstdint>
#include <string_view>
#include <vector>

namespace claudefs {
class Probe {
 public:
  explicit Probe(std::string_view name);
  void hit() { ++hits_; }
  std::uint64_t hits() const { return hits_; }
  std::string_view name() const { return name_; }
  static std::vector<Probe*> all();  // that are linked in, by name

 private:
  std::string_view name_;
  std::uint64_t hits_ = 0;
};

namespace detail {
template <std::size_t N>
struct ProbeName {
  char text[N];
  consteval ProbeName(const char (&name)[N]) {
    for (std::size_t i = 0; i < N; ++i) text[i] = name[i];
  }
};
// Registered when the program starts, reached or not.
template <ProbeName Name>
inline Probe probe{std::string_view(Name.text)};
}  // namespace detail
}  // namespace claudefs

#define CFS_PROBE(name) (::claudefs::detail::probe<#name>.hit())

#else

#define CFS_PROBE(name) static_cast<void>(0)

#endif
