// The hello of docs/formats/rpc.md, without I/O: what to send, and whether to believe what came.
#pragma once

#include "net/rpc.h"

namespace claudefs::net::detail {

using Challenge = std::array<std::byte, 32>;
using Proof = std::array<std::byte, 32>;
inline constexpr u16 kProtocol = 1;
inline constexpr u16 kOldestProtocol = 1;
enum HelloStep : u16 { kClientHello = 1, kServerHello = 2, kClientProof = 3 };

struct Hello {
  u16 newest = kProtocol;
  u16 oldest = kOldestProtocol;
  ClusterId cluster{};
  NodeId node{};
  Challenge challenge{};
  Proof proof{};  // the server's; a client's is empty here
  static auto fields(auto& self) {
    return std::tie(self.newest, self.oldest, self.cluster, self.node, self.challenge, self.proof);
  }
};
struct ClientProof {
  Proof proof{};
  static auto fields(auto& self) { return std::tie(self.proof); }
};
// The body of an error frame.
struct WireError {
  Errc code = Errc::io_error;
  std::string text;
  static auto fields(auto& self) { return std::tie(self.code, self.text); }
};

enum class Side : u8 { client, server };
// The proof that `who` makes, given both hellos.
Proof make_proof(Side who, std::string_view secret, const Hello& client, const Hello& server);
bool same_proof(const Proof& a, const Proof& b);  // in constant time

// Errors: wrong_version, wrong_cluster; `peer` is for their text.
Result<void> check_hello(const Hello& theirs, const Identity& self, std::string_view peer);
std::unexpected<Error> wrong_secret(std::string_view peer);

}  // namespace claudefs::net::detail
