// Goal: what a replica holds is a function of the log: exactly once, all or nothing, equal everywhere.
#include <gtest/gtest.h>

#include "meta/detail/keys.h"
#include "meta/tests/namespace_model.h"
#include "sim/run.h"

namespace claudefs::meta::testing {
namespace {

cluster::RequestId request(u64 session, u64 sequence, u64 done_below = 0) {
  return {SessionId{session}, sequence, done_below};
}

TEST(Machine, a_request_is_executed_once) {
  OneShard shard;
  const Create op{kRootInode, "f"};
  const auto first = shard.run(op, request(5, 1));
  const auto again = shard.run(op, request(5, 1));
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->inode, again->inode);
  EXPECT_EQ(shard.run(op, request(5, 2)).error().code, Errc::exists);
  ASSERT_TRUE(shard.run(Unlink{kRootInode, "f"}, request(5, 3)));
  EXPECT_EQ(shard.run(op, request(5, 2)).error().code,
            Errc::exists);  // as recorded, though it would succeed now
  EXPECT_EQ(shard.machine->recorded(request(5, 2))->code, Errc::exists);
  EXPECT_FALSE(shard.machine->recorded(request(5, 4)));
}

// A decision that comes too late for its plan is no answer: the same request, planned again, may succeed.
TEST(Machine, an_overtaken_decision_is_not_remembered) {
  OneShard shard;
  const InodeId file = shard.run(Create{kRootInode, "a"})->inode.id;
  Decide decide;
  decide.deadline = Hlc{~u64{0}};
  decide.parts = {ChangeDentry{kRootInode, "b", {}, file, FileType::regular}};
  ASSERT_TRUE(shard.run(Create{kRootInode, "b"}));
  EXPECT_EQ(shard.propose({Decide::kKind, shard.stamp(), request(5, 1), wire::encode(decide)}).error().code,
            Errc::busy);
  EXPECT_FALSE(shard.machine->recorded(request(5, 1)));
  ASSERT_TRUE(shard.run(Unlink{kRootInode, "b"}));
  EXPECT_TRUE(shard.propose({Decide::kKind, shard.stamp(), request(5, 1), wire::encode(decide)}));
  EXPECT_TRUE(shard.machine->recorded(request(5, 1)));
}

TEST(Machine, outcomes_go_when_their_sender_has_them) {
  OneShard shard;
  for (u64 i = 1; i <= 100; ++i)
    ASSERT_TRUE(shard.run(Create{kRootInode, std::to_string(i)}, request(5, i, i)));
  EXPECT_FALSE(shard.machine->recorded(request(5, 40)));
  EXPECT_TRUE(shard.machine->recorded(request(5, 100)));
  // A copy that was under way all the time must not be executed now.
  ASSERT_TRUE(shard.run(Unlink{kRootInode, "3"}));
  EXPECT_FALSE(shard.run(Create{kRootInode, "3"}, request(5, 3, 3)));
  ASSERT_TRUE(shard.run(Expire{Hlc{~u64{0}}, Hlc{~u64{0}}}));
  EXPECT_FALSE(shard.machine->recorded(request(5, 100)));
}

TEST(Machine, a_failed_command_leaves_nothing) {
  OneShard shard;
  shard.table.add_command(0x7770, [](ApplyContext& context, const Buffer&) -> Result<Buffer> {
    context.put("Tkept", "1");
    context.put("Tgone", "1");
    context.put("Tgone", "2");
    context.remove(inode_key(kRootInode));
    context.emit(ShardId{0}, 0x7771, {});
    (void)context.next("n");
    return fail(Errc::io_error);
  });
  shard.table.add_command(0x7771, [](ApplyContext&, const Buffer&) -> Result<Buffer> {
    ADD_FAILURE() << "the message of a failed command was sent";
    return Buffer();
  });
  const auto before = contents(shard.kv);
  EXPECT_FALSE(shard.propose({0x7770, shard.stamp(), {}, {}}));
  auto after = contents(shard.kv);
  for (const std::string& key : {applied_key(), hlc_key()}) {
    const std::string full = std::string(2, '\0') + key;
    after[full] = before.at(full);
  }
  EXPECT_EQ(before, after);
}

TEST(Machine, clocks_only_go_forward) {
  OneShard shard;
  const Hlc late = shard.stamp();
  ASSERT_TRUE(
      shard.propose({OutboxStatus::kKind, Hlc{late.value + 1'000'000}, {}, wire::encode(OutboxStatus{})}));
  const Hlc before = shard.machine->last_hlc();
  const auto status = shard.propose({OutboxStatus::kKind, late, {}, wire::encode(OutboxStatus{})});
  EXPECT_GT(wire::decode<OutboxStatusReply>(*status)->clock, before);
}

// Messages arrive in order, each once; a gap is refused.
TEST(Machine, messages_are_applied_exactly_once_in_order) {
  OneShard shard;
  std::string got;
  shard.table.add_command(0x7770, [&got](ApplyContext&, const Buffer& body) -> Result<Buffer> {
    got.append(body.text());
    return Buffer();
  });
  const auto deliver = [&](u64 first, std::string_view texts) {
    Deliver op{ShardId{3}, first, {}};
    for (const char c : texts)
      op.messages.push_back({0x7770, Hlc{1}, {}, Buffer::copy_of(std::string(1, c))});
    return shard.run(op);
  };
  EXPECT_EQ(deliver(1, "ab")->last, 2u);
  EXPECT_EQ(deliver(1, "ab")->last, 2u);
  EXPECT_EQ(deliver(2, "bcd")->last, 4u);
  EXPECT_FALSE(deliver(6, "f"));
  EXPECT_EQ(deliver(5, "e")->last, 5u);
  EXPECT_EQ(got, "abcde");
}

std::vector<raft::Committed> walk_log(u64 seed, std::map<std::string, std::string>& state) {
  OneShard shard;
  NamespaceWalk walk(shard, seed);
  for (int i = 0; i < 300; ++i) walk.step();
  state = contents(shard.kv);
  return shard.log;
}

TEST(Machine, equal_logs_give_equal_states_in_whatever_batches) {
  std::map<std::string, std::string> expected;
  const auto log = walk_log(1, expected);
  sim::RandomStream random(2, "batches");
  OneShard other;
  other.kv = {};
  other.open();
  for (std::size_t at = 0; at < log.size();) {
    const std::size_t count = std::min<std::size_t>(random.between(1, 20), log.size() - at);
    other.machine->apply({log.begin() + static_cast<long>(at), log.begin() + static_cast<long>(at + count)});
    at += count;
  }
  EXPECT_EQ(contents(other.kv), expected);
}

TEST(Machine, a_snapshot_carries_the_state) {
  std::map<std::string, std::string> expected;
  const auto log = walk_log(3, expected);
  OneShard source;
  source.kv = {};
  source.open();
  const std::size_t half = log.size() / 2;
  source.machine->apply({log.begin(), log.begin() + static_cast<long>(half)});
  const auto snapshot = std::move(*source.machine->snapshot());
  // The picture stays while the machine goes on.
  source.machine->apply({log.begin() + static_cast<long>(half), log.end()});
  EXPECT_EQ(contents(source.kv), expected);

  OneShard target;  // has an old state of its own
  ASSERT_TRUE(target.machine->begin_install());
  for (;;) {
    const Buffer piece = *snapshot->next();
    if (piece.empty()) break;
    Buffer damaged = Buffer::copy_of(piece.span());
    damaged.data()[piece.size() / 2] ^= std::byte{1};
    EXPECT_EQ(target.machine->install(damaged).error().code, Errc::corrupt);
    ASSERT_TRUE(target.machine->install(piece));
  }
  EXPECT_EQ(target.machine->applied(), LogIndex{});
  sim::World world(1);
  ASSERT_TRUE(
      *sim::run(world, world.add_node("n1"), target.machine->finish_install(snapshot->index(), Term{1})));
  EXPECT_EQ(target.machine->applied(), LogIndex{half});
  // The log lets go of what the snapshot stands for: no crash may take it back.
  sim::RandomStream random(1, "crash");
  target.kv.crash(random);
  target.open();
  EXPECT_EQ(target.machine->applied(), LogIndex{half});
  target.machine->apply({log.begin() + static_cast<long>(half), log.end()});
  EXPECT_EQ(contents(target.kv), expected);
}

TEST(Machine, a_cut_off_installation_leaves_nothing) {
  OneShard source;
  const auto snapshot = std::move(*source.machine->snapshot());
  OneShard target;
  ASSERT_TRUE(target.machine->begin_install());
  ASSERT_TRUE(target.machine->install(*snapshot->next()));
  target.open();
  EXPECT_EQ(target.machine->applied(), LogIndex{});
  EXPECT_TRUE(contents(target.kv).empty());
}

TEST(Machine, a_crash_leaves_a_prefix_that_the_log_completes) {
  std::map<std::string, std::string> expected;
  const auto log = walk_log(4, expected);
  for (u64 seed = 0; seed < 10; ++seed) {
    sim::RandomStream random(seed, "crash");
    OneShard shard;
    shard.kv = {};
    shard.open();
    for (std::size_t i = 0; i < log.size() / 2; ++i) shard.machine->apply({log[i]});
    shard.kv.crash(random);
    shard.open();
    const std::size_t at = shard.machine->applied().value;
    EXPECT_EQ(shard.machine->durable(), shard.machine->applied());
    shard.machine->apply({log.begin() + static_cast<long>(at), log.end()});
    EXPECT_EQ(contents(shard.kv), expected);
  }
}

}  // namespace
}  // namespace claudefs::meta::testing
