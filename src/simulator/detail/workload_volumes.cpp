// Volumes come, are used through mounts of their own, and go.
#include <fmt/format.h>

#include "simulator/workload.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {

constexpr u64 kFilesMost = 4;

meta::PolicyChange draw_policy(sim::RandomStream& random) {
  constexpr codec::Compressor kAll[] = {codec::Compressor::lz4, codec::Compressor::none,
                                        codec::Compressor::zstd};
  meta::PolicyChange out;
  out.compression = codec::Compression{kAll[random.between(0, 2)], static_cast<u8>(random.between(1, 3))};
  return out;
}

client::NewNode node_in(InodeId parent, std::string name) {
  client::NewNode out;
  out.parent = parent;
  out.name = std::move(name);
  out.mode = 0755;
  return out;
}

}  // namespace

runtime::Task<void> Workload::use_volume(Client* client, Random* random) {
  const std::string name = fmt::format("of{}.{}", client->number, ++last_volume_);
  note(fmt::format("volume  client {} makes {}", client->number, name));
  volumes_[name] = VolumeFate::unsure;
  meta::PolicyChange policy = draw_policy(*random);
  policy.trash_hours = random->coin() ? meta::kTrashOfCluster : static_cast<u32>(random->between(0, 2));
  const Result<meta::Volume> made = co_await client->files().create_volume(name, policy).result();
  note(fmt::format("volume  {}: {}", name, made ? "made" : made.error().to_string()));
  if (!made) {
    if (is_definite(made.error().code))
      violation(fmt::format("volume {} is not made: {}", name, made.error().to_string()));
    co_return;
  }
  volumes_[name] = VolumeFate::there;
  ++report_.operations;
  // Of the one in which everybody works.
  (void)co_await client->files().set_volume(client->files().volume().name, draw_policy(*random)).result();
  client::ClusterMount mount(*client->machine, cluster_.mount_settings(name));
  const Result<void> mounted = co_await mount.start().result();
  if (!mounted && is_definite(mounted.error().code))
    violation(fmt::format("volume {} is not mounted: {}", name, mounted.error().to_string()));
  if (mounted) {
    if (mount.files().volume().root != made->root) violation(fmt::format("volume {} has two roots", name));
    const Result<void> filled = co_await fill_volume(client, &mount.files(), random).result();
    // Through a mount that is there while the volume goes, or after its end.
    if (random->coin()) {
      (void)co_await mount.stop().result();
      co_await end_volume(client, name, random);
      co_return;
    }
    co_await end_volume(client, name, random);
    (void)co_await fill_volume(client, &mount.files(), random).result();
  }
  (void)co_await mount.stop().result();
}

// Directories over the shards, files with content; some of them are removed again.
runtime::Task<Result<void>> Workload::fill_volume(Client* client, client::FileSystem* files, Random* random) {
  const InodeId root = files->volume().root;
  const std::string suffix = fmt::format(".{}", ++last_write_);
  const client::Inode directory = co_await files->make_directory(node_in(root, "d" + suffix));
  for (u64 i = random->between(1, kFilesMost); i != 0; --i) {
    client::OpenFlags flags;
    flags.write = true;
    const std::string name = fmt::format("f{}{}", i, suffix);
    const client::Opened file =
        co_await files->create_file(node_in(random->coin() ? root : directory.id, name), flags);
    const u64 length = u64{1} << random->between(0, 17);
    const std::string content(length, static_cast<char>('a' + i));
    Result<void> written = co_await files->write(file.handle, 0, Buffer::copy_of(content)).result();
    if (written) written = co_await files->fsync(file.handle).result();
    const Result<void> released = co_await files->release(file.handle).result();
    co_await Result<void>(written ? released : written);
    co_await try_to_cross(client, files, file.inode.id);
  }
  if (random->coin()) co_await files->make_directory(node_in(directory.id, "empty"));
  if (random->coin()) {
    co_await files->make_directory(node_in(directory.id, "gone"));
    co_await files->remove_directory(directory.id, "gone", {});
  }
  co_return Result<void>();
}

// What is in one volume can neither be seen nor named through a mount of another.
runtime::Task<void> Workload::try_to_cross(Client* client, client::FileSystem* files, InodeId theirs) {
  const std::string name = fmt::format("crossed.{}", ++last_write_);
  if (const auto seen = co_await client->files().get_attributes(theirs).result())
    violation(fmt::format("inode {:#x} is seen through a mount of another volume", theirs));
  if (const auto linked = co_await client->files().link(theirs, root_, name, {}).result())
    violation(fmt::format("inode {:#x} has a name in another volume", theirs));
  client::RenameRequest out;
  out.old_parent = files->volume().root;
  out.new_parent = root_;
  out.old_name = out.new_name = name;
  if (co_await client->files().rename(out).result())
    violation(fmt::format("a name moved from the root of volume {} to another", files->volume().name));
}

runtime::Task<void> Workload::end_volume(Client* client, std::string name, Random* random) {
  const u64 how = random->between(0, 3);
  if (how == 0) co_return;  // it stays
  const bool purge = how != 1;
  note(fmt::format("volume  client {} deletes {}{}", client->number, name, purge ? " with all in it" : ""));
  volumes_[name] = VolumeFate::unsure;
  const Result<meta::Volume> done = co_await client->files().delete_volume(name, purge).result();
  note(fmt::format("volume  {}: {}", name, done ? "deleted" : done.error().to_string()));
  if (!done && !is_definite(done.error().code)) co_return;
  ++report_.operations;
  const bool refused = !done && !purge && done.error().code == Errc::not_empty;
  volumes_[name] = refused ? VolumeFate::there : VolumeFate::gone;
  if (!done && !refused)
    violation(fmt::format("volume {} is not deleted: {}", name, done.error().to_string()));
}

runtime::Task<void> Workload::audit_volumes(Client* client) {
  const auto listed = co_await client->files().list_volumes().result();
  if (!listed) co_return violation("the audit cannot list the volumes: " + listed.error().to_string());
  std::set<std::string> there;
  for (const meta::Volume& volume : *listed)
    if (volume.state == meta::VolumeState::active) there.insert(volume.name);
  for (auto& [name, fate] : volumes_) {
    if (fate == VolumeFate::there && !there.contains(name)) violation(fmt::format("volume {} is lost", name));
    if (fate == VolumeFate::gone && there.contains(name))
      violation(fmt::format("volume {} was deleted and is there", name));
    // Nothing of it is under way.
    fate = there.contains(name) ? VolumeFate::there : VolumeFate::gone;
  }
}

}  // namespace claudefs::simulator
