// Probes: counters in rare branches, so that a report can tell which of them no test has ever reached. In
// builds with CLAUDEFS_MUTANTS; every other build compiles them away.
//
//   CFS_PROBE(raft_vote_refused, "a vote is refused");   // in a function of any .cpp; names are unique
#pragma once

#ifdef CLAUDEFS_MUTANTS

#include <cstdint>
#include <string_view>
#include <vector>

namespace claudefs {
class Probe {
 public:
  Probe(std::string_view name, std::string_view what);
  void hit() { ++hits_; }
  std::uint64_t hits() const { return hits_; }
  std::string_view name() const { return name_; }
  std::string_view what() const { return what_; }
  static std::vector<Probe*> all();  // that are linked in, by name

 private:
  std::string_view name_, what_;
  std::uint64_t hits_ = 0;
};

namespace detail {
template <std::size_t N>
struct ProbeText {
  char text[N];
  consteval ProbeText(const char (&from)[N]) {
    for (std::size_t i = 0; i < N; ++i) text[i] = from[i];
  }
};
// Registered when the program starts, reached or not.
template <ProbeText Name, ProbeText What>
inline Probe probe{std::string_view(Name.text), std::string_view(What.text)};
}  // namespace detail
}  // namespace claudefs

#define CFS_PROBE(name, what) (::claudefs::detail::probe<#name, what>.hit())

#else

#define CFS_PROBE(name, what) static_cast<void>(0)

#endif
