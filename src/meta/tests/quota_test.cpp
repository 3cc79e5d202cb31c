// Goal: what each volume, user and group is charged is what its inodes cost, whatever happens to them; and
// counting anew while they change finds what is wrong and nothing else. Method: random operations on one
// shard; the sums of what each inode shows by itself.
#include "meta/quota.h"

#include <random>

#include <gtest/gtest.h>

#include "base/mutant.h"
#include "meta/audit.h"
#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/tests/one_shard.h"

namespace claudefs::meta::testing {
namespace {

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

}  // namespace
}  // namespace claudefs::meta::testing
