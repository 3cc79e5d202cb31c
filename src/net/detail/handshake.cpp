#include "net/detail/handshake.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/check.h"

namespace claudefs::net::detail {
namespace {

std::string hex_of(const ClusterId& id) {
  std::string out;
  for (std::byte b : id) out += fmt::format("{:02x}", static_cast<u8>(b));
  return out;
}
void append(std::string& out, ByteSpan bytes) { out.append(as_text(bytes)); }
void append(std::string& out, NodeId node) {
  out.push_back(static_cast<char>(node.value & 0xff));
  out.push_back(static_cast<char>(node.value >> 8));
}

}  // namespace

Proof make_proof(Side who, std::string_view secret, const Hello& client, const Hello& server) {
  std::string text = who == Side::client ? "claudefs-rpc-1 client" : "claudefs-rpc-1 server";
  text.push_back('\0');
  append(text, client.cluster);
  append(text, client.node);
  append(text, server.node);
  append(text, client.challenge);
  append(text, server.challenge);
  Proof out{};
  std::size_t size = 0;
  const auto* data = reinterpret_cast<const unsigned char*>(text.data());
  const bool made =
      EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, secret.data(), secret.size(), data, text.size(),
                reinterpret_cast<unsigned char*>(out.data()), out.size(), &size) != nullptr;
  CFS_CHECK(made && size == out.size());
  return out;
}

bool same_proof(const Proof& a, const Proof& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

Result<void> check_hello(const Hello& theirs, const Identity& self, std::string_view peer) {
  if (theirs.newest < kOldestProtocol || theirs.oldest > kProtocol)
    return fail(Errc::wrong_version,
                fmt::format("{} speaks RPC protocol {} to {}, this process {} to {}; upgrade the older one",
                            peer, theirs.oldest, theirs.newest, kOldestProtocol, kProtocol));
  if (theirs.cluster != self.cluster)
    return fail(Errc::wrong_cluster, fmt::format("{} is of cluster {}, this process of {}; check the address",
                                                 peer, hex_of(theirs.cluster), hex_of(self.cluster)));
  return {};
}

std::unexpected<Error> wrong_secret(std::string_view peer) {
  return fail(
      Errc::access_denied,
      fmt::format("{} does not hold this cluster's secret; both must use the same cluster file", peer));
}

}  // namespace claudefs::net::detail
