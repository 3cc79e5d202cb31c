#include "base/mutant.h"
#include "base/probe.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_zeros_for_missing, "client: a chunk that cannot be read reads as zeros");

namespace {

constexpr int kFreshExtents = 3;

using Segment = DirtySet::Piece;  // where some bytes of the answer lie

Task<Result<Buffer>> content_of(State& state, meta::Extent extent) {
  if (const auto* in_metadata = std::get_if<meta::InlineData>(&extent.content)) co_return in_metadata->bytes;
  const meta::ChunkRef ref = std::get<meta::ChunkRef>(extent.content);
  Result<Buffer> got = co_await state.read_chunk(ref).result();
  if (!got && CFS_MUTANT(client_zeros_for_missing)) co_return Buffer::zeros(extent.length);
  const Buffer chunk = co_await std::move(got);
  if (chunk.size() < u64{ref.offset_in_chunk} + extent.length)
    co_return fail(Errc::corrupt, "an extent reaches beyond its chunk");
  co_return chunk.slice(ref.offset_in_chunk, extent.length);
}

// What is committed in [offset, end), without holes, ascending.
Task<Result<std::vector<Segment>>> committed(State& state, FilePtr file, u64 offset, u64 end) {
  co_await state.load_extents(file, offset, end);
  const std::vector<meta::Extent> extents = file->extents.in(offset, end);
  std::vector<Task<Result<Buffer>>> reads;
  for (const meta::Extent& extent : extents) reads.push_back(content_of(state, extent));
  std::vector<Result<Buffer>> contents = co_await runtime::join_all(state.env.executor(), std::move(reads));
  std::vector<Segment> out;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (!contents[i]) co_return fail(std::move(contents[i].error()));
    const u64 from = std::max(offset, extents[i].offset);
    // An inline extent may hold fewer bytes than it covers: the rest reads as zeros.
    const u64 to = std::min(end, extents[i].offset + std::min<u64>(extents[i].length, contents[i]->size()));
    if (from < to) out.push_back({from, contents[i]->slice(from - extents[i].offset, to - from)});
  }
  co_return out;
}

bool fill_gaplessly(const std::vector<Segment>& segments, u64 offset, u64 end) {
  for (const Segment& segment : segments) {
    if (segment.offset != offset) return false;
    offset += segment.data.size();
  }
  return offset == end;
}

bool cover(const std::vector<Segment>& segments, u64 offset, u64 end) {
  return fill_gaplessly(segments, offset, end);
}

ReadResult as_pieces(std::vector<Segment> segments) {
  ReadResult result;
  for (Segment& segment : segments) result.pieces.push_back(std::move(segment.data));
  return result;
}

// Later layers lie over earlier ones; what none has is zeros.
ReadResult merge(const std::vector<const std::vector<Segment>*>& layers, u64 offset, u64 end) {
  Buffer out = Buffer::zeros(end - offset);
  for (const std::vector<Segment>* layer : layers)
    for (const Segment& segment : *layer) {
      if (segment.offset >= end) continue;
      const u64 length = std::min<u64>(segment.data.size(), end - segment.offset);
      std::memcpy(out.data() + (segment.offset - offset), segment.data.data(), length);
    }
  ReadResult result;
  result.pieces.push_back(std::move(out));
  return result;
}

Task<Result<ReadResult>> read_once(State& state, HandleId handle, u64 offset, u64 length) {
  Handle* const found = co_await state.find_usable_handle(handle);
  const FilePtr file = found->file;
  co_await state.ensure_current(file);
  if (state.leases) state.leases->give_content(file->id());
  if (offset > meta::kFileSizeMax) co_return ReadResult{};
  length = std::min(length, meta::kFileSizeMax - offset);
  // Before the committed content: a write-back that ends meanwhile moves bytes from here to there.
  const std::vector<Segment> newest = file->dirty.in(offset, length);
  const std::vector<Segment> older =
      state.shows_flushing(*file) ? file->flushing.in(offset, length) : std::vector<Segment>();
  u64 end = std::min(offset + length, state.visible(*file).size);
  if (offset >= end) co_return ReadResult{};
  state.note_accessed(file->attributes);
  if (cover(newest, offset, end)) co_return as_pieces(newest);
  if (newest.empty() && cover(older, offset, end)) co_return as_pieces(older);

  co_await state.load_extents(file, offset, end);
  state.read_ahead(file, offset, end);
  Result<std::vector<Segment>> stored = co_await committed(state, file, offset, end).result();
  for (int attempt = 0; !stored && attempt < kFreshExtents; ++attempt) {
    // The extents may be of a version whose chunks are gone: again with fresh ones.
    CFS_PROBE(client_read_with_fresh_extents, "content is not where the known extents say");
    file->extents.reset(file->attributes.data_version);
    stored = co_await committed(state, file, offset, end).result();
    // Only what is gone is worth it: what cannot be read now was waited for already.
    if (!stored && stored.error().code != Errc::corrupt) break;
  }
  std::vector<Segment> content = co_await std::move(stored);
  if (newest.empty() && older.empty() && fill_gaplessly(content, offset, end))
    co_return as_pieces(std::move(content));
  const std::vector<const std::vector<Segment>*> layers{&content, &older, &newest};
  co_return merge(layers, offset, end);
}

}  // namespace

Task<Result<ReadResult>> FileSystem::read(HandleId handle, u64 offset, u64 length) {
  const runtime::Instant began = state_->env.now();
  for (;;) {
    Result<ReadResult> got = co_await read_once(*state_, handle, offset, length).result();
    if (got) co_return got;
    const Error error = got.error();
    if (!co_await state_->may_try_again(began, error)) co_return got;
  }
}

}  // namespace claudefs::client
