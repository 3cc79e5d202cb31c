// What identifies a node's data directory: cluster, node, format version. Written once when the directory
// is formatted, checked at every start, so that a directory of another node, another cluster or another
// version is refused with a clear error. Format: docs/formats/superblock.md.
#pragma once

#include <array>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "runtime/env.h"

namespace claudefs::store {

struct Superblock {
  static constexpr u8 kVersion = 1;
  std::array<std::byte, 16> cluster{};
  NodeId node{};
  std::array<std::byte, 16> incarnation{};  // random; differs after a wipe
  u32 format = 1;                           // of everything in the directory
  static auto fields(auto& self) { return std::tie(self.cluster, self.node, self.incarnation, self.format); }
};

// Opens `directory` (made if missing): reads its superblock, or writes one when the directory is empty.
// Errors: wrong_cluster, wrong_node, wrong_version, corrupt, not_permitted (not writable), no_space;
// invalid_argument when it holds other files: never format what may be somebody's data.
runtime::Task<Result<Superblock>> open_data_directory(runtime::Env& env, std::string directory,
                                                      std::array<std::byte, 16> cluster, NodeId node);

// Is the superblock in `directory` still the one that was opened? When it does not check, it is written anew.
// Errors: corrupt (it did not, and does again), wrong_node (another directory's), those of the disk.
runtime::Task<Result<void>> verify_superblock(runtime::Env& env, std::string directory, Superblock opened);

}  // namespace claudefs::store
