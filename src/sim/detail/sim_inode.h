// A simulated file, apart from its name: what readers see, what the platters hold, and the writes between.
#pragma once

#include <vector>

#include "sim/detail/sparse_bytes.h"
#include "sim/faults.h"
#include "sim/random_stream.h"

namespace claudefs::sim {

class SimInode {
 public:
  const SparseBytes& content() const { return current_; }
  const SparseBytes& durable() const { return durable_; }
  void write(u64 offset, Buffer bytes);
  void resize(u64 size);
  // At rest: in what is durable as well.
  void flip(u64 offset, unsigned bit);
  // The serial of the latest change; a flush makes everything up to it durable.
  u64 latest() const { return serial_; }
  void flush(u64 up_to);
  // Of what was to become durable, each write reached the platter, in part, or never will; readers
  // still see all of it, until a crash.
  void fail_flush(u64 up_to, RandomStream& stream);
  void crash(const FaultOptions& faults, RandomStream& stream);

 private:
  struct Change {
    u64 serial;
    bool is_resize;
    u64 offset;  // or the size
    Buffer bytes;
  };
  static void apply(SparseBytes& to, const Change& change);
  static void apply_torn(SparseBytes& to, const Change& change, RandomStream& stream);

  SparseBytes current_;
  SparseBytes durable_;
  std::vector<Change> pending_;
  u64 serial_ = 0;
};

}  // namespace claudefs::sim
