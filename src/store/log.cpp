#include "store/log.h"

#include <deque>

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/log.h"
#include "base/mutant.h"
#include "runtime/scope.h"
#include "store/detail/log_group.h"
#include "store/detail/log_replay.h"
#include "store/detail/log_verify.h"

namespace claudefs::store {

CFS_DEFINE_MUTANT(store_log_skips_flush, "store: the log answers before its bytes are durable");
namespace {
using namespace detail;
using runtime::Task;
using namespace std::chrono_literals;

constexpr u64 kGroupBytes = 8_MiB;
constexpr auto kIdleBeforeMark = 1s;

struct Pending {
  explicit Pending(runtime::Executor& executor) : done(executor) {}
  std::vector<Buffer> content;
  u32 length = 0;
  u32 crc = 0;
  LogPosition position;
  runtime::Promised<Result<LogPosition>> done;
};
using PendingList = std::vector<std::shared_ptr<Pending>>;

class GroupLog final : public Log {
 public:
  GroupLog(runtime::Env& env, std::string directory, u32 magic, LogOptions options)
      : env_(env),
        magic_(magic),
        options_(options),
        files_(env, std::move(directory), options.file_bytes),
        work_(env.executor()),
        scope_(env.executor()) {}

  Task<Result<void>> start(Replay replay) {
    end_ = co_await replay_log(env_, files_, magic_, options_, replay);
    scope_.spawn(run());
    co_return Result<void>();
  }

  Task<Result<LogPosition>> append(std::vector<Buffer> content) override {
    u64 length = 0;
    u32 crc = 0;
    for (const Buffer& piece : content) {
      length += piece.size();
      crc = crc32c(piece, crc);
    }
    if (length > options_.record_bytes_max)
      co_return fail(Errc::too_big, fmt::format("log record of {} bytes, the limit is {}", length,
                                                options_.record_bytes_max));
    if (dead_) co_return fail(*dead_);
    if (stopping_) co_return fail(Errc::cancelled, files_.directory() + ": the log is stopping");
    // One record always fits, whatever its size.
    if (!queue_.empty() && queued_bytes_ + length > options_.queue_bytes_max)
      co_return fail(Errc::overloaded, files_.directory() + ": too many bytes wait for the log");
    auto pending = std::make_shared<Pending>(env_.executor());
    pending->content = std::move(content);
    pending->length = static_cast<u32>(length);
    pending->crc = crc;
    queued_bytes_ += length;
    queue_.push_back(pending);
    work_.notify_one();
    co_return co_await pending->done.wait();
  }

  Task<Result<Buffer>> read(LogPosition position) override {
    const LogFile from = co_await files_.open(position.file);
    if (!from.header)
      co_return fail(Errc::corrupt, files_.path(position.file) + ": the file header is damaged");
    if (position.length > options_.record_bytes_max)
      co_return fail(Errc::invalid_argument, "no log record is that long");
    Buffer record = Buffer::allocate(kLogRecordHeader + std::size_t{position.length});
    const std::size_t got = co_await from.file->read_at(position.offset, record.mutable_span());
    // The file may have been removed, even used again, while we read it.
    if (!files_.has(position.file)) co_return fail(Errc::not_found, files_.path(position.file) + " is gone");
    const auto header = parse_log_record_header(
        record.span().first(std::min<std::size_t>(got, kLogRecordHeader)), from.header->salt);
    const Buffer content = record.slice(kLogRecordHeader);
    if (got != record.size() || !header || header->length != position.length ||
        crc32c(content) != header->content_crc)
      co_return fail(Errc::corrupt, fmt::format("{} at {}: the record does not check",
                                                files_.path(position.file), position.offset));
    co_return content;
  }

  Task<Result<void>> remove_file(u32 number) override {
    if (number == current_file()) co_return fail(Errc::busy, files_.path(number) + " is being written");
    co_return co_await files_.remove(number).result();
  }
  u32 current_file() const override { return file_.file != nullptr ? end_.next_file - 1 : end_.next_file; }
  void roll() override {
    roll_ = true;
    work_.notify_one();
  }
  std::vector<LogFileInfo> files() const override { return files_.infos(); }
  Task<Result<void>> verify(u32 file) override {
    return verify_log_file(files_, file, options_.record_bytes_max);
  }
  u64 disk_bytes() const override { return files_.disk_bytes(); }

  Task<void> stop() override {
    stopping_ = true;
    work_.notify_all();
    co_await scope_.join();
  }

 private:
  Task<void> run() {
    while (!queue_.empty() || !stopping_) {
      if (!queue_.empty())
        co_await write_some();
      else if (marked_ && !rolls())
        co_await work_.wait();
      else if (!co_await work_.wait_until(env_.now() + kIdleBeforeMark))
        co_await write_mark();
    }
    if (!marked_) co_await write_mark();
  }

  // One group: as many queued records as go into the current file.
  Task<void> write_some() {
    if (dead_) {
      fail_queue(*dead_);
      co_return;
    }
    if (needs_new_file()) {
      const auto made = co_await next_file();
      if (!made) {
        if (made.error().code != Errc::no_space) die(made.error());
        fail_queue(made.error());
        co_return;
      }
    }
    LogGroup group(file_.header->salt, offset_, end_.next_sequence, end_.previous);
    PendingList taken;
    while (!queue_.empty() && taken.size() < kGroupRecordsMost) {
      Pending& next = *queue_.front();
      const u64 end = group.end() + log_record_size(next.length);
      if (end > options_.file_bytes || (!taken.empty() && end - group.start() > kGroupBytes)) break;
      const u32 at = group.add(LogRecordKind::data, next.content, next.length, next.crc);
      next.position = {current_file(), at, next.length};
      queued_bytes_ -= next.length;
      taken.push_back(std::move(queue_.front()));
      queue_.pop_front();
    }
    const auto written = co_await commit(std::move(group));
    if (written) marked_ = false;
    for (auto& pending : taken) {
      pending->content.clear();
      if (written)
        pending->done.set(pending->position);
      else
        pending->done.set(fail(*dead_));
    }
  }

  Task<void> write_mark() {
    marked_ = true;
    if (rolls() && !dead_) {
      const auto made = co_await next_file();
      if (!made && made.error().code != Errc::no_space) die(made.error());
      if (!made) co_return;
    }
    if (dead_ || offset_ + kLogRecordHeader > options_.file_bytes) co_return;
    LogGroup group(file_.header->salt, offset_, end_.next_sequence, end_.previous);
    group.add(LogRecordKind::mark, {}, 0, 0);
    (void)co_await commit(std::move(group));
  }

  Task<Result<void>> commit(LogGroup group) {
    // All before it was made durable likewise.
    std::vector<Buffer> blocks = group.finish();
    Result<void> written;
    if (CFS_MUTANT(store_log_skips_flush))
      written = co_await file_.file->write_at(group.start(), std::move(blocks)).result();
    else
      written = co_await file_.file->write_durably_at(group.start(), std::move(blocks)).result();
    if (!written) {
      die(written.error());
      co_return written;
    }
    offset_ = group.end();
    end_.next_sequence = group.next_sequence();
    end_.previous = group.previous();
    files_.extend(current_file(), offset_, end_.next_sequence);
    co_return written;
  }

  bool rolls() const { return roll_ && file_.file != nullptr && offset_ != kLogHeaderArea; }
  bool needs_new_file() const {
    return file_.file == nullptr || rolls() ||
           offset_ + log_record_size(queue_.front()->length) > options_.file_bytes;
  }

  Task<Result<void>> next_file() {
    const LogFileHeader header{.log_magic = magic_,
                               .number = end_.next_file,
                               .salt = env_.random().next() | 1,
                               .first_sequence = end_.next_sequence,
                               .previous = end_.previous};
    file_ = co_await files_.create(header);
    ++end_.next_file;
    offset_ = kLogHeaderArea;
    roll_ = false;
    co_return Result<void>();
  }

  void die(const Error& why) {
    dead_ = Error{Errc::io_error, files_.directory() + ": the log is dead after a failed write (" +
                                      why.to_string() +
                                      "); replace the disk if it persists, then restart this node"};
    log::error("store", "log is dead",
               {log::kv("directory", files_.directory()), log::kv("why", why.to_string())});
  }
  void fail_queue(const Error& why) {
    for (auto& pending : std::exchange(queue_, {})) pending->done.set(fail(why));
    queued_bytes_ = 0;
  }

  runtime::Env& env_;
  u32 magic_;
  LogOptions options_;
  LogFiles files_;
  LogEnd end_;
  LogFile file_;  // being written; none until the first append
  u64 offset_ = 0;
  bool roll_ = false;
  bool marked_ = true;  // nothing is written that no mark follows
  bool stopping_ = false;
  std::optional<Error> dead_;
  std::deque<std::shared_ptr<Pending>> queue_;
  u64 queued_bytes_ = 0;
  runtime::Condition work_;
  runtime::Scope scope_;
};
}  // namespace

Task<Result<std::unique_ptr<Log>>> Log::open(runtime::Env& env, std::string directory, u32 magic,
                                             LogOptions options, Replay replay) {
  options.file_bytes =
      log_group_end(std::max(options.file_bytes, kLogHeaderArea + log_record_size(options.record_bytes_max)));
  if (options.file_bytes > UINT32_MAX || options.record_bytes_max > UINT32_MAX)
    co_return fail(Errc::invalid_argument, "a log file holds less than 4 GiB");
  auto log = std::make_unique<GroupLog>(env, std::move(directory), magic, options);
  co_await log->start(std::move(replay));
  co_return std::unique_ptr<Log>(std::move(log));
}

}  // namespace claudefs::store
