// Goal: on one shard every name-space operation does what POSIX says, and leaves nothing half done.
// Method: random operations against a model of maps; single cases for what a model does not see.
#include <gtest/gtest.h>

#include "meta/audit.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/names.h"
#include "meta/tests/namespace_model.h"

namespace claudefs::meta::testing {
namespace {

TEST(Namespace, behaves_like_the_model) {
  std::map<Errc, int> seen;
  for (u64 seed = 1; seed <= 6; ++seed) {
    OneShard shard;
    NamespaceWalk walk(shard, seed);
    for (int i = 0; i < 600; ++i) {
      walk.step();
      if (i % 100 == 99) walk.check_tree();
      ASSERT_FALSE(HasFatalFailure()) << "seed " << seed << " step " << i;
    }
    for (const auto& [code, count] : walk.seen) seen[code] += count;
    const auto before = shard.ask(ShardUsage{});
    // Everything nobody names goes, and is counted no more.
    std::vector<InodeId> orphans;
    shard.machine->reader().scan(key_of_table(Table::orphan), "",
                                 [&](std::string_view key, std::string_view) {
                                   orphans.push_back(InodeId{number_in(key, 1)});
                                   return true;
                                 });
    EXPECT_EQ(before->inodes, walk.model.nodes.size() + walk.model.trash.size() + orphans.size());
    ASSERT_TRUE(shard.run(PurgeInodes{{orphans.begin(), orphans.end()}}));
    EXPECT_EQ(shard.ask(ShardUsage{})->inodes, walk.model.nodes.size() + walk.model.trash.size());
    walk.check_tree();
  }
  for (const Errc code : {Errc::ok, Errc::exists, Errc::not_found, Errc::is_directory, Errc::not_directory,
                          Errc::not_empty, Errc::would_loop, Errc::not_permitted, Errc::stale})
    EXPECT_GT(seen[code], 0) << name_of(code);
}

Inode create(OneShard& shard, const std::string& name, FileType type = FileType::regular) {
  return shard.run(Create{kRootInode, name, type, 0644, 0, type == FileType::symlink ? "x" : "", {}})->inode;
}

TEST(Namespace, names_have_limits) {
  OneShard shard;
  EXPECT_EQ(shard.run(Create{kRootInode, std::string(256, 'x')}).error().code, Errc::name_too_long);
  EXPECT_TRUE(shard.run(Create{kRootInode, std::string(255, 'x')}));
  for (const char* name : {"", ".", "..", "a/b"})
    EXPECT_EQ(shard.run(Create{kRootInode, name}).error().code, Errc::invalid_argument) << name;
  EXPECT_EQ(shard.run(Create{create(shard, "f").id, "x"}).error().code, Errc::not_directory);
}

TEST(Namespace, times_and_owners_follow_posix) {
  OneShard shard;
  ASSERT_TRUE(shard.run(SetAttributes{kRootInode, u16{02777}, u32{1}, u32{77}, {}, {}, {}, false}));
  const Inode root = shard.ask(GetAttributes{kRootInode})->inode;
  const Inode file = shard.run(Create{kRootInode, "f", FileType::regular, 0640, 0, "", {10, 20}})->inode;
  EXPECT_EQ(file.uid, 10u);
  EXPECT_EQ(file.gid, 77u);  // of the set-group-id directory
  const Inode after = shard.ask(GetAttributes{kRootInode})->inode;
  EXPECT_GT(after.modified, root.modified);
  EXPECT_GT(after.changed, root.changed);
  const Inode directory = shard.run(MakeDirectory{kRootInode, "d", 0755, {10, 20}})->inode;
  EXPECT_EQ(directory.mode, 02755);
  EXPECT_EQ(directory.gid, 77u);
  const Inode linked = shard.run(Link{file.id, kRootInode, "g", {}})->inode;
  EXPECT_GT(linked.changed, file.changed);
  ASSERT_TRUE(shard.run(Unlink{kRootInode, "f"}));
  EXPECT_GT(shard.ask(GetAttributes{file.id})->inode.changed, linked.changed);
  ASSERT_TRUE(shard.run(SetAttributes{file.id, u16{06775}}));
  SetAttributes clear{file.id};
  clear.clear_set_id = true;
  EXPECT_EQ(shard.run(clear)->inode.mode, 0775);
}

// Without group-execute the bit stays for those who belong to the group, as on Linux.
TEST(Namespace, a_stranger_to_the_group_clears_its_bit) {
  OneShard shard;
  const InodeId file = create(shard, "f").id;
  ASSERT_TRUE(shard.run(SetAttributes{file, u16{02664}, u32{1}, u32{50}}));
  SetAttributes clear{file};
  clear.clear_set_id = true;
  EXPECT_EQ(shard.run(clear)->inode.mode, 02664);
  clear.caller = Caller{7, 7, {50}};
  EXPECT_EQ(shard.run(clear)->inode.mode, 02664);
  clear.caller = Caller{7, 7, {51}};
  EXPECT_EQ(shard.run(clear)->inode.mode, 0664);
  // A new group: whether the owner belongs to the old one counts.
  ASSERT_TRUE(shard.run(SetAttributes{file, u16{02664}}));
  SetAttributes give{file};
  give.gid = 60;
  give.caller = Caller{1, 60, {50}};
  EXPECT_EQ(shard.run(give)->inode.mode, 02664);
  give.gid = 61;
  give.caller = Caller{1, 61, {}};
  EXPECT_EQ(shard.run(give)->inode.mode, 0664);
}

TEST(Namespace, extended_attributes) {
  OneShard shard;
  const InodeId file = create(shard, "f").id;
  EXPECT_EQ(shard.ask(GetXattr{file, "user.a"}).error().code, Errc::no_data);
  ASSERT_TRUE(shard.run(SetXattr{file, "user.a", Buffer::copy_of("1"), XattrMode::set}));
  EXPECT_EQ(shard.run(SetXattr{file, "user.a", {}, XattrMode::create}).error().code, Errc::exists);
  EXPECT_EQ(shard.run(SetXattr{file, "user.b", {}, XattrMode::replace}).error().code, Errc::no_data);
  ASSERT_TRUE(shard.run(SetXattr{file, "user.b", Buffer::copy_of("2"), XattrMode::create}));
  EXPECT_EQ(shard.ask(GetXattr{file, "user.a"})->value.text(), "1");
  EXPECT_EQ(shard.ask(ListXattrs{file})->names, (std::vector<std::string>{"user.a", "user.b"}));
  ASSERT_TRUE(shard.run(RemoveXattr{file, "user.a"}));
  EXPECT_EQ(shard.run(RemoveXattr{file, "user.a"}).error().code, Errc::no_data);
  EXPECT_EQ(shard.run(SetXattr{file, "user.c", Buffer::zeros(65537), XattrMode::set}).error().code,
            Errc::too_big);
}

// Names of one hash share its slots, and keep their cookies while others come and go.
TEST(Namespace, colliding_names_are_told_apart) {
  OneShard shard;
  constexpr u64 kCookie = 0x4200;
  constexpr u16 kProbe = 0x7777;
  static std::function<void(ApplyContext&)> probe;
  shard.table.add_command(kProbe, [](ApplyContext& context, const Buffer&) -> Result<Buffer> {
    probe(context);
    return Buffer();
  });
  const auto in_shard = [&](std::function<void(ApplyContext&)> what) {
    probe = std::move(what);
    ASSERT_TRUE(shard.propose({kProbe, shard.stamp(), {}, {}}));
  };
  sim::RandomStream random(1, "collisions");
  std::map<std::string, u64> model;
  for (int i = 0; i < 300; ++i) {
    const std::string name(1, static_cast<char>('a' + random.between(0, 9)));
    in_shard([&](ApplyContext& context) {
      const auto slot = find_dentry(context, kRootInode, name, kCookie);
      ASSERT_EQ(slot.has_value(), model.contains(name));
      if (slot) {
        ASSERT_EQ(slot->cookie, model.at(name));
        remove_dentry(context, kRootInode, slot->cookie);
        model.erase(name);
      } else {
        insert_dentry(context, kRootInode, {name, InodeId{9}, FileType::regular}, kCookie);
        model[name] = find_dentry(context, kRootInode, name, kCookie)->cookie;
      }
    });
  }
  for (const auto& [name, cookie] : std::map(model))
    in_shard([&](ApplyContext& context) { remove_dentry(context, kRootInode, cookie); });
  in_shard([&](ApplyContext& context) {
    context.scan(dentries_key(kRootInode), "", [](std::string_view, std::string_view) {
      ADD_FAILURE() << "a slot is left";
      return false;
    });
  });
}

TEST(Namespace, cookies_and_directory_ids_stay_in_their_ranges) {
  for (int i = 0; i < 1000; ++i) {
    const std::string name = std::to_string(i);
    EXPECT_GE(cookie_of(name), 256u);
    EXPECT_LT(cookie_of(name), u64{1} << 63);
    const InodeId id = directory_id(kRootInode, name, 0, 7);
    EXPECT_LT(id.shard().value, 7);
    EXPECT_NE(id.local() & u64{1} << 43, 0u);
    EXPECT_NE(id, directory_id(kRootInode, name, 1, 7));
  }
  EXPECT_EQ(cookie_of("hello"), cookie_of("hello"));
}

TEST(Namespace, a_file_has_65000_names_and_no_more) {
  OneShard shard;
  const Inode file = shard.run(Create{kRootInode, "f"})->inode;
  ASSERT_TRUE(shard.run(RepairInode{file.id, file.changed, 64'999}));
  EXPECT_EQ(shard.run(Link{file.id, kRootInode, "last"})->inode.nlink, 65'000u);
  EXPECT_EQ(shard.run(Link{file.id, kRootInode, "more"}).error().code, Errc::too_many_links);
  EXPECT_EQ(shard.ask(Lookup{kRootInode, "more"}).error().code, Errc::not_found);
  ASSERT_TRUE(shard.run(Rename{kRootInode, "last", kRootInode, "renamed"}));
  ASSERT_TRUE(shard.run(Unlink{kRootInode, "f"}));
  EXPECT_EQ(shard.run(Link{file.id, kRootInode, "again"})->inode.nlink, 65'000u);
}

}  // namespace
}  // namespace claudefs::meta::testing
