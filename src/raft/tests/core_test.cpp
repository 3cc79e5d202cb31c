// Directed: the rules whose breach needs a rare history.
#include <gtest/gtest.h>

#include <random>

#include "raft/core.h"

namespace claudefs::raft {
namespace {

using namespace std::chrono_literals;

constexpr NodeId kSelf{1}, kA{2}, kB{3};
constexpr Instant kStart{10'000'000'000};

CoreOptions options() {
  CoreOptions made;
  made.self = kSelf;
  return made;
}

Recovered recovered(HardState hard, std::vector<u64> terms = {}) {
  Recovered made;
  made.hard_state = hard;
  made.configuration = Configuration::of({kSelf, kA, kB});
  for (u64 i = 0; i < terms.size(); ++i) made.log.append_evicted(LogIndex{i + 1}, Term{terms[i]});
  return made;
}

Message message(MessageKind kind, NodeId from, u64 term, u64 index = 0, u64 log_term = 0) {
  Message made;
  made.kind = kind;
  made.from = from;
  made.to = kSelf;
  made.term = Term{term};
  made.index = LogIndex{index};
  made.log_term = Term{log_term};
  return made;
}

bool grants(Core& core) {
  bool granted = false;
  while (core.wants_persist()) {
    for (const Message& sent : core.take_persist().messages)
      if (sent.kind == MessageKind::vote_reply) granted = !sent.reject;
    core.persisted();
  }
  return granted;
}

TEST(Core, AVoteIsDurableBeforeItsReplyAndBindsAfterARestart) {
  Core core(options(), recovered({}), kStart);
  core.step(message(MessageKind::vote, kA, 5), kStart);
  EXPECT_TRUE(core.take(kStart).messages.empty());
  Persist batch = core.take_persist();
  ASSERT_TRUE(batch.hard_state.has_value());
  EXPECT_EQ(*batch.hard_state, (HardState{Term{5}, kA}));
  ASSERT_EQ(batch.messages.size(), 1u);
  EXPECT_FALSE(batch.messages[0].reject);

  const Instant later = kStart + 600ms;
  Core again(options(), recovered(*batch.hard_state), kStart);
  again.step(message(MessageKind::vote, kB, 5), later);
  EXPECT_FALSE(grants(again));
}

TEST(Core, AfterARestartNoVoteWhileALeaseMayHold) {
  Core core(options(), recovered({Term{5}, NodeId{}}), kStart);
  core.step(message(MessageKind::vote, kA, 6), kStart + 400ms);
  EXPECT_FALSE(grants(core));
  EXPECT_EQ(core.term(), Term{5});
  core.step(message(MessageKind::vote, kA, 6), kStart + 500ms);
  EXPECT_TRUE(grants(core));
}

TEST(Core, WhoHearsALeaderDoesNotDeposeItUnlessByTransfer) {
  Core core(options(), recovered({}), kStart);
  core.step(message(MessageKind::heartbeat, kA, 5), kStart);
  (void)grants(core);
  core.step(message(MessageKind::vote, kB, 6), kStart + 400ms);
  EXPECT_FALSE(grants(core));
  Message forced = message(MessageKind::vote, kB, 6);
  forced.force = true;
  core.step(forced, kStart + 1ms);
  EXPECT_TRUE(grants(core));
}

// The paper's figure 8: an entry of an earlier term on a majority is not committed by that.
TEST(Core, EntriesOfEarlierTermsCommitOnlyBeneathOneOfOurs) {
  Core core(options(), recovered({Term{3}, NodeId{}}, {1, 2}), kStart);
  core.tick(kStart + 2s);
  core.step(message(MessageKind::pre_vote_reply, kA, 4), kStart + 2s);
  core.step(message(MessageKind::vote_reply, kA, 4), kStart + 2s);
  ASSERT_TRUE(core.is_leader());
  (void)grants(core);
  core.step(message(MessageKind::append_reply, kA, 4, 2), kStart + 2s);
  EXPECT_EQ(core.commit(), LogIndex{0});
  core.step(message(MessageKind::append_reply, kA, 4, 3), kStart + 2s);
  EXPECT_EQ(core.commit(), LogIndex{3});
}

// A leader of three that fell silent: what it sent is in `core`'s outputs.
Core silent_leader() {
  CoreOptions made = options();
  made.quiesce_after = 1s;
  Core core(made, recovered({Term{3}, NodeId{}}), kStart);
  core.tick(kStart + 2s);
  core.step(message(MessageKind::pre_vote_reply, kA, 4), kStart + 2s);
  core.step(message(MessageKind::vote_reply, kA, 4), kStart + 2s);
  for (NodeId node : {kA, kB}) {
    (void)grants(core);
    core.step(message(MessageKind::append_reply, node, 4, 1), kStart + 2s);
  }
  core.applied(LogIndex{1});
  for (Instant now = kStart + 2s; now < kStart + 4s; now = now + 50ms) {
    core.tick(now);
    for (const Message& sent : core.take(now).messages) {
      const bool asks = sent.kind == MessageKind::quiet;
      if (!asks && sent.kind != MessageKind::heartbeat) continue;
      Message reply = message(asks ? MessageKind::quiet_reply : MessageKind::heartbeat_reply, sent.to, 4);
      reply.stamp = sent.stamp;
      core.step(reply, now);
    }
  }
  return core;
}

TEST(Core, ASilentLeaderSaysNothingAndItsLeaseRunsOut) {
  Core core = silent_leader();
  ASSERT_TRUE(core.is_quiescent());
  const Instant later = kStart + 10s;
  core.tick(later);
  EXPECT_FALSE(core.has_output(later));
  EXPECT_TRUE(core.is_leader());
  EXPECT_FALSE(core.holds_lease(later));
  // Its first read asks a quorum, and brings the heartbeats back.
  EXPECT_TRUE(core.read(1, later));
  Ready ready = core.take(later);
  EXPECT_TRUE(ready.reads.empty());
  ASSERT_EQ(ready.messages.size(), 2u);
  Message reply = message(MessageKind::heartbeat_reply, kA, 4);
  reply.stamp = ready.messages[0].stamp;
  core.step(reply, later + 1ms);
  EXPECT_EQ(core.take(later + 1ms).reads.size(), 1u);
  EXPECT_TRUE(core.holds_lease(later + 1ms));
  EXPECT_FALSE(core.is_quiescent());
}

TEST(Core, LateAnswersDoNotWakeASilentLeaderAndAVoteDoes) {
  Core core = silent_leader();
  core.step(message(MessageKind::heartbeat_reply, kA, 4), kStart + 9s);
  EXPECT_TRUE(core.is_quiescent());
  core.step(message(MessageKind::pre_vote, kB, 5, 1, 4), kStart + 9s);
  EXPECT_FALSE(core.is_quiescent());
  EXPECT_TRUE(core.is_leader());
}

TEST(Core, ASilentFollowerStandsOnlyWhenItsLeadersNodeIsLost) {
  Core core(options(), recovered({Term{4}, NodeId{}}, {4}), kStart);
  Message quiet = message(MessageKind::quiet, kA, 4, 1, 4);
  quiet.commit = LogIndex{1};
  core.step(quiet, kStart);
  EXPECT_FALSE(core.is_quiescent()) << "not applied yet";
  core.applied(LogIndex{1});
  core.step(quiet, kStart);
  ASSERT_TRUE(core.is_quiescent());
  core.tick(kStart + 60s);
  EXPECT_FALSE(core.wants_persist());
  core.leader_node_heard(kStart + 59s);
  core.wake(kStart + 60s);
  core.tick(kStart + 59s + 400ms);
  EXPECT_FALSE(core.wants_persist());
  core.tick(kStart + 60s);
  EXPECT_TRUE(core.wants_persist()) << "pre-votes";
}

TEST(Core, ARolledBackReplicaDoesNotVoteBeforeItAskedTheOthers) {
  Core core(options(), recovered({Term{4}, NodeId{}}, {4, 4, 4}), kStart);
  Message beat = message(MessageKind::heartbeat, kA, 4);
  beat.hint_index = LogIndex{5};
  beat.hint_term = Term{4};  // it acknowledged that much once
  core.step(beat, kStart);
  EXPECT_TRUE(core.doubts());
  core.step(message(MessageKind::vote, kB, 5, 4, 4), kStart + 600ms);
  EXPECT_FALSE(grants(core));
  core.rejoin({Term{6}, {Term{4}, LogIndex{7}}, Configuration::of({kSelf, kA, kB})}, kStart + 600ms);
  EXPECT_FALSE(core.doubts());
  core.step(message(MessageKind::vote, kB, 7, 6, 4), kStart + 1200ms);
  EXPECT_FALSE(grants(core));
  core.step(message(MessageKind::vote, kA, 8, 7, 4), kStart + 1200ms);
  EXPECT_TRUE(grants(core));
}

// What commits meanwhile is not the joint configuration: the new one alone must not follow yet.
TEST(Core, TheNewConfigurationFollowsWhenTheJointOneIsCommitted) {
  Core core(options(), recovered({Term{3}, NodeId{}}), kStart);
  core.tick(kStart + 2s);
  core.step(message(MessageKind::pre_vote_reply, kA, 4), kStart + 2s);
  core.step(message(MessageKind::vote_reply, kA, 4), kStart + 2s);
  ASSERT_TRUE(core.is_leader());
  (void)grants(core);
  core.step(message(MessageKind::append_reply, kA, 4, 1), kStart + 2s);
  core.applied(LogIndex{1});
  ASSERT_TRUE(core.propose(Buffer::copy_of("a command"), kStart + 2s));
  ASSERT_EQ(core.change_members({kSelf, kA}, {}, kStart + 2s), LogIndex{3});
  (void)grants(core);
  core.step(message(MessageKind::append_reply, kA, 4, 2), kStart + 2s);
  EXPECT_EQ(core.commit(), LogIndex{2});
  EXPECT_EQ(core.configuration().outgoing.size(), 3u);
  core.step(message(MessageKind::append_reply, kA, 4, 3), kStart + 2s);
  EXPECT_EQ(core.commit(), LogIndex{3});
  EXPECT_TRUE(core.configuration().outgoing.empty());
  EXPECT_EQ(core.log().last(), LogIndex{4});
}

// It was left out by an entry that only it has and that may be committed: nobody else can win.
TEST(Core, WhoLeavesStandsUntilThatIsCommitted) {
  Recovered made = recovered({Term{4}, NodeId{}}, {4, 4});
  made.changes[LogIndex{1}] = Configuration{{kA}, {kSelf, kA}, {}};
  made.changes[LogIndex{2}] = Configuration{{kA}, {}, {}};
  Core core(options(), std::move(made), kStart);
  core.tick(kStart + 5s);
  ASSERT_TRUE(core.wants_persist());
  ASSERT_EQ(core.take_persist().messages.size(), 1u) << "a pre-vote is asked of the one that stays";
  core.persisted();
  Message beat = message(MessageKind::append, kA, 5, 2, 4);
  beat.commit = LogIndex{2};
  core.step(beat, kStart + 5s);
  (void)core.take_persist();
  core.persisted();
  core.tick(kStart + 10s);
  EXPECT_FALSE(core.wants_persist()) << "now it is out";
}

// A snapshot is in, and the log does not say so yet: whoever it names as members may be so no longer.
TEST(Core, WhoDoesNotKnowTheMembersDoesNotStand) {
  Recovered made = recovered({Term{4}, NodeId{}}, {4, 4});
  made.applied = LogIndex{9};
  made.applied_term = Term{4};
  Core core(options(), std::move(made), kStart);
  EXPECT_TRUE(core.needs_snapshot());
  Persist batch = core.take_persist();
  ASSERT_TRUE(batch.start.has_value());
  core.persisted();
  core.tick(kStart + 5s);
  EXPECT_FALSE(core.wants_persist());
  // Nor after another crash.
  Recovered again = recovered({Term{4}, NodeId{}});
  again.log = EntryLog(batch.start->index, batch.start->term);
  again.configuration = batch.start->configuration;
  again.applied = LogIndex{9};
  again.applied_term = Term{4};
  EXPECT_TRUE(Core(options(), again, kStart).needs_snapshot());
  core.rejoin({Term{5}, {Term{4}, LogIndex{9}}, Configuration::of({kSelf, kA})}, kStart + 6s);
  EXPECT_FALSE(core.needs_snapshot());
  EXPECT_EQ(core.configuration().voters.size(), 2u);
}

// What a peer with a damaged disk, or none of ours, might say: indices with gaps, terms that fall.
Message drawn_message(std::mt19937_64& random) {
  const auto draw = [&](u64 below) { return random() % below; };
  Message made =
      message(static_cast<MessageKind>(1 + draw(11)), draw(2) == 0 ? kA : kB, 1 + draw(8), draw(12), draw(8));
  made.commit = LogIndex{draw(14)};
  made.stamp = draw(1'000'000'000'000);
  made.reject = draw(2) == 0;
  made.force = draw(8) == 0;
  made.wants_snapshot = draw(8) == 0;
  made.hint_index = LogIndex{draw(14)};
  made.hint_term = Term{draw(8)};
  const bool orderly = draw(2) == 0;
  for (u64 i = 0, count = draw(4); i < count; ++i) {
    Entry entry;
    entry.index = orderly ? LogIndex{made.index.value + 1 + i} : LogIndex{draw(16)};
    entry.term = orderly ? std::max(made.log_term, Term{made.term.value}) : Term{draw(9)};
    made.entries.push_back(entry);
  }
  return made;
}

TEST(Core, NothingAPeerSaysAbortsIt) {
  for (u64 seed = 1; seed <= 400; ++seed) {
    std::mt19937_64 random(seed);
    CoreOptions made = options();
    made.seed = seed;
    made.quiesce_after = 1s;
    // The record of the term may be lost, too.
    Core core(made, recovered({Term{random() % 4}, NodeId{}}, {1, 1, 2, 3}), kStart);
    Instant now = kStart;
    for (int step = 0; step < 300; ++step) {
      now = now + std::chrono::milliseconds(random() % 300);
      core.step(drawn_message(random), now);
      if (random() % 8 == 0) core.tick(now);
      if (random() % 16 == 0) (void)core.propose(Buffer{}, now);
      if (random() % 16 == 0) (void)core.read(random(), now);
      if (random() % 64 == 0) core.cannot_apply(now);
      if (random() % 64 == 0 && core.needs_snapshot())
        core.snapshot_installed({core.log_end().index, core.log_end().term, core.configuration()}, now);
      for (const Ready::Fetch& fetch : core.take(now).fetches) core.fetched(fetch.peer, {}, now);
      if (random() % 4 != 0 && core.wants_persist()) {
        (void)core.take_persist();
        core.persisted();
      }
      if (core.apply_limit() > core.applied_index()) core.applied(core.apply_limit());
      ASSERT_GE(core.log_end().index, core.commit());
    }
  }
}

TEST(Core, EntriesThatDoNotFollowAreNotTaken) {
  Core core(options(), recovered({Term{3}, NodeId{}}, {1, 3}), kStart);
  Message append = message(MessageKind::append, kA, 4, 2, 3);
  append.entries = {Entry{LogIndex{3}, Term{4}, EntryKind::noop, {}},
                    Entry{LogIndex{5}, Term{4}, EntryKind::noop, {}}};
  core.step(append, kStart);
  EXPECT_EQ(core.log_end(), (LogEnd{Term{3}, LogIndex{2}}));
  append.entries = {Entry{LogIndex{3}, Term{2}, EntryKind::noop, {}}};
  core.step(append, kStart);
  EXPECT_EQ(core.log_end(), (LogEnd{Term{3}, LogIndex{2}}));
  append.entries = {Entry{LogIndex{3}, Term{4}, EntryKind::noop, {}}};
  core.step(append, kStart);
  EXPECT_EQ(core.log_end(), (LogEnd{Term{4}, LogIndex{3}}));
}

TEST(Configuration, JointConsensusNeedsBothMajorities) {
  Configuration joint = Configuration::of({kSelf, kA, kB});
  joint.outgoing = {NodeId{7}, NodeId{8}, NodeId{9}};
  const auto agree = [&](std::vector<NodeId> who) {
    return joint.quorum([&](NodeId node) { return std::find(who.begin(), who.end(), node) != who.end(); });
  };
  EXPECT_FALSE(agree({kSelf, kA, kB, NodeId{7}}));
  EXPECT_TRUE(agree({kSelf, kB, NodeId{7}, NodeId{9}}));
  EXPECT_FALSE(agree({NodeId{7}, NodeId{8}, NodeId{9}}));
  EXPECT_EQ(Configuration::of({kSelf, kA}).quorum_value([](NodeId n) { return u64{n.value}; }), 1u);
  EXPECT_FALSE(Configuration{}.quorum([](NodeId) { return true; }));
}

TEST(EntryLog, RestartsAndBacksUp) {
  EntryLog log;
  for (u64 i = 1; i <= 9; ++i) log.append(Entry{LogIndex{i}, Term{(i + 2) / 3}, EntryKind::command, {}});
  EXPECT_EQ(log.last_not_above(LogIndex{9}, Term{2}), LogIndex{6});
  log.restart_at(LogIndex{4}, Term{2});
  EXPECT_EQ(log.term_at(LogIndex{4}), Term{2});
  EXPECT_EQ(log.term_at(LogIndex{5}), Term{2});
  EXPECT_EQ(log.term_at(LogIndex{7}), Term{3});
  EXPECT_FALSE(log.term_at(LogIndex{3}).has_value());
  EXPECT_LT(log.last_not_above(LogIndex{9}, Term{1}), log.start());
  log.restart_at(LogIndex{9}, Term{3});
  EXPECT_EQ(log.last(), LogIndex{9});
  log.restart_at(LogIndex{20}, Term{5});
  EXPECT_EQ(log.last(), LogIndex{20});
  EXPECT_EQ(log.last_term(), Term{5});
}

}  // namespace
}  // namespace claudefs::raft
