#include "runtime/detail/packet_channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>

#include <cerrno>

#include "runtime/detail/iovecs.h"

namespace claudefs::runtime::detail {

// The right to poll; passed on when its reader ends, or is destroyed.
class PacketChannel::Turn {
 public:
  explicit Turn(State& state) : state_(state) { state_.turn_taken = true; }
  ~Turn() {
    state_.turn_taken = false;
    state_.polling = nullptr;
    if (state_.closed)
      state_.turn_free.notify_all();
    else
      state_.turn_free.notify_one();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  State& state_;
};

PacketChannel::PacketChannel(UringLoop& loop, Descriptor device)
    : state_(new State{loop, std::move(device), Condition(loop)}) {
  // A packet that was ready can be withdrawn before it is read (an interrupted request): the read must
  // then come back, not put the whole loop to sleep.
  const int flags = ::fcntl(state_->device.get(), F_GETFL);
  if (flags >= 0) (void)::fcntl(state_->device.get(), F_SETFL, flags | O_NONBLOCK);
}

void PacketChannel::close() {
  if (std::exchange(state_->closed, true)) return;
  if (state_->polling != nullptr) state_->loop.cancel(*state_->polling);
  state_->turn_free.notify_all();
}

Task<Result<std::size_t>> PacketChannel::do_read(Shared state, MutableByteSpan into) {
  while (state->turn_taken && !state->closed) co_await state->turn_free.wait();
  if (state->closed) co_return fail(Errc::connection_lost, "the packet device is closed");
  Turn turn(*state);
  for (;;) {
    const int device = state->device.get();
    auto reading = state->loop.submit([&](io_uring_sqe* sqe) {
      io_uring_prep_read(sqe, device, into.data(), static_cast<unsigned>(into.size()), 0);
    });
    reading.when(device, POLLIN);
    state->polling = &reading;
    const int got = co_await reading;
    state->polling = nullptr;
    if (got >= 0) co_return static_cast<std::size_t>(got);
    if (state->closed) co_return fail(Errc::connection_lost, "the packet device is closed");
    if (got == -ENODEV) co_return fail(Errc::connection_lost, "the file system is unmounted");
    // ENOENT: the request was aborted while it was being copied.
    if (got != -EINTR && got != -EAGAIN && got != -ENOENT && got != -ECANCELED)
      co_return fail_errno(-got, "read from the packet device");
  }
}

Task<Result<void>> PacketChannel::do_write(Shared state, std::vector<Buffer> pieces) {
  PendingPieces pending(pieces);
  const int device = state->device.get();
  for (;;) {
    if (state->closed) co_return fail(Errc::connection_lost, "the packet device is closed");
    // One call is one packet: it is never split, and never partly taken.
    if (::writev(device, pending.data(), static_cast<int>(pending.count())) >= 0) co_return Result<void>();
    const int error = errno;
    if (error == ENODEV) co_return fail(Errc::connection_lost, "the file system is unmounted");
    if (error == EAGAIN) {
      (void)co_await state->loop.submit(
          [&](io_uring_sqe* sqe) { io_uring_prep_poll_add(sqe, device, POLLOUT); });
    } else if (error != EINTR) {
      co_return fail_errno(error, "write to the packet device");
    }
  }
}

// On a thread of the kernel's own: it may sleep there.
Task<Result<void>> PacketChannel::do_write_patiently(Shared state, std::vector<Buffer> pieces) {
  PendingPieces pending(pieces);
  if (state->closed) co_return fail(Errc::connection_lost, "the packet device is closed");
  const int device = state->device.get();
  const int wrote = co_await state->loop.submit([&](io_uring_sqe* sqe) {
    io_uring_prep_writev(sqe, device, pending.data(), static_cast<unsigned>(pending.count()), 0);
    sqe->flags |= IOSQE_ASYNC;
  });
  if (wrote >= 0) co_return Result<void>();
  if (wrote == -ENODEV) co_return fail(Errc::connection_lost, "the file system is unmounted");
  co_return fail_errno(-wrote, "write to the packet device");
}

}  // namespace claudefs::runtime::detail
