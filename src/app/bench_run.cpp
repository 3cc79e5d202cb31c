#include "app/bench_run.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "app/process.h"
#include "base/buffer.h"

namespace claudefs::app {
namespace {

constexpr std::size_t kBlock = 1 << 20;
constexpr std::size_t kPage = 4096;

// Incompressible and different for every block, so that neither compression nor dedupe flatters the figures.
void fill(MutableByteSpan out, u64 seed) {
  u64 state = seed * 0x9e3779b97f4a7c15ULL + 1;
  for (std::size_t at = 0; at + 8 <= out.size(); at += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(out.data() + at, &state, 8);
  }
}

Result<void> failed(const char* doing, const std::string& path) {
  return fail_errno(errno, fmt::format("{} {}", doing, path));
}

class File {
 public:
  static Result<File> open(const std::string& path, int flags) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
    if (fd < 0) return fail_errno(errno, "open " + path);
    return File(fd, path);
  }
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  Result<void> write(ByteSpan bytes, u64 offset) {
    if (::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(bytes.size()))
      return failed("write", path_);
    return {};
  }
  Result<void> read(MutableByteSpan bytes, u64 offset) {
    if (::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(bytes.size()))
      return failed("read", path_);
    return {};
  }
  Result<void> sync() { return ::fsync(fd_) == 0 ? Result<void>() : failed("fsync", path_); }
  void drop_cache() { ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }
  Result<void> close() {
    return ::close(std::exchange(fd_, -1)) == 0 ? Result<void>() : failed("close", path_);
  }

 private:
  File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
};

// One step of the benchmark: `prepare` untimed, `each(i)` timed, for i in [0, count).
struct Step {
  std::string what, unit;
  u64 count;      // operations a thread
  double weight;  // of one operation in the unit
  std::function<Result<void>(const std::string& dir, u64 seed)> prepare;
  std::function<Result<void>(const std::string& dir, u64 seed, u64 i)> each;
};

struct Timing {
  double seconds = 0;
  std::vector<double> latencies;
};

Result<Timing> run_threads(const BenchOptions& options, const Step& step, unsigned threads, u64 count) {
  std::mutex mutex;
  Result<void> outcome;
  std::vector<std::vector<double>> latencies(threads);
  const auto keep = [&](const Result<void>& r) {
    const std::lock_guard lock(mutex);
    if (!r && outcome) outcome = fail(r.error());
    return r.has_value();
  };
  const auto in_parallel = [&](auto body) {
    std::vector<std::thread> pool;
    for (unsigned t = 0; t < threads; ++t) pool.emplace_back([&, t] { body(t); });
    for (std::thread& thread : pool) thread.join();
  };
  const auto dir_of = [&](unsigned t) { return fmt::format("{}/{}", options.directory, t); };
  in_parallel([&](unsigned t) {
    if (step.prepare) keep(step.prepare(dir_of(t), t));
  });
  const double start = monotonic_seconds();
  in_parallel([&](unsigned t) {
    latencies[t].reserve(count);
    for (u64 i = 0; i < count; ++i) {
      const double before = monotonic_seconds();
      if (!keep(step.each(dir_of(t), t, i))) return;
      latencies[t].push_back(monotonic_seconds() - before);
    }
  });
  Timing timing;
  timing.seconds = monotonic_seconds() - start;
  if (!outcome) return fail(outcome.error());
  timing.latencies = std::move(latencies[0]);
  std::sort(timing.latencies.begin(), timing.latencies.end());
  return timing;
}

std::string numbered(const std::string& dir, const char* stem, u64 i) {
  return fmt::format("{}/{}{}", dir, stem, i);
}

Result<void> write_small(const std::string& path, u64 bytes, u64 seed) {
  Buffer content = Buffer::allocate(bytes);
  fill(content.mutable_span(), seed);
  TRY_ASSIGN(File file, File::open(path, O_CREAT | O_TRUNC | O_WRONLY));
  TRY(file.write(content, 0));
  return file.close();
}

std::vector<Step> make_steps(const BenchOptions& o) {
  const u64 blocks = std::max<u64>(1, o.big_bytes / kBlock / o.threads);
  const u64 small = o.small_bytes;
  std::vector<Step> steps;
  steps.push_back({"write a big file, fsync", "MB/s", 1, static_cast<double>(blocks * kBlock) / 1e6, nullptr,
                   [blocks](const std::string& dir, u64 seed, u64) -> Result<void> {
                     TRY_ASSIGN(File file, File::open(dir + "/big", O_CREAT | O_TRUNC | O_RDWR));
                     Buffer block = Buffer::allocate(kBlock);
                     fill(block.mutable_span(), seed + 7);
                     for (u64 b = 0; b < blocks; ++b) {
                       for (std::size_t page = 0; page < kBlock; page += kPage) {
                         const u64 mark = (seed << 40) + (b << 20) + page + 1;
                         for (std::size_t k = 0; k + 64 <= kPage; k += 64) {
                           const u64 mixed = (mark + k) * 0x9e3779b97f4a7c15ULL;
                           std::memcpy(block.data() + page + k, &mixed, 8);
                         }
                       }
                       TRY(file.write(block, b * kBlock));
                     }
                     return file.sync();
                   }});
  steps.push_back({"read it back", "MB/s", 1, static_cast<double>(blocks * kBlock) / 1e6,
                   [](const std::string& dir, u64) -> Result<void> {
                     TRY_ASSIGN(File file, File::open(dir + "/big", O_RDONLY));
                     file.drop_cache();
                     return {};
                   },
                   [blocks](const std::string& dir, u64, u64) -> Result<void> {
                     TRY_ASSIGN(File file, File::open(dir + "/big", O_RDONLY));
                     Buffer block = Buffer::allocate(kBlock);
                     for (u64 b = 0; b < blocks; ++b) TRY(file.read(block.mutable_span(), b * kBlock));
                     return {};
                   }});
  steps.push_back({"read 4 KiB at random", "ops/s", 1000, 1,
                   [](const std::string& dir, u64) -> Result<void> {
                     TRY_ASSIGN(File file, File::open(dir + "/big", O_RDONLY));
                     file.drop_cache();
                     return {};
                   },
                   [blocks](const std::string& dir, u64 seed, u64 i) -> Result<void> {
                     TRY_ASSIGN(File file, File::open(dir + "/big", O_RDONLY));
                     Buffer page = Buffer::allocate(kPage);
                     const u64 at = ((i + 1) * 0x9e3779b97f4a7c15ULL + seed) % (blocks * kBlock / kPage);
                     return file.read(page.mutable_span(), at * kPage);
                   }});
  steps.push_back({"write 4 KiB, fsync", "ops/s", 200, 1, nullptr,
                   [](const std::string& dir, u64 seed, u64 i) -> Result<void> {
                     TRY_ASSIGN(File file, File::open(dir + "/synced", O_CREAT | O_RDWR));
                     Buffer page = Buffer::allocate(kPage);
                     fill(page.mutable_span(), seed * 1000003 + i);
                     TRY(file.write(page, i * kPage));
                     return file.sync();
                   }});
  steps.push_back({"write small files", "files/s", o.small_files, 1, nullptr,
                   [small](const std::string& dir, u64 seed, u64 i) {
                     return write_small(numbered(dir, "small", i), small, seed * 1000003 + i);
                   }});
  steps.push_back({"read small files", "files/s", o.small_files, 1, nullptr,
                   [small](const std::string& dir, u64, u64 i) -> Result<void> {
                     TRY_ASSIGN(File file, File::open(numbered(dir, "small", i), O_RDONLY));
                     Buffer content = Buffer::allocate(small);
                     return file.read(content.mutable_span(), 0);
                   }});
  steps.push_back({"create empty files", "ops/s", o.files, 1, nullptr,
                   [](const std::string& dir, u64, u64 i) -> Result<void> {
                     TRY_ASSIGN(File file,
                                File::open(numbered(dir, "empty", i), O_CREAT | O_EXCL | O_WRONLY));
                     return file.close();
                   }});
  steps.push_back(
      {"stat", "ops/s", o.files, 1, nullptr, [](const std::string& dir, u64, u64 i) -> Result<void> {
         struct stat st;
         const std::string path = numbered(dir, "empty", i);
         return ::stat(path.c_str(), &st) == 0 ? Result<void>() : failed("stat", path);
       }});
  steps.push_back(
      {"rename", "ops/s", o.files, 1, nullptr, [](const std::string& dir, u64, u64 i) -> Result<void> {
         const std::string from = numbered(dir, "empty", i), to = numbered(dir, "renamed", i);
         return ::rename(from.c_str(), to.c_str()) == 0 ? Result<void>() : failed("rename", from);
       }});
  steps.push_back(
      {"unlink", "ops/s", o.files, 1, nullptr, [](const std::string& dir, u64, u64 i) -> Result<void> {
         const std::string path = numbered(dir, "renamed", i);
         return ::unlink(path.c_str()) == 0 ? Result<void>() : failed("unlink", path);
       }});
  return steps;
}

Result<void> make_directories(const BenchOptions& options) {
  std::error_code error;
  for (unsigned t = 0; t < options.threads; ++t) {
    std::filesystem::create_directories(fmt::format("{}/{}", options.directory, t), error);
    if (error) return fail(Errc::io_error, fmt::format("make {}: {}", options.directory, error.message()));
  }
  return {};
}

Result<std::vector<BenchRow>> run_steps(const BenchOptions& options, unsigned threads,
                                        std::vector<BenchRow> rows,
                                        const std::function<void(const std::string&)>& progress) {
  TRY(make_directories(options));
  std::size_t at = 0;
  for (const Step& step : make_steps(options)) {
    progress(fmt::format("{} ({} thread{})", step.what, threads, threads == 1 ? "" : "s"));
    TRY_ASSIGN(const Timing timing, run_threads(options, step, threads, step.count));
    const double rate =
        static_cast<double>(step.count) * threads * step.weight / std::max(timing.seconds, 1e-9);
    if (rows.size() <= at) rows.push_back({step.what, step.unit});
    BenchRow& row = rows[at++];
    (threads == 1 ? row.one : row.many) = rate;
    if (threads != 1) continue;
    row.one_p50_ms = timing.latencies[timing.latencies.size() / 2] * 1e3;
    row.one_p99_ms = timing.latencies[timing.latencies.size() * 99 / 100] * 1e3;
  }
  std::error_code error;
  std::filesystem::remove_all(options.directory, error);
  return rows;
}
}  // namespace

Result<std::vector<BenchRow>> run_bench(const BenchOptions& options,
                                        std::function<void(const std::string&)> progress) {
  BenchOptions inner = options;
  inner.directory = fmt::format("{}/claudefs-bench.{}", options.directory, ::getpid());
  Result<std::vector<BenchRow>> rows = run_steps(inner, 1, {}, progress);
  if (rows) rows = run_steps(inner, options.threads, std::move(*rows), progress);
  std::error_code error;
  if (!rows) std::filesystem::remove_all(inner.directory, error);
  return rows;
}

}  // namespace claudefs::app
