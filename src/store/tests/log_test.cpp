// Goal: a log gives back what was appended, in order; damage is told from a torn tail.
// Method: the production doors on real files; damage is done with the file system's own tools.
#include "store/log.h"

#include <algorithm>
#include <deque>
#include <random>
#include <set>

#include "runtime/scope.h"
#include "store/detail/log_format.h"
#include "store/tests/support.h"

namespace claudefs::store {
namespace {
using namespace detail;
using runtime::Env;
using runtime::Task;

constexpr u32 kMagic = 0x54534554;  // "TEST"
constexpr LogOptions kSmall{.file_bytes = 128 << 10, .record_bytes_max = 64 << 10};

struct Seen {
  std::vector<std::pair<LogPosition, std::string>> records;
  std::vector<LogPosition> damaged;
  Replay replay() {
    return {
        .record = [this](LogPosition at, const Buffer& content) { records.emplace_back(at, content.text()); },
        .damaged = [this](LogPosition at, std::string) { damaged.push_back(at); }};
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (const auto& [at, text] : records) out.push_back(text);
    return out;
  }
};

std::string text_of(int i) {
  return std::to_string(i) + std::string(static_cast<std::size_t>(i * 37 % 900), 'x');
}

Task<void> append_one(Log& log, std::string text, Result<LogPosition>& out) {
  std::vector<Buffer> pieces;  // in two pieces, as callers do
  pieces.push_back(Buffer::copy_of(text.substr(0, text.size() / 3)));
  pieces.push_back(Buffer::copy_of(text.substr(text.size() / 3)));
  out = co_await log.append(std::move(pieces));
}
// `width` appends at a time.
Task<Result<std::vector<LogPosition>>> append_all(Env& env, Log& log, std::vector<std::string> texts,
                                                  std::size_t width) {
  std::vector<LogPosition> positions;
  for (std::size_t i = 0; i < texts.size(); i += width) {
    const std::size_t n = std::min(width, texts.size() - i);
    std::vector<Result<LogPosition>> out(n);
    runtime::Scope scope(env.executor());
    for (std::size_t k = 0; k < n; ++k) scope.spawn(append_one(log, texts[i + k], out[k]));
    co_await scope.join();
    for (auto& position : out) positions.push_back(co_await std::move(position));
  }
  co_return positions;
}

// Opens, appends, stops; `seen` gets the replay.
Task<Result<std::vector<LogPosition>>> session(Env& env, std::string directory,
                                               std::vector<std::string> texts, std::size_t width, Seen& seen,
                                               LogOptions options = kSmall) {
  std::unique_ptr<Log> log = co_await Log::open(env, directory, kMagic, options, seen.replay());
  std::vector<LogPosition> positions = co_await append_all(env, *log, std::move(texts), width);
  co_await log->stop();
  co_return positions;
}

class LogTest : public testing::Test {
 protected:
  std::vector<LogPosition> fill(int from, int to, std::size_t width) {
    std::vector<std::string> texts;
    for (int i = from; i < to; ++i) texts.push_back(text_of(i));
    expected.insert(expected.end(), texts.begin(), texts.end());
    Seen seen;
    auto out = run(*reactor, session(reactor->env(), directory.path(), texts, width, seen));
    EXPECT_TRUE(out.has_value()) << out.error().to_string();
    return *out;
  }
  Seen reopen() {
    Seen seen;
    const auto out = run(*reactor, session(reactor->env(), directory.path(), {}, 1, seen));
    EXPECT_TRUE(out.has_value()) << out.error().to_string();
    return seen;
  }
  std::string file(u32 number) { return directory / fmt::format("{:08x}.log", number); }

  TemporaryDirectory directory;
  std::unique_ptr<runtime::Reactor> reactor = make_reactor();
  std::vector<std::string> expected;
};

TEST_F(LogTest, ReplaysAllSessionsInOrderAcrossFiles) {
  fill(0, 300, 7);
  fill(300, 800, 100);
  const auto last = fill(800, 801, 1);
  const Seen seen = reopen();
  EXPECT_EQ(seen.texts(), expected);
  EXPECT_TRUE(seen.damaged.empty());
  EXPECT_GT(last[0].file, 3u);
}

TEST_F(LogTest, PositionsAreThoseOfTheReplay) {
  const auto positions = fill(0, 200, 50);
  const Seen seen = reopen();
  ASSERT_EQ(seen.records.size(), positions.size());
  for (std::size_t i = 0; i < positions.size(); ++i) EXPECT_EQ(seen.records[i].first, positions[i]);
}

Task<Result<std::string>> read_back(Env& env, std::string path, LogPosition at) {
  std::unique_ptr<Log> log = co_await Log::open(env, path, kMagic, kSmall, Seen().replay());
  const Result<Buffer> got = co_await log->read(at).result();
  co_await log->stop();
  co_return std::string((co_await got).text());
}
TEST_F(LogTest, ReadsCheckTheContent) {
  const auto positions = fill(0, 50, 5);
  EXPECT_EQ(*run(*reactor, read_back(reactor->env(), directory.path(), positions[31])), text_of(31));
  flip_bit(file(positions[31].file), positions[31].offset + kLogRecordHeader + 100, 3);
  EXPECT_EQ(run(*reactor, read_back(reactor->env(), directory.path(), positions[31])).error().code,
            Errc::corrupt);
  EXPECT_EQ(*run(*reactor, read_back(reactor->env(), directory.path(), positions[32])), text_of(32));
}

TEST_F(LogTest, EveryFlippedBitInTheMiddleIsReportedAndTheRestReplays) {
  const auto positions = fill(0, 60, 1);
  std::mt19937_64 random(7);
  for (int round = 0; round < 60; ++round) {
    const std::size_t hurt = random() % positions.size();
    const u64 span = kLogRecordHeader + positions[hurt].length;
    const u64 byte = positions[hurt].offset + random() % span;
    const unsigned bit = random() % 8;
    flip_bit(file(positions[hurt].file), byte, bit);
    const Seen seen = reopen();
    std::vector<std::string> rest = expected;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(hurt));
    EXPECT_EQ(seen.texts(), rest) << hurt << " byte " << byte;
    ASSERT_EQ(seen.damaged.size(), 1u) << hurt;
    EXPECT_LE(seen.damaged[0].offset, positions[hurt].offset);
    EXPECT_GT(seen.damaged[0].offset + seen.damaged[0].length, positions[hurt].offset);
    flip_bit(file(positions[hurt].file), byte, bit);
  }
}

TEST_F(LogTest, ATornLastGroupIsCutAndDoesNotComeBack) {
  const auto first = fill(0, 10, 1);
  const auto group = fill(10, 20, 10);  // one group, and then a mark, which is torn off as well
  const u32 number = group[0].file;
  expected.resize(14);
  flip_bit(file(number), group[4].offset + 5, 0);  // the fifth record of the group
  const u64 mark = log_group_end(group[9].offset + log_record_size(group[9].length));
  flip_bit(file(number), mark + 9, 1);
  Seen seen = reopen();
  EXPECT_EQ(seen.texts(), expected);
  EXPECT_TRUE(seen.damaged.empty());
  EXPECT_EQ(std::filesystem::file_size(file(number)), group[4].offset);
  fill(100, 110, 3);
  EXPECT_EQ(reopen().texts(), expected);
}

TEST_F(LogTest, AMarkTellsDamageOfTheLastGroupFromATear) {
  const auto positions = fill(0, 10, 1);
  flip_bit(file(positions[9].file), positions[9].offset + 40, 0);
  const Seen seen = reopen();
  EXPECT_EQ(seen.records.size(), 9u);
  EXPECT_EQ(seen.damaged.size(), 1u);
}

TEST_F(LogTest, ADamagedFileHeaderIsOneReportUnlessACopySurvives) {
  const auto positions = fill(0, 600, 20);
  ASSERT_GT(positions.back().file, 2u);
  flip_bit(file(2), 20, 1);
  EXPECT_EQ(reopen().texts(), expected);
  flip_bit(file(2), kLogHeaderCopy + 20, 1);
  const Seen seen = reopen();
  EXPECT_EQ(seen.damaged.size(), 1u);
  std::vector<std::string> rest;
  for (std::size_t i = 0; i < positions.size(); ++i)
    if (positions[i].file != 2) rest.push_back(expected[i]);
  EXPECT_EQ(seen.texts(), rest);
  expected = rest;
  fill(600, 610, 1);
  const Seen again = reopen();
  EXPECT_EQ(again.texts(), expected);
  EXPECT_EQ(again.damaged.size(), 1u);
}

TEST_F(LogTest, RefusesAnotherLogsFilesAndOtherVersions) {
  fill(0, 3, 1);
  const auto opened =
      run(*reactor, Log::open(reactor->env(), directory.path(), kMagic + 1, kSmall, Seen().replay()));
  EXPECT_EQ(opened.error().code, Errc::corrupt);
}

Task<Result<void>> use_and_remove(Env& env, std::string path, std::size_t& files_most,
                                  std::set<std::string>& live) {
  std::unique_ptr<Log> log = co_await Log::open(env, path, kMagic, kSmall, Seen().replay());
  std::deque<std::pair<u32, std::string>> kept;
  for (int i = 0; i < 700; ++i) {
    const std::vector<Buffer> content(1, Buffer::copy_of(text_of(i)));
    const LogPosition at = co_await log->append(content);
    kept.emplace_back(at.file, text_of(i));
    while (kept.front().first + 2 < log->current_file()) {
      const u32 dead = kept.front().first;
      while (kept.front().first == dead) kept.pop_front();
      co_await log->remove_file(dead);
    }
    files_most = std::max<std::size_t>(files_most, log->disk_bytes() / kSmall.file_bytes);
  }
  const auto refused = co_await log->remove_file(log->current_file()).result();
  if (refused || refused.error().code != Errc::busy)
    co_return fail(Errc::conflict, "removed the current file");
  for (const auto& [number, text] : kept) live.insert(text);
  co_await log->stop();
  co_return Result<void>();
}
TEST_F(LogTest, RemovedFilesAreUsedAgainAndStayRemoved) {
  std::size_t files_most = 0;
  std::set<std::string> live;
  const auto done = run(*reactor, use_and_remove(reactor->env(), directory.path(), files_most, live));
  ASSERT_TRUE(done.has_value()) << done.error().to_string();
  EXPECT_LE(files_most, 5u);
  const Seen seen = reopen();
  std::set<std::string> replayed;
  for (const auto& text : seen.texts()) replayed.insert(text);
  EXPECT_EQ(replayed, live);
  EXPECT_TRUE(seen.damaged.empty());
}

Task<Result<void>> refusals(Env& env, std::string path) {
  LogOptions options = kSmall;
  options.queue_bytes_max = 100'000;
  std::unique_ptr<Log> log = co_await Log::open(env, path, kMagic, options, Seen().replay());
  const std::vector<Buffer> large(1, Buffer::zeros((64 << 10) + 1));
  const auto big = co_await log->append(large).result();
  EXPECT_EQ(big.error().code, Errc::too_big);
  std::vector<Result<LogPosition>> out(20);
  {
    runtime::Scope scope(env.executor());
    for (auto& slot : out) scope.spawn(append_one(*log, std::string(40'000, 'y'), slot));
    co_await scope.join();
  }
  EXPECT_TRUE(out[0].has_value());
  EXPECT_EQ(std::ranges::count_if(out, [](auto& r) { return !r && r.error().code == Errc::overloaded; }), 18);
  co_await log->stop();
  const std::vector<Buffer> small(1, Buffer::zeros(1));
  const auto late = co_await log->append(small).result();
  EXPECT_EQ(late.error().code, Errc::cancelled);
  co_return Result<void>();
}
TEST_F(LogTest, RefusesWhatIsTooBigTooMuchOrTooLate) {
  EXPECT_TRUE(run(*reactor, refusals(reactor->env(), directory.path())).has_value());
}

// Reads every file whole. Gives the numbers of those that do not check.
Task<Result<std::vector<u32>>> verify_all(Log& log) {
  std::vector<u32> bad;
  for (const LogFileInfo& file : log.files()) {
    const Result<void> checked = co_await log.verify(file.number).result();
    if (!checked && checked.error().code != Errc::corrupt) co_return fail(checked.error());
    if (!checked) bad.push_back(file.number);
  }
  co_return bad;
}
// A log that is being written, and a byte that flips in one of its files.
Task<Result<std::vector<u32>>> flip_and_verify(Env& env, std::string directory, std::string path, u64 byte) {
  std::unique_ptr<Log> log = co_await Log::open(env, directory, kMagic, kSmall, Seen().replay());
  co_await append_all(env, *log, std::vector<std::string>{text_of(1), text_of(50), text_of(2)}, 3);
  if (!path.empty()) flip_bit(path, byte, 2);
  std::vector<u32> bad = co_await verify_all(*log);
  co_await log->stop();
  co_return bad;
}

TEST_F(LogTest, VerifyFindsEveryFlippedBitOfWhatWasWritten) {
  fill(0, 200, 7);  // several files
  reopen();         // and marks
  const auto check = [&](const std::string& path, u64 byte) {
    const auto bad = run(*reactor, flip_and_verify(reactor->env(), directory.path(), path, byte));
    EXPECT_TRUE(bad.has_value()) << (bad ? "" : bad.error().to_string());
    if (!path.empty()) flip_bit(path, byte, 2);
    return bad.value_or(std::vector<u32>());
  };
  EXPECT_EQ(check("", 0), std::vector<u32>());
  const u64 size = std::filesystem::file_size(file(1));
  ASSERT_GT(size, kLogHeaderArea);
  std::mt19937_64 random(1);
  for (const u64 byte : {u64{0}, u64{47}, u64{1000}, u64{kLogHeaderCopy}, u64{kLogHeaderArea - 1}})
    EXPECT_EQ(check(file(1), byte), std::vector<u32>{1}) << byte;
  for (int i = 0; i < 40; ++i) {
    const u64 byte = kLogHeaderArea + random() % 40'000;
    EXPECT_EQ(check(file(1), byte), std::vector<u32>{1}) << byte;
  }
  EXPECT_EQ(check("", 0), std::vector<u32>());
}

Task<Result<std::pair<u32, u32>>> roll_idle(Env& env, std::string directory) {
  std::unique_ptr<Log> log = co_await Log::open(env, directory, kMagic, kSmall, Seen().replay());
  co_await append_all(env, *log, std::vector<std::string>{text_of(1)}, 1);
  const u32 before = log->current_file();
  log->roll();
  co_await env.executor().sleep(std::chrono::milliseconds(2500));
  const u32 after = log->current_file();
  co_await log->remove_file(before);
  co_await log->stop();
  co_return std::pair(before, after);
}
TEST_F(LogTest, ARolledLogThatIsIdleStartsItsNextFile) {
  const auto files = run(*reactor, roll_idle(reactor->env(), directory.path()));
  ASSERT_TRUE(files.has_value()) << files.error().to_string();
  EXPECT_EQ(files->second, files->first + 1);
  EXPECT_TRUE(reopen().damaged.empty());
}

}  // namespace
}  // namespace claudefs::store
