#include "meta/detail/extents.h"

#include "base/mutant.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/detail/records.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_reference_leaked, "meta: an overwritten chunk keeps its reference");
CFS_DEFINE_MUTANT(meta_cut_drops_rest, "meta: overwriting the middle of an extent drops its end");
namespace {

u64 end_of(const Extent& extent) { return extent.offset + extent.length; }

}  // namespace

Extent part_of(const Extent& extent, u64 begin, u64 end) {
  const u64 from = std::max(begin, extent.offset);
  const u64 to = std::min(end, end_of(extent));
  const u64 skip = from - extent.offset;
  Extent part{from, to - from, extent.content};
  if (auto* data = std::get_if<InlineData>(&part.content))
    data->bytes = data->bytes.slice(skip, part.length);
  else
    std::get<ChunkRef>(part.content).offset_in_chunk += static_cast<u32>(skip);
  return part;
}

Result<void> check_extent(const Extent& extent) {
  if (extent.length == 0 || extent.length > kExtentMax)
    return fail(Errc::invalid_argument, fmt::format("an extent of {} bytes", extent.length));
  if (extent.offset > kFileSizeMax || end_of(extent) > kFileSizeMax) return fail(Errc::file_too_big);
  if (const auto* data = std::get_if<InlineData>(&extent.content)) {
    if (data->bytes.size() != extent.length || extent.length > kInlineMax)
      return fail(Errc::invalid_argument, "an inline extent whose bytes do not fit it");
    return {};
  }
  const ChunkRef& chunk = std::get<ChunkRef>(extent.content);
  if (u64{chunk.offset_in_chunk} + extent.length > chunk.chunk_length)
    return fail(Errc::invalid_argument, "an extent that reaches beyond its chunk");
  return {};
}

void add_reference(std::map<codec::ChunkHash, ChunkDeltas::Delta>& deltas, const ChunkRef& chunk,
                   i64 references) {
  const auto [at, fresh] = deltas.try_emplace(chunk.hash);
  ChunkDeltas::Delta& delta = at->second;
  delta.hash = chunk.hash;
  delta.references += references;
  // Where a new reference says it lies counts: an old hint may be stale.
  if (fresh || references > 0) {
    delta.location = chunk.hint;
    delta.chunk_length = chunk.chunk_length;
  }
}

void emit_deltas(ApplyContext& context, const std::map<codec::ChunkHash, ChunkDeltas::Delta>& deltas) {
  std::map<ShardId, ChunkDeltas> messages;
  for (const auto& [hash, delta] : deltas)
    if (delta.references != 0) messages[shard_of_chunk(hash, context.shard_count())].deltas.push_back(delta);
  for (const auto& [shard, message] : messages) context.emit(shard, message);
}

void ContentEdit::put(const Extent& extent) {
  context_.store(extent_key(inode_.id, inode_.extent_generation, end_of(extent)), extent);
  inode_.allocated_bytes += extent.length;
  if (const auto* chunk = std::get_if<ChunkRef>(&extent.content)) {
    add_reference(deltas_, *chunk, 1);
  } else {
    ++inline_extents_;
    inline_bytes_ += static_cast<i64>(extent.length);
  }
}

void ContentEdit::drop(const Extent& extent) {
  context_.remove(extent_key(inode_.id, inode_.extent_generation, end_of(extent)));
  inode_.allocated_bytes -= extent.length;
  if (const auto* chunk = std::get_if<ChunkRef>(&extent.content)) {
    if (!CFS_MUTANT(meta_reference_leaked)) add_reference(deltas_, *chunk, -1);
  } else {
    --inline_extents_;
    inline_bytes_ -= static_cast<i64>(extent.length);
  }
}

void ContentEdit::cut(u64 begin, u64 end) {
  std::vector<Extent> touched;
  const std::string prefix = extents_key(inode_.id, inode_.extent_generation);
  context_.scan(prefix, extent_key(inode_.id, inode_.extent_generation, begin + 1),
                [&](std::string_view, std::string_view value) {
                  Result<Extent> extent = wire::decode<Extent>(as_bytes(value));
                  CFS_CHECK(extent.has_value());
                  if (extent->offset >= end) return false;
                  touched.push_back(std::move(*extent));
                  return true;
                });
  for (const Extent& extent : touched) {
    drop(extent);
    if (extent.offset < begin) put(part_of(extent, extent.offset, begin));
    if (end_of(extent) > end && !CFS_MUTANT(meta_cut_drops_rest)) put(part_of(extent, end, end_of(extent)));
  }
}

void ContentEdit::add(const Extent& extent) { put(extent); }

void ContentEdit::discard_all() {
  const std::string prefix = extents_key(inode_.id, inode_.extent_generation);
  bool any = false;
  context_.scan(prefix, prefix, [&](std::string_view, std::string_view) {
    any = true;
    return false;
  });
  if (!any) return;
  context_.put(purge_key(inode_.id, inode_.extent_generation), "");
  ++inode_.extent_generation;
  inode_.allocated_bytes = 0;
  discarded_ = true;
}

void ContentEdit::finish(bool touched) {
  emit_deltas(context_, deltas_);
  change_usage(context_, {.inline_bytes = inline_bytes_});
  const std::string key = inline_key(inode_.id);
  const std::optional<InlineRecord> before = context_.load<InlineRecord>(key);
  InlineRecord record = before && !discarded_ ? *before : InlineRecord{};
  record.extents += static_cast<u64>(inline_extents_);
  record.bytes += static_cast<u64>(inline_bytes_);
  if (touched || record.touched == Hlc{}) record.touched = context_.hlc();
  if (record.extents != 0)
    context_.store(key, record);
  else if (before)
    context_.remove(key);
}

}  // namespace claudefs::meta
