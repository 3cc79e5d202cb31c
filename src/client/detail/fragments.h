// Where the entries of split directories are (docs/architecture/directories.md): hints. The servers say when
// one is wrong.
#pragma once

#include <map>
#include <string>

#include "meta/types.h"

namespace claudefs::client {

// Users see the sum of a split directory and its fragments, and the latest of their times.
void merge_fragment(meta::Inode& directory, const meta::Inode& fragment);

class Fragments {
 public:
  // What to ask for a name, or for the entries from a cookie on.
  InodeId place_of(InodeId directory, const std::string& name) const;
  InodeId place_at(InodeId directory, u64 cookie) const;
  bool is_split(InodeId directory) const { return known_.contains(directory); }
  // Empty: it is not split, as far as is known.
  const meta::FragmentMap& of(InodeId directory) const;
  void learn(InodeId directory, meta::FragmentMap map);

 private:
  std::map<InodeId, meta::FragmentMap> known_;
};

}  // namespace claudefs::client
