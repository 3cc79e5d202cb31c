// Chunks in and out for a server's own work: with a session of its own, opened when first needed.
#pragma once

#include <memory>

#include "data/detail/background.h"

namespace claudefs::data {

class ServerChunks {
 public:
  ServerChunks(Background& background, net::Client& client)
      : background_(background), client_(client), opening_(background.env.executor()) {}
  // Lives as long as this. Errors: those of OpenSession.
  runtime::Task<Result<ChunkIo*>> io();
  const codec::DomainKey& domain_key() const { return domain_key_; }  // once io() has succeeded

 private:
  static constexpr u64 kCacheBytes = 16_MiB;  // bases that several chunks build on

  Background& background_;
  net::Client& client_;
  runtime::Mutex opening_;
  codec::DomainKey domain_key_;
  std::unique_ptr<ChunkIo> io_;
};

}  // namespace claudefs::data
