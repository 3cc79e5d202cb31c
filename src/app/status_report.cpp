#include "app/status_report.h"

#include <algorithm>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/text.h"
#include "runtime/scope.h"

namespace claudefs::app {
using namespace std::chrono_literals;
namespace {

struct ShardFigures {
  data::StorageSummaryReply storage;
  meta::ShardUsageReply usage;
};

runtime::Task<Result<ShardFigures>> ask_shard(cluster::Router& router, ShardId shard,
                                              data::StorageSummary ask) {
  ShardFigures out;
  out.storage = co_await router.call(shard, ask);
  out.usage = co_await router.call(shard, meta::ShardUsage());
  co_return out;
}

void add_figures(StatusReport& report, const ShardFigures& more) {
  auto& s = report.storage;
  s.live_bytes += more.storage.live_bytes;
  s.segment_bytes += more.storage.segment_bytes;
  s.raw_bytes += more.storage.raw_bytes;
  s.full += more.storage.full;
  s.degraded += more.storage.degraded;
  s.at_risk += more.storage.at_risk;
  s.segments += more.storage.segments;
  s.chunks += more.storage.chunks;
  s.missing_shards += more.storage.missing_shards;
  s.missing_bytes += more.storage.missing_bytes;
  for (const NodeId node : more.storage.unchecked)
    if (std::ranges::find(s.unchecked, node) == s.unchecked.end()) s.unchecked.push_back(node);
  s.repair_bytes += more.storage.repair_bytes;
  s.repaired_bytes += more.storage.repaired_bytes;
  s.repair_rate += more.storage.repair_rate;
  s.reclaimable_bytes += more.storage.reclaimable_bytes;
  s.compaction_debt += more.storage.compaction_debt;
  s.reclaimed_bytes += more.storage.reclaimed_bytes;
  s.reclaim_rate += more.storage.reclaim_rate;
  s.unreadable_segments += more.storage.unreadable_segments;
  s.moved_bytes += more.storage.moved_bytes;
  s.saved_bytes += more.storage.saved_bytes;
  s.unreduced_bytes += more.storage.unreduced_bytes;
  report.usage.inodes += more.usage.inodes;
  report.usage.logical_bytes += more.usage.logical_bytes;
  report.usage.inline_bytes += more.usage.inline_bytes;
  report.usage.trashed_inodes += more.usage.trashed_inodes;
  report.usage.trashed_bytes += more.usage.trashed_bytes;
}

runtime::Task<Result<data::ScrubReply>> ask_scrub(net::Client& rpc, std::string address) {
  co_return (co_await net::call(rpc, std::move(address), data::Scrub(), 2s)).message;
}

runtime::Task<Result<admin::NodeDescription>> ask_description(net::Client& rpc, cluster::NodeView node) {
  if (node.state != cluster::NodeState::up) co_return fail(Errc::unavailable, node.address);
  co_return (co_await net::call(rpc, std::move(node.address), admin::DescribeNode(), 2s)).message;
}

void add_scrub_state(data::ScrubReply& sum, const data::ScrubReply& more, bool first) {
  sum.running = sum.running || more.running;
  sum.pass_bytes += more.running ? more.pass_bytes : 0;
  sum.pass_total += more.running ? more.pass_total : 0;
  sum.verified_bytes += more.verified_bytes;
  sum.found += more.found;
  sum.repaired += more.repaired;
  sum.last_complete = first ? more.last_complete : std::min(sum.last_complete, more.last_complete);
}

// Shards fill a part of the whole: the logs have theirs set aside.
bool is_nearly_full(const cluster::NodeStats& stats) {
  const auto over = [](u64 used, u64 total) { return total != 0 && used > total / 100 * 90; };
  return over(stats.raw_used, stats.raw_total) || over(stats.shard_bytes, stats.shard_bytes_max);
}

bool has_two_devices(const StatusReport& report, std::size_t node) { return report.devices[node].size() > 1; }

void judge_space(StatusReport& report, std::size_t at) {
  const cluster::NodeView& node = report.map.nodes[at];
  if (!has_two_devices(report, at)) {
    if (is_nearly_full(node.stats))
      report.alerts.push_back(fmt::format("node {} is over 90 % full: delete data or add a node", node.id));
    return;
  }
  for (const admin::Device& device : report.devices[at])
    if (device.fault.empty() && device.is_nearly_full())
      report.alerts.push_back(fmt::format(
          "node {}'s {} device is over 90 % full: {} of {} left in {}; delete data or give it more room",
          node.id, device.name, format_size(device.available()), format_size(device.total),
          device.directory));
}

void judge(StatusReport& report) {
  std::size_t down = 0;
  for (std::size_t i = 0; i < report.map.nodes.size(); ++i) {
    const cluster::NodeView& node = report.map.nodes[i];
    if (node.state == cluster::NodeState::up) {
      report.raw_used += node.stats.raw_used;
      report.raw_total += node.stats.raw_total;
      if (!node.stats.disk_fault.empty())
        report.alerts.push_back(fmt::format(
            "node {}'s disk is taken out: {}; replace it and start the node with an empty directory{}",
            node.id, node.stats.disk_fault, has_two_devices(report, i) ? " (--pair-devices)" : ""));
      judge_space(report, i);
      continue;
    }
    ++down;
    report.alerts.push_back(
        fmt::format("node {} at {} does not answer: start it again, or see its log", node.id, node.address));
  }
  if (report.shards_without_leader != 0)
    report.alerts.push_back(
        fmt::format("{} shards have no leader: operations on them wait for a majority of their nodes",
                    report.shards_without_leader));
  if (report.storage.at_risk != 0)
    report.alerts.push_back(fmt::format("{} would be lost or is unreadable with one more failure",
                                        format_size(report.storage.at_risk)));
  if (report.storage.missing_shards != 0)
    report.alerts.push_back(
        fmt::format("{} shards that nodes should hold are lost or damaged: {} are being laid out anew",
                    report.storage.missing_shards, format_size(report.storage.missing_bytes)));
  if (report.storage.unreadable_segments != 0)
    report.alerts.push_back(
        fmt::format("{} segments cannot be read: too few good shards are left; restore what was in them, or "
                    "bring back the disks that held them",
                    report.storage.unreadable_segments));
  std::ranges::sort(report.storage.unchecked);
  if (report.shards_without_leader == 0)
    for (const NodeId node : report.storage.unchecked)
      report.alerts.push_back(
          fmt::format("what node {} holds is being checked: it was started since the last time", node));
  const bool sound = std::ranges::all_of(
      report.map.nodes, [](const cluster::NodeView& node) { return node.stats.disk_fault.empty(); });
  if (report.shards_without_leader != 0)
    report.state = "unavailable";
  else if (!sound || report.storage.missing_shards != 0 || !report.storage.unchecked.empty() || down != 0 ||
           report.storage.degraded + report.storage.at_risk != 0)
    report.state = "degraded";
  else
    report.state = "healthy";
}

void find_roles(StatusReport& report) {
  report.roles.resize(report.map.nodes.size());
  for (std::size_t i = 0; i < report.map.nodes.size(); ++i) {
    auto& roles = report.roles[i];
    roles = {"data"};
    u32 led = 0, held = 0;
    for (const cluster::ShardView& shard : report.map.shards) {
      const NodeId id = report.map.nodes[i].id;
      led += shard.leader == id;
      held += std::count(shard.replicas.begin(), shard.replicas.end(), id);
      if (shard.shard.value == 0 && shard.leader == id) roles.push_back("coordinator");
    }
    if (held != 0) roles.push_back(fmt::format("metadata:{}/{}", led, held));
  }
}

const char* state_name(cluster::NodeState state) {
  switch (state) {
    case cluster::NodeState::up:
      return "up";
    case cluster::NodeState::down:
      return "down";
    case cluster::NodeState::unknown:
      break;
  }
  return "unknown";
}

u64 logical_of(const StatusReport& r) { return r.usage.logical_bytes; }
u64 stored_of(const StatusReport& r) { return r.storage.live_bytes + r.usage.inline_bytes; }
double reduction_of(const StatusReport& r) {
  return stored_of(r) == 0 ? 1.0 : static_cast<double>(logical_of(r)) / static_cast<double>(stored_of(r));
}
}  // namespace

runtime::Task<Result<StatusReport>> ask_status(runtime::Env& env, net::Client& rpc, cluster::Router& router) {
  co_await router.refresh();
  StatusReport report;
  report.map = router.map();
  const std::vector<NodeId> up = report.map.up();
  std::vector<runtime::Task<Result<ShardFigures>>> asks;
  data::StorageSummary ask;
  ask.nodes_total = static_cast<u16>(report.map.nodes.size());
  for (const cluster::NodeView& node : report.map.nodes) {
    if (node.state != cluster::NodeState::up || !node.stats.disk_fault.empty()) continue;
    ask.up.push_back(node.id);
    ask.incarnations.push_back(node.stats.incarnation);
  }
  for (const cluster::ShardView& shard : report.map.shards)
    asks.push_back(ask_shard(router, shard.shard, ask));
  const std::vector<Result<ShardFigures>> answers =
      co_await runtime::join_all(env.executor(), std::move(asks));
  for (const Result<ShardFigures>& answer : answers) {
    if (answer)
      add_figures(report, *answer);
    else
      ++report.shards_without_leader;
  }
  std::vector<runtime::Task<Result<data::ScrubReply>>> scrubs;
  for (const NodeId node : up) scrubs.push_back(ask_scrub(rpc, router.address_of(node)));
  bool first = true;
  for (const Result<data::ScrubReply>& scrub : co_await runtime::join_all(env.executor(), std::move(scrubs)))
    if (scrub) add_scrub_state(report.scrub, *scrub, std::exchange(first, false));
  std::vector<runtime::Task<Result<admin::NodeDescription>>> descriptions;
  for (const cluster::NodeView& node : report.map.nodes) descriptions.push_back(ask_description(rpc, node));
  for (const Result<admin::NodeDescription>& said :
       co_await runtime::join_all(env.executor(), std::move(descriptions))) {
    report.devices.push_back(said ? said->devices : std::vector<admin::Device>());
    if (said && report.features.empty()) report.features = said->features;
  }
  for (admin::Feature& feature : admin::client_features()) report.features.push_back(std::move(feature));
  find_roles(report);
  judge(report);
  co_return report;
}

static std::string eta_text(u64 bytes, u64 rate) {
  if (rate == 0) return "time left not known yet";
  const u64 seconds = bytes / rate;
  return seconds < 120 ? fmt::format("{} s left", seconds) : fmt::format("{} min left", seconds / 60);
}

static std::string scrub_text(const data::ScrubReply& scrub) {
  std::string out = "scrub: ";
  if (scrub.running)
    out += fmt::format("{} of {} read, ", format_size(scrub.pass_bytes), format_size(scrub.pass_total));
  out += scrub.last_complete == 0
             ? "no full pass yet since the nodes were started"
             : fmt::format("last full pass ended {:%F %R} UTC", fmt::gmtime(scrub.last_complete));
  return out + fmt::format("; verified {}, damaged copies found {}, repaired {}\n",
                           format_size(scrub.verified_bytes), scrub.found, scrub.repaired);
}

// Of the nodes that have two: what is on each.
static std::string devices_text(const StatusReport& report) {
  std::vector<std::vector<std::string>> rows = {{"node", "device", "used", "of", "health", "directory"}};
  for (std::size_t i = 0; i < report.map.nodes.size(); ++i)
    for (const admin::Device& device : report.devices[i])
      if (has_two_devices(report, i))
        rows.push_back({std::to_string(report.map.nodes[i].id.value), device.name, format_size(device.used),
                        format_size(device.total), device.fault.empty() ? "good" : "taken out",
                        device.directory});
  return rows.size() == 1 ? "" : "\n" + format_table(rows);
}

std::string status_text(const StatusReport& report) {
  std::string out = fmt::format("cluster {}: {}\n\n", report.map.name, report.state);
  std::vector<std::vector<std::string>> rows = {{"node", "state", "address", "used", "of", "roles"}};
  for (std::size_t i = 0; i < report.map.nodes.size(); ++i) {
    const cluster::NodeView& node = report.map.nodes[i];
    rows.push_back({std::to_string(node.id.value), state_name(node.state), node.address,
                    format_size(node.stats.raw_used), format_size(node.stats.raw_total),
                    fmt::format("{}", fmt::join(report.roles[i], ","))});
  }
  out += format_table(rows);
  out += devices_text(report);
  out += fmt::format("\nredundancy: full {}, degraded {}, at risk {}\n", format_size(report.storage.full),
                     format_size(report.storage.degraded), format_size(report.storage.at_risk));
  if (report.storage.repair_bytes != 0)
    out += fmt::format("rebuild: {} to do, {}/s, {}\n", format_size(report.storage.repair_bytes),
                       format_size(report.storage.repair_rate),
                       eta_text(report.storage.repair_bytes, report.storage.repair_rate));
  if (report.storage.reclaimable_bytes != 0)
    out += fmt::format("reclaimable: {}, of it {} once what lives beside it is moved; {}/s\n",
                       format_size(report.storage.reclaimable_bytes),
                       format_size(report.storage.compaction_debt), format_size(report.storage.reclaim_rate));
  out += scrub_text(report.scrub);
  out += fmt::format(
      "space: logical {}, stored {} (reduction {:.2f} x), raw used {} of {}; {} inodes, {} chunks\n",
      format_size(logical_of(report)), format_size(stored_of(report)), reduction_of(report),
      format_size(report.raw_used), format_size(report.raw_total), report.usage.inodes,
      report.storage.chunks);
  if (report.storage.saved_bytes + report.storage.unreduced_bytes != 0)
    out += fmt::format("second tier: {} saved by deltas and harder packing, {} not looked at yet\n",
                       format_size(report.storage.saved_bytes), format_size(report.storage.unreduced_bytes));
  if (report.usage.trashed_inodes != 0)
    out += fmt::format("trash: {} files, {} of data; part of the above, and gives way where space is short\n",
                       report.usage.trashed_inodes, format_size(report.usage.trashed_bytes));
  out += "fast paths:";
  for (const admin::Feature& feature : report.features)
    out += fmt::format(" {}={}", feature.name, feature.on ? "on" : "off");
  out += "\n";
  for (const std::string& alert : report.alerts) out += "alert: " + alert + "\n";
  return out;
}

nlohmann::json status_json(const StatusReport& report) {
  using nlohmann::json;
  json nodes = json::array();
  for (std::size_t i = 0; i < report.map.nodes.size(); ++i) {
    const cluster::NodeView& node = report.map.nodes[i];
    json devices = json::array();
    for (const admin::Device& device : report.devices[i])
      devices.push_back({{"name", device.name},
                         {"directory", device.directory},
                         {"used", device.used},
                         {"total", device.total},
                         {"free", device.free},
                         {"fault", device.fault}});
    nodes.push_back({{"id", node.id.value},
                     {"state", state_name(node.state)},
                     {"roles", report.roles[i]},
                     {"address", node.address},
                     {"version", node.stats.version},
                     {"disk_fault", node.stats.disk_fault},
                     {"devices", devices},
                     {"raw_used", node.stats.raw_used},
                     {"raw_total", node.stats.raw_total},
                     {"shards_led", node.stats.groups_led}});
  }
  json features = json::object();
  for (const admin::Feature& feature : report.features)
    features[feature.name] = {{"on", feature.on}, {"why", feature.why}};
  return {{"cluster",
           {{"name", report.map.name},
            {"state", report.state},
            {"shards", report.map.shards.size()},
            {"shards_without_leader", report.shards_without_leader}}},
          {"nodes", nodes},
          {"redundancy",
           {{"full", report.storage.full},
            {"degraded", report.storage.degraded},
            {"at_risk", report.storage.at_risk},
            {"missing_shards", report.storage.missing_shards},
            {"unreadable_segments", report.storage.unreadable_segments}}},
          {"rebuild",
           {{"waiting", report.storage.repair_bytes},
            {"done", report.storage.repaired_bytes},
            {"rate", report.storage.repair_rate}}},
          {"reclaim",
           {{"reclaimable", report.storage.reclaimable_bytes},
            {"debt", report.storage.compaction_debt},
            {"done", report.storage.reclaimed_bytes},
            {"moved", report.storage.moved_bytes},
            {"rate", report.storage.reclaim_rate}}},
          {"scrub",
           {{"running", report.scrub.running},
            {"read", report.scrub.pass_bytes},
            {"of", report.scrub.pass_total},
            {"last_complete", report.scrub.last_complete},
            {"verified", report.scrub.verified_bytes},
            {"found", report.scrub.found},
            {"repaired", report.scrub.repaired}}},
          {"space",
           {{"logical", logical_of(report)},
            {"stored", stored_of(report)},
            {"raw_used", report.raw_used},
            {"raw_total", report.raw_total},
            {"reduction", reduction_of(report)},
            {"inline", report.usage.inline_bytes},
            {"second_tier_saved", report.storage.saved_bytes},
            {"second_tier_waiting", report.storage.unreduced_bytes},
            {"trashed", report.usage.trashed_bytes}}},
          {"counts",
           {{"inodes", report.usage.inodes},
            {"trashed", report.usage.trashed_inodes},
            {"chunks", report.storage.chunks},
            {"segments", report.storage.segments}}},
          {"features", features},
          {"alerts", report.alerts}};
}

}  // namespace claudefs::app
