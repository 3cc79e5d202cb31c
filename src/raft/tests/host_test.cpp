// Goal: the host keeps its word through crashes of nodes, partitions, and followers that fall far behind.
#include <gtest/gtest.h>

#include "base/log.h"
#include "base/tests/with_mutant.h"
#include "host_cluster.h"
#include "seeds.h"

namespace claudefs::raft::testing {
namespace {

using namespace std::chrono_literals;

// Every crash ends connections: not news here.
const bool quiet = (log::set_level(log::Level::warn), true);

TEST(Host, LeadersSpreadAndServe) {
  HostCluster cluster(1);
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  ASSERT_TRUE(cluster.reach(&HostCluster::all_led, 3s));
  for (int i = 0; i < 3; ++i) cluster.start_workload(i);
  cluster.world().run_for(
      16s);  // balanced every 5 s, after 5 s of leading; who is just behind, a round later
  // 8 groups over 3 members: each leads the groups that prefer it.
  for (u16 g = 0; g < HostCluster::kGroups; ++g) EXPECT_EQ(cluster.leader_of(ShardId{g}), g % 3) << g;
  cluster.stop_workload();
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 5s));
  EXPECT_EQ(cluster.violation(), "");
  EXPECT_GT(cluster.acknowledged(), 500u);
}

// The survivors stand at moments of their own: at most one timeout after the one that they keep faith for.
TEST(Host, FailsOverAtOnceAndTakesLeadersBack) {
  for (u64 seed = 1; seed <= std::max<u64>(6, seeds(12)); ++seed) {
    HostCluster cluster(seed);
    for (int i = 0; i < 3; ++i) cluster.boot(i);
    cluster.world().run_for(16s);  // balanced every 5 s, after 5 s of leading, one leader at a time
    ASSERT_TRUE(cluster.all_led());
    for (int i = 0; i < 3; ++i) cluster.start_workload(i);
    cluster.world().run_for(500ms);
    cluster.crash(0);
    EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 1200ms)) << seed;
    cluster.boot(0);
    cluster.start_workload(0);
    const auto back = [&] {
      return cluster.leader_of(ShardId{0}) == 0 && cluster.leader_of(ShardId{3}) == 0;
    };
    EXPECT_TRUE(cluster.world().run_until(back, 15s)) << seed;
    cluster.stop_workload();
    EXPECT_TRUE(cluster.reach(&HostCluster::converged, 5s)) << seed;
    EXPECT_EQ(cluster.violation(), "");
  }
}

TEST(Host, AFollowerFarBehindGetsASnapshot) {
  HostCluster cluster(3);
  cluster.options.log_file_bytes = 64_KiB;
  cluster.options.log_keep_bytes = 64_KiB;
  cluster.options.cache_bytes = 4_KiB;
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  ASSERT_TRUE(cluster.reach(&HostCluster::all_led, 3s));
  cluster.crash(2);
  for (int i = 0; i < 2; ++i) cluster.start_workload(i, 500);
  cluster.world().run_for(4s);
  cluster.boot(2);
  const auto installed = [&] {
    int sum = 0;
    for (auto& [group, machine] : cluster.member(2).machines) sum += machine->installs();
    return sum == HostCluster::kGroups;
  };
  EXPECT_TRUE(cluster.world().run_until(installed, 20s));
  cluster.world().run_for(2s);
  cluster.stop_workload();
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 10s));
  EXPECT_EQ(cluster.violation(), "");
}

// A snapshot goes on where it was interrupted, asks again for damaged pieces, and is in whole or not at all.
TEST(Host, SnapshotsSurviveInterruptionsAndDamage) {
  HostCluster cluster(4);
  cluster.options.log_file_bytes = 64_KiB;
  cluster.options.log_keep_bytes = 64_KiB;
  cluster.options.cache_bytes = 4_KiB;
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  ASSERT_TRUE(cluster.reach(&HostCluster::all_led, 3s));
  cluster.crash(2);
  for (int i = 0; i < 2; ++i) cluster.start_workload(i, 500);
  cluster.world().run_for(6s);
  cluster.stop_workload();
  cluster.boot(2);
  for (auto& [group, machine] : cluster.member(2).machines) machine->refuses = 2;
  const auto count = [&](auto of) {
    int sum = 0;
    for (auto& [group, machine] : cluster.member(2).machines) sum += of(*machine);
    return sum;
  };
  const auto begun = [&] { return count([](ToyMachine& machine) { return machine.begun(); }); };
  const auto installed = [&] { return count([](ToyMachine& machine) { return machine.installs(); }); };
  ASSERT_TRUE(cluster.world().run_until([&] { return begun() >= 4; }, 20s));
  for (int i = 0; i < 3; ++i) {
    cluster.world().isolate("n3");
    cluster.world().run_for(300ms);  // no new leader: it would begin again
    cluster.world().heal();
    cluster.world().run_for(20ms);
  }
  EXPECT_LT(installed(), HostCluster::kGroups);
  EXPECT_TRUE(cluster.world().run_until([&] { return installed() == HostCluster::kGroups; }, 60s));
  EXPECT_EQ(begun(), HostCluster::kGroups) << "a snapshot began anew";
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 10s));
  EXPECT_EQ(cluster.violation(), "");
}

// Random crashes and partitions under load; then peace, and everything acknowledged is everywhere.
TEST(Host, KeepsEveryAcknowledgedWrite) {
  for (u64 seed = 1; seed <= std::max<u64>(6, seeds(24)); ++seed) {
    HostCluster cluster(seed);
    cluster.options.log_file_bytes = 128_KiB;
    cluster.options.log_keep_bytes = 128_KiB;
    cluster.options.cache_bytes = 2_KiB;
    sim::RandomStream random = cluster.world().stream("troubles");
    for (int i = 0; i < 3; ++i) cluster.boot(i);
    for (int i = 0; i < 3; ++i) cluster.start_workload(i, 100);
    for (int round = 0; round < 6; ++round) {
      cluster.world().run_for(std::chrono::milliseconds(random.between(200, 1500)));
      const int victim = static_cast<int>(random.between(0, 2));
      if (random.between(0, 2) == 0) {
        cluster.world().isolate("n" + std::to_string(victim + 1));
        cluster.world().run_for(std::chrono::milliseconds(random.between(100, 2500)));
        cluster.world().heal();
      } else {
        cluster.crash(victim);
        cluster.world().run_for(std::chrono::milliseconds(random.between(0, 1500)));
        cluster.boot(victim);
        ASSERT_EQ(cluster.violation(), "") << "seed " << seed;
        cluster.start_workload(victim, 100);
      }
    }
    cluster.world().heal();
    cluster.world().run_for(3s);
    cluster.stop_workload();
    EXPECT_TRUE(cluster.reach(&HostCluster::converged, 10s)) << "seed " << seed;
    ASSERT_EQ(cluster.violation(), "") << "seed " << seed;
    EXPECT_GT(cluster.acknowledged(), 100u) << "seed " << seed;
  }
}

// A leader that stood still, and was replaced meanwhile, reads nothing before it has heard so.
TEST(Host, APausedLeaderReadsNothingOld) {
  for (u64 seed = 1; seed <= seeds(36); ++seed) {
    HostCluster cluster(seed);
    for (int i = 0; i < 3; ++i) cluster.boot(i);
    for (int i = 0; i < 3; ++i) cluster.start_workload(i);
    for (int round = 0; round < 3; ++round) {
      cluster.world().run_for(2s);
      cluster.member(round).node->pause(2s);
      cluster.world().run_for(3s);
      ASSERT_EQ(cluster.violation(), "") << "seed " << seed;
    }
    EXPECT_GT(cluster.acknowledged(), 100u) << "seed " << seed;
  }
}

// Whoever votes knows so after a crash: at the moment at which a leader has its votes, and nobody an entry of
// its term, all stop, and one that voted comes back.
TEST(Host, AVoteOutlivesACrash) {
  for (u64 seed = 1; seed <= seeds(60); ++seed) {
    HostCluster cluster(seed);
    for (int i = 0; i < 3; ++i) cluster.boot(i);
    ASSERT_TRUE(cluster.reach(&HostCluster::all_led, 5s));
    const ShardId group{0};
    const int old = cluster.leader_of(group);
    const Term before = cluster.member(old).host->status(group).term;
    cluster.crash(old);
    const int one = (old + 1) % 3, other = (old + 2) % 3;
    int elected = -1;
    const auto is_elected = [&] {
      for (const int i : {one, other}) {
        const GroupStatus status = cluster.member(i).host->status(group);
        if (status.term > before && status.leader_hint == NodeId{static_cast<u16>(i + 1)}) elected = i;
      }
      return elected >= 0;
    };
    ASSERT_TRUE(cluster.world().run_until(is_elected, 5s)) << "seed " << seed;
    const Term term = cluster.member(elected).host->status(group).term;
    cluster.crash(one);
    cluster.crash(other);
    const int voter = elected == one ? other : one;
    cluster.boot(voter);
    ASSERT_EQ(cluster.violation(), "");
    EXPECT_GE(cluster.member(voter).host->status(group).term, term) << "seed " << seed;
  }
}

TEST(Host, AnEmptyNodeTakesNoPartBeforeAllOthersAnswer) {
  HostCluster cluster(11);
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  ASSERT_TRUE(cluster.reach(&HostCluster::all_led, 5s));
  for (int i = 0; i < 3; ++i) cluster.start_workload(i);
  cluster.world().run_for(1s);
  cluster.lose_disk(0);
  cluster.crash(1);  // of what 0 and 1 acknowledged, 2 may know nothing yet
  cluster.boot(0);
  cluster.start_workload(0);
  cluster.world().run_for(5s);
  for (u16 g = 0; g < HostCluster::kGroups; ++g) EXPECT_EQ(cluster.leader_of(ShardId{g}), -1) << g;
  cluster.boot(1);
  cluster.start_workload(1);
  EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 5s));
  cluster.stop_workload();
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 10s));
  EXPECT_EQ(cluster.violation(), "");
}

TEST(Host, ReplacedDisksAreFilledOneAfterTheOther) {
  HostCluster cluster(12);
  cluster.options.log_file_bytes = 64_KiB;
  cluster.options.log_keep_bytes = 64_KiB;
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  for (int i = 0; i < 3; ++i) cluster.start_workload(i, 200);
  for (int victim = 0; victim < 3; ++victim) {
    cluster.world().run_for(1s);
    cluster.lose_disk(victim);
    cluster.boot(victim);
    cluster.start_workload(victim, 200);
    cluster.world().run_for(2s);
    // It counts again: another may be away.
    const int other = (victim + 1) % 3;
    cluster.crash(other);
    EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 4s)) << victim;
    cluster.boot(other);
    cluster.start_workload(other, 200);
  }
  cluster.stop_workload();
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 10s));
  EXPECT_EQ(cluster.violation(), "");
}

// Damage in the middle of the log: the node goes on from before it, asks the others, and is filled again.
TEST(Host, ADamagedLogIsMendedFromTheOthers) {
  for (u64 seed = 31; seed < 31 + seeds(12); ++seed) {
    HostCluster cluster(seed);
    for (int i = 0; i < 3; ++i) cluster.boot(i);
    for (int i = 0; i < 3; ++i) cluster.start_workload(i, 200);
    cluster.world().run_for(3s);
    cluster.crash(0);
    const HostCluster::Image before = cluster.image_of(0);
    std::string largest;
    for (const auto& [name, content] : before.files)
      if (largest.empty() || content.size() > before.files.at(largest).size()) largest = name;
    ASSERT_TRUE(cluster.member(0).node->flip_bit("raft/" + largest, 40'000 * (1 + seed % 3), 3));
    cluster.boot(0);
    ASSERT_EQ(cluster.violation(), "");
    cluster.start_workload(0, 200);
    cluster.world().run_for(3s);
    EXPECT_TRUE(cluster.member(0).host->is_whole()) << "not mended";
    // It counts again; and opens again, with the damage still in its file.
    cluster.crash(1);
    EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 4s));
    cluster.crash(0);
    cluster.boot(0);
    cluster.boot(1);
    EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 5s));
    EXPECT_TRUE(cluster.member(0).host->is_whole()) << "mended twice";
    cluster.stop_workload();
    EXPECT_TRUE(cluster.reach(&HostCluster::converged, 10s)) << seed;
    EXPECT_EQ(cluster.violation(), "");
  }
}

// While it runs: found when the file is read, and the file goes once the state machines have what it held.
runtime::Task<void> verify_logs(Host& host, std::size_t& bad) {
  for (const store::LogFileInfo& file : host.log_files())
    bad += !co_await host.verify_log(file.number).result();
}
TEST(Host, ALogFileThatIsDamagedAtRestGoes) {
  for (const u64 at : {u64{20}, u64{5'000}}) {
    HostCluster cluster(41);
    for (int i = 0; i < 3; ++i) cluster.boot(i);
    for (int i = 0; i < 3; ++i) cluster.start_workload(i, 200);
    cluster.world().run_for(3s);
    HostCluster::Member& member = cluster.member(0);
    const auto damaged = [&] {
      std::size_t bad = 0;
      sim::run(cluster.world(), *member.node, verify_logs(*member.host, bad));
      return bad;
    };
    ASSERT_EQ(damaged(), 0u);
    const u32 last = member.host->log_files().back().number;
    ASSERT_TRUE(member.node->flip_bit(fmt::format("raft/{:08x}.log", last), at, 3));
    EXPECT_EQ(damaged(), 1u);
    cluster.world().run_for(5s);
    EXPECT_EQ(damaged(), 0u);
    EXPECT_GT(member.host->log_files().front().number, last);
    for (int i = 0; i < 3; ++i) cluster.crash(i);
    for (int i = 0; i < 3; ++i) cluster.boot(i);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(cluster.member(i).host->is_whole());
    cluster.stop_workload();
    EXPECT_TRUE(cluster.reach(&HostCluster::converged, 10s));
    EXPECT_EQ(cluster.violation(), "");
  }
}

TEST(Host, ARolledBackNodeIsRecognisedByItsLeaders) {
  HostCluster cluster(34);
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  for (int i = 0; i < 3; ++i) cluster.start_workload(i, 200);
  cluster.world().run_for(2s);
  cluster.crash(2);
  const HostCluster::Image old = cluster.image_of(2);
  cluster.boot(2);
  cluster.start_workload(2, 200);
  cluster.world().run_for(2s);
  cluster.crash(2);
  cluster.restore(2, old);
  cluster.boot(2);
  const auto doubts = [&] { return !cluster.member(2).host->is_whole(); };
  EXPECT_TRUE(cluster.world().run_until(doubts, 2s));
  cluster.start_workload(2, 200);
  cluster.world().run_for(3s);
  EXPECT_FALSE(doubts()) << "not filled again";
  cluster.stop_workload();
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 10s));
  EXPECT_EQ(cluster.violation(), "");
}

// What is under way is bounded, in number and in bytes, of each group and of the node; who is told to wait
// gets his turn, and whatever ends proposals makes room again.
TEST(Host, TooManyProposalsAreToldToWait) {
  HostCluster cluster(51);
  cluster.options.proposals_max = 20;
  cluster.options.proposal_bytes_max = 4_MiB;
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  cluster.world().run_for(11s);
  for (const u16 group : {0, 3, 6}) ASSERT_EQ(cluster.leader_of(ShardId{group}), 0);
  using Told = HostCluster::Told;
  cluster.world().isolate("n1");  // nothing commits
  EXPECT_EQ(cluster.propose_at_once(0, ShardId{0}, 30, 100), (Told{20, 10}));
  EXPECT_EQ(cluster.propose_at_once(0, ShardId{0}, 5, 100), (Told{0, 5}));
  cluster.world().run_for(2s);
  EXPECT_FALSE(cluster.member(0).host->status(ShardId{0}).leader);
  cluster.world().heal();
  cluster.world().run_for(15s);
  for (const u16 group : {0, 3, 6}) ASSERT_EQ(cluster.leader_of(ShardId{group}), 0);
  cluster.world().isolate("n1");
  EXPECT_EQ(cluster.propose_at_once(0, ShardId{0}, 10, 4_MiB), (Told{7, 3}))
      << "32 MiB, and the lost ones count no more";
  EXPECT_EQ(cluster.propose_at_once(0, ShardId{3}, 10, 4_MiB), (Told{7, 3}));
  EXPECT_EQ(cluster.propose_at_once(0, ShardId{6}, 10, 4_MiB), (Told{1, 9})) << "64 MiB in all";
  cluster.world().run_for(2s);
  cluster.world().heal();
  cluster.world().run_for(15s);
  // Patient clients: each command in, once.
  ASSERT_EQ(cluster.leader_of(ShardId{0}), 0);
  for (int i = 0; i < 60; ++i) cluster.member(0).scope->spawn(cluster.write_patiently(0, ShardId{0}, 3));
  cluster.world().run_for(5s);
  EXPECT_EQ(cluster.patient(), 180u);
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 5s));
  EXPECT_EQ(cluster.violation(), "");
}

// A leader applies nothing that its own log does not have, and answers no sooner than it comes round: a slow
// node is no place to lead from.
void expect_that_leaders_leave(const std::function<void(sim::Node&)>& slow, const char* what) {
  HostCluster cluster(61);
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  cluster.world().run_for(11s);
  for (int i = 0; i < 3; ++i) cluster.start_workload(i);
  cluster.world().run_for(1s);
  const auto leads = [&] {
    int count = 0;
    for (u16 g = 0; g < HostCluster::kGroups; ++g) count += cluster.leader_of(ShardId{g}) == 0;
    return count;
  };
  const auto reach = [&](int count, runtime::Duration limit) {
    const runtime::Instant end = cluster.world().now() + limit;
    while ((leads() != count || !cluster.all_led()) && cluster.world().now() < end)
      cluster.world().run_for(50ms);
    return leads();
  };
  ASSERT_EQ(leads(), 3);
  slow(*cluster.member(0).node);
  EXPECT_EQ(reach(0, 5s), 0) << what;
  // It is not asked back while it is slow, though it is preferred; nor do leaders wander between the others.
  cluster.world().run_for(1s);
  std::vector<Term> terms;
  for (u16 g = 0; g < HostCluster::kGroups; ++g)
    terms.push_back(cluster.member(1).host->status(ShardId{g}).term);
  cluster.world().run_for(7s);
  for (u16 g = 0; g < HostCluster::kGroups; ++g)
    EXPECT_EQ(cluster.member(1).host->status(ShardId{g}).term, terms[g]) << what << " " << g;
  cluster.member(0).node->set_disk_faults(std::nullopt);
  cluster.member(0).node->slow_down(1);
  EXPECT_EQ(reach(3, 30s), 3) << what;
  cluster.stop_workload();
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 10s));
  EXPECT_EQ(cluster.violation(), "");
}

TEST(Host, LeadersLeaveASlowNode) {
  const auto disk = [](runtime::Duration delay) {
    return [delay](sim::Node& node) {
      sim::FaultOptions slow;
      slow.disk_delay_min = slow.disk_delay_max = delay;
      node.set_disk_faults(slow);
    };
  };
  expect_that_leaders_leave(disk(60ms), "a slow disk");
  expect_that_leaders_leave(disk(5s), "a disk that hangs");
  expect_that_leaders_leave([](sim::Node& node) { node.slow_down(8192); }, "a slow processor");
}

TEST(Host, ANodeThatCannotKeepItsStateLeavesItsGroups) {
  HostCluster cluster(63, {});
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  cluster.world().run_for(15s);
  for (int i = 0; i < 3; ++i) cluster.start_workload(i);
  cluster.member(0).host->disk_failed({Errc::not_found, "the directory is gone"});
  EXPECT_EQ(cluster.member(0).host->failure()->code, Errc::not_found);
  cluster.world().run_for(3s);
  const u64 before = cluster.acknowledged();
  cluster.world().run_for(5s);
  EXPECT_GT(cluster.acknowledged(), before + 20);
  for (u16 g = 0; g < HostCluster::kGroups; ++g) {
    EXPECT_GT(cluster.leader_of(ShardId{g}), 0) << g;
    EXPECT_FALSE(cluster.member(0).host->holds_lease(ShardId{g})) << g;
  }
  EXPECT_EQ(cluster.violation(), "");
}

// Nobody is quicker: nothing moves.
TEST(Host, LeadersStayWhereAllDisksAreSlow) {
  sim::FaultOptions slow;
  slow.disk_delay_min = 20ms;
  slow.disk_delay_max = 60ms;
  HostCluster cluster(62, slow);
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  cluster.world().run_for(15s);
  for (int i = 0; i < 3; ++i) cluster.start_workload(i);
  cluster.world().run_for(20s);
  for (u16 g = 0; g < HostCluster::kGroups; ++g) EXPECT_EQ(cluster.leader_of(ShardId{g}), g % 3) << g;
  EXPECT_GT(cluster.acknowledged(), 100u);
  EXPECT_EQ(cluster.violation(), "");
}

// What change_members says, asked of the leader, wherever that is, until it is done; empty: done.
std::string change(HostCluster& cluster, u16 g, const std::vector<NodeId>& voters,
                   const std::vector<NodeId>& learners = {}) {
  std::string said = "no leader";
  for (int i = 0; i < 40 && !said.empty(); ++i) {
    const int leader = cluster.leader_of(ShardId{g});
    if (leader >= 0) {
      HostCluster::Member& m = cluster.member(leader);
      auto done =
          sim::run(cluster.world(), *m.node, m.host->change_members(ShardId{g}, voters, learners, 5s));
      said = !done ? "too slow" : *done ? "" : done->error().to_string();
    }
    if (!said.empty()) cluster.world().run_for(250ms);
  }
  return said;
}

// Nodes of which the first `founders` are all groups' members, under load.
void start(HostCluster& cluster, int founders, int nodes) {
  cluster.founders = founders;
  cluster.options.log_file_bytes = 64_KiB;
  cluster.options.log_keep_bytes = 64_KiB;
  for (int i = 0; i < nodes; ++i) cluster.boot(i);
  for (int i = 0; i < nodes; ++i) cluster.start_workload(i, 100);
  cluster.world().run_for(1s);
}

void again(HostCluster& cluster, int i) {
  cluster.boot(i);
  cluster.start_workload(i, 100);
}

// Looks now and then: a look is dear.
bool comes_true(HostCluster& cluster, runtime::Duration limit, const std::function<bool()>& holds) {
  for (const runtime::Instant end = cluster.world().now() + limit; cluster.world().now() < end && !holds();)
    cluster.world().run_for(50ms);
  return holds();
}

void expect_all_kept(HostCluster& cluster) {
  cluster.world().run_for(500ms);
  cluster.stop_workload();
  cluster.world().run_for(2s);
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 15s));
  EXPECT_EQ(cluster.violation(), "");
}

constexpr NodeId kOne{1}, kTwo{2}, kThree{3}, kFour{4};

// One node alone, then three, then the leader goes, and comes back; all under load.
TEST(Host, MembersComeAndGo) {
  HostCluster cluster(41);
  start(cluster, 1, 3);
  for (u16 g = 0; g < HostCluster::kGroups; ++g) EXPECT_EQ(change(cluster, g, {kOne, kTwo, kThree}), "") << g;
  auto by_follower = sim::run(cluster.world(), *cluster.member(1).node,
                              cluster.member(1).host->change_members(ShardId{0}, {kOne}, {}, 1s));
  EXPECT_FALSE(by_follower->has_value());
  // The others can do without the first one now, and it comes back.
  cluster.crash(0);
  EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 4s));
  again(cluster, 0);
  cluster.world().run_for(1s);
  for (u16 g = 0; g < HostCluster::kGroups; ++g) EXPECT_EQ(change(cluster, g, {kTwo, kThree}), "") << g;
  const auto moved = [&] {
    for (u16 g = 0; g < HostCluster::kGroups; ++g)
      if (cluster.leader_of(ShardId{g}) < 1) return false;
    return true;
  };
  EXPECT_TRUE(comes_true(cluster, 5s, moved)) << "a removed leader hands over";
  // It is not missed, nor needed, and disturbs nobody.
  cluster.crash(0);
  const std::size_t before = cluster.acknowledged();
  cluster.world().run_for(1s);
  EXPECT_GT(cluster.acknowledged(), before);
  again(cluster, 0);
  for (u16 g = 0; g < HostCluster::kGroups; ++g) EXPECT_EQ(change(cluster, g, {kOne, kTwo, kThree}), "") << g;
  expect_all_kept(cluster);
}

// A learner has everything, and no say: with it and one of two voters nothing goes on; promoted it counts.
TEST(Host, ALearnerDoesNotCountUntilItIsPromoted) {
  HostCluster cluster(42, {}, 3);
  start(cluster, 2, 3);
  for (u16 g = 0; g < HostCluster::kGroups; ++g)
    ASSERT_EQ(change(cluster, g, {kOne, kTwo}, {kThree}), "") << g;
  cluster.crash(1);
  cluster.world().run_for(2s);
  const std::size_t before = cluster.acknowledged();
  cluster.world().run_for(2s);
  EXPECT_EQ(cluster.acknowledged(), before) << "without a majority of the voters";
  again(cluster, 1);
  for (u16 g = 0; g < HostCluster::kGroups; ++g) ASSERT_EQ(change(cluster, g, {kOne, kTwo, kThree}), "") << g;
  cluster.crash(1);
  EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 4s));
  const std::size_t then = cluster.acknowledged();
  cluster.world().run_for(1s);
  EXPECT_GT(cluster.acknowledged(), then);
  again(cluster, 1);
  expect_all_kept(cluster);
}

// One of three is replaced; the two that stay do without it, and it never comes back.
TEST(Host, AMemberIsReplaced) {
  HostCluster cluster(43, {}, 4);
  start(cluster, 3, 4);
  for (u16 g = 0; g < HostCluster::kGroups; ++g)
    ASSERT_EQ(change(cluster, g, {kTwo, kThree, kFour}), "") << g;
  cluster.crash(0);
  cluster.crash(1);
  EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 4s));
  const std::size_t before = cluster.acknowledged();
  cluster.world().run_for(1s);
  EXPECT_GT(cluster.acknowledged(), before) << "by the third and the fourth";
  again(cluster, 1);
  expect_all_kept(cluster);
}

// Crashes of any node, also two at once, at moments of a change: it is done in the end, and nothing is lost.
// In every other run the log of the node that crashed is damaged.
TEST(Host, CrashesWhileMembersChange) {
  for (u64 seed = 1; seed <= seeds(24); ++seed) {
    HostCluster cluster(seed, {}, 4);
    sim::RandomStream random = cluster.world().stream("troubles");
    start(cluster, 3, 4);
    std::vector<NodeId> voters{kOne, kTwo, kThree, kFour};
    for (int round = 0; round < 3; ++round) {
      const u16 g = static_cast<u16>(random.between(0, HostCluster::kGroups - 1));
      std::rotate(voters.begin(), voters.begin() + 1, voters.end());
      const std::vector<NodeId> wanted(voters.begin(), voters.begin() + 3);
      ASSERT_TRUE(cluster.reach(&HostCluster::all_led, 5s)) << "seed " << seed;
      const int leader = cluster.leader_of(ShardId{g});
      cluster.change_in_background(leader, ShardId{g}, wanted);
      cluster.world().run_for(random.between_times(0ms, 150ms));
      const int victim = random.coin() ? leader : static_cast<int>(random.between(0, 3));
      cluster.crash(victim);
      if (seed % 2 == 0) cluster.damage_log(victim, random);
      cluster.world().run_for(random.between_times(0ms, 1s));
      again(cluster, victim);
      ASSERT_EQ(cluster.violation(), "") << "seed " << seed;
      ASSERT_EQ(change(cluster, g, wanted), "") << "seed " << seed;
      cluster.world().run_for(1s);
    }
    expect_all_kept(cluster);
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

// Who lost its disk asks those that are members now: here one that its groups were not made with, and which
// has what it acknowledged.
TEST(Host, AnEmptyNodeAsksThePresentMembers) {
  HostCluster cluster(45, {}, 4);
  start(cluster, 3, 4);
  for (u16 g = 0; g < HostCluster::kGroups; ++g)
    ASSERT_EQ(change(cluster, g, {kOne, kThree, kFour}), "") << g;
  cluster.crash(2);
  cluster.world().run_for(2s);
  cluster.lose_disk(0);
  cluster.crash(3);  // with what only it has
  again(cluster, 2);
  again(cluster, 0);
  cluster.world().run_for(4s);
  for (u16 g = 0; g < HostCluster::kGroups; ++g) EXPECT_EQ(cluster.leader_of(ShardId{g}), -1) << g;
  again(cluster, 3);
  EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 6s));
  // One that was added later remembers nothing of it either.
  cluster.world().run_for(3s);
  ASSERT_TRUE(cluster.member(0).host->is_whole());
  cluster.lose_disk(3);
  again(cluster, 3);
  const auto whole = [&] { return cluster.member(3).host->is_whole(); };
  EXPECT_TRUE(comes_true(cluster, 5s, whole));
  EXPECT_EQ(cluster.member(3).host->groups().size(), HostCluster::kGroups);
  cluster.crash(0);
  EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 4s));
  again(cluster, 0);
  // And who is no member any more takes no part, and holds up nobody.
  cluster.lose_disk(1);
  again(cluster, 1);
  const auto outside = [&] { return cluster.member(1).host->is_whole(); };
  EXPECT_TRUE(comes_true(cluster, 5s, outside));
  expect_all_kept(cluster);
}

// Without memory, and a node is down: it goes on when that one cannot be the only one to know of it.
TEST(Host, AnEmptyNodeDoesWithoutWhoIsDown) {
  HostCluster cluster(46, {}, 5);
  start(cluster, 3, 5);
  const auto whole = [&](int i) { return [&cluster, i] { return cluster.member(i).host->is_whole(); }; };
  cluster.crash(3);  // a stranger
  cluster.lose_disk(0);
  again(cluster, 0);
  EXPECT_TRUE(comes_true(cluster, 8s, whole(0))) << "all members answered";
  cluster.crash(2);
  cluster.lose_disk(4);
  again(cluster, 4);
  EXPECT_TRUE(comes_true(cluster, 8s, whole(4))) << "a quorum does not know it";
  cluster.crash(1);
  cluster.lose_disk(4);
  again(cluster, 4);
  EXPECT_FALSE(comes_true(cluster, 8s, whole(4))) << "the others may have made it a member";
  again(cluster, 1);
  EXPECT_TRUE(comes_true(cluster, 8s, whole(4)));
  again(cluster, 2);
  again(cluster, 3);
  expect_all_kept(cluster);
}

TEST(Host, ANodeWhoseLogDiesStopsLeading) {
  HostCluster cluster(5);
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  cluster.world().run_for(16s);  // balanced every 5 s, after 5 s of leading, one leader at a time
  for (int i = 0; i < 3; ++i) cluster.start_workload(i);
  ASSERT_EQ(cluster.leader_of(ShardId{0}), 0);
  cluster.member(0).node->fail_flushes(1);
  const auto moved = [&] { return cluster.all_led() && cluster.leader_of(ShardId{0}) > 0; };
  EXPECT_TRUE(cluster.world().run_until(moved, 3s));
  cluster.crash(0);
  cluster.boot(0);
  cluster.world().run_for(1s);
  cluster.stop_workload();
  EXPECT_TRUE(cluster.reach(&HostCluster::converged, 5s));
  EXPECT_EQ(cluster.violation(), "");
}

// Silent groups cost nothing but one beat per node pair, and fail over as fast as busy ones.
TEST(Host, IdleGroupsFallSilentAndFailOver) {
  HostCluster cluster(21);
  for (int i = 0; i < 3; ++i) cluster.boot(i);
  const auto silent = [&] {
    for (int i = 0; i < 3; ++i)
      for (u16 g = 0; g < HostCluster::kGroups; ++g)
        if (cluster.is_up(i) && !cluster.member(i).host->status(ShardId{g}).quiescent) return false;
    return true;
  };
  cluster.world().run_for(15s);  // leaders spread first
  ASSERT_TRUE(silent());
  cluster.world().run_for(20s);
  EXPECT_TRUE(silent());
  EXPECT_TRUE(cluster.all_led());
  for (u16 g = 0; g < HostCluster::kGroups; ++g)
    EXPECT_TRUE(cluster.member(g % 3).host->status(ShardId{g}).lagging.empty());
  cluster.crash(0);
  EXPECT_TRUE(cluster.reach(&HostCluster::all_led, 1500ms));
  cluster.boot(0);
  cluster.world().run_for(20s);
  EXPECT_TRUE(silent());
  for (int i = 0; i < 3; ++i) cluster.start_workload(i);
  cluster.world().run_for(1s);
  EXPECT_GT(cluster.acknowledged(), 100u);
  cluster.stop_workload();
  EXPECT_TRUE(cluster.world().run_until([&] { return cluster.converged() && silent(); }, 10s));
  EXPECT_EQ(cluster.violation(), "");
}

TEST(Host, OneSeedHasOneHistory) {
  const auto life = [] {
    HostCluster cluster(77);
    for (int i = 0; i < 3; ++i) cluster.boot(i);
    for (int i = 0; i < 3; ++i) cluster.start_workload(i);
    cluster.world().run_for(2s);
    cluster.crash(1);
    cluster.world().run_for(1s);
    return cluster.world().trace_hash();
  };
  EXPECT_EQ(life(), life());
}

}  // namespace
}  // namespace claudefs::raft::testing
