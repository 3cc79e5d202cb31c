// Records of volumes, and what each shard knows of them: docs/formats/metadata.md.
#pragma once

#include <optional>

#include "meta/shard_machine.h"
#include "meta/trash.h"
#include "meta/volumes.h"

namespace claudefs::meta {

// Stored under Table::volume_here: of volumes that shard 0 has told this shard of.
struct VolumeHere {
  bool deleted = false;
  u32 trash_hours = kTrashOfCluster;
  static auto fields(auto& self) { return std::tie(self.deleted, self.trash_hours); }
};

// In shard 0. The default volume is there without a record.
std::vector<Volume> list_volumes(const ReadContext& context);
// Of several that had one name in the course of time the one that lives.
std::optional<Volume> find_volume(const ReadContext& context, std::string_view name);
std::optional<Volume> load_volume(const ReadContext& context, VolumeId id);
std::unexpected<Error> no_such_volume(const ReadContext& context, std::string_view name);
Result<void> check_volume_name(std::string_view name);
VolumeId next_volume(const ReadContext& context);

// Errors: invalid_argument.
Result<void> change_policy(VolumePolicy& policy, const PolicyChange& change);
void tell_shards(ApplyContext& context, const Volume& volume);

// In any shard. What is removed from it goes to the trash.
bool keeps_removed(const ReadContext& context, VolumeId volume, const TrashPolicy& of_cluster);
// How long what is in the trash stays there: of a volume, and the least of all volumes.
runtime::Duration time_in_trash(const ReadContext& context, VolumeId volume, const TrashPolicy& of_cluster);
runtime::Duration least_time_in_trash(const ReadContext& context, const TrashPolicy& of_cluster);
// stale: nothing may be made in it any more.
bool is_deleted(const ReadContext& context, VolumeId volume);
Result<void> check_volume_lives(const ReadContext& context, VolumeId volume);
// What is there is of one volume, and shall be named in another.
Result<void> check_same_volume(VolumeId there, VolumeId here);

}  // namespace claudefs::meta
