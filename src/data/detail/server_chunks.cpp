#include "data/detail/server_chunks.h"

#include "meta/operations.h"

namespace claudefs::data {

runtime::Task<Result<ChunkIo*>> ServerChunks::io() {
  const auto lock = co_await opening_.lock();
  if (!io_) {
    meta::OpenSession open;
    open.client_name = fmt::format("node {}", background_.self);
    const meta::OpenSessionReply reply = co_await background_.router.call(ShardId{0}, std::move(open));
    domain_key_ = reply.domain_key;
    ChunkIo::Options options;
    options.cache_bytes = kCacheBytes;
    io_ = ChunkIo::create({background_.env, client_, background_.router, reply.session, reply.domain_key},
                          options);
  }
  co_return io_.get();
}

}  // namespace claudefs::data
