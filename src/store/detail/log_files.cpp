#include "store/detail/log_files.h"

#include "base/mutant.h"

#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace claudefs::store::detail {

CFS_DEFINE_MUTANT(store_log_file_not_synced, "store: the name of a new log file is not made durable");
namespace {
constexpr std::size_t kSparesMost = 2;
constexpr std::size_t kHandlesMost = 64;

// "0000002a.log" gives 42.
std::optional<u32> number_of(std::string_view name) {
  if (name.size() != 12 || !name.ends_with(".log")) return std::nullopt;
  u32 number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 8, number, 16);
  if (error != std::errc() || end != name.data() + 8) return std::nullopt;
  return number;
}
}  // namespace

std::string LogFiles::path(u32 number) const { return fmt::format("{}/{:08x}.log", directory_, number); }

runtime::Task<Result<std::vector<u32>>> LogFiles::list() {
  runtime::Disk& disk = env_.disk();
  co_await disk.make_directory(directory_);
  const std::vector<std::string> names = co_await disk.list(directory_);
  std::vector<u32> numbers;
  for (const std::string& name : names) {
    const std::string whole = directory_ + "/" + name;
    if (const auto number = number_of(name)) {
      numbers.push_back(*number);
    } else if (name.starts_with("spare.")) {
      const std::unique_ptr<runtime::File> file = co_await disk.open(whole, runtime::OpenMode::read_only);
      const u64 size = co_await file->size();
      if (size == file_bytes_ && spares_.size() < kSparesMost)
        spares_.push_back(whole);
      else
        co_await disk.remove(whole);
    } else if (name == "next.tmp") {
      co_await disk.remove(whole);
    }
  }
  co_return numbers;
}

runtime::Task<Result<LogFile>> LogFiles::create(LogFileHeader header) {
  runtime::Disk& disk = env_.disk();
  std::string working = directory_ + "/next.tmp";
  std::unique_ptr<runtime::File> file;
  if (!spares_.empty()) {
    working = spares_.back();
    spares_.pop_back();
    file = co_await disk.open(working, runtime::OpenMode::read_write);
  } else {
    file = co_await disk.open(working, runtime::OpenMode::create);
    co_await file->allocate(file_bytes_);
  }
  std::vector<Buffer> area;
  area.push_back(encode_log_file_header(header));
  co_await file->write_at(0, std::move(area));
  co_await file->flush();
  co_await disk.rename(working, path(header.number));
  if (!CFS_MUTANT(store_log_file_not_synced)) co_await disk.sync_directory(directory_);
  file = co_await disk.open(path(header.number), runtime::OpenMode::read_write);  // errors then name it
  Known& known = known_[header.number];
  known = {file_bytes_, {std::move(file), header, kLogHeaderArea, header.first_sequence}};
  const LogFile out = known.what;
  close_some();
  co_return out;
}

runtime::Task<Result<LogFile>> LogFiles::open(u32 number) {
  auto at = known_.find(number);
  if (at == known_.end()) co_return fail(Errc::not_found, path(number) + " is gone");
  if (at->second.what.file == nullptr) {
    std::unique_ptr<runtime::File> file =
        co_await env_.disk().open(path(number), runtime::OpenMode::read_only);
    at = known_.find(number);  // others ran meanwhile
    if (at == known_.end()) co_return fail(Errc::not_found, path(number) + " is gone");
    if (at->second.what.file == nullptr) at->second.what.file = std::move(file);
  }
  const LogFile out = at->second.what;
  close_some();
  co_return out;
}

// Old files are read least: their handles go first. The current file's is held by the log as well.
void LogFiles::close_some() {
  std::size_t open = 0;
  for (const auto& [number, known] : known_) open += known.what.file != nullptr;
  for (auto& [number, known] : known_) {
    if (open <= kHandlesMost) return;
    if (known.what.file == nullptr) continue;
    known.what.file.reset();
    --open;
  }
}

runtime::Task<Result<void>> LogFiles::remove(u32 number) {
  const auto at = known_.find(number);
  if (at == known_.end()) co_return Result<void>();
  const bool keep = at->second.size == file_bytes_ && spares_.size() < kSparesMost;
  known_.erase(at);
  const std::string from = path(number);
  if (keep) {
    const std::string to = fmt::format("{}/spare.{:08x}", directory_, number);
    co_await env_.disk().rename(from, to);
    co_await env_.disk().sync_directory(directory_);
    spares_.push_back(to);
  } else {
    co_await env_.disk().remove(from);
    co_await env_.disk().sync_directory(directory_);
  }
  co_return Result<void>();
}

void LogFiles::extend(u32 number, u64 end, u64 end_sequence) {
  const auto at = known_.find(number);
  if (at == known_.end()) return;
  at->second.what.end = end;
  at->second.what.end_sequence = end_sequence;
}

std::vector<LogFileInfo> LogFiles::infos() const {
  std::vector<LogFileInfo> out;
  for (const auto& [number, known] : known_) out.push_back({number, known.what.end});
  return out;
}

u64 LogFiles::disk_bytes() const {
  u64 total = spares_.size() * file_bytes_;
  for (const auto& [number, known] : known_) total += known.size;
  return total;
}

}  // namespace claudefs::store::detail
