// The content of files: extents, the references they hold on chunks, and what is inline.
#pragma once

#include <map>
#include <vector>

#include "meta/operations.h"
#include "meta/shard_machine.h"

namespace claudefs::meta {

inline constexpr u64 kExtentMax = 16u << 20;  // bytes that one extent may cover

// Changes the extents of one inode within one command, then settles what follows from it.
class ContentEdit {
 public:
  ContentEdit(ApplyContext& context, Inode& inode) : context_(context), inode_(inode) {}
  // Makes [begin, end) a hole. An extent that it splits becomes one more reference.
  void cut(u64 begin, u64 end);
  // Requires that nothing overlaps it.
  void add(const Extent& extent);
  // Leaves all extents to the purge and begins a new generation.
  void discard_all();
  // Emits the reference deltas, keeps usage and the inline record; `touched` renews when it was last written.
  void finish(bool touched);

 private:
  void put(const Extent& extent);
  void drop(const Extent& extent);

  ApplyContext& context_;
  Inode& inode_;
  std::map<codec::ChunkHash, ChunkDeltas::Delta> deltas_;
  i64 inline_extents_ = 0;
  i64 inline_bytes_ = 0;
  bool discarded_ = false;
};

// Emits those that are not 0, one message a chunk shard.
void emit_deltas(ApplyContext& context, const std::map<codec::ChunkHash, ChunkDeltas::Delta>& deltas);
void add_reference(std::map<codec::ChunkHash, ChunkDeltas::Delta>& deltas, const ChunkRef& chunk,
                   i64 references);

// The part of an extent in [begin, end), which it must overlap.
Extent part_of(const Extent& extent, u64 begin, u64 end);
// Errors: invalid_argument, file_too_big.
Result<void> check_extent(const Extent& extent);

}  // namespace claudefs::meta
