#include "data/detail/scrubber.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_scrub_repairs_nothing, "data: damage that scrubbing finds is only counted");
CFS_DEFINE_MUTANT(data_scrub_skips_logs, "data: scrubbing does not read the files of the logs");
CFS_DEFINE_MUTANT(data_scrub_skips_journals, "data: scrubbing does not read the journal");

using namespace std::chrono_literals;
using runtime::Task;

constexpr runtime::Duration kAfterStart = 10min;  // let others come up first
constexpr u64 kIdleRate = 16_MiB;                 // bytes a second of a pass that nobody asked for
constexpr u64 kBusyRate = 4_MiB;                  // while a client moves data through this node
constexpr runtime::Duration kReportAgain = 20s;
constexpr runtime::Duration kLookAgain = 30s;

Task<void> Scrubber::run() {
  runtime::Duration until_next = std::min(every_, kAfterStart);
  while (!background_.stopping) {
    co_await wait(until_next);
    if (background_.stopping) break;
    hurry_ = is_asked();
    ++status_.pass;
    const runtime::Instant began = background_.env.now();
    co_await pass();
    until_next = every_ - std::min(every_, background_.env.now() - began);
  }
}

// From a drawn place on and round: a node that never stays up for a whole pass comes to everything in time.
Task<void> Scrubber::pass() {
  status_.running = true;
  const std::vector<store::OpenSegment> journal = journal_.segments();
  std::vector<store::ShardInfo> shards = shards_.list();
  if (!shards.empty())
    std::ranges::rotate(shards, shards.begin() + static_cast<std::ptrdiff_t>(
                                                     background_.env.random().between(0, shards.size() - 1)));
  const std::vector<ScrubFile> files =
      files_ && !CFS_MUTANT(data_scrub_skips_logs) ? files_() : std::vector<ScrubFile>();
  status_.pass_bytes = status_.pass_total = 0;
  for (const ScrubFile& file : files) status_.pass_total += file.bytes;
  for (const store::OpenSegment& held : journal) status_.pass_total += held.length;
  for (const store::ShardInfo& shard : shards) status_.pass_total += shard.length;
  for (const ScrubFile& file : files) {
    if (!co_await turn(file.bytes)) co_return;
    co_await check(file);
  }
  for (const store::OpenSegment& held : journal) {
    if (!co_await turn(held.length)) co_return;
    co_await check(held);
  }
  for (const store::ShardInfo& shard : shards) {
    if (!co_await turn(shard.length)) co_return;
    co_await check(shard);
  }
  status_.running = false;
  status_.last_complete = background_.env.wall_now().ns / 1'000'000'000;
}

// Before so many bytes are read. False when this pass is to end.
Task<bool> Scrubber::turn(u64 bytes) {
  if (hurry_)
    co_await background_.throttle.pay(bytes);
  else
    co_await wait(runtime::Duration(
        static_cast<i64>(bytes * 1'000'000'000 / (background_.throttle.busy() ? kBusyRate : kIdleRate))));
  co_return !background_.stopping && !is_asked();
}

Task<void> Scrubber::wait(runtime::Duration time) {
  const runtime::Instant until = background_.env.now() + time;
  while (!background_.stopping && !is_asked() && background_.env.now() < until)
    (void)co_await wake_.wait_until(until);
}

void Scrubber::begin_now() {
  asked_ = status_.pass + 1;
  wake();
}

// Damage here harms nothing while the other journal is good: sealing refuses this copy and takes that one.
Task<void> Scrubber::check(store::OpenSegment held) {
  if (CFS_MUTANT(data_scrub_skips_journals) || held.length == 0) co_return;
  const Result<Buffer> bytes = co_await journal_.read(held.segment, 0, held.length).result();
  note_verified(held.length);
  if (bytes || bytes.error().code != Errc::corrupt || !bad_journals_.insert(held.segment).second) co_return;
  CFS_PROBE(data_scrub_found_journal, "scrubbing finds damage in a journal");
  ++status_.found;
  log::warn("data", "this node's journal copy of a segment is damaged; it will be sealed from the other",
            {log::kv("segment", held.segment), log::kv("error", bytes.error().to_string())});
}

Task<void> Scrubber::check(store::ShardInfo shard) {
  const Result<void> checked = co_await shards_.verify(shard.key).result();
  note_verified(shard.length);
  // Removed meanwhile, or it could not be looked at?
  if (checked || checked.error().code == Errc::cancelled || !shards_.contains(shard.key)) co_return;
  if (!bad_shards_.try_emplace(shard.key, background_.env.now()).second) co_return;
  CFS_PROBE(data_scrub_found_shard, "scrubbing finds a damaged shard");
  ++status_.found;
  if (!CFS_MUTANT(data_scrub_repairs_nothing)) handlers_.note_bad(shard.key, checked.error());
}

Task<void> Scrubber::check(ScrubFile file) {
  const Result<void> checked = co_await file.verify().result();
  note_verified(file.bytes);
  if (checked || checked.error().code == Errc::cancelled || checked.error().code == Errc::not_found)
    co_return;
  if (!bad_files_.try_emplace(file.name, file).second) co_return;
  CFS_PROBE(data_scrub_found_file, "scrubbing finds damage in a log, the superblock or a metadata table");
  ++status_.found;
  log::warn("data", "a file of this node does not check", {log::kv("error", checked.error().to_string())});
}

// Whether their owners have mended them.
Task<void> Scrubber::look_again_at_files() {
  if (bad_files_.empty() || background_.env.now() < look_again_at_) co_return;
  look_again_at_ = background_.env.now() + kLookAgain;
  const std::map<std::string, ScrubFile> bad = bad_files_;
  for (const auto& [name, file] : bad) {
    const Result<void> checked = co_await file.verify().result();
    if (checked || checked.error().code == Errc::not_found) status_.repaired += bad_files_.erase(name);
  }
}

void Scrubber::note_verified(u64 bytes) {
  status_.pass_bytes += bytes;
  status_.verified_bytes += bytes;
}

// A shard that was laid out anew is removed here, or written again; a segment that was sealed is dropped.
void Scrubber::settle() {
  status_.repaired += std::erase_if(bad_shards_, [this](const auto& bad) {
    return !shards_.contains(bad.first) || !handlers_.is_bad(bad.first);
  });
  if (bad_journals_.empty()) return;
  std::set<SegmentId> held;
  for (const store::OpenSegment& segment : journal_.segments()) held.insert(segment.segment);
  status_.repaired += std::erase_if(bad_journals_, [&](SegmentId id) { return !held.contains(id); });
}

Task<void> Scrubber::report() {
  settle();
  co_await look_again_at_files();
  std::vector<store::ShardKey> due;
  for (auto& [key, at] : bad_shards_)
    if (at <= background_.env.now()) {
      due.push_back(key);
      at = background_.env.now() + kReportAgain;
    }
  for (const store::ShardKey& key : due) {
    const ReportBadCopy bad{key.segment, key.generation, key.index, false};
    (void)co_await background_.router.call(shard_of(key.segment), bad).result();
    if (background_.stopping) co_return;
  }
}

ScrubReply Scrubber::status() {
  settle();
  ScrubReply now = status_;
  if (is_asked()) {
    now.running = true;
    now.pass = asked_;
    now.pass_bytes = 0;
  }
  return now;
}

}  // namespace claudefs::data
