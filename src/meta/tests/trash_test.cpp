// Goal: what is removed can be restored, once, by its owner, until it is emptied, oldest first; then it is
// purged and counted no more. That unlink and restore are a name space among other operations, also over
// shards with crashes, the walk of namespace_model.h shows. Method: scenarios on one shard; the leader's part
// on a cluster in virtual time.
#include "meta/trash.h"

#include <gtest/gtest.h>

#include "base/mutant.h"
#include "meta/audit.h"
#include "meta/detail/keys.h"
#include "meta/tests/cluster.h"

namespace claudefs::meta::testing {
namespace {

using namespace std::chrono_literals;

const Caller kRoot{}, kAlice{1001, 1001, {}}, kBob{1002, 1002, {}};
constexpr Hlc kAnyTime{~u64{0}};

template <class T>
Errc code_of(const Result<T>& result) {
  return result ? Errc::ok : result.error().code;
}

struct World {
  World() { EXPECT_TRUE(shard.run(SetAttributes{kRootInode, 0777})); }
  InodeId file(const std::string& name, u64 bytes = 0, Caller by = kAlice) {
    const InodeId id = shard.run(Create{kRootInode, name, FileType::regular, 0640, 0, "", by})->inode.id;
    if (bytes == 0) return id;
    CommitWrite write{id};
    write.extents = {{0, bytes, InlineData{Buffer::adopt(std::string(bytes, 'x'))}}};
    write.size_at_least = bytes;
    EXPECT_TRUE(shard.run(write));
    return id;
  }
  UnlinkReply unlink(const std::string& name, Caller by = kAlice) {
    Unlink op{kRootInode, name, by};
    op.to_trash = true;
    const Result<UnlinkReply> reply = shard.run(op);
    EXPECT_TRUE(reply) << reply.error().to_string();
    return reply ? *reply : UnlinkReply{};
  }
  InodeId removed(const std::string& name, u64 bytes = 0, Caller by = kAlice) {
    const InodeId id = file(name, bytes, by);
    EXPECT_TRUE(unlink(name, by).in_trash);
    return id;
  }
  Errc restore(InodeId id, const std::string& name, Caller by = kAlice) {
    return code_of(shard.run(RestoreFile{id, kRootInode, name, by}));
  }
  std::vector<std::string> listed(Caller by = kRoot, u32 rows_max = 1024) {
    std::vector<std::string> out;
    for (ListTrash op{{}, rows_max, by};;) {
      const ListTrashReply page = *shard.ask(op);
      for (const auto& row : page.rows) out.push_back(row.name);
      if (page.end) return out;
      op.after = page.next;
    }
  }
  EmptyTrashReply empty(Caller by = kRoot, Hlc before = kAnyTime, u64 bytes_max = ~u64{0}) {
    return *shard.run(EmptyTrash{{}, before, 512, bytes_max, by});
  }
  ShardUsageReply usage() { return *shard.ask(ShardUsage{}); }
  OneShard shard;
};
using Names = std::vector<std::string>;

// Each says whether it holds.
bool comes_back_whole() {
  World world;
  const InodeId id = world.removed("f", 100);
  const bool purged = !world.shard.run(PurgeInodes{{id}}) || !world.shard.ask(GetAttributes{id});
  if (purged || world.restore(id, "g") != Errc::ok) return false;
  const Result<InodeReply> inode = world.shard.ask(Lookup{kRootInode, "g"});
  return inode && inode->inode.id == id && inode->inode.size == 100 && inode->inode.nlink == 1 &&
         world.shard.ask(GetExtents{id, 0, 100})->extents.size() == 1 && world.listed().empty();
}
bool comes_back_once() {
  World world;
  const InodeId id = world.removed("f");
  return world.restore(id, "f") == Errc::ok && world.restore(id, "g") == Errc::not_found &&
         world.shard.ask(GetAttributes{id})->inode.nlink == 1;
}

TEST(Trash, a_file_comes_back_whole_and_once) {
  EXPECT_TRUE(comes_back_whole());
  EXPECT_TRUE(comes_back_once());
}

#ifdef CLAUDEFS_MUTANTS
TEST(Trash, its_mutants_are_noticed) {
  const std::pair<const char*, bool (*)()> planted[] = {{"meta_trash_is_purged", comes_back_whole},
                                                        {"meta_restores_the_living", comes_back_once}};
  for (const auto& [name, holds] : planted) {
    ASSERT_TRUE(Mutant::select(name));
    EXPECT_FALSE(holds()) << name;
  }
  Mutant::select("");
}
#endif

TEST(Trash, only_the_last_name_that_is_unlinked_goes_there) {
  World world;
  const InodeId file = world.file("a");
  ASSERT_TRUE(world.shard.run(Link{file, kRootInode, "b"}));
  EXPECT_FALSE(world.unlink("a").in_trash);
  EXPECT_TRUE(world.listed().empty());
  EXPECT_TRUE(world.unlink("b").in_trash);
  EXPECT_EQ(world.listed(), Names{"b"});
  // Not what a rename replaces, nor what shall not.
  world.file("c"), world.file("d"), world.file("e");
  ASSERT_TRUE(world.shard.run(Rename{kRootInode, "c", kRootInode, "d"}));
  ASSERT_TRUE(world.shard.run(Unlink{kRootInode, "e"}));
  EXPECT_EQ(world.listed(), Names{"b"});
}

TEST(Trash, owners_see_restore_and_empty_their_own_and_root_all) {
  World world;
  const InodeId alices = world.removed("alices", 10), bobs = world.removed("bobs", 10, kBob);
  EXPECT_EQ(world.listed(kAlice), Names{"alices"});
  EXPECT_EQ(world.listed(), (Names{"alices", "bobs"}));
  EXPECT_EQ(world.restore(bobs, "x"), Errc::not_permitted);
  EXPECT_EQ(world.restore(bobs, "bobs", kRoot), Errc::ok);
  ASSERT_TRUE(world.shard.run(SetAttributes{kRootInode, 0755}));
  EXPECT_EQ(world.restore(alices, "alices"), Errc::access_denied);
  EXPECT_EQ(world.empty(kBob).files, 0u);
  EXPECT_EQ(world.empty(kAlice).files, 1u);
  EXPECT_EQ(world.restore(alices, "alices", kRoot), Errc::not_found);
}

TEST(Trash, a_name_that_was_taken_meanwhile_stays_as_it_is) {
  World world;
  const InodeId old = world.removed("f"), fresh = world.file("f");
  EXPECT_EQ(world.restore(old, "f"), Errc::exists);
  EXPECT_EQ(world.shard.ask(Lookup{kRootInode, "f"})->inode.id, fresh);
  EXPECT_EQ(world.listed(), Names{"f"});
  EXPECT_EQ(world.restore(old, "f.old"), Errc::ok);
}

TEST(Trash, is_listed_page_by_page_in_the_order_of_removal) {
  World world;
  Names names;
  for (int i = 0; i < 7; ++i) names.push_back(std::string(1, static_cast<char>('g' - i)));
  for (const std::string& name : names) world.removed(name);
  EXPECT_EQ(world.listed(kRoot, 3), names);
}

TEST(Trash, is_emptied_oldest_first_and_then_purged) {
  World world;
  const u64 before = world.usage().inodes;
  for (const char* name : {"a", "b", "c", "d"}) world.removed(name, 1000);
  EXPECT_EQ(world.usage().trashed_inodes, 4u);
  EXPECT_EQ(world.usage().trashed_bytes, 4000u);
  EXPECT_EQ(world.usage().inodes, before + 4);
  const Hlc third = world.shard.ask(ListTrash{})->rows.at(2).removed;
  const EmptyTrashReply some = world.empty(kRoot, kAnyTime, 500);  // reached by the first
  EXPECT_EQ(some.files, 1u);
  EXPECT_FALSE(some.end);
  EXPECT_EQ(world.empty(kRoot, third).files, 1u);
  EXPECT_EQ(world.listed(), (Names{"c", "d"}));
  EXPECT_EQ(world.empty().bytes, 2000u);
  EXPECT_EQ(world.usage().trashed_inodes, 0u);
  EXPECT_EQ(world.usage().trashed_bytes, 0u);
  std::vector<InodeId> orphans;
  world.shard.machine->reader().scan(key_of_table(Table::orphan), "",
                                     [&](std::string_view key, std::string_view) {
                                       orphans.push_back(InodeId{number_in(key, 1)});
                                       return true;
                                     });
  ASSERT_TRUE(world.shard.run(PurgeInodes{orphans}));
  EXPECT_EQ(world.usage().inodes, before);
}

TEST(Trash, is_not_emptied_of_what_a_transaction_restores) {
  World world;
  const InodeId id = world.removed("f");
  Prepare prepare{TxnId{7}, ShardId{0}, {}, 1, {TakeFromTrash{id, {}, kAlice}}, {}};
  ASSERT_EQ(world.shard.run(prepare)->code, Errc::ok);
  EXPECT_EQ(world.empty().files, 0u);
  ASSERT_TRUE(world.shard.run(CommitTransaction{TxnId{7}}));
  EXPECT_EQ(world.shard.ask(GetAttributes{id})->inode.nlink, 1u);
  EXPECT_TRUE(world.listed().empty());
}

TEST(Trash, keeps_what_a_directory_was) {
  World world;
  const InodeId id = world.shard.run(MakeDirectory{kRootInode, "d", 0750, kAlice})->inode.id;
  ASSERT_TRUE(world.shard.run(
      SetXattr{id, "user.color", Buffer::copy_of(std::string("red")), XattrMode::set, kAlice}));
  RemoveDirectory remove{kRootInode, "d", kAlice};
  remove.to_trash = true;
  ASSERT_TRUE(world.shard.run(remove)->in_trash);
  EXPECT_EQ(code_of(world.shard.ask(GetAttributes{id})), Errc::stale);
  const ListTrashReply reply = *world.shard.ask(ListTrash{{}, 10, kAlice});
  ASSERT_EQ(reply.rows.size(), 1u);
  EXPECT_EQ(reply.rows[0].name, "d");
  EXPECT_EQ(reply.rows[0].inode.mode, 0750);
  ASSERT_EQ(reply.rows[0].xattrs.size(), 1u);
  EXPECT_EQ(reply.rows[0].xattrs[0].value.text(), "red");
  EXPECT_EQ(world.empty().files, 0u);
  EXPECT_TRUE(world.listed().empty());
}

// What fsck looks at.
TEST(Trash, is_no_leak) {
  World world;
  const InodeId id = world.removed("f");
  for (const auto& row : world.shard.ask(AuditInodes{})->rows)
    if (row.inode.id == id) EXPECT_TRUE(row.orphan);
}

struct Emptying {
  explicit Emptying(runtime::Duration keep) : cluster(3, 2, 1) {
    cluster.keep_trash = keep;
    cluster.restart(0);
  }
  void remove(const std::string& name) {
    ASSERT_TRUE(cluster.call(ShardId{0}, Create{kRootInode, name}));
    Unlink unlink{kRootInode, name};
    unlink.to_trash = true;
    ASSERT_TRUE(cluster.call(ShardId{0}, unlink));
  }
  ShardUsageReply usage() { return *cluster.call(ShardId{0}, ShardUsage{}); }
  Cluster cluster;
};

TEST(Trash, is_emptied_by_the_leader_when_its_time_is_over) {
  Emptying it(1h);
  it.remove("a");
  it.cluster.run_for(30min);
  it.remove("b");
  it.cluster.run_for(29min);
  EXPECT_EQ(it.usage().trashed_inodes, 2u);
  it.cluster.run_for(2min);
  EXPECT_EQ(it.usage().trashed_inodes, 1u);
  it.cluster.run_for(31min);
  EXPECT_EQ(it.usage().trashed_inodes, 0u);
  EXPECT_EQ(it.usage().inodes, 1u);  // purged, too
}

TEST(Trash, gives_way_where_space_is_short) {
  Emptying it(24h);
  for (int i = 0; i < 20; ++i) it.remove("f" + std::to_string(i));
  it.cluster.space_is_short = true;
  it.cluster.run_for(10s);
  const u64 left = it.usage().trashed_inodes;
  EXPECT_LT(left, 20u);
  EXPECT_GT(left, 10u);  // not all at once
  it.cluster.space_is_short = false;
  it.cluster.run_for(10s);
  EXPECT_EQ(it.usage().trashed_inodes, left);
}

TEST(Trash, is_nothing_where_the_cluster_has_none) {
  Emptying it(0h);
  it.remove("a");
  EXPECT_EQ(it.usage().trashed_inodes, 0u);
}

}  // namespace
}  // namespace claudefs::meta::testing
