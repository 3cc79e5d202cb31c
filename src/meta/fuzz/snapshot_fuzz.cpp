// Goal: no piece of a shard's snapshot does more than give an error. Method: magic and checksum are mended,
// or the fuzzer would never get past them.
#include <cstdlib>

#include "base/crc32c.h"
#include "meta/detail/machine.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace claudefs;
  const ByteSpan fields = std::as_bytes(std::span(data, size));
  wire::Writer body;
  body.byte(1);
  body.byte(1);
  body.fixed32(static_cast<u32>(size));
  body.raw(fields);
  const Buffer content = std::move(body).finish();
  wire::Writer out;
  out.fixed32(0x50534643);  // "CFSP"
  out.fixed32(crc32c(content));
  out.raw(content);
  const Result<store::KvBatch> batch = meta::decode_snapshot_piece(ShardId{3}, std::move(out).finish());
  if (!batch && batch.error().code != Errc::corrupt && batch.error().code != Errc::wrong_version)
    std::abort();
  (void)meta::decode_snapshot_piece(ShardId{3}, Buffer::copy_of(fields));
  return 0;
}
