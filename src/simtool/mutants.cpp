#include <algorithm>

#include <cstdio>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/mutant.h"
#include "base/probe.h"
#include "simtool/children.h"
#include "simtool/commands.h"
#include "simtool/totals.h"
#include "simtool/worker.h"
#include "simulator/damage_drill.h"

namespace claudefs::simtool {

#ifdef CLAUDEFS_MUTANTS
namespace {

// What only a test of one module can see: rules that no workload here touches, or bugs of the consensus core,
// which its own simulation meets a thousand times sooner.
struct UnitTest {
  std::string_view prefix, program, filter;
  // Told which bug by CLAUDEFS_MUTANT, and fails with it; the others switch it on themselves and fail when it
  // is not noticed.
  bool fails_with_it = false;
};
constexpr UnitTest kUnitTests[] = {
    {"store_partner_not_checked", "test_store", "DevicesTest.*", true},
    {"data_scrub_skips_journals", "test_data", "Scrub.mutants_are_noticed"},
    {"data_base_becomes_delta", "test_data", "Reduction.mutants_are_noticed"},
    {"data_fsck_knows_no_fragments", "test_data", "Fsck.FindsWhatIsPlantedInASplitDirectory", true},
    {"data_delta_of_delta", "test_data", "Reduction.mutants_are_noticed"},
    {"data_segment_safe_after_one_message", "test_data",
     "Background.ASegmentStaysWhileTheIndexMayStillPointToIt", true},
    {"meta_permission_", "test_meta", "Permission.mutants_are_noticed"},
    {"meta_fragment_keeps_old_rights", "test_meta", "Split.rights_that_stay_old_are_noticed"},
    {"meta_appends_where_told", "test_meta", "Permission.mutants_are_noticed"},
    {"overdue_leases_prolonged", "test_client",
     "LeasesTest.who_owes_a_lease_when_it_is_fenced_trusts_no_other_either"},
    {"client_believes_guessed_path", "test_client", "ResolveTest.*"},
    {"fenced_waits_for_leases", "test_client",
     "LeasesTest.a_late_request_of_an_old_session_waits_for_no_lease"},
    {"lost_attributes_committed", "test_client",
     "LeasesTest.a_change_of_attributes_that_was_lost_is_not_called_committed", true},
    {"fragment_kept_by_kernel", "test_client",
     "SplitTest.a_kernel_keeps_attributes_as_long_as_all_leases_that_they_are_made_of", true},
    {"crossed_grant_ends_lease", "test_client",
     "LeasesTest.a_grant_that_crosses_a_recall_does_not_end_what_is_being_flushed", true},
    {"meta_quota_moves_freely", "test_meta", "QuotaDirectories.its_mutant_is_noticed"},
    {"client_shows_ended_session", "test_client",
     "LeasesTest.a_late_request_of_an_old_session_waits_for_no_lease", true},
    {"meta_stranger_keeps_set_gid", "test_meta", "Namespace.a_stranger_to_the_group_clears_its_bit", true},
    {"older_grant_lowers_lease", "test_client",
     "LeasesTest.a_write_is_not_answered_before_what_the_kernel_asked_earlier", true},
    {"write_voids_question", "test_client",
     "LeasesTest.a_write_is_not_answered_before_what_the_kernel_asked_earlier", true},
    {"recall_not_awaited", "test_client", "LeasesTest.attributes_and_names_are_seen_at_once", true},
    {"lock_granted_to_two", "test_meta", "FileLocks.ranges_split_join_and_exclude_as_bytes_do", true},
    {"client_believes_old_set_id", "test_client",
     "LeasesTest.a_set_id_bit_of_another_is_not_overlooked_by_who_writes", true},
    {"client_hole_swallows_writes", "test_client",
     "FileSystemTest.WhatIsWrittenWhileAHoleIsMadeGivesTheFileItsSize", true},
    {"write_outlives_its_lease", "test_client",
     "QuotaTest.a_write_that_outlives_its_session_asks_for_the_lease_anew", true},
    {"client_reserve_outlives_limits", "test_client",
     "QuotaTest.a_limit_that_comes_later_binds_what_was_set_aside_of_another", true},
    {"client_buffers_beyond_quota", "test_client",
     "QuotaTest.a_write_is_refused_before_it_is_taken_and_what_was_taken_stays", true},
    {"open_file_not_told", "test_client", "LeasesTest.what_is_open_and_not_told_is_noticed"},
    {"fence_not_checked", "test_meta", "Sessions.a_fenced_one_changes_nothing_and_its_locks_go", true},
    {"client_keeps_attributes_without_lease", "test_client",
     "LeasesTest.changes_of_attributes_that_wait_for_a_commit_are_seen_at_once", true},
    {"meta_query_without_barrier", "test_meta", "Service.a_leader_that_no_quorum_confirms_answers_no_query",
     true},
    {"raft_host_query_without_barrier", "test_raft", "Host.APausedLeaderReadsNothingOld", true},
    {"raft_host_hard_state_not_written", "test_raft", "Host.AVoteOutlivesACrash", true},
    {"raft_host_answers_lost_proposal", "test_raft", "Host.KeepsEveryAcknowledgedWrite", true},
    {"raft_host_asks_first_members", "test_raft", "Host.AnEmptyNodeAsksThePresentMembers", true},
    {"raft_host_stands_at_ticks", "test_raft", "Host.FailsOverAtOnceAndTakesLeadersBack", true},
    {"raft_host_snapshot_half", "test_raft", "Host.SnapshotsSurviveInterruptionsAndDamage", true},
    {"raft_host_", "", ""},  // by seeds
    {"client_forgets_trashed_bytes", "test_client", "TrashTest.WhatWasWrittenAndNotYetSentComesBackToo",
     true},
    {"raft_leaver_does_not_stand", "test_raft", "Core.WhoLeavesStandsUntilThatIsCommitted", true},
    {"raft_joint_not_committed", "test_raft", "Core.TheNewConfigurationFollowsWhenTheJointOneIsCommitted",
     true},
    {"raft_members_of_long_ago", "test_raft", "Core.WhoDoesNotKnowTheMembersDoesNotStand", true},
    {"raft_", "test_raft", "All/CoreSimulationKills.TheMutant/"},  // and the name
};
// What only damage at rest shows.
constexpr std::string_view kByDamage[] = {"data_scrub_repairs_nothing", "data_scrub_skips_logs",
                                          "raft_scrub_", "store_scrub_"};
bool is_by_damage(std::string_view name) {
  return std::ranges::any_of(kByDamage, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

const UnitTest* unit_test_of(std::string_view name) {
  for (const UnitTest& test : kUnitTests)
    if (name.starts_with(test.prefix)) return test.program.empty() ? nullptr : &test;
  return nullptr;
}

struct Killed {
  bool killed = false;
  u64 seed = 0, seeds = 0;
  double seconds = 0;  // of processor time
  bool dense = false;
  std::string how;
  std::string by() const {
    if (seeds == 0) return how;
    return fmt::format("{} seeds, seed {}{}: {}", seeds, seed, dense ? " --dense" : "", how.substr(0, 140));
  }
};

Killed run_unit_test(const std::string& name, const UnitTest& test) {
  Killed out;
  const std::string filter =
      test.filter.ends_with('/') ? std::string(test.filter) + name : std::string(test.filter);
  // Beside this program's folder (build/release/bin) the tests of the same build are in build/sim/bin.
  const std::filesystem::path program =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "../../sim/bin" / test.program;
  out.how = fmt::format("{} --gtest_filter={}", test.program, filter);
  if (!std::filesystem::exists(program)) {
    out.how += fmt::format(" (not built: ninja -C build/sim {})", test.program);
    return out;
  }
  std::vector<std::string> command{program.string(), "--gtest_brief=1", "--gtest_filter=" + filter};
  out.seconds = processor_seconds_of(command, out.killed);
  if (!test.fails_with_it || !out.killed) return out;
  bool passes = false;
  command.insert(command.begin(), {"/usr/bin/env", "CLAUDEFS_MUTANT=" + name});
  out.seconds += processor_seconds_of(command, passes);
  out.killed = !passes;
  return out;
}

// A seed that fails without the bug proves nothing about it.
bool passes_without(WorkItem item, const WorkLimits& limits) {
  item.mutant.clear();
  return run_one(item, limits).report.violations.empty();
}

// Dense and mixed seeds by turns: some bugs need many operations, some need time to pass.
Killed hunt(const std::string& name, const KillOptions& options) {
  Killed out;
  u64 given = 0;
  WorkLimits limits;
  limits.jobs = jobs_or_cores(options.jobs);
  limits.quiet = true;
  limits.seconds_each = 60;
  run_all(
      limits,
      [&]() -> std::optional<WorkItem> {
        if (out.seconds > options.minutes * 60) return std::nullopt;
        const u64 seed = options.from + given / 2;
        WorkItem item;
        item.plan = given++ % 2 == 0 ? simulator::draw_dense_plan(seed) : simulator::draw_plan(seed);
        item.mutant = name;
        return item;
      },
      [&](const WorkItem& item, const WorkResult& result) {
        ++out.seeds;
        out.seconds += result.seconds;
        if (result.report.violations.empty() || !passes_without(item, limits)) return true;
        out.killed = true;
        out.seed = item.plan.seed;
        out.dense = item.plan.dense;
        out.how = result.report.violations.front();
        return false;
      });
  return out;
}

// Gives what is violated with the bug and not without.
std::string damage_violation(const std::string& mutant, u64 seed) {
  const auto drill = [&] { return simulator::damage_drill(seed, DamageOptions().each, {}).violations; };
  Mutant::select(mutant);
  const std::vector<std::string> with = drill();
  Mutant::select("");
  return with.empty() || !drill().empty() ? "" : with.front();
}
Killed hunt_by_damage(const std::string& name, const KillOptions& options) {
  Killed out;
  u64 next = options.from;
  ChildLimits limits;
  limits.jobs = jobs_or_cores(options.jobs);
  limits.quiet = true;
  run_children(
      limits,
      [&]() -> std::optional<ChildJob> {
        if (out.seconds > options.minutes * 60) return std::nullopt;
        const u64 seed = next++;
        return ChildJob{seed, [&name, seed] { return damage_violation(name, seed); }};
      },
      [&](u64 seed, const ChildResult& child) {
        ++out.seeds;
        out.seconds += child.seconds;
        out.killed = !child.answer.empty();
        out.seed = seed;
        out.how = child.answer;
        return !out.killed;
      });
  return out;
}

Killed kill(const std::string& name, const KillOptions& options) {
  if (is_by_damage(name)) return hunt_by_damage(name, options);
  const UnitTest* test = unit_test_of(name);
  return test != nullptr ? run_unit_test(name, *test) : hunt(name, options);
}

}  // namespace

int list_mutants() {
  for (const Mutant* mutant : Mutant::all()) fmt::print("{:40} {}\n", mutant->name(), mutant->what());
  return 0;
}

int kill_mutants(const KillOptions& options) {
  std::vector<std::string> names = options.names;
  if (options.all)
    for (const Mutant* mutant : Mutant::all()) names.emplace_back(mutant->name());
  if (names.empty()) {
    fmt::print(stderr, "name a mutant (claudefs-sim mutants list), or say --all\n");
    return 2;
  }
  for (const std::string& name : names)
    if (!Mutant::select(name)) {
      fmt::print(stderr, "there is no mutant '{}'; see claudefs-sim mutants list\n", name);
      return 2;
    }
  nlohmann::json table = nlohmann::json::array();
  std::vector<double> times;
  unsigned alive = 0;
  for (const std::string& name : names) {
    const Killed killed = kill(name, options);
    alive += !killed.killed;
    times.push_back(killed.seconds);
    if (options.json)
      table.push_back({{"mutant", name},
                       {"killed", killed.killed},
                       {"core_seconds", killed.seconds},
                       {"seeds", killed.seeds},
                       {"by", killed.by()}});
    else
      fmt::print("{:40} {} {:7.1f} core-s, {}\n", name, killed.killed ? "killed" : "ALIVE ", killed.seconds,
                 killed.killed || killed.seeds == 0 ? killed.by() : fmt::format("{} seeds", killed.seeds));
    std::fflush(stdout);
  }
  if (options.json) fmt::print("{}\n", table.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
  std::sort(times.begin(), times.end());
  fmt::print(options.json ? stderr : stdout, "{} mutants, {} killed, median {:.1f} core-seconds\n",
             names.size(), names.size() - alive, times[times.size() / 2]);
  return alive == 0 ? 0 : 1;
}

int show_probes(const ProbeOptions& options) {
  Totals totals;
  u64 given = 0;
  WorkLimits limits;
  limits.jobs = jobs_or_cores(options.jobs);
  run_all(
      limits,
      [&]() -> std::optional<WorkItem> {
        if (given == options.seeds) return std::nullopt;
        WorkItem item;
        item.plan =
            given % 2 == 0 ? simulator::draw_dense_plan(1 + given / 2) : simulator::draw_plan(1 + given / 2);
        ++given;
        return item;
      },
      [&](const WorkItem&, const WorkResult& result) {
        totals.add(result);
        return true;
      });
  if (options.json) {
    nlohmann::json table = nlohmann::json::array();
    for (const Probe* probe : Probe::all())
      table.push_back({{"probe", probe->name()},
                       {"what", probe->what()},
                       {"hits", totals.probes[std::string(probe->name())]}});
    fmt::print("{}\n", table.dump(2));
  } else {
    for (const Probe* probe : Probe::all()) {
      const u64 hits = totals.probes[std::string(probe->name())];
      fmt::print("{:34} {:>9}  {}\n", probe->name(), hits == 0 ? "NEVER" : std::to_string(hits),
                 probe->what());
    }
  }
  const bool failed = totals.failed != 0;
  if (failed) fmt::print(stderr, "some seeds had violations: claudefs-sim run shows them\n");
  return failed ? 1 : 0;
}

#else

namespace {
int no_mutants() {
  fmt::print(stderr, "this build has no mutants and no probes; build the preset `sim`\n");
  return 2;
}
}  // namespace
int list_mutants() { return no_mutants(); }
int kill_mutants(const KillOptions&) { return no_mutants(); }
int show_probes(const ProbeOptions&) { return no_mutants(); }

#endif

}  // namespace claudefs::simtool
