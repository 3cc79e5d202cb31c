// What lies on a simulated disk at one moment: what was flushed, and what was not yet, change by change in
// the order in which it was issued. Cheap to take: files and pages are shared until they change.
//
//   DiskImage now = node.disk_image();
//   for (const auto& fates : ...) fresh_node.load_disk(now.after_power_loss(fates, tears));
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/random_stream.h"

namespace claudefs::sim {

class SimInode;

class DiskImage {
 public:
  // What becomes of a change that is not durable when power is lost. Torn: any of its 512-byte atoms; of a
  // resize and of a name the same as kept.
  enum class Fate : u8 { lost, kept, torn };

  // Changes that are not durable: writes, resizes; names created, renamed or removed.
  std::size_t unflushed() const { return orders().size(); }
  // What is left then, all of it durable. One fate a change, in the order of their issue. Of the names of one
  // directory those survive that were changed before the first that is lost. `tear` draws what is torn.
  DiskImage after_power_loss(const std::vector<Fate>& fates, u64 tear) const;
  // Of images that descend from one: equal when the same changes made them.
  u64 identity() const;

 private:
  friend class SimDisk;
  using Frozen = std::shared_ptr<const SimInode>;
  struct NameChange {
    u64 order = 0;
    std::string from, to;
    Frozen created;
  };
  std::vector<u64> orders() const;

  std::map<std::string, Frozen> names_;  // durable
  std::vector<NameChange> pending_;
  std::set<std::string> directories_;
};

}  // namespace claudefs::sim
