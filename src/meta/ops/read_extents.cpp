#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

constexpr u32 kExtentsMax = 8192;           // keeps an answer within a frame
constexpr std::size_t kBytesMax = 4 << 20;  // of inline data and records

}  // namespace

Result<GetExtentsReply> read_extents(const ReadContext& context, const GetExtents& op) {
  TRY(check_free(context, inode_lock(op.inode), true));
  GetExtentsReply reply;
  TRY_ASSIGN(reply.inode, load_inode(context, op.inode));
  if (op.offset > kFileSizeMax || op.length == 0) return reply;
  const u64 end = op.offset + std::min(op.length, kFileSizeMax - op.offset);
  const u32 most = std::clamp<u32>(op.extents_max, 1, kExtentsMax);
  std::size_t bytes = 0;
  const u64 generation = reply.inode.extent_generation;
  context.scan(extents_key(op.inode, generation), extent_key(op.inode, generation, op.offset + 1),
               [&](std::string_view, std::string_view value) {
                 Result<Extent> extent = wire::decode<Extent>(as_bytes(value));
                 CFS_CHECK(extent.has_value());
                 if (extent->offset >= end) return false;
                 if (reply.extents.size() == most || bytes > kBytesMax) {
                   reply.truncated = true;
                   return false;
                 }
                 bytes += value.size();
                 reply.extents.push_back(std::move(*extent));
                 return true;
               });
  return reply;
}

}  // namespace claudefs::meta
