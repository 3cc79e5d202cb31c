// Chunks on their way to a shorter stored form, and which base each is to build on. Pure.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "codec/sketch.h"
#include "data/detail/records.h"

namespace claudefs::data {

struct ReductionBatch {
  struct Chunk {
    codec::ChunkHash hash;
    Location from;
    u32 chunk_length = 0;
    bool is_base = false;  // others build on it: it may only be packed harder
    Buffer plain;
    std::optional<codec::Sketch> sketch;
    std::array<std::optional<codec::ChunkHash>, codec::kSketchFeatures> similar;  // by feature; may be itself
    std::optional<codec::ChunkHash> base;                                         // pinned
    Location base_at;
    u32 base_length = 0;
    Buffer base_plain;
    Buffer stored;                         // the shorter form; empty: it stays as it is
    std::optional<std::size_t> neighbour;  // whose content it is tried against
    Buffer beside_neighbour;               // the form that builds on that one, where it is much shorter
    Location to;
  };
  std::vector<Chunk> chunks;
  std::set<SegmentId> unread;  // that had a chunk which could not be read now
  Hlc valid_until{~u64{0}};

  // What was learned of chunks that features named.
  std::set<codec::ChunkHash> useless;                      // gone
  std::map<codec::ChunkHash, codec::ChunkHash> builds_on;  // deltas, and on what; those planned here, too
  std::set<codec::ChunkHash> kept_whole;                   // of this batch: others of it build on them

  // The base that each chunk without one is to ask for next: what most of its features name. A chunk whose
  // base is another of this batch takes the base of that where it has one itself.
  std::map<codec::ChunkHash, std::vector<std::size_t>> plan();
  // For short chunks, in case no similar one is found or it helps little: of every few that lie next to each
  // other the longest that has no base is the others' neighbour. Contents of one kind mostly lie together
  // (files of a directory, parts of a file), and short ones compress badly alone.
  void plan_neighbours();
  u64 bytes_to_form(std::size_t i) const;  // its own and of what it is to build on, or may
  // The bases of the forms that build on neighbours, and their users.
  std::map<codec::ChunkHash, std::vector<std::size_t>> neighbours_wanted() const;
  // Leaves those that have a shorter form; none where all together would gain too little.
  void drop_unchanged();
  // What became of asking for `base`, for the chunks `users`.
  void learn(const codec::ChunkHash& base, const PinBasesReply::Base& answer,
             const std::vector<std::size_t>& users);
};

}  // namespace claudefs::data
