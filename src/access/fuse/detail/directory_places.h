// Under which name the kernel has each directory in its tree, as far as we told it or were told: it has one
// place for a directory, and cannot move it there itself while it renames (Session::unhook).
#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/ids.h"

namespace claudefs::access::fuse::detail {

struct Place {
  InodeId parent{};
  std::string name;
  auto operator<=>(const Place&) const = default;
};

class DirectoryPlaces {
 public:
  std::optional<Place> of(InodeId directory) const {
    const auto at = places_.find(directory);
    return at == places_.end() ? std::nullopt : std::optional(at->second);
  }
  void note(InodeId directory, const Place& place) {
    vacate(place);
    forget(directory);
    places_[directory] = place;
    directories_[place] = directory;
  }
  // There is no directory of that name, or another one.
  void vacate(const Place& place) {
    const auto at = directories_.find(place);
    if (at == directories_.end()) return;
    places_.erase(at->second);
    directories_.erase(at);
  }
  // The kernel has done it as well, whatever is of that name.
  void moved(const Place& from, const Place& to, bool exchanged) {
    const std::optional<InodeId> one = find(from), other = find(to);
    vacate(from);
    vacate(to);
    if (one) note(*one, to);
    if (other && exchanged) note(*other, from);
  }
  // The kernel does not hold it any more.
  void forget(InodeId directory) {
    const auto at = places_.find(directory);
    if (at == places_.end()) return;
    directories_.erase(at->second);
    places_.erase(at);
  }

 private:
  std::optional<InodeId> find(const Place& place) const {
    const auto at = directories_.find(place);
    return at == directories_.end() ? std::nullopt : std::optional(at->second);
  }
  std::map<InodeId, Place> places_;
  std::map<Place, InodeId> directories_;
};

}  // namespace claudefs::access::fuse::detail
