// An open file of a simulated disk.
#pragma once

#include "sim/detail/sim_disk.h"

namespace claudefs::sim {

class SimFile final : public runtime::File {
 public:
  SimFile(Node& node, SimDisk& disk, std::shared_ptr<SimInode> inode, std::string path, bool writable)
      : state_(new State{node, disk, std::move(inode), std::move(path), writable}) {}
  runtime::Task<Result<std::size_t>> read_at(u64 offset, MutableByteSpan into) override;
  runtime::Task<Result<void>> write_at(u64 offset, std::vector<Buffer> pieces) override;
  runtime::Task<Result<void>> flush() override;
  runtime::Task<Result<void>> allocate(u64 size) override;
  runtime::Task<Result<void>> truncate(u64 size) override;
  runtime::Task<Result<u64>> size() override;

 private:
  struct State {
    Node& node;
    SimDisk& disk;
    std::shared_ptr<SimInode> inode;
    std::string path;
    bool writable;
    const FaultOptions& faults() const { return node.disk_faults(); }
    Result<void> check_growth(u64 new_end) const;
  };
  using Shared = std::shared_ptr<State>;
  static runtime::Task<Result<std::size_t>> do_read(Shared state, u64 offset, MutableByteSpan into);
  static runtime::Task<Result<void>> do_write(Shared state, u64 offset, std::vector<Buffer> pieces);
  static runtime::Task<Result<void>> do_flush(Shared state);
  static runtime::Task<Result<void>> do_resize(Shared state, u64 size, bool may_shrink);
  static runtime::Task<Result<u64>> do_size(Shared state);
  Shared state_;
};

}  // namespace claudefs::sim
