#include "sim/detail/sim_inode.h"

#include <algorithm>

namespace claudefs::sim {

namespace {
constexpr u64 kAtom = 512;
}  // namespace

void SimInode::apply(SparseBytes& to, const Change& change) {
  if (change.is_resize)
    to.resize(change.offset);
  else
    to.write(change.offset, change.bytes);
}

void SimInode::apply_torn(SparseBytes& to, const Change& change, const AtomFate& kept) {
  if (change.is_resize) {
    if (kept(0)) apply(to, change);
    return;
  }
  for (u64 done = 0; done < change.bytes.size();) {
    const u64 at = change.offset + done;
    const u64 count = std::min<u64>(change.bytes.size() - done, kAtom - at % kAtom);
    if (kept(at / kAtom)) to.write(at, change.bytes.slice(done, count));
    done += count;
  }
}

void SimInode::write(u64 order, u64 offset, Buffer bytes) {
  latest_ = order;
  frozen_.reset();
  pending_.push_back({order, false, offset, std::move(bytes)});
  apply(current_, pending_.back());
}
void SimInode::resize(u64 order, u64 size) {
  latest_ = order;
  frozen_.reset();
  pending_.push_back({order, true, size, {}});
  apply(current_, pending_.back());
}

void SimInode::flip(u64 offset, unsigned bit) {
  frozen_.reset();
  made_of_ += mix(offset * 8 + bit);
  current_.flip(offset, bit);
  if (offset < durable_.size()) durable_.flip(offset, bit);
}

void SimInode::make_durable(const Change& change) {
  apply(durable_, change);
  made_of_ += mix(change.order ^ mix(change.offset));
}

void SimInode::flush(u64 up_to) {
  frozen_.reset();
  auto change = pending_.begin();
  for (; change != pending_.end() && change->order <= up_to; ++change) make_durable(*change);
  pending_.erase(pending_.begin(), change);
}

void SimInode::fail_flush(u64 up_to, RandomStream& stream) {
  frozen_.reset();
  auto change = pending_.begin();
  for (; change != pending_.end() && change->order <= up_to; ++change) {
    const u64 fate = stream.between(0, 2);
    if (fate == 0) make_durable(*change);
    if (fate == 1) apply_torn(durable_, *change, [&](u64) { return stream.coin(); });
  }
  pending_.erase(pending_.begin(), change);
}

void SimInode::crash(const FaultOptions& faults, RandomStream& stream) {
  frozen_.reset();
  for (const Change& change : pending_) {
    if (stream.chance(faults.crash_loses_write)) continue;
    if (stream.chance(faults.crash_tears_write))
      apply_torn(durable_, change, [&](u64) { return stream.coin(); });
    else
      make_durable(change);
  }
  pending_.clear();
  current_ = durable_;
}

std::shared_ptr<const SimInode> SimInode::frozen() const {
  if (frozen_ == nullptr) frozen_ = std::make_shared<const SimInode>(*this);
  return frozen_;
}

void SimInode::list_unflushed(std::vector<u64>& orders) const {
  for (const Change& change : pending_)
    if (orders.empty() || orders.back() != change.order) orders.push_back(change.order);
}

SimInode SimInode::after_power_loss(const FateOf& fate) const {
  SimInode out = *this;
  out.frozen_.reset();
  out.pending_.clear();
  for (const Change& change : pending_) {
    const u64 drawn = fate(change.order);
    if (drawn == 1) out.make_durable(change);
    if (drawn <= 1) continue;
    apply_torn(out.durable_, change, [&](u64 atom) { return (mix(drawn ^ mix(atom)) & 1) != 0; });
    out.made_of_ += mix(change.order ^ mix(drawn));
  }
  out.current_ = out.durable_;
  return out;
}

}  // namespace claudefs::sim
