// Goal: a shard lets nobody do what POSIX forbids, whatever the client's kernel thought of it.
// Method: each rule is a scenario on one shard that says whether it holds. Where mutants are compiled in,
// each of ours must break its scenario.
#include <gtest/gtest.h>

#include "base/mutant.h"
#include "meta/acl.h"
#include "meta/squash.h"
#include "meta/tests/one_shard.h"

namespace claudefs::meta::testing {
namespace {

const Caller kRoot{}, kAlice{1001, 1001, {}}, kBob{1002, 1002, {}};
constexpr u32 kStaff = 500;

Caller in_group(Caller caller, u32 group) {
  caller.groups.push_back(group);
  return caller;
}

// One shard, and short ways to make things in it.
struct World {
  World() { chmod(kRootInode, 0777); }
  template <class Op>
  auto run(const Op& op, cluster::RequestId id = {}) {
    return shard.run(op, id);
  }
  template <class Op>
  auto ask(const Op& op) {
    return shard.ask(op);
  }
  Inode file(const std::string& name, u16 mode = 0644, Caller by = kAlice, InodeId in = kRootInode) {
    return made(run(Create{in, name, FileType::regular, mode, 0, "", by}));
  }
  Inode directory(const std::string& name, u16 mode = 0755, Caller by = kAlice, InodeId in = kRootInode) {
    return made(run(MakeDirectory{in, name, mode, by}));
  }
  Inode made(const Result<InodeReply>& reply) {
    EXPECT_TRUE(reply) << reply.error().to_string();
    return reply ? reply->inode : Inode{};
  }
  Errc change(SetAttributes op, Caller by) {
    op.caller = std::move(by);
    return code(run(op));
  }
  void chmod(InodeId inode, u16 mode) { EXPECT_TRUE(run(SetAttributes{inode, mode})); }
  void chown(InodeId inode, u32 uid, u32 gid) { EXPECT_TRUE(run(SetAttributes{inode, {}, uid, gid})); }
  Inode stat(InodeId inode) { return made(ask(GetAttributes{inode})); }
  Errc open(InodeId inode, Access access, const Caller& by) {
    return code(ask(GetAttributes{inode, access, by}));
  }
  Errc set_xattr(InodeId inode, const std::string& name, std::string value, Caller by = kRoot) {
    return code(run(SetXattr{inode, name, Buffer::adopt(std::move(value)), XattrMode::set, by}));
  }
  OneShard shard;
  template <class T>
  static Errc code(const Result<T>& result) {
    return result ? Errc::ok : result.error().code;
  }
};

struct AclEntry {
  u8 tag, permissions;
  u32 id = UINT32_MAX;
};
std::string acl_of(std::initializer_list<AclEntry> entries) {
  std::string out("\2\0\0\0", 4);
  for (const AclEntry& entry : entries) {
    out += {static_cast<char>(entry.tag), '\0', static_cast<char>(entry.permissions), '\0'};
    for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(entry.id >> (8 * i)));
  }
  return out;
}
constexpr u8 kOwner = 1, kUser = 2, kOwnerGroup = 4, kMask = 16, kOther = 32;

// --- scenarios: true when the rule holds ---

bool sticky_protects() {
  World world;
  world.chmod(kRootInode, 01777);
  world.file("alices");
  world.file("bobs", 0644, kBob);
  world.directory("alices_dir");
  return world.code(world.run(Unlink{kRootInode, "alices", kBob})) == Errc::not_permitted &&
         world.code(world.run(RemoveDirectory{kRootInode, "alices_dir", kBob})) == Errc::not_permitted &&
         world.code(world.run(Rename{kRootInode, "alices", kRootInode, "x", RenameMode::replace, kBob})) ==
             Errc::not_permitted &&
         world.code(world.run(Rename{kRootInode, "bobs", kRootInode, "alices", RenameMode::replace, kBob})) ==
             Errc::not_permitted &&
         world.code(world.run(Unlink{kRootInode, "alices", kAlice})) == Errc::ok;
}

bool set_id_goes_with_the_owner() {
  World world;
  const InodeId file = world.file("f", 06755).id;
  world.chmod(file, 06755);
  world.chown(file, 1002, 1002);
  const InodeId directory = world.directory("d").id;
  world.chmod(directory, 06755);
  world.chown(directory, 1002, 1002);
  return world.stat(file).mode == 0755 && world.stat(directory).mode == 06755;
}

bool exchange_moves_both() {
  World world;
  const InodeId a = world.file("a").id, b = world.directory("b").id;
  EXPECT_TRUE(world.run(Rename{kRootInode, "a", kRootInode, "b", RenameMode::exchange}));
  return world.made(world.ask(Lookup{kRootInode, "a"})).id == b &&
         world.made(world.ask(Lookup{kRootInode, "b"})).id == a;
}

bool appends_go_to_the_end() {
  World world;
  const InodeId file = world.file("f").id;
  const auto append = [&](u64 believed_end, char what) {
    CommitWrite op{file};
    op.extents.push_back({believed_end, 4, InlineData{Buffer::copy_of(as_bytes(std::string(4, what)))}});
    op.size_at_least = believed_end + 4;
    op.appended_from = believed_end;
    EXPECT_TRUE(world.run(op));
  };
  append(0, 'a');
  append(0, 'b');  // by one who has not heard of the first
  const Result<GetExtentsReply> got = world.ask(GetExtents{file, 0, 100});
  return got->inode.size == 8 && got->extents.size() == 2 &&
         std::get<InlineData>(got->extents[0].content).bytes.text() == "aaaa" &&
         std::get<InlineData>(got->extents[1].content).bytes.text() == "bbbb";
}

bool a_list_counts() {
  World world;
  const InodeId file = world.file("f", 0640).id;
  EXPECT_EQ(world.set_xattr(
                file, std::string(kAccessAcl),
                acl_of({{kOwner, 6}, {kUser, 4, 1002}, {kOwnerGroup, 0}, {kMask, 4}, {kOther, 0}}), kAlice),
            Errc::ok);
  return world.open(file, kMayRead, kBob) == Errc::ok &&
         world.open(file, kMayWrite, kBob) == Errc::access_denied &&
         world.open(file, kMayRead, Caller{1003, 1001, {}}) == Errc::access_denied;
}

bool the_mode_follows_a_list() {
  World world;
  const InodeId file = world.file("f", 0600).id;
  EXPECT_EQ(
      world.set_xattr(file, std::string(kAccessAcl), acl_of({{kOwner, 7}, {kOwnerGroup, 5}, {kOther, 1}})),
      Errc::ok);
  return world.stat(file).mode == 0751 && world.stat(file).flags == 0;
}

bool every_group_counts() {
  World world;
  const InodeId file = world.file("f", 0640).id;
  world.chown(file, 1001, kStaff);
  Caller bob = kBob;
  for (u32 group = 2000; group < 2300; ++group) bob.groups.push_back(group);
  const bool before = world.open(file, kMayRead, bob) == Errc::access_denied;
  return before && world.open(file, kMayRead, in_group(bob, kStaff)) == Errc::ok;
}

bool groups_are_handed_on() {
  World world;
  const InodeId directory = world.directory("d").id;
  world.chown(directory, 1001, kStaff);
  world.chmod(directory, 02777);
  const Inode inside = world.directory("inside", 0755, kBob, directory);
  return world.file("f", 0644, kBob, directory).gid == kStaff && inside.gid == kStaff &&
         (inside.mode & 02000) != 0;
}

struct Scenario {
  const char* mutant;
  bool (*holds)();
};
constexpr Scenario kScenarios[] = {
    {"meta_permission_skips_sticky", sticky_protects},
    {"meta_permission_keeps_set_id", set_id_goes_with_the_owner},
    {"meta_exchanges_half", exchange_moves_both},
    {"meta_appends_where_told", appends_go_to_the_end},
    {"meta_permission_ignores_acl", a_list_counts},
    {"meta_permission_acl_leaves_mode", the_mode_follows_a_list},
    {"meta_permission_first_groups_only", every_group_counts},
    {"meta_permission_keeps_group_of_maker", groups_are_handed_on},
};

TEST(Permission, rules_hold) {
  for (const Scenario& scenario : kScenarios) EXPECT_TRUE(scenario.holds()) << scenario.mutant;
}

#ifdef CLAUDEFS_MUTANTS
TEST(Permission, mutants_are_noticed) {
  for (const Scenario& scenario : kScenarios) {
    ASSERT_TRUE(Mutant::select(scenario.mutant)) << scenario.mutant;
    EXPECT_FALSE(scenario.holds()) << scenario.mutant << " was not noticed";
  }
  Mutant::select("");
}
#endif

TEST(Permission, directories_need_search_and_write) {
  World world;
  const InodeId closed = world.directory("closed", 0700).id;
  const InodeId readable = world.directory("readable", 0755).id;
  world.file("f", 0644, kAlice, closed);
  world.file("f", 0644, kAlice, readable);
  EXPECT_EQ(world.code(world.ask(Lookup{closed, "f", kBob})), Errc::access_denied);
  EXPECT_EQ(world.code(world.ask(Lookup{readable, "f", kBob})), Errc::ok);
  ReadDirectory list{closed};
  list.opener = kBob;
  EXPECT_EQ(world.code(world.ask(list)), Errc::access_denied);
  for (const InodeId in : {closed, readable}) {
    EXPECT_EQ(world.code(world.run(Create{in, "new", FileType::regular, 0644, 0, "", kBob})),
              Errc::access_denied);
    EXPECT_EQ(world.code(world.run(CreateUnnamed{in, 0644, 0, true, kBob})), Errc::access_denied);
    EXPECT_EQ(world.code(world.run(MakeDirectory{in, "new", 0755, kBob})), Errc::access_denied);
    EXPECT_EQ(world.code(world.run(Unlink{in, "f", kBob})), Errc::access_denied);
    EXPECT_EQ(world.code(world.run(Rename{in, "f", kRootInode, "f", RenameMode::replace, kBob})),
              Errc::access_denied);
    EXPECT_EQ(world.code(world.run(Link{world.file("own", 0644, kBob).id, in, "l", kBob})),
              Errc::access_denied);
    EXPECT_EQ(world.code(world.run(Rename{kRootInode, "own", in, "own", RenameMode::replace, kBob})),
              Errc::access_denied);
    EXPECT_EQ(world.code(world.run(Unlink{kRootInode, "own", kBob})), Errc::ok);
  }
}

TEST(Permission, a_directory_that_moves_must_be_writable) {
  World world;
  const Inode moving = world.directory("moving", 0555, kBob);
  const InodeId other = world.directory("other", 0777).id;
  world.chmod(other, 0777);
  EXPECT_EQ(world.code(world.run(Rename{kRootInode, "moving", other, "m", RenameMode::replace, kBob})),
            Errc::access_denied);
  EXPECT_EQ(world.code(world.run(Rename{kRootInode, "moving", kRootInode, "m", RenameMode::replace, kBob})),
            Errc::ok);
}

TEST(Permission, attributes_belong_to_the_owner) {
  World world;
  const InodeId file = world.file("f", 0666).id;
  world.chmod(file, 0666);
  EXPECT_EQ(world.change(SetAttributes{file, u16{0600}}, kBob), Errc::not_permitted);
  EXPECT_EQ(world.change(SetAttributes{file, {}, 1002u}, kAlice), Errc::not_permitted);
  EXPECT_EQ(world.change(SetAttributes{file, {}, {}, kStaff}, kAlice), Errc::not_permitted);
  EXPECT_EQ(world.change(SetAttributes{file, {}, {}, kStaff}, in_group(kAlice, kStaff)), Errc::ok);
  SetAttributes times{file};
  times.modified = Time{5, 0};
  EXPECT_EQ(world.change(times, kBob), Errc::not_permitted);
  times.modified_now = true;
  EXPECT_EQ(world.change(times, kBob), Errc::ok);  // it may write
  SetAttributes size{file};
  size.size = 10;
  EXPECT_EQ(world.change(size, kBob), Errc::ok);
  world.chmod(file, 0644);
  EXPECT_EQ(world.change(times, kBob), Errc::access_denied);
  EXPECT_EQ(world.change(size, kBob), Errc::access_denied);
  size.size_granted = true;
  EXPECT_EQ(world.change(size, kBob), Errc::ok);
  EXPECT_EQ(world.change(SetAttributes{file, u16{02755}}, kAlice), Errc::ok);
  EXPECT_EQ(world.stat(file).mode, 0755);  // not of that group
}

TEST(Permission, default_lists_are_inherited_and_replace_the_umask) {
  World world;
  const InodeId directory = world.directory("d").id;
  const std::string list = acl_of({{kOwner, 7}, {kUser, 6, 1002}, {kOwnerGroup, 5}, {kMask, 7}, {kOther, 0}});
  EXPECT_EQ(world.set_xattr(world.file("f").id, std::string(kDefaultAcl), list), Errc::access_denied);
  ASSERT_EQ(world.set_xattr(directory, std::string(kDefaultAcl), list, kAlice), Errc::ok);
  Create create{directory, "f", FileType::regular, 0666, 0, "", kAlice};
  create.umask = 0077;
  const Inode file = world.made(world.run(create));
  EXPECT_EQ(file.mode, 0660);
  EXPECT_EQ(world.open(file.id, kMayWrite, kBob), Errc::ok);
  const Inode inside = world.directory("inside", 0777, kAlice, directory);
  EXPECT_EQ(inside.flags, u32{kHasAccessAcl | kHasDefaultAcl});
  EXPECT_EQ(world.ask(GetXattr{inside.id, std::string(kDefaultAcl)})->value.text(), list);
  create.parent = kRootInode;
  create.name = "elsewhere";
  EXPECT_EQ(world.made(world.run(create)).mode, 0600);
}

TEST(Permission, extended_attributes_have_classes) {
  World world;
  const InodeId file = world.file("f", 0644).id;
  EXPECT_EQ(world.set_xattr(file, "user.a", "1", kAlice), Errc::ok);
  EXPECT_EQ(world.set_xattr(file, "user.a", "1", kBob), Errc::access_denied);
  EXPECT_EQ(world.set_xattr(file, "trusted.a", "1", kAlice), Errc::not_permitted);
  EXPECT_EQ(world.set_xattr(file, "security.a", "1", kAlice), Errc::not_permitted);
  EXPECT_EQ(world.set_xattr(file, "odd.a", "1", kAlice), Errc::unsupported);
  EXPECT_EQ(world.set_xattr(file, "trusted.a", "1"), Errc::ok);
  EXPECT_EQ(world.code(world.ask(GetXattr{file, "trusted.a", kAlice})), Errc::no_data);
  EXPECT_EQ(world.ask(ListXattrs{file, kAlice})->names, std::vector<std::string>{"user.a"});
  EXPECT_EQ(world.set_xattr(file, "security.capability", "c"), Errc::ok);
  world.chown(file, 1002, 1002);
  EXPECT_EQ(world.code(world.ask(GetXattr{file, "security.capability"})), Errc::no_data);
}

TEST(Permission, a_squashed_client_has_no_root) {
  World world;
  const cluster::RequestId id{world.run(AdmitSession{"x", {}, true})->session, 1, 1};
  ASSERT_TRUE(is_squashed(id.session));
  world.chmod(kRootInode, 0755);
  EXPECT_EQ(world.code(world.run(Create{kRootInode, "f"}, id)), Errc::access_denied);
  world.chmod(kRootInode, 0777);
  const Result<InodeReply> made = world.run(Create{kRootInode, "f"}, {id.session, 2, 1});
  EXPECT_EQ(world.made(made).uid, kNobody);
}

TEST(Permission, only_root_makes_devices) {
  World world;
  Create device{kRootInode, "d", FileType::character_device, 0600, 259, "", kAlice};
  EXPECT_EQ(world.code(world.run(device)), Errc::not_permitted);
  device.caller = kRoot;
  EXPECT_EQ(world.made(world.run(device)).rdev, 259u);
}

TEST(Unnamed, a_file_gets_its_name_later) {
  World world;
  const Inode file = world.made(world.run(CreateUnnamed{kRootInode, 0640, 0, true, kAlice}));
  EXPECT_EQ(file.nlink, 0u);
  EXPECT_EQ(world.made(world.run(Link{file.id, kRootInode, "f", kAlice})).nlink, 1u);
  ASSERT_TRUE(world.run(PurgeInodes{{file.id}}));  // no orphan any more
  EXPECT_EQ(world.stat(file.id).nlink, 1u);
  // One that had a name does not get another; nor one that shall have none.
  ASSERT_TRUE(world.run(Unlink{kRootInode, "f", kAlice}));
  EXPECT_EQ(world.code(world.run(Link{file.id, kRootInode, "g", kAlice})), Errc::not_found);
  const Inode never = world.made(world.run(CreateUnnamed{kRootInode, 0640, 0, false, kAlice}));
  EXPECT_EQ(world.code(world.run(Link{never.id, kRootInode, "g", kAlice})), Errc::not_found);
}

TEST(Rename, leaves_a_whiteout) {
  World world;
  const InodeId a = world.file("a").id;
  Rename op{kRootInode, "a", kRootInode, "b", RenameMode::no_replace};
  op.whiteout = true;
  ASSERT_TRUE(world.run(op));
  EXPECT_EQ(world.made(world.ask(Lookup{kRootInode, "b"})).id, a);
  const Inode left = world.made(world.ask(Lookup{kRootInode, "a"}));
  EXPECT_EQ(left.type, FileType::character_device);
  EXPECT_EQ(left.rdev, 0u);
  EXPECT_EQ(world.stat(kRootInode).size, 2u);
  ASSERT_TRUE(world.run(Unlink{kRootInode, "a"}));
}

TEST(Times, of_reads_never_go_back) {
  World world;
  const Inode file = world.file("f");
  ASSERT_TRUE(world.run(NoteAccessed{{{file.id, Time{2'000'000'000, 5}}, {InodeId{77}, Time{1, 1}}}}));
  EXPECT_EQ(world.stat(file.id).accessed, (Time{2'000'000'000, 5}));
  EXPECT_EQ(world.stat(file.id).changed, file.changed);
  ASSERT_TRUE(world.run(NoteAccessed{{{file.id, Time{1, 1}}}}));
  EXPECT_EQ(world.stat(file.id).accessed, (Time{2'000'000'000, 5}));
}

}  // namespace
}  // namespace claudefs::meta::testing
