#include "data/detail/repairer.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "data/detail/placement.h"
#include "data/detail/segment_content.h"
#include "data/messages.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_repair_skips_missing, "data: lost shards are never noticed");

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kBetweenPasses = 1500ms;
constexpr runtime::Duration kBetweenSteps = 20ms;
constexpr runtime::Duration kVerifyEvery = 5min;
constexpr runtime::Duration kAskAgain = 2s;  // holders that did not answer
constexpr runtime::Duration kRetryAfter = 30s;
constexpr runtime::Duration kWriteTimeout = 10s;
constexpr runtime::Duration kWorkTime =
    5s;  // then the table is looked through again: others may be worse off
constexpr std::size_t kRecordsAStep = 1024;
constexpr std::size_t kJobsAtOnce = 8;
constexpr std::size_t kJobsMost = 65536;  // of one pass

struct Repairer::Care {
  Care(Repairer& of, ShardId id)
      : repairer(of), shard(id), wake(of.background_.env.executor()), rate(of.background_.env) {
    repairer.led_[shard] = this;
  }
  Care(const Care&) = delete;
  Care& operator=(const Care&) = delete;
  ~Care() {
    const auto it = repairer.led_.find(shard);
    if (it != repairer.led_.end() && it->second == this) repairer.led_.erase(it);
  }

  Repairer& repairer;
  const ShardId shard;
  runtime::Condition wake;
  Survey survey;
  bool surveyed = false;
  Losses losses;
  std::map<NodeId, u64> verified;  // in which of its starts a node's holdings were checked
  u64 returns_seen = ~u64{0};
  runtime::Instant verify_at{};
  std::map<SegmentId, runtime::Instant> retry;
  std::vector<ReportBadCopy> reported;
  u64 waiting_bytes = 0;
  RateMeter rate;
};

Task<void> Repairer::run(ShardId shard) {
  Care care(*this, shard);
  while (!background_.stopping) {
    co_await look_at_reported(care);
    co_await pass(care);
    const runtime::Instant next = background_.env.now() + kBetweenPasses;
    while (care.reported.empty() && background_.env.now() < next && !background_.stopping)
      (void)co_await care.wake.wait_until(next);
  }
}

void Repairer::report(ShardId shard, const ReportBadCopy& bad) {
  const auto it = led_.find(shard);
  if (it == led_.end()) return;
  constexpr std::size_t kReportsMost = 4096;
  if (it->second->reported.size() < kReportsMost) it->second->reported.push_back(bad);
  it->second->wake.notify_all();
}

void Repairer::summarize(ShardId shard, const StorageSummary& op, StorageSummaryReply& reply) {
  const auto it = led_.find(shard);
  if (it == led_.end() || !it->second->surveyed) {
    reply.unchecked = op.up;
    return;
  }
  Care& care = *it->second;
  care.survey.judge(op, reply);
  care.losses.judge(op, reply);
  reply.repair_bytes = care.waiting_bytes;
  reply.repaired_bytes = care.rate.total();
  reply.repair_rate = care.rate.per_second();
  for (std::size_t i = 0; i < op.up.size() && i < op.incarnations.size(); ++i) {
    const auto known = care.verified.find(op.up[i]);
    if (known == care.verified.end() || known->second != op.incarnations[i])
      reply.unchecked.push_back(op.up[i]);
  }
}

// --- one pass over the table ---

Task<void> Repairer::pass(Care& care) {
  runtime::Executor& executor = background_.env.executor();
  const bool verifying =
      background_.env.now() >= care.verify_at || care.returns_seen != background_.watch.returns();
  const std::map<NodeId, u64> incarnations = background_.watch.incarnations();
  care.returns_seen = background_.watch.returns();
  if (verifying) care.verify_at = background_.env.now() + kVerifyEvery;
  std::erase_if(care.retry, [this](const auto& item) { return item.second < background_.env.now(); });

  Survey survey;
  std::vector<Job> jobs;
  std::set<NodeId> silent;
  SegmentId cursor{};
  for (bool last = false; !last;) {
    const meta::ReadContext* state = background_.state(care.shard);
    if (state == nullptr || background_.stopping) co_return;
    std::vector<SegmentRecord> records = segments_after(*state, cursor, kRecordsAStep);
    last = records.size() < kRecordsAStep;
    if (!records.empty()) cursor = records.back().id;
    for (const SegmentRecord& record : records) survey.add(record);
    std::erase_if(
        records, [](const SegmentRecord& r) { return r.state != SegmentState::sealed || r.live_bytes <= 0; });
    if (verifying)
      for (const NodeId node : co_await verify(care, records)) silent.insert(node);
    for (const SegmentRecord& record : records) add_job(care, record, jobs);
    if (!last) co_await executor.sleep(kBetweenSteps);
  }
  care.survey = std::move(survey);
  care.surveyed = true;
  if (verifying) {
    care.verified.clear();
    for (const auto& [node, incarnation] : incarnations)
      if (!silent.contains(node)) care.verified[node] = incarnation;
    if (!silent.empty()) care.verify_at = background_.env.now() + kAskAgain;
  }
  co_await work_off(care, std::move(jobs));
}

void Repairer::add_job(const Care& care, const SegmentRecord& record, std::vector<Job>& jobs) const {
  if (jobs.size() < kJobsMost && !care.retry.contains(record.id) && worth_it(care, record))
    jobs.push_back({record, spare(care, record), care.losses.lies(record)});
}

Task<void> Repairer::look_at_reported(Care& care) {
  std::map<SegmentId, ShardMask> lies;
  std::vector<SegmentRecord> records;
  for (const ReportBadCopy& bad : std::exchange(care.reported, {})) {
    const meta::ReadContext* state = background_.state(care.shard);
    if (state == nullptr) co_return;
    const auto record = state->load<SegmentRecord>(segment_key(bad.segment));
    if (!record || record->state != SegmentState::sealed || record->generation != bad.generation ||
        bad.index >= record->nodes.size())
      continue;
    if (!lies.contains(record->id)) records.push_back(*record);
    lies[record->id] |= bad.lies ? ShardMask{1} << bad.index : 0;
  }
  if (records.empty()) co_return;
  (void)co_await verify(care, records);
  std::vector<Job> jobs;
  for (const SegmentRecord& record : records) {
    care.losses.set(record, care.losses.lost(record) | lies[record.id],
                    care.losses.lies(record) | lies[record.id]);
    care.retry.erase(record.id);
    add_job(care, record, jobs);
  }
  co_await work_off(care, std::move(jobs));
}

// The most endangered first, for a while.
Task<void> Repairer::work_off(Care& care, std::vector<Job> jobs) {
  std::ranges::sort(jobs, {}, [](const Job& job) { return std::pair(job.spare, job.record.id); });
  care.waiting_bytes = 0;
  for (const Job& job : jobs) care.waiting_bytes += job.record.length;
  const runtime::Instant until = background_.env.now() + kWorkTime;
  for (std::size_t at = 0; at < jobs.size(); at += kJobsAtOnce) {
    if (background_.stopping || !care.reported.empty() || background_.env.now() > until ||
        care.returns_seen != background_.watch.returns())
      co_return;
    std::vector<Task<bool>> repairs;
    const std::size_t end = std::min(jobs.size(), at + kJobsAtOnce);
    for (std::size_t i = at; i < end; ++i) repairs.push_back(repair(care, jobs[i]));
    const std::vector<bool> done = co_await runtime::join_all(background_.env.executor(), std::move(repairs));
    for (std::size_t i = at; i < end; ++i) {
      care.waiting_bytes -= jobs[i].record.length;
      if (!done[i - at]) care.retry[jobs[i].record.id] = background_.env.now() + kRetryAfter;
    }
  }
}

// --- what holders hold ---

namespace {
struct HolderAnswer {
  NodeId node{};
  std::optional<std::vector<u8>> held;  // nothing: no answer
};
Task<HolderAnswer> ask_holder(Nodes& nodes, NodeId node, ShardHolds message) {
  const std::size_t count = message.keys.size();
  auto reply = co_await nodes.call(node, std::move(message), 10s).result();
  HolderAnswer answer{node, std::nullopt};
  if (reply && reply->message.held.size() == count) answer.held = std::move(reply->message.held);
  co_return answer;
}
}  // namespace

// Brings `care.losses` up to date for these records. Gives the nodes that are up and did not answer.
Task<std::set<NodeId>> Repairer::verify(Care& care, std::vector<SegmentRecord> records) {
  std::map<NodeId, ShardHolds> asks;
  std::map<NodeId, std::vector<std::pair<std::size_t, unsigned>>> places;  // record and shard, as asked
  for (std::size_t r = 0; r < records.size(); ++r)
    for (unsigned i = 0; i < records[r].nodes.size(); ++i) {
      const NodeId node = records[r].nodes[i];
      if (!background_.watch.incarnations().contains(node)) continue;
      asks[node].keys.push_back({records[r].id, static_cast<u8>(i), records[r].generation});
      places[node].emplace_back(r, i);
    }
  std::vector<Task<HolderAnswer>> calls;
  for (auto& [node, ask] : asks) calls.push_back(ask_holder(background_.nodes, node, std::move(ask)));
  const std::vector<HolderAnswer> answers =
      co_await runtime::join_all(background_.env.executor(), std::move(calls));
  std::set<NodeId> silent;
  std::vector<ShardMask> lost(records.size());
  for (const SegmentRecord& record : records) lost[&record - records.data()] = care.losses.lies(record);
  for (const HolderAnswer& answer : answers) {
    if (!answer.held) silent.insert(answer.node);
    for (std::size_t n = 0; n < places[answer.node].size(); ++n) {
      const auto [r, i] = places[answer.node][n];
      const ShardMask bit = ShardMask{1} << i;
      // Who says nothing has what it had.
      if (answer.held ? (*answer.held)[n] == 0 && !CFS_MUTANT(data_repair_skips_missing)
                      : (care.losses.lost(records[r]) & bit) != 0)
        lost[r] |= bit;
    }
  }
  for (std::size_t r = 0; r < records.size(); ++r)
    care.losses.set(records[r], lost[r], care.losses.lies(records[r]));
  co_return silent;
}

// How many more failures it survives, as it is.
int Repairer::spare(const Care& care, const SegmentRecord& record) const {
  const ShardMask lost = care.losses.lost(record);
  int living = 0;
  for (std::size_t i = 0; i < record.nodes.size(); ++i)
    if (!background_.watch.gone(record.nodes[i], background_.env.now()) &&
        !background_.watch.faulty(record.nodes[i]) && (lost >> i & 1) == 0)
      ++living;
  return living - record.layout.data_shards;
}

// Writing it anew must buy something: more failures survived, or the wider layout that the policy asks for.
bool Repairer::worth_it(const Care& care, const SegmentRecord& record) const {
  const std::optional<Layout> widest =
      widest_layout(background_.nodes.writable().size(), background_.nodes.total());
  if (!widest) return false;
  return widest->parity_shards > spare(care, record) || *widest > record.layout;
}

// --- laying out anew ---

// What is laid out anew must check: where it does not, some copy is wrong though its checksums hold.
Task<Result<Buffer>> Repairer::read_all(SegmentPtr record, ShardMask lies) {
  const SegmentRange all{0, record->length};
  Buffer content = co_await background_.reader.read(record, all, lies);
  const Result<void> checked = check_segment_content(content);
  if (checked) co_return content;
  for (const ShardMask without :
       suspects_of(static_cast<unsigned>(record->nodes.size()), record->layout.parity_shards)) {
    Result<Buffer> other = co_await background_.reader.read(record, all, without).result();
    if (other && check_segment_content(*other)) co_return other;
  }
  co_return fail(checked.error());
}

// True when it was done, or somebody else did it.
Task<bool> Repairer::repair(Care& care, Job job) {
  const auto permit = co_await permits_.acquire();
  const SegmentRecord& record = job.record;
  Nodes& nodes = background_.nodes;
  const std::vector<NodeId> candidates = nodes.writable();
  const std::optional<Layout> layout = widest_layout(candidates.size(), nodes.total());
  if (!layout) co_return false;
  co_await background_.throttle.pay(u64{record.length} * 2);
  Result<Buffer> content =
      co_await read_all(std::make_shared<const SegmentRecord>(record), job.lies).result();
  if (!content) {
    log::warn("data", "a segment that lacks redundancy cannot be read now",
              {log::kv("segment", record.id), log::kv("error", content.error().to_string())});
    co_return false;
  }
  std::vector<Buffer> pieces(1, std::move(*content));
  Result<std::vector<Buffer>> shards =
      co_await encode_segment(background_.env, *layout, std::move(pieces)).result();
  if (!shards) co_return false;
  ShardTarget target{record.id, background_.next_generation(record.generation),
                     choose_nodes(record.id, candidates, shards_of(*layout))};
  const std::vector<ShardFailure> failures =
      co_await write_shards(background_.env, nodes, target, std::move(*shards), kWriteTimeout);
  bool done = failures.empty();
  if (!done)
    log::warn("data", "a segment could not be laid out anew; it will be tried again",
              {log::kv("segment", record.id), log::kv("node", failures.front().node),
               log::kv("error", failures.front().error.to_string())});
  bool surely_not_sealed = !done;
  if (done) {
    SealSegments op;
    op.segments.push_back({record.id, target.generation, *layout, target.nodes, record.length});
    const auto sealed = co_await background_.router.call(shard_of(record.id), std::move(op)).result();
    done = sealed.has_value();
    // After a time-out it may be sealed all the same: then the holders' sweep decides.
    surely_not_sealed =
        !sealed && (sealed.error().code == Errc::conflict || sealed.error().code == Errc::stale);
  }
  std::vector<ShardTarget> leftovers;
  if (done) {
    leftovers.push_back({record.id, record.generation, record.nodes});
    CFS_PROBE(data_laid_out_anew, "a segment that lacked redundancy is encoded anew");
    care.losses.forget(record.id);
    care.rate.add(record.length);
  } else if (surely_not_sealed) {
    CFS_PROBE(data_repair_overtaken, "a segment was changed while it was encoded anew");
    leftovers.push_back(std::move(target));
  }
  co_await remove_shards(background_.env, nodes, std::move(leftovers));
  if (done)
    log::info("data", "segment laid out anew",
              {log::kv("segment", record.id), log::kv("data", layout->data_shards),
               log::kv("parity", layout->parity_shards)});
  co_return done || surely_not_sealed;
}

}  // namespace claudefs::data
