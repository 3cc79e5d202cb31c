// A packet device over a descriptor: /dev/fuse, or a datagram socket in tests.
//
// Per packet one io_uring_enter (a linked poll and read, submitted with whatever else the turn has) and,
// for its answer, one writev: the kernel takes a FUSE reply without blocking, so a trip through the ring
// would only add latency. Waiting readers take turns: one poll is under way at a time, so that one packet
// wakes one reader.
#pragma once

#include "runtime/detail/descriptor.h"
#include "runtime/detail/uring_loop.h"
#include "runtime/env.h"
#include "runtime/patient_device.h"

namespace claudefs::runtime::detail {

class PacketChannel final : public PacketDevice, public PatientDevice {
 public:
  PacketChannel(UringLoop& loop, Descriptor device);
  ~PacketChannel() override { close(); }
  // Errors: connection_lost when it was unmounted (ENODEV) or closed here.
  Task<Result<std::size_t>> read(MutableByteSpan into) override { return do_read(state_, into); }
  // Errors: not_found when the request was interrupted meanwhile; connection_lost.
  Task<Result<void>> write(std::vector<Buffer> pieces) override {
    return do_write(state_, std::move(pieces));
  }
  Task<Result<void>> write_patiently(std::vector<Buffer> pieces) override {
    return do_write_patiently(state_, std::move(pieces));
  }
  void close() override;

 private:
  struct State {
    UringLoop& loop;
    Descriptor device;
    Condition turn_free;
    bool turn_taken = false;
    Operation* polling = nullptr;  // of the reader whose turn it is
    bool closed = false;
  };
  class Turn;
  using Shared = std::shared_ptr<State>;
  static Task<Result<std::size_t>> do_read(Shared state, MutableByteSpan into);
  static Task<Result<void>> do_write(Shared state, std::vector<Buffer> pieces);
  static Task<Result<void>> do_write_patiently(Shared state, std::vector<Buffer> pieces);
  Shared state_;
};

}  // namespace claudefs::runtime::detail
