// Goal: a directory's names are all there, once, and under its rights, while it is split and comes together
// again. Method: a directory that is split at a few entries, asked as clients ask, on a cluster whose leaders
// move and nodes crash.
#include <set>

#include <gtest/gtest.h>

#include "base/mutant.h"
#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/names.h"
#include "meta/tests/cluster.h"

namespace claudefs::meta::testing {
namespace {

using namespace std::chrono_literals;

constexpr u16 kShards = 4;
constexpr Caller kAlice{1000, 1000, {}};

SplitPolicy small(runtime::Duration quiet_for) {
  SplitPolicy policy;
  policy.split_at = 8;
  policy.merge_below = 5;
  policy.quiet_for = quiet_for;
  policy.figures = std::make_shared<SplitFigures>();
  return policy;
}

struct Splits {
  explicit Splits(u64 seed = 1, runtime::Duration quiet_for = 1h) : Splits(seed, small(quiet_for)) {}
  Splits(u64 seed, SplitPolicy policy) : cluster(seed, kShards, 3, std::move(policy)) {
    const MakeDirectory make{kRootInode, "d", 0777};
    directory = cluster.call(kRootInode.shard(), make)->inode.id;
  }
  FragmentMap map() { return cluster.call(directory.shard(), ReadFragments{directory})->fragments; }
  InodeId place_of(const std::string& name) {
    InodeId place = directory;
    for (const Fragment& fragment : map())
      if (fragment.first <= cookie_of(name)) place = fragment.inode;
    return place;
  }
  // As a client does: where the map says, and again when that was wrong.
  template <class Op>
  Result<typename Op::Reply> at_name(Op op, InodeId Op::* parent, const std::string& name) {
    for (;;) {
      op.*parent = place_of(name);
      auto reply = cluster.call((op.*parent).shard(), op);
      if (reply || (reply.error().code != Errc::moved && reply.error().code != Errc::stale)) return reply;
      cluster.run_for(10ms);
    }
  }
  Errc create(const std::string& name, Caller caller = {}) {
    Create op;
    op.name = name;
    op.mode = 0644;
    op.caller = std::move(caller);
    const auto done = at_name(op, &Create::parent, name);
    return done ? Errc::ok : done.error().code;
  }
  Errc unlink(const std::string& name) {
    Unlink op;
    op.name = name;
    const auto done = at_name(op, &Unlink::parent, name);
    return done ? Errc::ok : done.error().code;
  }
  Errc remove_directory() {
    const auto done = cluster.call(kRootInode.shard(), RemoveDirectory{kRootInode, "d"});
    return done ? Errc::ok : done.error().code;
  }
  void fill(int count) {
    for (int i = 0; i < count; ++i) EXPECT_EQ(create(fmt::format("f{}", i)), Errc::ok);
    cluster.run_for(10s);
  }
  // By ranges.
  std::multiset<std::string> list() {
    std::multiset<std::string> out;
    for (u64 from = 1; from != 0;) {
      ReadDirectory read;
      read.directory = directory;
      for (const Fragment& fragment : map())
        if (fragment.first <= from) read.directory = fragment.inode;
      read.after_cookie = from - 1;
      read.entries_max = 3;
      const auto reply = cluster.call(read.directory.shard(), read);
      if (!reply) continue;
      for (const auto& entry : reply->entries) out.insert(entry.dentry.name);
      from = reply->end ? reply->range_end : reply->entries.back().cookie + 1;
    }
    return out;
  }
  // The ranges of all are one after the other, entries are in theirs, and counted.
  void expect_sound() {
    cluster.run_for(3s);
    EXPECT_EQ(cluster.loose_ends(), 0u);
    u64 first = 0;
    InodeId at = directory;
    const FragmentMap all = map();
    for (std::size_t i = 0; i <= all.size(); ++i) {
      const ReadContext& state = cluster.state(at.shard());
      const auto range = load_fragments(state, at);
      ASSERT_EQ(range.has_value(), !all.empty());
      if (range) {
        EXPECT_EQ(range->first, first);
        EXPECT_EQ(range->end, i < all.size() ? all[i].first : 0);
      }
      u64 named = 0;
      for (const EntryRow& row : content_of(state, at, 0, 0).entries) {
        EXPECT_TRUE(!range || range->holds(row.cookie));
        named += row.dentry.name.empty() ? 0 : 1;
      }
      EXPECT_EQ(state.load<Inode>(inode_key(at))->size, named);
      if (i == all.size()) break;
      at = all[i].inode;
      first = all[i].first;
    }
  }
  std::size_t fragments_anywhere() {
    std::size_t count = 0;
    for (u16 shard = 0; shard < kShards; ++shard)
      cluster.state(ShardId{shard}).scan(key_of_table(Table::fragments), "", [&](auto, auto) {
        ++count;
        return true;
      });
    return count;
  }

  Cluster cluster;
  InodeId directory{};
};

bool rights_reach_fragments() {
  Splits d;
  d.fill(30);
  if (d.map().empty() || d.create("before", kAlice) != Errc::ok) return false;
  SetAttributes close;
  close.inode = d.directory;
  close.mode = 0700;
  if (!d.cluster.call(d.directory.shard(), close)) return false;
  for (int i = 0; i < 10; ++i)
    if (d.create(fmt::format("closed{}", i), kAlice) != Errc::access_denied) return false;
  close.mode = 0770;
  close.gid = kAlice.gid;
  if (!d.cluster.call(d.directory.shard(), close)) return false;
  for (int i = 0; i < 10; ++i)
    if (d.create(fmt::format("open{}", i), kAlice) != Errc::ok) return false;
  return true;
}

TEST(Split, a_large_directory_is_spread_and_every_name_found) {
  Splits d;
  d.fill(60);
  EXPECT_GE(d.map().size(), 5u);
  d.expect_sound();
  std::multiset<std::string> all;
  for (int i = 0; i < 60; ++i) all.insert(fmt::format("f{}", i));
  EXPECT_EQ(d.list(), all);
  std::set<ShardId> shards;
  for (const Fragment& fragment : d.map()) shards.insert(fragment.inode.shard());
  EXPECT_EQ(shards.size(), kShards);
  for (int i = 0; i < 60; ++i) {
    EXPECT_EQ(d.create(fmt::format("f{}", i)), Errc::exists);
    EXPECT_EQ(d.unlink(fmt::format("f{}", i)), Errc::ok);
  }
  EXPECT_TRUE(d.list().empty());
}

TEST(Split, who_asks_at_the_wrong_place_is_told) {
  Splits d;
  d.fill(30);
  const FragmentMap map = d.map();
  ASSERT_FALSE(map.empty());
  for (int i = 0; i < 30; ++i) {
    const std::string name = fmt::format("f{}", i);
    const InodeId place = d.place_of(name);
    const InodeId other = place == d.directory ? map.front().inode : d.directory;
    Create create{other, name};
    EXPECT_EQ(d.cluster.call(other.shard(), create).error().code, Errc::moved);
    EXPECT_EQ(d.cluster.call(other.shard(), Lookup{other, name}).error().code, Errc::moved);
    EXPECT_EQ(d.cluster.call(other.shard(), Unlink{other, name}).error().code, Errc::moved);
    EXPECT_EQ(d.cluster.call(other.shard(), MakeDirectory{other, name}).error().code, Errc::moved);
  }
  d.expect_sound();
}

TEST(Split, what_shrinks_comes_together) {
  Splits d(3, 2s);
  d.fill(60);
  ASSERT_FALSE(d.map().empty());
  for (int i = 1; i < 60; ++i) EXPECT_EQ(d.unlink(fmt::format("f{}", i)), Errc::ok);
  d.cluster.run_for(60s);
  EXPECT_TRUE(d.map().empty());
  EXPECT_EQ(d.fragments_anywhere(), 0u);
  EXPECT_EQ(d.list(), std::multiset<std::string>{"f0"});
  EXPECT_GT(d.cluster.split.figures->merges, 0u);
  d.expect_sound();
}

TEST(Split, rights_of_the_directory_hold_in_its_fragments) { EXPECT_TRUE(rights_reach_fragments()); }

#ifdef CLAUDEFS_MUTANTS
TEST(Split, rights_that_stay_old_are_noticed) {
  ASSERT_TRUE(Mutant::select("meta_fragment_keeps_old_rights"));
  EXPECT_FALSE(rights_reach_fragments());
  Mutant::select("");
}
#endif

TEST(Split, times_reach_fragments) {
  Splits d;
  d.fill(30);
  SetAttributes set;
  set.inode = d.directory;
  set.modified = Time{77, 5};
  ASSERT_TRUE(d.cluster.call(d.directory.shard(), set));
  for (const Fragment& fragment : d.map()) {
    const auto inode = d.cluster.call(fragment.inode.shard(), GetAttributes{fragment.inode});
    EXPECT_EQ(inode->inode.modified, (Time{77, 5}));
  }
  d.expect_sound();
}

TEST(Split, a_hot_directory_is_split_before_it_is_large) {
  SplitPolicy policy = small(1h);
  policy.split_at = 100'000;
  policy.hot_from = 20;
  policy.hot_changes = 10;
  Splits d(1, policy);
  for (int i = 0; i < 15; ++i) EXPECT_EQ(d.create(fmt::format("f{}", i)), Errc::ok);
  d.cluster.run_for(5s);
  EXPECT_TRUE(d.map().empty());  // too few, however hot
  for (int i = 15; i < 400; ++i) EXPECT_EQ(d.create(fmt::format("f{}", i)), Errc::ok);
  d.cluster.run_for(5s);
  EXPECT_FALSE(d.map().empty());
  d.expect_sound();
}

TEST(Split, only_an_empty_one_is_removed) {
  Splits d;
  d.fill(30);
  ASSERT_FALSE(d.map().empty());
  EXPECT_EQ(d.remove_directory(), Errc::not_empty);
  for (int i = 0; i < 29; ++i) EXPECT_EQ(d.unlink(fmt::format("f{}", i)), Errc::ok);
  EXPECT_EQ(d.remove_directory(), Errc::not_empty);
  EXPECT_EQ(d.unlink("f29"), Errc::ok);
  EXPECT_EQ(d.remove_directory(), Errc::ok);
  EXPECT_EQ(d.fragments_anywhere(), 0u);
  d.cluster.run_for(5s);
  EXPECT_EQ(d.cluster.loose_ends(), 0u);
}

TEST(Split, directories_in_fragments_are_in_the_directory) {
  Splits d;
  d.fill(30);
  std::map<std::string, InodeId> made;
  for (int i = 0; i < 8; ++i) {
    const std::string name = fmt::format("sub{}", i);
    MakeDirectory make;
    make.name = name;
    make.mode = 0755;
    const auto reply = d.at_name(make, &MakeDirectory::parent, name);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->inode.parent, d.directory);
    EXPECT_EQ(reply->inode.id, directory_id(d.directory, name, 0, kShards));
    made[name] = reply->inode.id;
  }
  d.cluster.run_for(5s);
  // Renames from fragment to fragment of one directory, and out of it.
  for (int i = 0; i < 8; ++i) {
    const std::string to = fmt::format("moved{}", i);
    Rename rename;
    rename.old_name = fmt::format("sub{}", i);
    rename.new_name = to;
    rename.new_parent = i % 2 == 0 ? d.place_of(to) : kRootInode;
    ASSERT_TRUE(d.at_name(rename, &Rename::old_parent, rename.old_name).has_value());
    d.cluster.run_for(2s);
    const InodeId inode = made.at(rename.old_name);
    const auto after = d.cluster.call(inode.shard(), GetAttributes{inode});
    EXPECT_EQ(after->inode.parent, i % 2 == 0 ? d.directory : kRootInode);
  }
  d.expect_sound();
}

// Names come and go while leaders move, nodes crash, and the directory is split and merged all the time.
bool names_survive(u64 seed) {
  Splits d(seed, 1s);
  d.cluster.disturb(300ms);
  std::set<std::string> names;
  for (int step = 0; step < 300; ++step) {
    const bool grows = step / 100 % 2 == 0;
    const std::string name = fmt::format("n{}", d.cluster.random.between(0, 60));
    if (d.cluster.random.between(0, 9) < (grows ? 8u : 2u)) {
      const Errc code = d.create(name);
      if (code != (names.insert(name).second ? Errc::ok : Errc::exists)) return false;
    } else {
      const Errc code = d.unlink(name);
      if (code != (names.erase(name) != 0 ? Errc::ok : Errc::not_found)) return false;
    }
    d.cluster.run_for(runtime::Duration(d.cluster.random.between(0, 200'000'000)));
  }
  d.cluster.calm();
  d.cluster.run_for(20s);
  d.expect_sound();
  EXPECT_GT(d.cluster.split.figures->splits, 3u);
  return d.list() == std::multiset<std::string>(names.begin(), names.end());
}

TEST(Split, names_survive_faults) {
  for (u64 seed = 1; seed <= 5; ++seed) EXPECT_TRUE(names_survive(seed)) << seed;
}

}  // namespace
}  // namespace claudefs::meta::testing
