// What some packet devices can do beside runtime::PacketDevice: take packets that wait inside the kernel.
#pragma once

#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "runtime/task.h"

namespace claudefs::runtime {

class PatientDevice {
 public:
  virtual ~PatientDevice() = default;
  // For a packet that the device takes only when others have been answered (a notice to /dev/fuse that needs
  // a lock of the kernel): waits beside the loop, which goes on.
  virtual Task<Result<void>> write_patiently(std::vector<Buffer> pieces) = 0;
};

}  // namespace claudefs::runtime
