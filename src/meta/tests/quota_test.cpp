// Goal: what each volume, user and group is charged is what its inodes cost, whatever happens to them; and
// counting anew while they change finds what is wrong and nothing else. Limits can be used up from any shard,
// and never passed. Method: random operations on one shard; the sums of what each inode shows by itself; and
// scenarios and random operations on a cluster, whose leaders move.
#include "meta/quota.h"

#include <random>

#include <gtest/gtest.h>

#include "base/mutant.h"
#include "meta/audit.h"
#include "meta/census.h"
#include "meta/commands.h"
#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/tests/cluster.h"

namespace claudefs::meta::testing {
namespace {

using namespace std::chrono_literals;
using Sums = std::map<std::pair<QuotaKind, u64>, std::pair<i64, i64>>;  // bytes, inodes

struct World {
  explicit World(u64 seed) : random(seed) { directories.push_back(kRootInode); }
  u64 draw(u64 below) { return random() % below; }
  std::string name() { return fmt::format("n{}", draw(12)); }
  InodeId directory() { return directories[draw(directories.size())]; }
  InodeId inode() { return inodes.empty() ? kRootInode : inodes[draw(inodes.size())]; }
  Caller caller() { return {static_cast<u32>(draw(3)), static_cast<u32>(draw(3)), {}}; }

  void write() {
    CommitWrite op{inode()};
    const u64 length = 1 + draw(3000);
    op.extents = {{draw(10'000), length, InlineData{Buffer::adopt(std::string(length, 'x'))}}};
    if (draw(3) == 0) op.punch.push_back({draw(10'000), draw(4000)});
    if (draw(4) == 0) op.then.push_back({{}, {}, static_cast<u32>(draw(3))});
    (void)shard.run(op);
  }
  void change() {
    SetAttributes op{inode()};
    if (draw(2) == 0) op.uid = static_cast<u32>(draw(3));
    if (draw(2) == 0) op.gid = static_cast<u32>(draw(3));
    if (draw(3) == 0) op.size = draw(12'000);
    (void)shard.run(op);
  }
  void purge() {
    PurgeInodes op;
    for (int i = 0; i < 8; ++i) op.inodes.push_back(inode());
    (void)shard.run(op);
    (void)shard.run(PurgeExtents{});
  }
  void make() {
    const bool directory = draw(4) == 0;
    const Result<InodeReply> made =
        directory ? shard.run(MakeDirectory{this->directory(), name(), 0777, caller()})
                  : shard.run(Create{this->directory(), name(), FileType::regular, 0666, 0, "", caller()});
    if (!made) return;
    (directory ? directories : inodes).push_back(made->inode.id);
  }
  void step() {
    const Rename rename{directory(), name(), directory(), name()};
    Unlink unlink{directory(), name()};
    unlink.to_trash = draw(2) == 0;
    switch (draw(12)) {
      case 0:
      case 1:
        return make();
      case 2:
      case 3:
      case 4:
        return write();
      case 5:
        return change();
      case 6:
        return (void)shard.run(unlink);
      case 7:
        return (void)shard.run(rename);
      case 8:
        return purge();
      case 9:
        return (void)shard.run(RemoveDirectory{directory(), name()});
      case 10:
        if (draw(2) == 0) return (void)shard.run(EmptyTrash{{}, Hlc{~u64{0}}, 3, ~u64{0}, {}});
        return (void)shard.run(RestoreFile{inode(), directory(), name()});
      default:
        if (const auto made = shard.run(CreateUnnamed{directory(), 0600})) inodes.push_back(made->inode.id);
    }
  }
  // By what each inode says of itself.
  Sums costs() {
    Sums out;
    for (const auto& row : shard.ask(AuditInodes{{}, 65536})->rows) {
      const i64 bytes = static_cast<i64>((row.inode.allocated_bytes + 511) / 512 * 512);
      const std::pair<QuotaKind, u64> who[] = {{QuotaKind::volume, row.inode.volume.value},
                                               {QuotaKind::user, row.inode.uid},
                                               {QuotaKind::group, row.inode.gid}};
      for (const auto& subject : who) {
        out[subject].first += bytes;
        ++out[subject].second;
      }
    }
    return out;
  }
  // Page by page, as who asks does.
  Sums charged() {
    Sums out;
    for (ListQuota op{{}, 2};;) {
      const ListQuotaReply page = *shard.ask(op);
      for (const auto& row : page.rows) {
        const bool volume = row.subject.kind == QuotaKind::volume;
        out[{row.subject.kind, volume ? row.subject.volume.value : row.subject.id}] = {row.use.bytes,
                                                                                       row.use.inodes};
      }
      if (page.end) return out;
      op.after = page.rows.back().subject;
    }
  }
  // In steps of a few inodes, while the shard is in use.
  RecountQuotaReply recount(bool repair, bool busy) {
    RecountQuota op{0, 3, repair};
    for (;;) {
      const RecountQuotaReply reply = *shard.run(op);
      if (reply.end) return reply;
      op.run = reply.run;
      for (u64 i = 0; busy && i < draw(6); ++i) step();
    }
  }
  OneShard shard;
  std::mt19937_64 random;
  std::vector<InodeId> directories, inodes;
};

bool charges_are_costs(u64 seed) {
  World world(seed);
  for (int i = 0; i < 400; ++i) {
    world.step();
    if (i % 20 == 0 && world.charged() != world.costs()) return false;
  }
  return world.charged() == world.costs() && world.charged().size() > 4;
}

TEST(Quota, charges_are_what_inodes_cost) {
  for (u64 seed = 1; seed <= 20; ++seed) EXPECT_TRUE(charges_are_costs(seed)) << seed;
}

#ifdef CLAUDEFS_MUTANTS
TEST(Quota, its_mutants_are_noticed) {
  for (const char* name : {"meta_quota_forgets_chown", "meta_quota_charges_the_dead"}) {
    ASSERT_TRUE(Mutant::select(name));
    bool noticed = false;
    for (u64 seed = 1; seed <= 5; ++seed) noticed |= !charges_are_costs(seed);
    EXPECT_TRUE(noticed) << name;
  }
  Mutant::select("");
}
#endif

TEST(Quota, counting_anew_finds_nothing_while_everything_changes) {
  for (u64 seed = 1; seed <= 20; ++seed) {
    World world(seed);
    for (int i = 0; i < 200; ++i) world.step();
    const RecountQuotaReply reply = world.recount(false, true);
    EXPECT_TRUE(reply.differences.empty()) << seed << ": " << to_string(reply.differences.front().subject);
    EXPECT_GT(reply.inodes, 5u);
  }
}

TEST(Quota, counting_anew_mends_what_is_wrong) {
  World world(1);
  for (int i = 0; i < 300; ++i) world.step();
  // One row lost, one wrong, and one of nobody.
  std::map<std::string, std::string> rows = contents(world.shard.kv);
  const std::string prefix = std::string(2, '\0') + key_of_table(Table::quota_use);
  store::KvBatch damage;
  int number = 0;
  for (const auto& [key, value] : rows) {
    if (!key.starts_with(prefix)) continue;
    if (number == 1) damage.remove(key);
    if (number++ != 2) continue;
    const QuotaRecord wrong{{12345, 7}};
    damage.put(key, std::string(wire::encode(wrong).text()));
    damage.put(std::string(2, '\0') + quota_key(Table::quota_use, {QuotaKind::user, VolumeId{1}, 4711}),
               std::string(wire::encode(wrong).text()));
  }
  ASSERT_GT(number, 3);
  ASSERT_TRUE(world.shard.kv.write(damage));
  EXPECT_EQ(world.recount(false, true).differences.size(), 3u);
  EXPECT_EQ(world.recount(true, true).differences.size(), 3u);
  EXPECT_TRUE(world.recount(false, true).differences.empty());
  EXPECT_EQ(world.charged(), world.costs());
}

TEST(Quota, a_count_that_another_has_replaced_ends) {
  World world(1);
  for (int i = 0; i < 50; ++i) world.step();
  const RecountQuotaReply first = *world.shard.run(RecountQuota{0, 1});
  const RecountQuotaReply second = *world.shard.run(RecountQuota{0, 1});
  const auto refused = world.shard.run(RecountQuota{first.run, 1});
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::conflict);
  EXPECT_TRUE(world.shard.run(RecountQuota{second.run, 4096})->end);
}

// --- limits, over several shards ---

constexpr QuotaSubject kUser{QuotaKind::user, VolumeId{1}, 7};
const Caller kSeven{7, 7, {}};

struct Limits {
  explicit Limits(u64 seed, std::size_t members = 1) : cluster(seed, 4, members), random(seed) {
    EXPECT_TRUE(cluster.call(ShardId{0}, SetAttributes{kRootInode, 0777}));
    for (int i = 0; i < 8; ++i) {
      const auto made = cluster.call(ShardId{0}, MakeDirectory{kRootInode, fmt::format("d{}", i), 0777, {}});
      EXPECT_TRUE(made.has_value());
      directories.push_back(made->inode.id);
    }
  }
  Errc set(QuotaLimits limits, QuotaSubject subject = kUser) {
    const auto done = cluster.call(home_of(subject, 4), SetQuota{subject, limits});
    return done ? Errc::ok : done.error().code;
  }
  Errc create(std::size_t directory) {
    const InodeId parent = directories[directory];
    const auto made = cluster.call(
        parent.shard(), Create{parent, fmt::format("f{}", ++count), FileType::regular, 0644, 0, "", kSeven});
    if (made) files.push_back(made->inode.id);
    return made ? Errc::ok : made.error().code;
  }
  Errc write(InodeId file, u64 length) {
    CommitWrite op{file};
    op.extents = {{0, length, InlineData{Buffer::adopt(std::string(length, 'x'))}}};
    const auto done = cluster.call(file.shard(), op);
    return done ? Errc::ok : done.error().code;
  }
  QuotaUse used() {
    QuotaUse sum;
    for (u16 shard = 0; shard < 4; ++shard) sum += cluster.call(ShardId{shard}, ReadQuotaRow{kUser})->use;
    return sum;
  }
  // What the home takes to be granted is what shards hold; nobody uses or reserves more than that.
  void expect_balanced() {
    std::map<QuotaSubject, QuotaUse> granted, held;
    for (u16 shard = 0; shard < 4; ++shard) {
      const Census census = take_census(cluster.state(ShardId{shard}));
      for (const auto& [subject, use] : census.quota.granted) granted[subject] += use;
      for (const auto& [subject, use] : census.quota.allowed) held[subject] += use;
      EXPECT_EQ(census.quota.charged, census.quota.recorded);
      EXPECT_EQ(census.quota.reserved, census.quota.reserves);
      EXPECT_TRUE(census.quota.beyond.empty());
    }
    EXPECT_EQ(granted, held);
  }
  Cluster cluster;
  std::mt19937_64 random;
  std::vector<InodeId> directories, files;
  int count = 0;
};

QuotaLimits hard(i64 bytes, i64 inodes) { return {{bytes, inodes}, {}, 604800}; }

TEST(QuotaLimits, all_of_a_limit_can_be_used_from_any_shard_and_no_more) {
  Limits world(3);
  ASSERT_EQ(world.set(hard(0, 25)), Errc::ok);
  int made = 0;
  for (std::size_t i = 0; i < 60; ++i) made += world.create(i % 8) == Errc::ok;
  EXPECT_EQ(made, 25);
  EXPECT_EQ(world.create(0), Errc::quota_exceeded);
  ASSERT_EQ(world.set(hard(0, 27)), Errc::ok);
  EXPECT_EQ(world.create(5), Errc::ok);
  EXPECT_EQ(world.create(2), Errc::ok);
  EXPECT_EQ(world.create(2), Errc::quota_exceeded);
  // Less than what is used: nothing goes, and nothing comes.
  ASSERT_EQ(world.set(hard(0, 10)), Errc::ok);
  EXPECT_EQ(world.create(1), Errc::quota_exceeded);
  ASSERT_EQ(world.set(QuotaLimits{}), Errc::ok);
  EXPECT_EQ(world.create(1), Errc::ok);
  world.cluster.run_for(5s);
  world.expect_balanced();
  EXPECT_EQ(world.used().inodes, 28);
}

TEST(QuotaLimits, gifts_are_bound_by_the_limit_of_who_gets_them) {
  Limits world(4);
  const InodeId file = world.cluster.call(ShardId{0}, Create{kRootInode, "root's"})->inode.id;
  ASSERT_EQ(world.set(hard(4096, 0)), Errc::ok);
  world.cluster.run_for(11s);
  ASSERT_EQ(world.write(file, 5000), Errc::ok);
  SetAttributes give{file};
  give.uid = 7;
  const auto refused = world.cluster.call(file.shard(), give);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::quota_exceeded);
  ASSERT_EQ(world.set(hard(8192, 0)), Errc::ok);
  EXPECT_TRUE(world.cluster.call(file.shard(), give).has_value());
  EXPECT_EQ(world.used().bytes, 5120);
}

TEST(QuotaLimits, a_soft_limit_is_a_hard_one_when_its_grace_is_over) {
  Limits world(5);
  ASSERT_EQ(world.set({{0, 12}, {0, 4}, 30}), Errc::ok);
  for (std::size_t i = 0; i < 6; ++i) EXPECT_EQ(world.create(i), Errc::ok);
  world.cluster.run_for(20s);
  EXPECT_EQ(world.create(1), Errc::ok);
  world.cluster.run_for(30s);
  EXPECT_EQ(world.create(2), Errc::quota_exceeded);
  // Below it once: it may be passed again.
  for (int i = 0; i < 4; ++i) {
    const InodeId file = world.files[static_cast<std::size_t>(i)];
    SetAttributes away{file};
    away.uid = 8;
    EXPECT_TRUE(world.cluster.call(file.shard(), away).has_value());
  }
  world.cluster.run_for(15s);
  EXPECT_EQ(world.create(3), Errc::ok);
  EXPECT_EQ(world.create(4), Errc::ok);
  world.expect_balanced();
}

TEST(QuotaLimits, what_a_session_reserved_goes_with_it) {
  Limits world(6);
  ASSERT_EQ(world.create(0), Errc::ok);
  const InodeId file = world.files.front();
  ASSERT_EQ(world.set(hard(100'000, 0)), Errc::ok);
  const auto reserve = [&](u64 least) {
    const auto done = world.cluster.call(file.shard(), ReserveQuota{file, least, least});
    return done ? Errc::ok : done.error().code;
  };
  EXPECT_EQ(reserve(90'000), Errc::ok);
  EXPECT_EQ(reserve(20'000), Errc::quota_exceeded);
  EXPECT_EQ(world.write(file, 8000), Errc::ok);
  world.expect_balanced();
  EXPECT_EQ(reserve(10'000), Errc::ok);
  EXPECT_EQ(reserve(10'000), Errc::quota_exceeded);
  // The session of all requests of this test.
  const Census before = take_census(world.cluster.state(file.shard()));
  EXPECT_EQ(before.quota.reserved.at(kUser), 100'000 - 8192);
  ASSERT_TRUE(world.cluster.call(file.shard(), FenceSession{SessionId{9}}).has_value());
  EXPECT_TRUE(take_census(world.cluster.state(file.shard())).quota.reserved.empty());
}

TEST(QuotaLimits, balance_whoever_leads_or_crashes) {
  for (u64 seed = 1; seed <= 4; ++seed) {
    Limits world(seed, 3);
    world.cluster.disturb(300ms);
    for (int i = 0; i < 120; ++i) {
      const u64 what = world.random() % 10;
      if (what == 0) {
        const i64 bytes = static_cast<i64>(world.random() % 3) * 60'000;
        (void)world.set(hard(bytes, static_cast<i64>(world.random() % 40)));
      } else if (what < 4 || world.files.empty()) {
        (void)world.create(world.random() % 8);
      } else if (what < 8) {
        (void)world.write(world.files[world.random() % world.files.size()], 1 + world.random() % 8000);
      } else {
        const InodeId file = world.files[world.random() % world.files.size()];
        (void)world.cluster.call(file.shard(), ReserveQuota{file, world.random() % 9000, 20'000, what == 9});
      }
    }
    world.cluster.calm();
    world.cluster.run_for(10s);
    EXPECT_EQ(world.cluster.loose_ends(), 0u);
    world.expect_balanced();
  }
}

// --- directories ---

struct Tree : Limits {
  using Limits::Limits;
  InodeId directory(InodeId parent, const std::string& name) {
    const auto made = cluster.call(parent.shard(), MakeDirectory{parent, name, 0777, {}});
    EXPECT_TRUE(made.has_value());
    return made ? made->inode.id : InodeId{};
  }
  QuotaSubject of(InodeId directory) { return {QuotaKind::directory, VolumeId{1}, directory.value}; }
  Result<InodeReply> file(InodeId parent, const std::string& name) {
    return cluster.call(parent.shard(), Create{parent, name, FileType::regular, 0644, 0, "", {}});
  }
  QuotaStateReply state(InodeId directory) {
    const QuotaSubject subject = of(directory);
    return *cluster.call(home_of(subject, 4), QuotaState{subject});
  }
  Errc rename(InodeId from, const std::string& name, InodeId to) {
    const auto done = cluster.call(from.shard(), Rename{from, name, to, name});
    return done ? Errc::ok : done.error().code;
  }
};

bool nothing_moves_out_of_a_tree_that_is_charged() {
  Tree world(11);
  const InodeId top = world.directories[0], other = world.directories[1];
  if (world.set(hard(0, 10), world.of(top)) != Errc::ok) return false;
  const InodeId inner = world.directory(top, "inner");
  const InodeId file = world.file(inner, "f")->inode.id;
  const auto link = [&](InodeId to) {
    const auto done = world.cluster.call(to.shard(), Link{file, to, "link"});
    return done ? Errc::ok : done.error().code;
  };
  return world.rename(inner, "f", other) == Errc::cross_device &&
         world.rename(top, "inner", other) == Errc::cross_device && link(other) == Errc::cross_device &&
         link(top) == Errc::ok && world.rename(inner, "f", top) == Errc::ok;
}

TEST(QuotaDirectories, count_all_that_is_in_them) {
  Tree world(10);
  const InodeId top = world.directories[0];
  ASSERT_EQ(world.set(hard(100'000, 12), world.of(top)), Errc::ok);
  InodeId deeper = top;
  for (int i = 0; i < 5; ++i) deeper = world.directory(deeper, "sub");
  int made = 0;
  for (int i = 0; i < 20; ++i)
    made += world.file(i % 2 == 0 ? deeper : top, fmt::format("f{}", i)).has_value();
  EXPECT_EQ(made, 6);  // with the six directories
  EXPECT_EQ(world.state(top).use.inodes, 12);
  EXPECT_TRUE(world.file(world.directories[1], "elsewhere").has_value());
  world.cluster.run_for(5s);
  world.expect_balanced();
  // What is there already cannot be counted.
  EXPECT_EQ(world.set(hard(0, 5), world.of(world.directories[1])), Errc::not_empty);
  EXPECT_EQ(world.set(hard(0, 50), world.of(top)), Errc::ok);
}

TEST(QuotaDirectories, in_one_another_are_all_charged) {
  Tree world(12);
  const InodeId outer = world.directories[0];
  ASSERT_EQ(world.set(hard(0, 10), world.of(outer)), Errc::ok);
  const InodeId inner = world.directory(outer, "inner");
  ASSERT_EQ(world.set(hard(0, 100), world.of(inner)), Errc::ok);
  EXPECT_EQ(world.state(inner).within, outer);
  const InodeId deep = world.directory(inner, "deep");
  int made = 0;
  for (int i = 0; i < 20; ++i) made += world.file(deep, fmt::format("f{}", i)).has_value();
  EXPECT_EQ(made, 7);
  EXPECT_EQ(world.state(outer).use.inodes, 10);
  EXPECT_EQ(world.state(inner).use.inodes, 9);
  ASSERT_EQ(world.set(QuotaLimits{}, world.of(inner)), Errc::ok);
  EXPECT_FALSE(world.file(deep, "more").has_value());
  world.cluster.run_for(5s);
  world.expect_balanced();
}

TEST(QuotaDirectories, nothing_moves_in_or_out) {
  EXPECT_TRUE(nothing_moves_out_of_a_tree_that_is_charged());
}

#ifdef CLAUDEFS_MUTANTS
TEST(QuotaDirectories, its_mutant_is_noticed) {
  ASSERT_TRUE(Mutant::select("meta_quota_moves_freely"));
  EXPECT_FALSE(nothing_moves_out_of_a_tree_that_is_charged());
  Mutant::select("");
}
#endif

TEST(QuotaDirectories, what_comes_out_of_the_trash_is_charged_where_it_goes) {
  Tree world(13);
  const InodeId top = world.directories[0], other = world.directories[1];
  ASSERT_EQ(world.set(hard(0, 10), world.of(top)), Errc::ok);
  const InodeId file = world.file(top, "f")->inode.id;
  Unlink unlink{top, "f"};
  unlink.to_trash = true;
  ASSERT_TRUE(world.cluster.call(top.shard(), unlink).has_value());
  EXPECT_EQ(world.state(top).use.inodes, 2);
  ASSERT_TRUE(world.cluster.call(other.shard(), RestoreFile{file, other, "f"}).has_value());
  world.cluster.run_for(2s);
  EXPECT_EQ(world.state(top).use.inodes, 1);
  world.expect_balanced();
}

}  // namespace
}  // namespace claudefs::meta::testing
