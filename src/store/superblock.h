// What identifies one directory of a node's data: cluster, node, device, format version. Written when the
// directory is formatted, checked at every start, so that a directory of another node, another cluster or
// another version is refused with a clear error. Used by store/devices.h, which knows how the directories of
// a node belong together. Format: docs/formats/superblock.md.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "runtime/env.h"

namespace claudefs::store {

// Stored: never renumber, only append.
enum class DeviceClass : u8 {
  data = 0,  // large: sealed shards; of a node with one device, everything
  fast = 1,  // small: journal, Raft log, metadata store
};
std::string_view name_of(DeviceClass device_class);

using DeviceId = std::array<std::byte, 16>;  // random; another one after each formatting

struct Superblock {
  static constexpr u8 kVersion = 2;
  std::array<std::byte, 16> cluster{};
  NodeId node{};
  DeviceId device{};
  u32 format = 1;  // of everything in the directory
  DeviceClass device_class = DeviceClass::data;
  std::optional<DeviceId> partner;  // the node's other device
  static auto fields(auto& self) {
    return std::tie(self.cluster, self.node, self.device, self.format, self.device_class, self.partner);
  }
  bool operator==(const Superblock&) const = default;
};

// Whose directories they must be.
struct Owner {
  std::array<std::byte, 16> cluster{};
  NodeId node{};
};

struct FoundDirectory {
  std::optional<Superblock> superblock;
  std::vector<std::string> names;  // what else lies there, sorted; not what precedes a first formatting
};
// Looks into `directory` (made if missing). Errors: wrong_cluster, wrong_node, wrong_version, corrupt,
// not_permitted (not writable), those of the disk.
runtime::Task<Result<FoundDirectory>> look_for_superblock(runtime::Env& env, std::string directory,
                                                          Owner owner);

// Writes it in place of the one that is there, or as the first: whole and durable, or not at all.
runtime::Task<Result<void>> write_superblock(runtime::Env& env, std::string directory, Superblock superblock);

// Is the superblock in `directory` still the one that was opened? When it does not check, it is written anew.
// Errors: corrupt (it did not, and does again), wrong_node (another directory's), those of the disk.
runtime::Task<Result<void>> verify_superblock(runtime::Env& env, std::string directory, Superblock opened);

}  // namespace claudefs::store
