#include "runtime/detail/network.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "runtime/detail/tcp_listener.h"
#include "runtime/detail/tcp_stream.h"

namespace claudefs::runtime::detail {

Result<std::unique_ptr<Listener>> UringNetwork::listen(std::string address) {
  return TcpListener::open(loop_, address);
}

Task<Result<std::vector<SocketAddress>>> UringNetwork::addresses_of(std::string address) {
  const HostPort to = co_await parse_host_port(address);
  std::vector<SocketAddress> known = known_addresses(to);
  if (!known.empty()) co_return known;
  Result<std::vector<SocketAddress>> found;
  co_await offload_.run([&] { found = resolve(to); });
  co_return found;
}

Task<Result<std::unique_ptr<Stream>>> UringNetwork::connect_one(SocketAddress to, Instant deadline) {
  Descriptor socket(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) co_return fail_errno(errno, "open a socket");
  const Duration left = std::max<Duration>(deadline - loop_.now(), 1ms);
  const int status =
      co_await loop_
          .submit([&](io_uring_sqe* sqe) { io_uring_prep_connect(sqe, socket.get(), to.get(), to.size); })
          .within(left);
  const std::string name = to_text(to);
  if (status == -ECANCELED || status == -ETIMEDOUT)
    co_return fail(Errc::timed_out,
                   fmt::format("connect to {}: no answer; is it running, and is the port open in "
                               "the firewall?",
                               name));
  if (status < 0) co_return fail_errno(-status, "connect to " + name);
  co_return std::unique_ptr<Stream>(new TcpStream(loop_, std::move(socket), name));
}

// Tries each address of the name in turn, all within one time limit.
Task<Result<std::unique_ptr<Stream>>> UringNetwork::connect(std::string address) {
  constexpr Duration kLimit = 5s;
  const Instant deadline = loop_.now() + kLimit;
  const std::vector<SocketAddress> candidates = co_await addresses_of(address);
  Error first;
  for (const SocketAddress& candidate : candidates) {
    Result<std::unique_ptr<Stream>> made = co_await connect_one(candidate, deadline).result();
    if (made) co_return made;
    if (first.code == Errc::ok) first = std::move(made.error());
    if (loop_.now() >= deadline) break;
  }
  co_return fail(std::move(first));
}

}  // namespace claudefs::runtime::detail
