#include "simulator/damage_drill.h"

#include <algorithm>

#include <fmt/format.h>

#include "simulator/detail/damage_place.h"
#include "simulator/invariants.h"
#include "simulator/stage.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {

constexpr runtime::Duration kWithin = 10min;
constexpr runtime::Duration kMendedWithin = 30min;  // copies that nobody needs go with the second sweep

class Drill {
 public:
  Drill(u64 seed, const Trace& trace, DamageReport& report)
      : stage_(3, seed, trace, sim::RandomStream(seed, "devices").coin()),
        random_(seed, "damage"),
        report_(report) {}

  void run(u64 count) {
    Cluster& cluster = stage_.cluster;
    stage_.start_servers();
    writer_ = cluster.clients()[0].get();
    auditor_ = &cluster.add_client();
    if (!stage_.start(*writer_)) return take_violations();
    if (!perform(setup_script(), "the files are made")) return;
    cluster.world().run_for(20s);
    for (u64 i = 0; i < count && report_.violations.empty(); ++i) one();
    if (report_.violations.empty()) audit();
    stage_.perform(*writer_, check_with_fsck(&stage_.cluster, &stage_.workload, writer_->machine), kWithin,
                   "fsck ends");
    take_violations();
  }

 private:
  void one() {
    // What journals and logs hold for a few seconds.
    const u64 offset = random_.between(0, 2) * 8_KiB;
    if (!perform({{Step::What::write, "a/f", {}, offset, 24_KiB - offset, 0}, {Step::What::sync, "a/f"}},
                 "a file is written"))
      return;
    if (random_.coin()) stage_.cluster.world().run_for(random_.between_times(0s, 20s));
    Server& server = *stage_.cluster.servers()[random_.between(0, 2)];
    const bool running = random_.coin();
    std::optional<DamagePlace> place = draw_place(server, running, random_);
    if (!place) return;
    const std::string name = fmt::format("{}{}", place->name, running ? "" : ", node down");
    DamageRow& row = report_.rows[name];
    ++row.planted;
    const u64 found = server.node->data().scrub({}).found;
    const u64 refused = failed_starts();
    if (!running) stage_.cluster.crash_server(server);
    const std::optional<Damage> damage = plant(*server.machine, *place, random_);
    if (!damage) {  // lost with the crash
      --row.planted;
    } else {
      stage_.workload.note(
          fmt::format("DAMAGE  server {} {} at {}: {}", server.number + 1, place->path, place->offset, name));
    }
    if (!running) {
      stage_.cluster.start_server(server);
      stage_.reach("the damaged server serves", kWithin, [&] { return server.serves(); });
    } else if (random_.coin()) {
      audit();
    }
    if (report_.violations.empty()) mend(server, name);
    if (damage)
      judge(server, *place, *damage, row,
            failed_starts() != refused || server.node->data().scrub({}).found > (running ? found : 0));
    take_violations();
  }

  u64 failed_starts() {
    const auto& counts = stage_.cluster.world().fault_counts();
    const auto at = counts.find("start failed");
    return at == counts.end() ? 0 : at->second;
  }

  // Scrubs until nothing is left to mend, and everything has its redundancy again.
  void mend(Server& server, const std::string& name) {
    const auto is_well = [&] {
      if (!server.serves() || !server.node->raft().is_whole()) return false;
      const data::ScrubReply now = server.node->data().scrub({});
      return !now.running && now.pass != 0 && now.found == now.repaired;
    };
    stage_.reach(name + ": the server is whole", kWithin,
                 [&] { return server.serves() && server.node->raft().is_whole(); });
    if (!server.serves()) return;
    server.node->data().scrub({true});
    stage_.reach(name + ": it is mended", kMendedWithin, is_well);
    await_redundancy(stage_.cluster, kMendedWithin,
                     [&](std::string why) { stage_.workload.violation(name + ": " + why); });
    // A server that began anew has lost its copy of what journals held: until it is sealed there is one copy.
    stage_.reach(name + ": what journals held is sealed", kWithin, [&] {
      return std::ranges::all_of(stage_.cluster.servers(), [](const std::unique_ptr<Server>& each) {
        return each->serves() && each->node->journal().segments().empty();
      });
    });
  }

  void judge(Server& server, const DamagePlace& place, const Damage& damage, DamageRow& row, bool found) {
    const bool still = damage.is_there(*server.machine, place);
    row.found += found;
    row.mended += !still;
    if (place.unused) {
      ++row.unused;
      return;
    }
    if (still)
      stage_.workload.violation(fmt::format("server {} {} at {} ({}): the damage is still there, {}",
                                            server.number + 1, place.path, place.offset, place.name,
                                            found ? "though it was found" : "and was not found"));
    if (random_.chance(250'000)) audit();
  }

  bool perform(Script script, const std::string& what) {
    return stage_.perform(*writer_, stage_.workload.perform_script(writer_, std::move(script)), kWithin,
                          what);
  }
  void audit() {
    stage_.workload.note("AUDIT");
    if (stage_.start(*auditor_))
      stage_.perform(*auditor_, stage_.workload.audit(auditor_), kWithin, "the audit ends");
    stage_.cluster.crash_client(*auditor_);
    stage_.workload.client_died(*auditor_);
  }
  void take_violations() {
    for (std::string& violation : stage_.report.violations)
      report_.violations.push_back(std::move(violation));
    stage_.report.violations.clear();
  }

  Stage stage_;
  sim::RandomStream random_;
  DamageReport& report_;
  Client* writer_ = nullptr;
  Client* auditor_ = nullptr;
};

}  // namespace

DamageReport damage_drill(u64 seed, u64 count, const Trace& trace) {
  DamageReport report;
  Drill(seed, trace, report).run(count);
  return report;
}

}  // namespace claudefs::simulator
