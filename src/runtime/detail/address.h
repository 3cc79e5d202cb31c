// "host:port" and socket addresses.
#pragma once

#include <sys/socket.h>

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace claudefs::runtime::detail {

struct HostPort {
  std::string host;  // without brackets; empty: any
  u16 port = 0;
};
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

// "10.0.0.1:80", "node-1:80", "[::1]:80", ":80". Errors: invalid_argument.
Result<HostPort> parse_host_port(const std::string& text);
// Without a look-up: numeric addresses, "localhost", "" and "*"; empty for any other name.
std::vector<SocketAddress> known_addresses(const HostPort& at);
// Asks the system's resolver; may block for seconds. Errors: unavailable.
Result<std::vector<SocketAddress>> resolve(const HostPort& at);
// "10.0.0.1:80" or "[::1]:80".
std::string to_text(const SocketAddress& address);

}  // namespace claudefs::runtime::detail
