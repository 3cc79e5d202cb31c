// Goal: from its fence on a session changes nothing, and what it held is free. Method: one shard's machine.
#include <gtest/gtest.h>

#include "base/tests/with_mutant.h"

#include "meta/detail/file_locks.h"
#include "meta/service/claims.h"
#include "meta/service/lease_table.h"
#include "meta/service/lock_waits.h"
#include "meta/tests/one_shard.h"
#include "sim/random_stream.h"

namespace claudefs::meta::testing {
namespace {

Create create(std::string name) {
  Create op;
  op.parent = kRootInode;
  op.name = std::move(name);
  return op;
}
SetLock lock(InodeId inode, u64 session, u64 owner, u64 start, u64 end, bool exclusive = true) {
  SetLock op;
  op.inode = inode;
  op.lock = {SessionId{session}, owner, false, exclusive, start, end, 0};
  return op;
}

TEST(Sessions, a_fenced_one_changes_nothing_and_its_locks_go) {
  OneShard shard;
  ASSERT_TRUE(shard.run(AttachSession{SessionId{5}}).has_value());
  const auto made = shard.run(create("a"), {SessionId{5}, 1, 1});
  ASSERT_TRUE(made.has_value());
  ASSERT_TRUE(shard.run(lock(made->inode.id, 5, 1, 0, 9))->in_the_way.empty());
  ASSERT_EQ(shard.run(lock(made->inode.id, 6, 1, 5, 5))->in_the_way.size(), 1u);
  ASSERT_TRUE(shard.run(FenceSession{SessionId{5}}).has_value());
  EXPECT_TRUE(shard.run(lock(made->inode.id, 6, 1, 5, 5))->in_the_way.empty());
  const auto late = shard.run(create("b"), {SessionId{5}, 2, 1});
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Errc::fenced);
  EXPECT_EQ(shard.ask(Lookup{kRootInode, "b"}).error().code, Errc::not_found);
  // What had been executed is not told that it was refused.
  const auto again = shard.run(create("a"), {SessionId{5}, 1, 1});
  ASSERT_TRUE(again.has_value()) << again.error().to_string();
  EXPECT_EQ(again->inode.id, made->inode.id);
  EXPECT_EQ(shard.run(AttachSession{SessionId{5}}).error().code, Errc::fenced);
  // Also long after.
  ASSERT_TRUE(shard.run(Expire{Hlc{~u64{0}}, Hlc{~u64{0}}}).has_value());
}

// What a session asks for without a number is executed each time, whatever it asked before.
TEST(Sessions, requests_without_a_number_are_not_taken_for_each_other) {
  OneShard shard;
  const SessionId session{5};
  for (u64 sequence = 1; sequence < 100; ++sequence)
    ASSERT_TRUE(shard.run(create(fmt::format("n{}", sequence)), {session, sequence, sequence}).has_value());
  for (const char* name : {"a", "b"}) {
    const auto made = shard.run(create(name), {session, 0, 0});
    ASSERT_TRUE(made.has_value()) << made.error().to_string();
    EXPECT_EQ(shard.ask(Lookup{kRootInode, name})->inode.id, made->inode.id);
  }
}

// A mutation without a row would leave others' caches as they are.
TEST(Claims, every_command_of_the_name_space_has_a_row) {
  OneShard shard;
  int commands = 0;
  for (u16 kind = 0x0100; kind < 0x0200; ++kind) {
    if (shard.table.find_command(kind) == nullptr) continue;
    ++commands;
    EXPECT_TRUE(claims_of(shard.machine->reader(), kind, {}).known) << fmt::format("kind {:#x}", kind);
  }
  EXPECT_GT(commands, 25);
}

// What rides on a commit that moves no byte changes what others have cached all the same.
TEST(Claims, changes_of_attributes_on_a_commit_are_changes) {
  OneShard shard;
  const auto made = shard.run(create("a"));
  ASSERT_TRUE(made.has_value());
  CommitWrite commit;
  commit.inode = made->inode.id;
  commit.keep_data_version = true;
  EXPECT_TRUE(claims_of(shard.machine->reader(), CommitWrite::kKind, wire::encode(commit)).changes.empty());
  commit.then.emplace_back();
  EXPECT_EQ(claims_of(shard.machine->reader(), CommitWrite::kKind, wire::encode(commit)).changes,
            std::vector<InodeId>{made->inode.id});
}

// Against a plain array of who has which byte.
TEST(FileLocks, ranges_split_join_and_exclude_as_bytes_do) {
  sim::RandomStream random(3, "locks");
  OneShard shard;
  const InodeId inode = shard.run(create("f"))->inode.id;
  constexpr u64 kBytes = 24;
  std::map<u64, std::vector<int>> held;  // by owner: 0 none, 1 shared, 2 exclusive
  for (u64 owner = 1; owner <= 3; ++owner) held[owner].assign(kBytes, 0);
  int refused = 0;
  for (int step = 0; step < 2000; ++step) {
    const u64 owner = random.between(1, 3);
    const u64 start = random.between(0, kBytes - 1);
    const u64 end = random.between(start, kBytes - 1);
    SetLock op = lock(inode, owner, 1, start, end, random.between(0, 1) == 1);
    op.unlock = random.between(0, 2) == 0;
    bool free = true;
    for (auto& [other, bytes] : held)
      for (u64 at = start; at <= end; ++at)
        if (other != owner && !op.unlock && bytes[at] != 0 && (bytes[at] == 2 || op.lock.exclusive))
          free = false;
    ASSERT_EQ(shard.run(op)->in_the_way.empty(), free) << step;
    refused += !free;
    if (free)
      for (u64 at = start; at <= end; ++at) held[owner][at] = op.unlock ? 0 : op.lock.exclusive ? 2 : 1;
  }
  EXPECT_GT(refused, 100);
}

TEST(LeaseTable, one_writer_or_many_readers) {
  LeaseTable table;
  const InodeId inode{9};
  const SessionId a{1}, b{2};
  EXPECT_EQ(table.grant(inode, a, LeaseMode::write, 1), LeaseMode::write);
  EXPECT_EQ(table.grant(inode, b, LeaseMode::read, 2), LeaseMode::none);
  EXPECT_EQ(table.in_the_way(inode, b, false), std::vector<SessionId>{a});
  table.reduce(inode, a, LeaseMode::read);
  EXPECT_EQ(table.grant(inode, b, LeaseMode::write, 3), LeaseMode::read);
  EXPECT_TRUE(table.in_the_way(inode, b, false).empty());
  EXPECT_EQ(table.in_the_way(inode, b, true), std::vector<SessionId>{a});
  table.begin_change(inode, b);
  table.release(inode, a, 0);  // older than its grant: not given back
  EXPECT_EQ(table.mode_of(inode, a), LeaseMode::read);
  table.release(inode, a, 1);
  EXPECT_EQ(table.grant(inode, a, LeaseMode::read, 4), LeaseMode::none);
  EXPECT_EQ(table.grant(inode, b, LeaseMode::write, 5), LeaseMode::write);
  table.end_change(inode, b);
  table.begin_recall(inode, b);
  EXPECT_EQ(table.grant(inode, b, LeaseMode::write, 6), LeaseMode::none);
  table.end_recall(inode, b);
  table.drop_session(b);
  EXPECT_EQ(table.size(), 0u);
}

TEST(LockWaits, finds_circles_only) {
  LockWaits waits;
  const LockOwner a{SessionId{1}, 1}, b{SessionId{2}, 1}, c{SessionId{3}, 1};
  const runtime::Instant now{};
  EXPECT_FALSE(waits.wait(a, {b}, now));
  EXPECT_FALSE(waits.wait(b, {c}, now));
  EXPECT_TRUE(waits.wait(c, {a}, now));
  EXPECT_FALSE(waits.wait(c, {}, now));
  EXPECT_FALSE(waits.wait(c, {a}, now + 2 * LockWaits::kEdgeLives));
}

}  // namespace
}  // namespace claudefs::meta::testing
