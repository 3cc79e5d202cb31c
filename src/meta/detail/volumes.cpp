#include "meta/detail/volumes.h"

#include <algorithm>

#include "base/mutant.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/detail/records.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(volume_link_across, "meta: a file of one volume gets a name in another");

namespace {

constexpr std::size_t kNameMost = 63;

Volume default_volume(const ReadContext& context) {
  if (std::optional<Volume> set = context.load<Volume>(volume_key(kDefaultVolume))) return std::move(*set);
  Volume out;
  out.id = kDefaultVolume;
  out.name = kDefaultVolumeName;
  out.root = kRootInode;
  if (const Result<Inode> root = load_inode(context, kRootInode)) out.created = root->born;
  return out;
}

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

std::vector<Volume> list_volumes(const ReadContext& context) {
  std::vector<Volume> out{default_volume(context)};
  const std::string table = key_of_table(Table::volume);
  context.scan(table, table, [&](std::string_view, std::string_view value) {
    Result<Volume> volume = wire::decode<Volume>(as_bytes(value));
    CFS_CHECK(volume.has_value());
    if (volume->id != kDefaultVolume) out.push_back(std::move(*volume));
    return true;
  });
  return out;
}

std::optional<Volume> find_volume(const ReadContext& context, std::string_view name) {
  std::optional<Volume> found;
  for (Volume& volume : list_volumes(context))
    if (volume.name == name && (!found || volume.state == VolumeState::active)) found = std::move(volume);
  return found;
}

std::optional<Volume> load_volume(const ReadContext& context, VolumeId id) {
  if (id == kDefaultVolume) return default_volume(context);
  return context.load<Volume>(volume_key(id));
}

std::unexpected<Error> no_such_volume(const ReadContext& context, std::string_view name) {
  std::string names;
  for (const Volume& volume : list_volumes(context))
    if (volume.state == VolumeState::active) names += (names.empty() ? "" : ", ") + volume.name;
  return fail(Errc::not_found, fmt::format("there is no volume '{}'; there are: {}. `claudefs volume create "
                                           "{}` makes it",
                                           name, names, name));
}

Result<void> check_volume_name(std::string_view name) {
  const bool fits = !name.empty() && name.size() <= kNameMost && is_letter_or_digit(name.front()) &&
                    std::ranges::all_of(name, [](char c) {
                      return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
                    });
  if (fits) return {};
  return fail(
      Errc::invalid_argument,
      fmt::format("'{}' is no name for a volume: 1 to {} of a-z, 0-9, '.', '_' and '-', beginning with "
                  "a letter or digit",
                  name, kNameMost));
}

VolumeId next_volume(const ReadContext& context) {
  const NumberRecord last = context.load<NumberRecord>(counter_key("volume")).value_or(NumberRecord{});
  return VolumeId{static_cast<u32>(last.value) + 1 + kDefaultVolume.value};
}

Result<void> change_policy(VolumePolicy& policy, const PolicyChange& change) {
  const u32 hours = change.trash_hours.value_or(policy.trash_hours);
  if (hours != kTrashOfCluster && hours > kTrashHoursMost)
    return fail(Errc::invalid_argument,
                fmt::format("a volume keeps what is removed for {} hours at most", kTrashHoursMost));
  policy.trash_hours = hours;
  if (!change.compression) return {};
  const codec::Compression how = *change.compression;
  const bool zstd = how.by == codec::Compressor::zstd;
  if (how.by > codec::Compressor::zstd || (zstd && (how.level < 1 || how.level > codec::kZstdLevelMost)))
    return fail(
        Errc::invalid_argument,
        fmt::format("compression is off, lz4, or zstd with a level of 1 to {}", codec::kZstdLevelMost));
  policy.compression = how;
  return {};
}

void tell_shards(ApplyContext& context, const Volume& volume) {
  const TellVolume news{volume.id, volume.state == VolumeState::deleting, volume.policy.trash_hours};
  for (u16 shard = 0; shard < context.shard_count(); ++shard) context.emit(ShardId{shard}, news);
}

bool keeps_removed(const ReadContext& context, VolumeId volume, const TrashPolicy& of_cluster) {
  const VolumeHere here = context.load<VolumeHere>(volume_here_key(volume)).value_or(VolumeHere{});
  return here.trash_hours == kTrashOfCluster ? of_cluster.keep.count() != 0 : here.trash_hours != 0;
}

// What came to the trash before that was turned off stays as long as the cluster says.
static runtime::Duration time_in_trash(const VolumeHere& here, const TrashPolicy& of_cluster) {
  if (here.trash_hours == 0 || here.trash_hours == kTrashOfCluster) return of_cluster.keep;
  return std::chrono::hours(here.trash_hours);
}

runtime::Duration time_in_trash(const ReadContext& context, VolumeId volume, const TrashPolicy& of_cluster) {
  return time_in_trash(context.load<VolumeHere>(volume_here_key(volume)).value_or(VolumeHere{}), of_cluster);
}

runtime::Duration least_time_in_trash(const ReadContext& context, const TrashPolicy& of_cluster) {
  runtime::Duration least = of_cluster.keep;
  const std::string table = key_of_table(Table::volume_here);
  context.scan(table, table, [&](std::string_view, std::string_view value) {
    const Result<VolumeHere> here = wire::decode<VolumeHere>(as_bytes(value));
    CFS_CHECK(here.has_value());
    least = std::min(least, time_in_trash(*here, of_cluster));
    return true;
  });
  return least;
}

bool is_deleted(const ReadContext& context, VolumeId volume) {
  if (volume == VolumeId{} || volume == kDefaultVolume) return false;
  return context.load<VolumeHere>(volume_here_key(volume)).value_or(VolumeHere{}).deleted;
}

Result<void> check_volume_lives(const ReadContext& context, VolumeId volume) {
  if (is_deleted(context, volume)) return fail(Errc::stale, "the volume was deleted");
  return {};
}

Result<void> check_same_volume(VolumeId there, VolumeId here) {
  if (there == here || CFS_MUTANT(volume_link_across)) return {};
  return fail(Errc::cross_device, "it is in another volume");
}

}  // namespace claudefs::meta
