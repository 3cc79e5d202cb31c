// A simulated file, apart from its name: what readers see, what the platters hold, and the writes between.
#pragma once

#include <memory>
#include <vector>

#include <functional>

#include "sim/detail/sparse_bytes.h"
#include "sim/faults.h"
#include "sim/random_stream.h"

namespace claudefs::sim {

class SimInode {
 public:
  const SparseBytes& content() const { return current_; }
  const SparseBytes& durable() const { return durable_; }
  // `order` rises over all changes of a disk; the pieces of one write share it.
  void write(u64 order, u64 offset, Buffer bytes);
  void resize(u64 order, u64 size);
  // At rest: in what is durable as well.
  void flip(u64 offset, unsigned bit);
  // The order of the latest change; a flush makes everything up to it durable.
  u64 latest() const { return latest_; }
  void flush(u64 up_to);
  // Of what was to become durable, each write reached the platter, in part, or never will; readers
  // still see all of it, until a crash.
  void fail_flush(u64 up_to, RandomStream& stream);
  void crash(const FaultOptions& faults, RandomStream& stream);

  // For images of the disk (sim/disk_image.h). A copy that nobody changes, the same one until this changes.
  std::shared_ptr<const SimInode> frozen() const;
  void list_unflushed(std::vector<u64>& orders) const;
  // Durable are those changes of which `fate` says so; zero: none of it; one: all; more: drawn atoms.
  using FateOf = std::function<u64(u64 order)>;
  SimInode after_power_loss(const FateOf& fate) const;
  bool is_durable() const { return pending_.empty(); }
  u64 identity() const { return made_of_; }

 private:
  struct Change {
    u64 order;
    bool is_resize;
    u64 offset;  // or the size
    Buffer bytes;
  };
  static void apply(SparseBytes& to, const Change& change);
  using AtomFate = std::function<bool(u64 atom)>;  // by its number in the file
  static void apply_torn(SparseBytes& to, const Change& change, const AtomFate& kept);
  void make_durable(const Change& change);

  SparseBytes current_;
  SparseBytes durable_;
  std::vector<Change> pending_;
  u64 latest_ = 0;
  u64 made_of_ = 0;  // a sum over the changes that are durable
  mutable std::shared_ptr<const SimInode> frozen_;
};

}  // namespace claudefs::sim
