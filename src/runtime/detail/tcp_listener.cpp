#include "runtime/detail/tcp_listener.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>

#include "runtime/detail/address.h"
#include "runtime/detail/tcp_stream.h"

namespace claudefs::runtime::detail {

Result<std::unique_ptr<Listener>> TcpListener::open(UringLoop& loop, const std::string& address) {
  constexpr int kBacklog = 1024;
  TRY_ASSIGN(const HostPort asked, parse_host_port(address));
  std::vector<SocketAddress> candidates = known_addresses(asked);
  if (candidates.empty()) {
    TRY_ASSIGN(candidates, resolve(asked));  // blocks; listeners are opened at start-up only
  }
  SocketAddress& at = candidates.front();
  Descriptor socket(::socket(at.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail_errno(errno, "open a socket to listen on " + address);
  // A restarted server must not wait for the connections of its predecessor to time out.
  const int on = 1;
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), at.get(), at.size) < 0 || ::listen(socket.get(), kBacklog) < 0) {
    if (errno != EADDRINUSE) return fail_errno(errno, "listen on " + address);
    return fail(
        Errc::address_in_use,
        fmt::format("listen on {}: another process has this port; stop it ('ss -ltnp sport = :{}' shows "
                    "which) or choose another port",
                    address, asked.port));
  }
  at.size = sizeof at.storage;
  if (::getsockname(socket.get(), at.get(), &at.size) < 0) return fail_errno(errno, "listen on " + address);
  std::shared_ptr<State> state(new State{loop, std::move(socket), to_text(at)});
  return std::unique_ptr<Listener>(new TcpListener(std::move(state)));
}

void TcpListener::close() {
  if (std::exchange(state_->closed, true)) return;
  ::shutdown(state_->socket.get(), SHUT_RDWR);  // wakes a waiting accept
}

Task<Result<std::unique_ptr<Stream>>> TcpListener::accept_on(std::shared_ptr<State> state) {
  while (!state->closed) {
    SocketAddress peer;
    peer.size = sizeof peer.storage;
    const int got = co_await state->loop.submit([&](io_uring_sqe* sqe) {
      io_uring_prep_accept(sqe, state->socket.get(), peer.get(), &peer.size, SOCK_CLOEXEC);
    });
    if (got >= 0) {
      Descriptor socket(got);
      if (state->closed) break;
      co_return std::unique_ptr<Stream>(new TcpStream(state->loop, std::move(socket), to_text(peer)));
    }
    // The peer gave up before we came to it: not our trouble.
    if (got == -ECONNABORTED || got == -EINTR || got == -EAGAIN || got == -EPROTO) continue;
    if (state->closed) break;
    co_return fail_errno(-got, "accept on " + state->address);
  }
  co_return fail(Errc::connection_lost, state->address + ": the listener is closed");
}

}  // namespace claudefs::runtime::detail
