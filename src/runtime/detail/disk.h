// Local files through the event loop; what io_uring cannot do runs on the offload pool.
#pragma once

#include "runtime/detail/uring_loop.h"
#include "runtime/env.h"

namespace claudefs::runtime::detail {

class UringDisk final : public Disk {
 public:
  UringDisk(UringLoop& loop, Offload& offload) : loop_(loop), offload_(offload) {}
  Task<Result<std::unique_ptr<File>>> open(std::string path, OpenMode mode) override;
  Task<Result<void>> remove(std::string path) override;
  Task<Result<void>> rename(std::string from, std::string to) override;
  Task<Result<void>> make_directory(std::string path) override;
  Task<Result<std::vector<std::string>>> list(std::string path) override;
  Task<Result<void>> sync_directory(std::string path) override;
  Task<Result<DiskSpace>> space(std::string path) override;

 private:
  UringLoop& loop_;
  Offload& offload_;
};

}  // namespace claudefs::runtime::detail
