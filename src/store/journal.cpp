#include "store/journal.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "base/mutant.h"
#include "runtime/scope.h"
#include "store/detail/journal_index.h"
#include "store/detail/journal_record.h"
#include "wire/codec.h"

namespace claudefs::store {

CFS_DEFINE_MUTANT(store_scrub_keeps_journal_file, "store: a damaged file of a journal is written on");

namespace {
using namespace detail;
using runtime::Task;
using namespace std::chrono_literals;

constexpr u32 kMagic = 0x4c4e524a;  // "JRNL"

constexpr u64 kBytesLeast = 64_MiB;  // sixteen of the smallest files

LogOptions log_options(u64 bytes_max) {
  LogOptions options;
  options.file_bytes = std::clamp<u64>(bytes_max / 16, 4_MiB, 32_MiB);
  options.record_bytes_max = options.file_bytes - 64_KiB;
  return options;
}

class LogJournal final : public Journal {
 public:
  LogJournal(runtime::Env& env, std::string directory, u64 bytes_max)
      : env_(env),
        directory_(std::move(directory)),
        bytes_max_(std::max(bytes_max, kBytesLeast)),
        file_bytes_(log_options(bytes_max_).file_bytes),
        work_(env.executor()),
        scope_(env.executor()) {}

  Task<Result<void>> start() {
    Replay replay{.record = [this](LogPosition at, const Buffer& content) { replayed(at, content); },
                  .damaged = {}};  // the log reports it; what was in it is not held, and read() says so
    log_ = co_await Log::open(env_, directory_, kMagic, log_options(bytes_max_), std::move(replay));
    scope_.spawn(maintain());
    co_return Result<void>();
  }

  Task<Result<void>> append(SegmentId segment, u32 offset, std::vector<Buffer> data) override {
    u64 length = 0;
    for (const Buffer& piece : data) length += piece.size();
    if (offset + length > UINT32_MAX)
      co_return fail(Errc::invalid_argument, "segments are shorter than 4 GiB");
    if (is_gone(segment) || is_closed(segment))
      co_return fail(Errc::stale,
                     fmt::format("segment {:x} was sealed or dropped in {}", segment.value, directory_));
    if (!has_room(length))
      co_return fail(Errc::no_space,
                     fmt::format("{} holds its limit of {} bytes; segments must be sealed first", directory_,
                                 bytes_max_));
    const JournalRecord record{JournalKind::append, segment, offset, static_cast<u32>(length)};
    ++appending_[segment];
    appending_bytes_ += length;
    const auto written = co_await write(record, std::move(data)).result();
    appending_bytes_ -= length;
    if (--appending_[segment] == 0) appending_.erase(segment);
    if (!written) co_return fail(written.error());
    index_.append(segment, offset, *written, env_.now());
    if (is_full()) work_.notify_one();
    co_return Result<void>();
  }

  Task<Result<Buffer>> read(SegmentId segment, u32 offset, u32 length) override {
    for (;;) {
      const auto pieces = index_.find(segment, offset, length);
      if (!pieces)
        co_return fail(Errc::not_found, fmt::format("{} does not hold {} bytes at {} of segment {:x}",
                                                    directory_, length, offset, segment.value));
      const auto got = co_await gather(*pieces, offset, length).result();
      if (got) co_return *got;
      // An extent may have moved to a newer file while we read: then look again.
      const bool same = std::ranges::all_of(*pieces, [&](const JournalPiece& piece) {
        return index_.holds(segment, piece.offset, piece.extent);
      });
      if (same) co_return fail(got.error());
    }
  }

  Task<Result<OpenSegment>> close(SegmentId segment) override {
    if (is_gone(segment))
      co_return fail(Errc::stale, fmt::format("segment {:x} was dropped in {}", segment.value, directory_));
    if (!index_.is_closed(segment)) {
      closing_.insert(segment);
      const auto written = co_await write({JournalKind::close, segment, 0, 0}, {}).result();
      if (!written) co_return fail(written.error());
      // Appends that were under way came before in the log and are in the index by now.
      if (!is_gone(segment)) index_.close(segment, written->record.file);
      closing_.erase(segment);
    }
    co_return index_.describe(segment);
  }

  Task<Result<void>> drop(SegmentId segment) override {
    if (!index_.knows(segment) && !appending_.contains(segment) && !closing_.contains(segment)) {
      index_.refuse(segment);
      co_return Result<void>();
    }
    // From here nothing about the segment may be written: it would come after the drop in the log.
    dropping_.insert(segment);
    const auto written = co_await write({JournalKind::drop, segment, 0, 0}, {}).result();
    if (!written) co_return fail(written.error());
    index_.drop(segment, written->record.file);
    dropping_.erase(segment);
    work_.notify_one();
    co_return Result<void>();
  }

  std::vector<OpenSegment> segments() const override { return index_.segments(); }
  std::vector<LogFileInfo> files() const override { return log_->files(); }
  Task<Result<void>> verify(u32 file) override {
    const Result<void> checked = co_await log_->verify(file).result();
    if (checked || checked.error().code != Errc::corrupt || CFS_MUTANT(store_scrub_keeps_journal_file))
      co_return checked;
    if (file == log_->current_file()) log_->roll();
    index_.know_file(file);
    work_.notify_one();
    co_return checked;
  }
  u64 live_bytes() const override { return index_.live_bytes(); }
  u64 disk_bytes() const override { return log_->disk_bytes(); }

  Task<void> stop() override {
    stopping_ = true;
    work_.notify_all();
    co_await scope_.join();
    co_await log_->stop();
  }

 private:
  void replayed(LogPosition at, const Buffer& content) {
    const auto parsed = parse_journal_record(content);
    if (!parsed) {
      log::error("store", "journal record ignored",
                 {log::kv("directory", directory_), log::kv("file", at.file), log::kv("offset", at.offset),
                  log::kv("error", parsed.error().to_string())});
      return;
    }
    const JournalRecord& record = parsed->record;
    switch (record.kind) {
      case JournalKind::append:
        index_.append(record.segment, record.offset, {record.length, at, parsed->data_at}, env_.now());
        break;
      case JournalKind::close:
        index_.close(record.segment, at.file);
        break;
      case JournalKind::drop:
        index_.drop(record.segment, at.file);
        break;
    }
  }

  // Gives where the data went.
  Task<Result<JournalExtent>> write(JournalRecord record, std::vector<Buffer> data) {
    std::vector<Buffer> content;
    content.reserve(data.size() + 1);
    content.push_back(wire::encode(record));
    const u32 skip = static_cast<u32>(content[0].size());
    for (Buffer& piece : data) content.push_back(std::move(piece));
    const LogPosition at = co_await log_->append(std::move(content));
    co_return JournalExtent{record.length, at, skip};
  }

  Task<Result<Buffer>> gather(std::vector<JournalPiece> pieces, u32 offset, u32 length) {
    Buffer whole;
    if (pieces.size() > 1) whole = Buffer::allocate(length);
    for (const auto& [begin, extent] : pieces) {
      const Buffer content = co_await log_->read(extent.record);
      const u32 from = std::max(begin, offset);
      const u32 end = static_cast<u32>(std::min<u64>(u64{begin} + extent.length, u64{offset} + length));
      const Buffer part = content.slice(extent.skip + (from - begin), end - from);
      if (pieces.size() == 1) co_return part;
      std::memcpy(whole.data() + (from - offset), part.data(), part.size());
    }
    co_return whole;
  }

  bool is_closed(SegmentId segment) const { return closing_.contains(segment) || index_.is_closed(segment); }

  bool is_gone(SegmentId segment) const { return dropping_.contains(segment) || index_.is_dropped(segment); }

  // The rest is left for dead bytes and spare files, so that moving live bytes always frees something.
  bool has_room(u64 length) const {
    return index_.live_bytes() + appending_bytes_ + length <= bytes_max_ / 8 * 5 &&
           log_->disk_bytes() <= bytes_max_;
  }
  // Room is scarce, and there are dead bytes to win (spare files and the current one are not).
  bool is_full() const {
    const u64 disk = log_->disk_bytes();
    return disk + 3 * file_bytes_ > bytes_max_ && disk > index_.live_bytes() + 4 * file_bytes_;
  }

  // Removes dead files; when room gets scarce, frees the oldest by writing what lives in it again.
  Task<void> maintain() {
    while (!stopping_) {
      co_await remove_dead_files();
      if (stopping_) co_return;
      bool moved = is_full();
      if (moved) moved = co_await move_oldest_forward();
      if (!moved) co_await work_.wait();
    }
  }

  Task<void> remove_dead_files() {
    for (u32 number : index_.files()) {
      if (number >= log_->current_file() || !index_.is_dead(number)) continue;
      const auto removed = co_await log_->remove_file(number).result();
      if (!removed) {
        log::error("store", "journal file not removed", {log::kv("error", removed.error().to_string())});
        co_return;
      }
      index_.forget_file(number);
    }
  }

  // Oldest first, however much lives there: drops in newer files are held up by it. False when nothing was
  // gained.
  Task<bool> move_oldest_forward() {
    for (u32 number : index_.files()) {
      if (number >= log_->current_file()) break;
      bool busy = false;
      std::vector<Task<void>> moves;
      for (const auto& [segment, piece] : index_.live_in(number))
        moves.push_back(move_if_possible(segment, piece, busy));
      co_await join_all(env_.executor(), std::move(moves));
      for (SegmentId segment : index_.closed_in(number)) {
        if (is_gone(segment)) continue;
        const auto written = co_await write({JournalKind::close, segment, 0, 0}, {}).result();
        if (!written) co_return false;
        if (!is_gone(segment)) index_.close(segment, written->record.file);
      }
      if (index_.is_dead(number)) co_return true;
      if (busy) {  // the appends in the way end soon; going on to newer files would gain nothing
        co_await env_.executor().sleep(1ms);
        co_return true;
      }
    }
    co_return false;
  }

  // What cannot be read stays where it is, so that read() goes on saying so; its file goes with the drop.
  Task<void> move_if_possible(SegmentId segment, JournalPiece piece, bool& busy) {
    const auto moved = co_await move(segment, piece).result();
    if (moved && index_.holds(segment, piece.offset, piece.extent)) busy = true;
    if (!moved)
      log::warn("store", "journal data not moved",
                {log::kv("segment", segment.value), log::kv("error", moved.error().to_string())});
  }
  Task<Result<void>> move(SegmentId segment, JournalPiece piece) {
    const Buffer data =
        co_await gather(std::vector<JournalPiece>(1, piece), piece.offset, piece.extent.length);
    // A segment with appends under way is left alone: the copy must not come after newer bytes in the log.
    if (appending_.contains(segment) || is_gone(segment) ||
        !index_.holds(segment, piece.offset, piece.extent))
      co_return Result<void>();
    const JournalRecord record{JournalKind::append, segment, piece.offset, piece.extent.length};
    const JournalExtent moved = co_await write(record, std::vector<Buffer>(1, data));
    if (index_.holds(segment, piece.offset, piece.extent))
      index_.append(segment, piece.offset, moved, index_.describe(segment).last_append);
    co_return Result<void>();
  }

  runtime::Env& env_;
  std::string directory_;
  u64 bytes_max_;
  u64 file_bytes_;
  std::unique_ptr<Log> log_;
  JournalIndex index_;
  std::set<SegmentId> closing_;  // their records are being written
  std::set<SegmentId> dropping_;
  std::map<SegmentId, u32> appending_;  // appends under way
  u64 appending_bytes_ = 0;
  bool stopping_ = false;
  runtime::Condition work_;
  runtime::Scope scope_;
};
}  // namespace

Task<Result<std::unique_ptr<Journal>>> Journal::open(runtime::Env& env, std::string directory,
                                                     u64 bytes_max) {
  auto journal = std::make_unique<LogJournal>(env, std::move(directory), bytes_max);
  co_await journal->start();
  co_return std::unique_ptr<Journal>(std::move(journal));
}

}  // namespace claudefs::store
