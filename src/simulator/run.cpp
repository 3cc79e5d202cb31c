#include "simulator/run.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/probe.h"
#include "simulator/chaos.h"
#include "simulator/disk_faults.h"
#include "simulator/invariants.h"
#include "simulator/quota_limits.h"
#include "simulator/stage.h"
#include "simulator/workload.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {

// What is promised once faults have stopped, in virtual time, with the router's own patience on top.
constexpr runtime::Duration kServesWithin = 60s;
constexpr runtime::Duration kOperationsEndWithin = 120s;
constexpr runtime::Duration kQuietWithin = 120s;
constexpr runtime::Duration kAuditWithin = 30min;
constexpr runtime::Duration kReplicasWithin = 60s;
constexpr runtime::Duration kVolumesGoWithin = 60s;
constexpr runtime::Duration kReferencesWithin = 60s;
constexpr runtime::Duration kRedundantWithin = 20min;
constexpr std::pair<u32, u32> kDiskFaultId{0, 2'000'000};  // among a round's faults
constexpr runtime::Duration kScrubbedWithin = 4min;        // sooner than leaders ask holders what they hold

class Run {
 public:
  Run(const Plan& plan, Report& report, const Trace& trace)
      : plan_(plan),
        report_(report),
        cluster_(plan.cluster),
        workload_(cluster_, plan, report, trace),
        chaos_(cluster_, workload_, plan, report) {
    // Before anybody can have repaired what is missing.
    cluster_.on_serving([this] { check_sealed_now(); });
  }

  void execute() {
    auditor_ = &cluster_.add_client();
    for (const auto& server : cluster_.servers()) cluster_.start_server(*server);
    for (u32 i = 0; i < plan_.cluster.clients; ++i) chaos_.start_client(*cluster_.clients()[i]);
    if (!reach("the cluster serves", kServesWithin, [this] { return all_ready(); })) return;
    for (u32 round = 0; round < plan_.rounds && report_.violations.empty(); ++round) {
      workload_.resume();
      chaos_.begin_round(round);
      change_limits(cluster_, plan_, round);
      damage_only_at_victim_ = true;
      cluster_.world().run_for(plan_.round_time);
      check_sealed_now();
      damage_only_at_victim_ = false;
      workload_.pause();
      chaos_.heal();
      if (round == 0 && plan_.disk_fault && !plan_.skip_faults.contains(kDiskFaultId)) {
        check(false);
        if (report_.violations.empty()) strike_disks(*plan_.disk_fault);
      }
      check(round + 1 == plan_.rounds);
    }
    if (!report_.violations.empty()) return;
    workload_.note("RESTART ALL");
    for (const auto& server : cluster_.servers()) cluster_.restart_server(*server);
    check(true);
    workload_.judge_suspicions();
  }

 private:
  bool all_ready() const {
    if (!cluster_.all_serve()) return false;
    for (u32 i = 0; i < plan_.cluster.clients; ++i)
      if (!clients_[i]->ready) return false;
    return true;
  }
  bool reach(const std::string& what, runtime::Duration limit, const std::function<bool()>& holds) {
    const runtime::Instant end = cluster_.world().now() + limit;
    while (!holds()) {
      if (cluster_.world().now() >= end) {
        workload_.violation(fmt::format("{}: not within {} s", what, limit / 1s));
        return false;
      }
      cluster_.world().run_for(10ms);
    }
    return true;
  }

  void strike_disks(DiskFault fault) {
    report_.faults_begun.push_back(kDiskFaultId);
    if (!await_whole()) return;
    workload_.resume();
    sim::RandomStream random(plan_.seed, "disk fault");
    DiskFaults(cluster_, workload_, *cluster_.servers()[*plan_.victim], random).strike(fault, complain());
    workload_.pause();
    await_whole();
  }
  // Only then may another server lose anything.
  bool await_whole() {
    reach("every server has what it promised", kReplicasWithin, [this] {
      return std::ranges::all_of(cluster_.servers(), [](const auto& server) {
        return server->serves() && server->node->raft().is_whole();
      });
    });
    await_redundancy(cluster_, kRedundantWithin, complain());
    return report_.violations.empty();
  }

  void check_sealed_now() {
    if (damage_only_at_victim_) check_sealed(cluster_, plan_.victim, complain());
  }
  Complain complain() {
    return [this](std::string why) { workload_.violation(std::move(why)); };
  }

  void check(bool thoroughly) {
    const Complain complain = this->complain();
    if (!reach("all servers serve again", kServesWithin, [this] { return cluster_.all_serve(); })) return;
    reach("operations end, such as " + workload_.oldest_operation(), kOperationsEndWithin,
          [this] { return workload_.idle(); });
    if (!report_.violations.empty()) return;
    for (const auto& server : cluster_.servers())
      if (server->missed_nothing)
        complain(fmt::format("server {} served though one of its two devices was lost, and did not say so",
                             server->number + 1));
    await_quiet(cluster_, kQuietWithin, complain);
    if (!report_.violations.empty()) return;
    cluster_.world().run_for(2s);  // what a dead client had sent
    workload_.settle();
    audit();
    check_quota(cluster_, complain);
    if (!report_.violations.empty() || !thoroughly) return;
    check_volumes(cluster_, kVolumesGoWithin, complain);
    check_references(cluster_, kReferencesWithin, complain);
    check_replicas(cluster_, kReplicasWithin, complain);
    await_redundancy(cluster_, kRedundantWithin, complain);
    if (report_.violations.empty() && plan_.cluster.split_at != 0) audit(&Run::run_fsck);
    if (!report_.violations.empty() || cluster_.servers().size() < 3) return;
    scrub(cluster_, kScrubbedWithin, complain);  // what faults left at the victim: one disk at a time
    if (!report_.violations.empty()) return;
    sim::RandomStream random(plan_.seed, "damage at rest", checks_++);
    damage_at_rest(cluster_, some_server(random), random);
    scrub(cluster_, kScrubbedWithin, complain);
    if (report_.violations.empty()) audit_without(some_server(random));
  }
  Server& some_server(sim::RandomStream& random) {
    return *cluster_.servers()[random.between(0, cluster_.servers().size() - 1)];
  }

  // Everything must be readable with any one server down, also one whose disk was never damaged: scrubbing
  // has mended the others.
  void audit_without(Server& away) {
    workload_.note("SERVER AWAY");
    cluster_.crash_server(away);
    audit();
    cluster_.start_server(away);
    reach("the server that was away serves again", kServesWithin, [this] { return cluster_.all_serve(); });
  }

  void audit() { audit(&Run::walk); }
  void audit(runtime::Task<void> (Run::*look)(Client*, bool*)) {
    workload_.note("AUDIT");
    bool done = false;
    cluster_.start_client(*auditor_, [this, &done, look](Client& client) {
      client.scope->spawn((this->*look)(&client, &done));
    });
    reach("the audit ends", kAuditWithin, [&done] { return done; });
    cluster_.crash_client(*auditor_);
    workload_.client_died(*auditor_);
  }
  runtime::Task<void> walk(Client* client, bool* done) {
    co_await workload_.audit(client);
    *done = true;
  }

  // With everything there: of split directories it knows what a walk does not see.
  runtime::Task<void> run_fsck(Client* client, bool* done) {
    co_await check_with_fsck(&cluster_, &workload_, client->machine);
    *done = true;
  }

  const Plan& plan_;
  Report& report_;
  Cluster cluster_;
  std::vector<std::unique_ptr<Client>>& clients_ = cluster_.clients();
  Workload workload_;
  Chaos chaos_;
  Client* auditor_ = nullptr;
  u64 checks_ = 0;
  bool damage_only_at_victim_ = false;

 public:
  Cluster& cluster() { return cluster_; }
};

}  // namespace

Report run(const Plan& plan, const Trace& trace) {
  Report report;
  report.seed = plan.seed;
  Run one(plan, report, trace);
  one.execute();
  sim::World& world = one.cluster().world();
  report.trace_hash = world.trace_hash();
  report.events = world.events();
  report.simulated_seconds = static_cast<double>(world.now().ns) / 1e9;
  for (const auto& [kind, count] : world.fault_counts()) report.faults[kind] = count;
#ifdef CLAUDEFS_MUTANTS
  for (const Probe* probe : Probe::all()) report.probes[std::string(probe->name())] = probe->hits();
#endif
  return report;
}

}  // namespace claudefs::simulator
