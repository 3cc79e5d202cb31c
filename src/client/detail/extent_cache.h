// What is known of one file's extents, as of one data version.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "meta/types.h"

namespace claudefs::client {

class ExtentCache {
 public:
  u64 version() const { return version_; }
  // Forgets everything; what comes next belongs to `version`.
  void reset(u64 version);
  // All extents that touch [offset, end) are these; extents may reach beyond the range.
  void learn(u64 offset, u64 end, std::vector<meta::Extent> extents);
  // The first byte of [offset, end) of which nothing is known.
  std::optional<u64> first_unknown(u64 offset, u64 end) const;
  // Those that touch the range, ascending.
  std::vector<meta::Extent> in(u64 offset, u64 end) const;
  std::size_t size() const { return extents_.size(); }

 private:
  u64 version_ = 0;
  std::map<u64, meta::Extent> extents_;  // by offset
  std::map<u64, u64> known_;             // ranges: begin -> end; never touching each other
};

}  // namespace claudefs::client
