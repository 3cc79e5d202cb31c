#include "simulator/crash_tests.h"

#include <algorithm>

#include <fmt/format.h>

#include "simulator/invariants.h"
#include "simulator/stage.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;
using Fate = sim::DiskImage::Fate;

namespace {

constexpr runtime::Duration kQuietWithin = 60s;
constexpr runtime::Duration kScriptWithin = 10min;
constexpr runtime::Duration kAfterScript = 4500ms;  // what is written in the background: write-back, sealing
constexpr runtime::Duration kAfterSetup = 20s;      // sealed, and a checkpoint written
constexpr runtime::Duration kJudgedWithin = 10min;
constexpr u64 kEverySubset = 3;  // of so many unflushed changes

std::vector<sim::DiskImage> all_kept(const std::vector<sim::DiskImage>& disks) {
  std::vector<sim::DiskImage> out;
  for (const sim::DiskImage& disk : disks)
    out.push_back(disk.after_power_loss(std::vector<Fate>(disk.unflushed(), Fate::kept), 0));
  return out;
}

}  // namespace

CrashTests::CrashTests(u32 servers) : servers_(servers) {
  Stage stage(servers, 1, {});
  stage.start_servers();
  Client& client = *stage.cluster.clients()[0];
  const bool made = stage.start(client) &&
                    stage.perform(client, stage.workload.perform_script(&client, setup_script()),
                                  kScriptWithin, "the files are made") &&
                    stage.perform(client, stop_mount(&client), kScriptWithin, "the client ends");
  CFS_CHECK(made && stage.report.violations.empty());
  stage.cluster.world().run_for(kAfterSetup);
  began_ = stage.cluster.world().now();
  disks_ = all_kept(stage.disks());
  known_ = std::make_shared<const Workload::Knowledge>(stage.workload.knowledge());
}
CrashTests::~CrashTests() = default;

// None, all, every prefix, and each with the next one torn; all torn; every subset of a few; some that are
// drawn.
std::vector<CrashTests::Fates> CrashTests::ways_to_lose(std::size_t unflushed, u64 drawn,
                                                        sim::RandomStream& random) {
  std::vector<Fates> out;
  for (std::size_t kept = 0; kept <= unflushed; ++kept) {
    Fates prefix(unflushed, Fate::lost);
    std::fill_n(prefix.begin(), kept, Fate::kept);
    out.push_back(prefix);
    if (kept == unflushed) continue;
    prefix[kept] = Fate::torn;
    out.push_back(std::move(prefix));
  }
  if (unflushed == 0) return out;
  out.push_back(Fates(unflushed, Fate::torn));
  if (unflushed <= kEverySubset)
    for (u64 bits = 1; bits + 1 < (u64{1} << unflushed); ++bits) {
      Fates subset;
      for (std::size_t i = 0; i < unflushed; ++i)
        subset.push_back((bits >> i & 1) != 0 ? Fate::kept : Fate::lost);
      out.push_back(std::move(subset));
    }
  for (u64 i = 0; i < drawn; ++i) {
    Fates some;
    for (std::size_t at = 0; at < unflushed; ++at) some.push_back(static_cast<Fate>(random.between(0, 2)));
    out.push_back(std::move(some));
  }
  return out;
}

// What is noted while power may be lost.
struct CrashTests::Recording {
  Recording(u32 servers, u64 seed, const Trace& trace) : stage(servers, seed, trace) {}

  void watch() {
    for (const auto& server : stage.cluster.servers())
      server->machine->watch_disk([this, number = server->number] { note(number); });
  }
  void unwatch() {
    for (const auto& server : stage.cluster.servers()) server->machine->watch_disk({});
  }
  void note(std::size_t struck) {
    if (known == nullptr || version != stage.workload.version()) {
      known = std::make_shared<const Workload::Knowledge>(stage.workload.knowledge());
      version = stage.workload.version();
    }
    moments.push_back(
        {stage.cluster.world().now(), stage.disks(), struck, known, sim::mix(history ^ version)});
  }

  Stage stage;
  u64 history = 0;
  std::vector<Moment> moments;
  std::shared_ptr<const Workload::Knowledge> known;
  u64 version = 0;
};

std::vector<CrashTests::Moment> CrashTests::record(const std::vector<std::size_t>& operations,
                                                   CrashReport& report) const {
  Recording recording(servers_, 2, {});
  Stage& stage = recording.stage;
  stage.load(began_, disks_);
  stage.workload.adopt(*known_, {});
  if (operations.empty()) recording.watch();
  stage.start_servers();
  Client& client = *stage.cluster.clients()[0];
  Script script;
  for (const std::size_t operation : operations)
    script.insert(script.end(), operation_scripts()[operation].steps.begin(),
                  operation_scripts()[operation].steps.end());
  if (stage.start(client)) {
    recording.watch();
    stage.perform(client, stage.workload.perform_script(&client, script), kScriptWithin,
                  "the operations end");
    recording.note(0);  // what was answered last
    stage.cluster.world().run_for(kAfterScript);
  }
  recording.unwatch();
  report.violations = stage.report.violations;
  return std::move(recording.moments);
}

struct CrashTests::Search {
  const Options& options;
  CrashReport& report;
  std::set<u64> seen;
  u64 number = 0;  // of the next state
};

// All of `after` is durable.
std::vector<CrashTests::Moment> CrashTests::judge(const Moment& after, const std::string& name,
                                                  bool wants_moments, Search& search) const {
  u64 seed = after.history;
  for (const sim::DiskImage& disk : after.disks) seed = sim::mix(seed ^ disk.identity());
  Recording recording(servers_, seed, search.options.only ? search.options.trace : Trace());
  recording.history = seed;
  Stage& stage = recording.stage;
  stage.load(after.at, after.disks);
  stage.workload.adopt(*after.known, {0, 1});
  const auto complain = [&](std::string why) { stage.workload.violation(std::move(why)); };
  Client& auditor = stage.cluster.add_client();
  if (wants_moments) recording.watch();
  stage.start_servers();
  const bool ready = stage.start(auditor);
  recording.unwatch();
  if (ready) {
    stage.perform(auditor, stage.workload.audit(&auditor), kJudgedWithin, "the audit ends");
    stage.perform(auditor, check_with_fsck(&stage.cluster, &stage.workload, auditor.machine), kJudgedWithin,
                  "fsck ends");
    await_quiet(stage.cluster, kQuietWithin, complain);
    check_replicas(stage.cluster, kQuietWithin, complain);
  }
  if (stage.cluster.world().fault_counts().contains("start failed"))
    complain("a server refused to start from its disk");
  if (stage.report.namespace_unjudged != 0) complain("too many orders to judge");
  for (const std::string& violation : stage.report.violations)
    search.report.violations.push_back(name + ": " + violation);
  return std::move(recording.moments);
}

void CrashTests::try_all(const std::vector<Moment>& moments, bool again, Search& search) const {
  sim::RandomStream random(moments.empty() ? 0 : moments.front().history, "power loss");
  for (std::size_t at = 0; at < moments.size(); ++at) {
    const Moment& moment = moments[at];
    ++search.report.moments;
    const std::size_t unflushed = moment.disks[moment.struck].unflushed();
    for (const Fates& fates : ways_to_lose(unflushed, search.options.drawn, random)) {
      Moment after = moment;
      u64 identity = moment.history;
      for (std::size_t server = 0; server < after.disks.size(); ++server) {
        sim::DiskImage& disk = after.disks[server];
        const Fate other = random.coin() ? Fate::kept : Fate::lost;
        disk = server == moment.struck ? disk.after_power_loss(fates, random.next())
                                       : disk.after_power_loss(Fates(disk.unflushed(), other), 0);
        identity = sim::mix(identity ^ disk.identity());
      }
      if (!search.seen.insert(identity).second) continue;
      const u64 own = search.number++;
      const bool nested = again && identity % search.options.again == 0;
      const bool wanted = !search.options.only || *search.options.only == own;
      if (!wanted && !nested) continue;
      search.report.states += wanted;
      const std::string name = fmt::format("state {} (moment {} of {}{}, {} unflushed)", own, at,
                                           moments.size(), again ? "" : " of a recovery", unflushed);
      const std::vector<Moment> recovery = judge(after, name, nested, search);
      if (nested) try_all(recovery, false, search);
    }
  }
}

CrashReport CrashTests::run(const std::vector<std::size_t>& operations, const Options& options) const {
  CrashReport report;
  Search search{options, report, {}, 0};
  try_all(record(operations, report), true, search);
  return report;
}

}  // namespace claudefs::simulator
