// Volumes: trees with a root of their own in one cluster. docs/volumes.md. Their records are in shard 0; the
// root is a directory without a parent, in a shard by hash. Kinds are on the wire: never renumber.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "codec/compress.h"
#include "meta/operations.h"

namespace claudefs::meta {

inline constexpr const char* kDefaultVolumeName = "default";
inline constexpr u32 kTrashOfCluster = ~u32{0};   // as long as the cluster keeps it
inline constexpr u32 kTrashHoursMost = 24 * 366;  // that a volume may say itself

// Stored: never renumber.
enum class VolumeState : u8 { active = 0, deleting = 1 };
// How a volume's clients write, and what becomes of what they remove. Clients follow a change within seconds;
// what is there stays as it is.
struct VolumePolicy {
  codec::Compression compression;
  u32 trash_hours = kTrashOfCluster;  // how long what is removed is kept; 0: not at all
  static auto fields(auto& self) { return std::tie(self.compression, self.trash_hours); }
};
struct PolicyChange {  // only what is set changes
  std::optional<codec::Compression> compression;
  std::optional<u32> trash_hours;
  static auto fields(auto& self) { return std::tie(self.compression, self.trash_hours); }
};
struct Volume {
  VolumeId id{};
  std::string name;
  InodeId root{};
  Time created;
  VolumeState state = VolumeState::active;
  std::vector<ShardId> holding;  // of a deleted one: shards that still have something of it
  VolumePolicy policy;
  u64 version = 1;  // of the policy: grows with each change
  static auto fields(auto& self) {
    return std::tie(self.id, self.name, self.root, self.created, self.state, self.holding, self.policy,
                    self.version);
  }
};

// --- to shard 0 ---

struct ListVolumesReply {
  std::vector<Volume> volumes;  // by id; those that are being deleted too
  static auto fields(auto& self) { return std::tie(self.volumes); }
};
struct ListVolumes {  // query
  static constexpr u16 kKind = 0x01a0;
  using Reply = ListVolumesReply;
  static auto fields(auto&) { return std::tie(); }
};
struct FindVolume {  // query: an active one. not_found, with the names that there are
  static constexpr u16 kKind = 0x01a1;
  using Reply = Volume;
  std::string name;
  static auto fields(auto& self) { return std::tie(self.name); }
};
struct CreateVolume {  // spans shards. exists, invalid_argument (the name)
  static constexpr u16 kKind = 0x01a2;
  using Reply = Volume;
  std::string name;  // 1 to 63 of a-z 0-9 . _ -, the first a letter or digit
  PolicyChange policy;
  static auto fields(auto& self) { return std::tie(self.name, self.policy); }
};
struct SetVolume {  // not_found, invalid_argument
  static constexpr u16 kKind = 0x01a7;
  using Reply = Volume;
  std::string name;
  PolicyChange policy;
  static auto fields(auto& self) { return std::tie(self.name, self.policy); }
};
// What was in it goes in the background. One that is being deleted already is answered. not_found, not_empty,
// not_permitted (the default volume)
struct DeleteVolume {  // spans shards
  static constexpr u16 kKind = 0x01a3;
  using Reply = Volume;
  std::string name;
  bool purge = false;  // with all that is in it
  static auto fields(auto& self) { return std::tie(self.name, self.purge); }
};
struct VolumeGone {  // from a shard: nothing of the deleted volume is left there
  static constexpr u16 kKind = 0x01a5;
  using Reply = Nothing;
  VolumeId volume{};
  ShardId shard{};
  static auto fields(auto& self) { return std::tie(self.volume, self.shard); }
};

// --- to every shard ---

struct TellVolume {  // from shard 0
  static constexpr u16 kKind = 0x01a4;
  using Reply = Nothing;
  VolumeId volume{};
  bool deleted = false;               // nothing new of it is made from here on
  u32 trash_hours = kTrashOfCluster;  // its policy
  static auto fields(auto& self) { return std::tie(self.volume, self.deleted, self.trash_hours); }
};
struct PurgeVolumeReply {
  bool more = false;  // ask again for the same
  static auto fields(auto& self) { return std::tie(self.more); }
};
struct PurgeVolume {  // the leader's own: forgets some of what is left of a deleted volume
  static constexpr u16 kKind = 0x01a6;
  using Reply = PurgeVolumeReply;
  VolumeId volume{};
  std::vector<InodeId> inodes;
  struct Row {  // of the trash
    Hlc removed{};
    InodeId inode{};
    static auto fields(auto& self) { return std::tie(self.removed, self.inode); }
  };
  std::vector<Row> removed_directories;
  bool nothing_left = false;  // shard 0 is told
  static auto fields(auto& self) {
    return std::tie(self.volume, self.inodes, self.removed_directories, self.nothing_left);
  }
};

}  // namespace claudefs::meta
