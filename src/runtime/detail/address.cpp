#include "runtime/detail/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

#include <charconv>
#include <cstring>

#include <fmt/format.h>

namespace claudefs::runtime::detail {
namespace {

SocketAddress make_v4(in_addr host, u16 port) {
  SocketAddress out;
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr = host;
  at.sin_port = htons(port);
  std::memcpy(&out.storage, &at, sizeof at);
  out.size = sizeof at;
  return out;
}
SocketAddress make_v6(in6_addr host, u16 port) {
  SocketAddress out;
  sockaddr_in6 at{};
  at.sin6_family = AF_INET6;
  at.sin6_addr = host;
  at.sin6_port = htons(port);
  std::memcpy(&out.storage, &at, sizeof at);
  out.size = sizeof at;
  return out;
}

}  // namespace

Result<HostPort> parse_host_port(const std::string& text) {
  const auto refuse = [&](const char* why) {
    return fail(Errc::invalid_argument,
                fmt::format("address '{}': {}; write host:port, or [host]:port for IPv6", text, why));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return refuse("the port is missing");
  HostPort out;
  out.host = text.substr(0, colon);
  const bool bracketed = out.host.size() >= 2 && out.host.front() == '[' && out.host.back() == ']';
  if (bracketed) out.host = out.host.substr(1, out.host.size() - 2);
  if (!bracketed && out.host.find_first_of(":[]") != std::string::npos)
    return refuse("an IPv6 host needs brackets");
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, out.port);
  if (error != std::errc() || stop != end) return refuse("the port is no number from 0 to 65535");
  return out;
}

std::vector<SocketAddress> known_addresses(const HostPort& at) {
  std::vector<SocketAddress> out;
  in_addr v4{};
  in6_addr v6{};
  if (at.host.empty() || at.host == "*") {
    v4.s_addr = htonl(INADDR_ANY);
    out.push_back(make_v4(v4, at.port));
  } else if (at.host == "localhost") {
    v4.s_addr = htonl(INADDR_LOOPBACK);
    out.push_back(make_v4(v4, at.port));
    out.push_back(make_v6(in6addr_loopback, at.port));
  } else if (inet_pton(AF_INET, at.host.c_str(), &v4) == 1) {
    out.push_back(make_v4(v4, at.port));
  } else if (inet_pton(AF_INET6, at.host.c_str(), &v6) == 1) {
    out.push_back(make_v6(v6, at.port));
  }
  return out;
}

Result<std::vector<SocketAddress>> resolve(const HostPort& at) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int status = getaddrinfo(at.host.c_str(), nullptr, &hints, &found); status != 0) {
    return fail(Errc::unavailable,
                fmt::format("host '{}' has no address: {}; check the name, or DNS and /etc/hosts", at.host,
                            gai_strerror(status)));
  }
  std::vector<SocketAddress> out;
  for (const addrinfo* item = found; item != nullptr; item = item->ai_next) {
    if (item->ai_family == AF_INET)
      out.push_back(make_v4(reinterpret_cast<const sockaddr_in*>(item->ai_addr)->sin_addr, at.port));
    if (item->ai_family == AF_INET6) {
      SocketAddress v6;
      std::memcpy(&v6.storage, item->ai_addr, sizeof(sockaddr_in6));  // with its scope id
      v6.size = sizeof(sockaddr_in6);
      reinterpret_cast<sockaddr_in6*>(&v6.storage)->sin6_port = htons(at.port);
      out.push_back(v6);
    }
  }
  freeaddrinfo(found);
  if (out.empty()) return fail(Errc::unavailable, fmt::format("host '{}' has no IP address", at.host));
  return out;
}

std::string to_text(const SocketAddress& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.storage.ss_family == AF_INET) {
    const auto& at = reinterpret_cast<const sockaddr_in&>(address.storage);
    inet_ntop(AF_INET, &at.sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(at.sin_port));
  }
  if (address.storage.ss_family == AF_INET6) {
    const auto& at = reinterpret_cast<const sockaddr_in6&>(address.storage);
    inet_ntop(AF_INET6, &at.sin6_addr, text, sizeof text);
    return fmt::format("[{}]:{}", text, ntohs(at.sin6_port));
  }
  return "unknown";
}

}  // namespace claudefs::runtime::detail
