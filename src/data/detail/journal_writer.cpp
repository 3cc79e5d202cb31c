#include "data/detail/journal_writer.h"

#include <algorithm>

#include "base/mutant.h"
#include "base/probe.h"
#include "data/messages.h"

namespace claudefs::data {

CFS_DEFINE_MUTANT(data_ack_on_one_journal, "data: a write is acknowledged when one of two journals has it");

using namespace std::chrono_literals;
using runtime::Task;

constexpr u32 kBatchBytes = 1u << 20;
constexpr runtime::Duration kOpenTime = 2s;  // then the shard's leader seals it
constexpr runtime::Duration kAppendTimeout = 5s;

Task<Result<Appended>> JournalWriter::append(std::vector<Buffer> pieces) {
  auto pending = std::make_shared<Pending>(env_.executor());
  for (const Buffer& piece : pieces) pending->bytes += static_cast<u32>(piece.size());
  CFS_CHECK(pending->bytes <= kSegmentMax);
  pending->pieces = std::move(pieces);
  queue_.push_back(pending);
  if (busy_ == lanes_ && lanes_ < kLanesMax) {
    ++lanes_;
    scope_.spawn(lane());
  } else {
    wake_.notify_one();
  }
  co_return co_await pending->done.wait();
}

Task<void> JournalWriter::lane() {
  std::optional<Open> open;
  for (;;) {
    while (queue_.empty()) co_await wake_.wait();
    ++busy_;
    Batch batch = take_batch();
    Result<void> written = co_await write_batch(open, batch).result();
    if (!written)
      for (auto& pending : batch) pending->done.set(fail(written.error()));
    --busy_;
  }
}

JournalWriter::Batch JournalWriter::take_batch() {
  Batch batch;
  u32 bytes = 0;
  while (!queue_.empty() && (batch.empty() || bytes + queue_.front()->bytes <= kBatchBytes)) {
    bytes += queue_.front()->bytes;
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return batch;
}

static Buffer concatenated(const std::vector<Buffer>& pieces, u32 bytes) {
  if (pieces.size() == 1) return pieces.front();
  Buffer whole = Buffer::allocate(bytes);
  std::size_t at = 0;
  for (const Buffer& piece : pieces) {
    std::memcpy(whole.data() + at, piece.data(), piece.size());
    at += piece.size();
  }
  return whole;
}

Task<Result<void>> JournalWriter::write_batch(std::optional<Open>& open, Batch& batch) {
  std::vector<Buffer> pieces;
  u32 bytes = 0;
  for (const auto& pending : batch) {
    pieces.insert(pieces.end(), pending->pieces.begin(), pending->pieces.end());
    bytes += pending->bytes;
  }
  const Buffer whole = concatenated(pieces, bytes);
  PlaceSearch search(env_, nodes_);
  for (;;) {
    if (open && (env_.now() - open->granted.known_at > kOpenTime || open->length + bytes > kSegmentMax))
      open.reset();
    if (!open) {
      const std::vector<NodeId> candidates = search.candidates();
      if (candidates.size() < std::min<std::size_t>(2, nodes_.total()) || candidates.empty()) {
        co_await search.next_round();
        continue;
      }
      open = co_await open_segment(candidates);
    }
    const std::vector<ShardFailure> failures = co_await append_to_all(*open, whole);
    if (failures.empty()) break;
    CFS_PROBE(data_journal_changed,
              "an append reached one journal only: the segment ends, and the bytes go to another");
    // One copy may hold these bytes and the other not: neither gets any more.
    open.reset();
    search.note(failures);
    co_await search.next_round();
  }
  for (const auto& pending : batch) {
    pending->done.set(Appended{open->granted.id, open->length, open->granted.at});
    open->length += pending->bytes;
  }
  co_return Result<void>();
}

Task<Result<JournalWriter::Open>> JournalWriter::open_segment(std::vector<NodeId> candidates) {
  Open open;
  const std::size_t copies = std::min<std::size_t>(2, nodes_.total());
  for (std::size_t i = 0; i < copies; ++i) {
    const std::size_t at = env_.random().between(0, candidates.size() - 1);
    open.journals.push_back(candidates[at]);
    candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(at));
  }
  open.granted = co_await pool_.grant_open(open.journals);
  SegmentRecord record;
  record.id = open.granted.id;
  record.journals = open.journals;
  record.granted = open.granted.at;
  directory_.put(std::move(record));
  co_return open;
}

static Task<Result<void>> append_to(Nodes& nodes, NodeId node, JournalAppend message, Buffer bytes) {
  co_await nodes.call(node, message, kAppendTimeout, std::move(bytes));
  co_return Result<void>();
}

Task<std::vector<ShardFailure>> JournalWriter::append_to_all(const Open& open, Buffer bytes) {
  std::vector<Task<Result<void>>> appends;
  for (const NodeId node : open.journals)
    appends.push_back(append_to(nodes_, node, JournalAppend{open.granted.id, open.length}, bytes));
  std::vector<Result<void>> results = co_await runtime::join_all(env_.executor(), std::move(appends));
  std::vector<ShardFailure> failures;
  if (CFS_MUTANT(data_ack_on_one_journal) &&
      std::any_of(results.begin(), results.end(), [](const auto& done) { return done.has_value(); }))
    co_return failures;
  for (std::size_t i = 0; i < results.size(); ++i)
    if (!results[i]) failures.push_back({open.journals[i], std::move(results[i].error())});
  co_return failures;
}

}  // namespace claudefs::data
