// Goal: a volume is there whole or not at all, whatever leader is lost; nothing gets from one into another;
// what was deleted goes, all of it, and nothing else.
#include "meta/volumes.h"

#include <gtest/gtest.h>

#include <array>

#include "meta/census.h"
#include "meta/detail/keys.h"
#include "meta/session_volume.h"
#include "meta/tests/cluster.h"

namespace claudefs::meta::testing {
namespace {

using namespace std::chrono_literals;

constexpr ShardId kRecords{0};

template <class T>
Errc code_of(const Result<T>& result) {
  return result ? Errc::ok : result.error().code;
}

Result<Volume> make(Cluster& cluster, const std::string& name) {
  return cluster.call(kRecords, CreateVolume{name});
}
Errc remove(Cluster& cluster, const std::string& name, bool purge) {
  return code_of(cluster.call(kRecords, DeleteVolume{name, purge}));
}
std::vector<std::string> names(Cluster& cluster) {
  std::vector<std::string> out;
  for (const Volume& volume : cluster.call(kRecords, ListVolumes{})->volumes) out.push_back(volume.name);
  return out;
}
InodeId file_in(Cluster& cluster, InodeId directory, const std::string& name) {
  return cluster.call(directory.shard(), Create{directory, name})->inode.id;
}
InodeId directory_in(Cluster& cluster, InodeId parent, const std::string& name) {
  return cluster.call(parent.shard(), MakeDirectory{parent, name, 0755, {}})->inode.id;
}
u64 inodes_of(Cluster& cluster, VolumeId volume) {
  u64 count = 0;
  for (const auto& [shard, at] : cluster.leader)
    cluster.state(shard).scan(key_of_table(Table::inode), "", [&](std::string_view, std::string_view value) {
      count += wire::decode<Inode>(as_bytes(value))->volume == volume ? 1 : 0;
      return true;
    });
  return count;
}
// Also directories in the trash.
bool is_anywhere(Cluster& cluster, VolumeId volume) {
  for (const auto& [shard, at] : cluster.leader)
    if (take_census(cluster.state(shard)).volumes.contains(volume)) return true;
  return false;
}
u64 counted_inodes(Cluster& cluster) {
  u64 out = 0;
  for (const auto& [shard, at] : cluster.leader) out += cluster.call(shard, ShardUsage{})->inodes;
  return out;
}
// As a client that is bound to a volume.
template <class Op>
Errc ask_from(Cluster& cluster, VolumeId volume, ShardId shard, const Op& op) {
  static u64 sequence = 0;
  const cluster::RequestId id{SessionId{77 | session_bits_of(volume)}, ++sequence, sequence};
  return code_of(
      sim::run(cluster.world, cluster.env, cluster.request(shard, Op::kKind, id, wire::encode(op))).value());
}

TEST(Volumes, a_session_says_its_volume) {
  for (const u32 number : {0u, 1u, 255u, 256u, 70'000u, kVolumesMost}) {
    const u64 bits = session_bits_of(VolumeId{number});
    EXPECT_EQ(volume_of(SessionId{bits | 12'345}), VolumeId{number});
    EXPECT_EQ(volume_of(SessionId{bits | kSquashedSession | 1}), VolumeId{number});
    EXPECT_FALSE(is_squashed(SessionId{bits | 1}));
  }
}

TEST(Volumes, are_made_found_and_deleted) {
  Cluster cluster(1, 4, 1);
  EXPECT_EQ(names(cluster), std::vector<std::string>{"default"});
  const Result<Volume> data = make(cluster, "data");
  ASSERT_TRUE(data.has_value());
  EXPECT_EQ(code_of(make(cluster, "data")), Errc::exists);
  EXPECT_EQ(code_of(make(cluster, "default")), Errc::exists);
  for (const std::string wrong : {"", "A", "a b", "-a", ".a", "a/b", "\xc3\xa9"})
    EXPECT_EQ(code_of(make(cluster, wrong)), Errc::invalid_argument) << wrong;
  EXPECT_EQ(code_of(make(cluster, std::string(64, 'a'))), Errc::invalid_argument);
  const Result<Volume> longest = make(cluster, std::string(60, 'a') + ".-_");
  ASSERT_TRUE(longest.has_value());
  EXPECT_NE(data->root, longest->root);
  EXPECT_EQ(cluster.call(kRecords, FindVolume{"data"})->root, data->root);
  const Result<InodeReply> root = cluster.call(data->root.shard(), GetAttributes{data->root});
  ASSERT_TRUE(root.has_value());
  EXPECT_EQ(root->inode.volume, data->id);
  EXPECT_EQ(cluster.call(data->root.shard(), ReadDirectory{data->root})->parent, data->root);
  const auto missing = cluster.call(kRecords, FindVolume{"nothing"});
  ASSERT_FALSE(missing.has_value());
  EXPECT_NE(missing.error().text.find("default, data"), std::string::npos) << missing.error().text;

  EXPECT_EQ(remove(cluster, "default", true), Errc::not_permitted);
  EXPECT_EQ(remove(cluster, "nothing", true), Errc::not_found);
  const InodeId file = file_in(cluster, data->root, "f");
  EXPECT_EQ(remove(cluster, "data", false), Errc::not_empty);
  ASSERT_TRUE(cluster.call(data->root.shard(), Unlink{data->root, "f"}));
  EXPECT_EQ(remove(cluster, "data", false), Errc::ok);
  EXPECT_EQ(remove(cluster, "data", false), Errc::ok) << "while it goes";
  const Result<Volume> again = make(cluster, "data");
  ASSERT_TRUE(again.has_value());
  EXPECT_GT(again->id, longest->id);
  EXPECT_EQ(code_of(cluster.call(data->root.shard(), Create{data->root, "g"})), Errc::stale);
  cluster.run_for(60s);
  EXPECT_EQ(code_of(cluster.call(file.shard(), GetAttributes{file})), Errc::stale);
  EXPECT_FALSE(is_anywhere(cluster, data->id));
  EXPECT_EQ(cluster.call(kRecords, FindVolume{"data"})->id, again->id);
  EXPECT_EQ(names(cluster).size(), 3u);
}

TEST(Volumes, nothing_gets_from_one_into_another) {
  for (const u16 shards : {1, 4}) {
    Cluster cluster(2, shards, 1);
    const Volume data = *make(cluster, "data");
    std::vector<InodeId> directories{data.root};
    for (int i = 0; i < 6; ++i) directories.push_back(directory_in(cluster, data.root, std::to_string(i)));
    const InodeId ours = file_in(cluster, kRootInode, "ours");
    for (const InodeId directory : directories) {
      const InodeId file = file_in(cluster, directory, "f");
      EXPECT_EQ(code_of(cluster.call(kRecords, Link{file, kRootInode, "theirs"})), Errc::cross_device);
      EXPECT_EQ(code_of(cluster.call(directory.shard(), Link{ours, directory, "ours"})), Errc::cross_device);
      Rename rename{directory, "f", kRootInode, "theirs"};
      EXPECT_EQ(code_of(cluster.call(directory.shard(), rename)), Errc::cross_device);
      rename.mode = RenameMode::exchange;
      rename.new_name = "ours";
      EXPECT_EQ(code_of(cluster.call(directory.shard(), rename)), Errc::cross_device);
      // A client that is bound to one sees nothing of the other.
      EXPECT_EQ(ask_from(cluster, data.id, file.shard(), GetAttributes{file}), Errc::ok);
      EXPECT_EQ(ask_from(cluster, kDefaultVolume, file.shard(), GetAttributes{file}), Errc::stale);
      EXPECT_EQ(ask_from(cluster, kDefaultVolume, directory.shard(), Lookup{directory, "f"}), Errc::stale);
      EXPECT_EQ(ask_from(cluster, kDefaultVolume, directory.shard(), Create{directory, "g"}), Errc::stale);
      EXPECT_EQ(ask_from(cluster, data.id, kRecords, Unlink{kRootInode, "ours"}), Errc::stale);
    }
    EXPECT_EQ(cluster.call(kRecords, GetAttributes{kRootInode})->inode.size, 1u);
  }
}

// Trees over all shards, some of it in the trash, some held open, deleted while leaders come and go and
// others still make something in it.
TEST(Volumes, what_was_deleted_goes_and_nothing_else) {
  for (u64 seed = 1; seed <= 4; ++seed) {
    Cluster cluster(seed, 4, 3);
    const InodeId kept = directory_in(cluster, kRootInode, "kept");
    for (int i = 0; i < 5; ++i) file_in(cluster, kept, std::to_string(i));
    cluster.disturb(50ms);
    const Volume other = *make(cluster, "other");
    const Volume data = *make(cluster, "data");
    file_in(cluster, other.root, "f");
    std::vector<InodeId> directories{data.root};
    for (int i = 0; i < 20; ++i) {
      const InodeId parent = directories[cluster.random.between(0, directories.size() - 1)];
      directories.push_back(directory_in(cluster, parent, "d" + std::to_string(i)));
      for (int f = 0; f < 3; ++f) file_in(cluster, directories.back(), "f" + std::to_string(f));
      Unlink unlink{directories.back(), "f0"};
      unlink.to_trash = true;
      ASSERT_TRUE(cluster.call(directories.back().shard(), unlink));
      directory_in(cluster, directories.back(), "gone");
      RemoveDirectory removed{directories.back(), "gone"};
      removed.to_trash = true;
      ASSERT_TRUE(cluster.call(directories.back().shard(), removed));
    }
    EXPECT_EQ(remove(cluster, "data", false), Errc::not_empty);
    EXPECT_EQ(remove(cluster, "data", true), Errc::ok);
    for (const InodeId directory : directories) {
      (void)cluster.call(directory.shard(), MakeDirectory{directory, "late", 0755, {}});
      (void)cluster.call(directory.shard(), Create{directory, "late"});
    }
    cluster.calm();
    cluster.run_for(120s);
    EXPECT_FALSE(is_anywhere(cluster, data.id)) << "seed " << seed;
    EXPECT_EQ(names(cluster), (std::vector<std::string>{"default", "other"}));
    EXPECT_EQ(cluster.loose_ends(), 0u);
    EXPECT_EQ(inodes_of(cluster, other.id), 2u);
    EXPECT_EQ(inodes_of(cluster, kDefaultVolume), 7u);
    EXPECT_EQ(counted_inodes(cluster), 9u) << "seed " << seed;
    for (const auto& member : cluster.members)
      EXPECT_EQ(contents(member->kv), contents(cluster.members.front()->kv)) << member->number;
  }
}

TEST(Volumes, policies_change_and_reach_every_shard) {
  Cluster cluster(3, 4, 1);
  const codec::Compression zstd{codec::Compressor::zstd, 9};
  CreateVolume create{"data", {zstd, 0}};
  const Volume data = *cluster.call(kRecords, create);
  EXPECT_EQ(data.policy.compression, zstd);
  for (const codec::Compression wrong :
       {codec::Compression{codec::Compressor::zstd, 0}, codec::Compression{codec::Compressor::zstd, 20},
        codec::Compression{static_cast<codec::Compressor>(3), 0}})
    EXPECT_EQ(code_of(cluster.call(kRecords, SetVolume{"data", {wrong, {}}})), Errc::invalid_argument);
  EXPECT_EQ(code_of(cluster.call(kRecords, SetVolume{"nothing", {}})), Errc::not_found);
  const Volume set = *cluster.call(kRecords, SetVolume{"default", {zstd, {}}});
  EXPECT_EQ(set.policy.compression, zstd);
  EXPECT_EQ(set.policy.trash_hours, kTrashOfCluster);
  EXPECT_GT(set.version, 1u);
  EXPECT_EQ(names(cluster), (std::vector<std::string>{"default", "data"}));
  EXPECT_EQ(cluster.call(kRecords, FindVolume{"data"})->version, data.version);
  cluster.run_for(5s);

  const auto goes_to_trash = [&](InodeId directory, const std::string& name) {
    file_in(cluster, directory, name);
    Unlink unlink{directory, name};
    unlink.to_trash = true;
    return cluster.call(directory.shard(), unlink)->in_trash;
  };
  std::vector<InodeId> directories{data.root};
  for (int i = 0; i < 8; ++i) directories.push_back(directory_in(cluster, data.root, std::to_string(i)));
  for (const InodeId directory : directories) EXPECT_FALSE(goes_to_trash(directory, "f"));
  EXPECT_TRUE(goes_to_trash(kRootInode, "f"));
  ASSERT_TRUE(cluster.call(kRecords, SetVolume{"data", {{}, kTrashOfCluster}}));
  cluster.run_for(5s);
  for (const InodeId directory : directories) EXPECT_TRUE(goes_to_trash(directory, "g"));
  EXPECT_EQ(cluster.call(kRecords, FindVolume{"data"})->policy.compression, zstd);
}

// And what was removed from others stays beside it.
TEST(Volumes, each_keeps_what_is_removed_as_long_as_it_says) {
  Cluster cluster(4, 1, 1);
  cluster.keep_trash = 2h;
  cluster.restart(0);
  const Volume brief = *cluster.call(kRecords, CreateVolume{"brief", {{}, 1}});
  const Volume long_kept = *cluster.call(kRecords, CreateVolume{"long", {{}, 5}});
  EXPECT_EQ(code_of(cluster.call(kRecords, SetVolume{"long", {{}, kTrashHoursMost + 1}})),
            Errc::invalid_argument);
  cluster.run_for(5s);
  const InodeId roots[] = {kRootInode, brief.root, long_kept.root};
  std::vector<InodeId> files;
  for (int i = 0; i < 600; ++i) {  // more than are looked at at once, those that stay before those that go
    const InodeId root = i < 590 ? long_kept.root : roots[i % 3];
    files.push_back(file_in(cluster, root, std::to_string(i)));
    Unlink unlink{root, std::to_string(i)};
    unlink.to_trash = true;
    EXPECT_TRUE(cluster.call(root.shard(), unlink)->in_trash);
  }
  const auto left = [&] {
    std::array<int, 3> out{};
    for (int i = 0; i < 600; ++i)
      if (cluster.call(files[i].shard(), GetAttributes{files[i]})) ++out[i < 590 ? 2 : i % 3];
    return out;
  };
  const auto all = left();
  cluster.run_for(59min);
  EXPECT_EQ(left(), all);
  cluster.run_for(3min);
  EXPECT_EQ(left(), (std::array<int, 3>{all[0], 0, all[2]}));
  cluster.run_for(1h);
  EXPECT_EQ(left(), (std::array<int, 3>{0, 0, all[2]}));
  ASSERT_TRUE(cluster.call(kRecords, SetVolume{"long", {{}, 1}}));
  cluster.run_for(3min);
  EXPECT_EQ(left(), (std::array<int, 3>{0, 0, 0}));
}

// However often it is tried, and whoever leads: one record, one root.
TEST(Volumes, a_volume_is_whole_or_not_there) {
  for (u64 seed = 1; seed <= 6; ++seed) {
    Cluster cluster(100 + seed, 8, 3);
    cluster.disturb(10ms);
    std::set<VolumeId> made;
    for (int i = 0; i < 12; ++i)
      if (const Result<Volume> volume = make(cluster, "v" + std::to_string(i))) made.insert(volume->id);
    cluster.calm();
    cluster.run_for(30s);
    EXPECT_EQ(cluster.loose_ends(), 0u);
    std::set<VolumeId> listed;
    for (const Volume& volume : cluster.call(kRecords, ListVolumes{})->volumes) {
      EXPECT_TRUE(cluster.call(volume.root.shard(), GetAttributes{volume.root})) << volume.name;
      EXPECT_EQ(inodes_of(cluster, volume.id), 1u);
      if (volume.id != kDefaultVolume) listed.insert(volume.id);
    }
    EXPECT_EQ(listed, made);
    EXPECT_EQ(counted_inodes(cluster), listed.size() + 1);
  }
}

}  // namespace
}  // namespace claudefs::meta::testing
