#include "runtime/detail/tcp_stream.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

#include "runtime/detail/iovecs.h"

namespace claudefs::runtime::detail {
namespace {

// Small requests must not wait for an acknowledgement, and a peer that vanished without a word is found
// out: after 25 s when idle, 20 s when it owes us an acknowledgement. Best effort: none is needed to work.
void tune(int socket) {
  const auto set = [socket](int level, int option, int value) {
    (void)::setsockopt(socket, level, option, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 20'000);
}

}  // namespace

TcpStream::TcpStream(UringLoop& loop, Descriptor socket, std::string peer)
    : state_(new State{loop, std::move(socket), std::move(peer)}) {
  tune(state_->socket.get());
}

std::string TcpStream::peer() const { return state_->peer; }

void TcpStream::close() {
  if (std::exchange(state_->closed, true)) return;
  ::shutdown(state_->socket.get(), SHUT_RDWR);  // wakes a read and a write that are under way
}

Task<Result<std::size_t>> TcpStream::read(MutableByteSpan into) { return read_from(state_, into); }
Task<Result<void>> TcpStream::write(std::vector<Buffer> pieces) {
  return write_to(state_, std::move(pieces));
}

Task<Result<std::size_t>> TcpStream::read_from(std::shared_ptr<State> state, MutableByteSpan into) {
  if (into.empty()) co_return std::size_t{0};
  for (;;) {
    if (state->closed) break;
    const int got = co_await state->loop.submit([&](io_uring_sqe* sqe) {
      io_uring_prep_recv(sqe, state->socket.get(), into.data(), into.size(), 0);
    });
    if (state->closed) break;
    if (got == -EINTR || got == -EAGAIN) continue;
    if (got < 0) co_return fail_errno(-got, "read from " + state->peer);
    co_return static_cast<std::size_t>(got);
  }
  co_return fail(Errc::connection_lost, state->peer + ": closed on this side");
}

Task<Result<void>> TcpStream::write_to(std::shared_ptr<State> state, std::vector<Buffer> pieces) {
  PendingPieces pending(pieces);
  while (!pending.empty()) {
    if (state->closed) co_return fail(Errc::connection_lost, state->peer + ": closed on this side");
    msghdr message{};
    message.msg_iov = pending.data();
    message.msg_iovlen = pending.count();
    // MSG_WAITALL: the kernel goes on by itself after a partial send.
    const int sent = co_await state->loop.submit([&](io_uring_sqe* sqe) {
      io_uring_prep_sendmsg(sqe, state->socket.get(), &message, MSG_NOSIGNAL | MSG_WAITALL);
    });
    if (sent == -EINTR || sent == -EAGAIN) continue;
    if (sent < 0 && state->closed)
      co_return fail(Errc::connection_lost, state->peer + ": closed on this side");
    if (sent < 0) co_return fail_errno(-sent, "write to " + state->peer);
    pending.advance(static_cast<std::size_t>(sent));
  }
  co_return Result<void>();
}

}  // namespace claudefs::runtime::detail
