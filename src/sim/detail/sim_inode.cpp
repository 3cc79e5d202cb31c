#include "sim/detail/sim_inode.h"

#include <algorithm>

namespace claudefs::sim {

void SimInode::apply(SparseBytes& to, const Change& change) {
  if (change.is_resize)
    to.resize(change.offset);
  else
    to.write(change.offset, change.bytes);
}

void SimInode::apply_torn(SparseBytes& to, const Change& change, RandomStream& stream) {
  constexpr u64 kAtom = 512;
  if (change.is_resize) {
    if (stream.coin()) apply(to, change);
    return;
  }
  for (u64 done = 0; done < change.bytes.size();) {
    const u64 at = change.offset + done;
    const u64 count = std::min<u64>(change.bytes.size() - done, kAtom - at % kAtom);
    if (stream.coin()) to.write(at, change.bytes.slice(done, count));
    done += count;
  }
}

void SimInode::write(u64 offset, Buffer bytes) {
  pending_.push_back({++serial_, false, offset, std::move(bytes)});
  apply(current_, pending_.back());
}
void SimInode::resize(u64 size) {
  pending_.push_back({++serial_, true, size, {}});
  apply(current_, pending_.back());
}

void SimInode::flip(u64 offset, unsigned bit) {
  current_.flip(offset, bit);
  if (offset < durable_.size()) durable_.flip(offset, bit);
}

void SimInode::flush(u64 up_to) {
  auto change = pending_.begin();
  for (; change != pending_.end() && change->serial <= up_to; ++change) apply(durable_, *change);
  pending_.erase(pending_.begin(), change);
}

void SimInode::fail_flush(u64 up_to, RandomStream& stream) {
  auto change = pending_.begin();
  for (; change != pending_.end() && change->serial <= up_to; ++change) {
    const u64 fate = stream.between(0, 2);
    if (fate == 0) apply(durable_, *change);
    if (fate == 1) apply_torn(durable_, *change, stream);
  }
  pending_.erase(pending_.begin(), change);
}

void SimInode::crash(const FaultOptions& faults, RandomStream& stream) {
  for (const Change& change : pending_) {
    if (stream.chance(faults.crash_loses_write)) continue;
    if (stream.chance(faults.crash_tears_write))
      apply_torn(durable_, change, stream);
    else
      apply(durable_, change);
  }
  pending_.clear();
  current_ = durable_;
}

}  // namespace claudefs::sim
