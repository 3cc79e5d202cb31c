#include "sim/disk_image.h"

#include <algorithm>
#include <string_view>

#include "base/check.h"
#include "sim/detail/sim_disk.h"

namespace claudefs::sim {

std::vector<u64> DiskImage::orders() const {
  std::vector<u64> out;
  std::set<const SimInode*> seen;
  const auto add = [&](const Frozen& inode) {
    if (inode != nullptr && seen.insert(inode.get()).second) inode->list_unflushed(out);
  };
  for (const auto& [name, inode] : names_) add(inode);
  for (const NameChange& change : pending_) {
    add(change.created);
    out.push_back(change.order);
  }
  std::sort(out.begin(), out.end());
  return out;
}

DiskImage DiskImage::after_power_loss(const std::vector<Fate>& fates, u64 tear) const {
  const std::vector<u64> all = orders();
  CFS_CHECK(fates.size() == all.size());
  const auto fate_of = [&](u64 order) -> u64 {
    const auto at = std::lower_bound(all.begin(), all.end(), order) - all.begin();
    const Fate fate = fates[static_cast<std::size_t>(at)];
    return fate == Fate::lost ? 0 : fate == Fate::kept ? 1 : mix(tear ^ order) | 2;
  };
  std::map<const SimInode*, Frozen> done;  // an inode stays one
  const auto settled = [&](const Frozen& inode) {
    if (inode == nullptr || inode->is_durable()) return inode;
    Frozen& at = done[inode.get()];
    if (at == nullptr) at = std::make_shared<const SimInode>(inode->after_power_loss(fate_of));
    return at;
  };
  DiskImage out;
  out.directories_ = directories_;
  for (const auto& [name, inode] : names_) out.names_[name] = settled(inode);
  std::set<std::string> cut;
  for (const NameChange& change : pending_) {
    const std::set<std::string> touched = SimDisk::directories_of(change.from, change.to);
    const bool after_cut = std::ranges::any_of(touched, [&](const auto& name) { return cut.contains(name); });
    if (after_cut || fate_of(change.order) == 0)
      cut.insert(touched.begin(), touched.end());
    else
      SimDisk::apply(out.names_, change.from, change.to, settled(change.created));
  }
  return out;
}

u64 DiskImage::identity() const {
  u64 sum = directories_.size();
  for (const auto& [name, inode] : names_)
    sum += mix(mix(std::hash<std::string_view>()(name)) ^ inode->identity());
  return sum;
}

}  // namespace claudefs::sim
