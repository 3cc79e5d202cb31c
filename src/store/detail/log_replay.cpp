#include "store/detail/log_replay.h"

#include <fmt/format.h>

#include "base/log.h"
#include "base/probe.h"

namespace claudefs::store::detail {
namespace {
using runtime::File;
using runtime::Task;

struct FoundFile {
  u32 number = 0;
  u64 size = 0;
  std::optional<LogFileHeader> header;
  std::string why_not;  // there is no header
};

Task<Result<FoundFile>> look_at(runtime::Env& env, const LogFiles& files, u32 number, u32 magic) {
  FoundFile found{.number = number};
  std::unique_ptr<File> file = co_await env.disk().open(files.path(number), runtime::OpenMode::read_only);
  found.size = co_await file->size();
  const Buffer area = co_await read_whole(*file, std::min<u64>(found.size, kLogHeaderArea));
  Result<LogFileHeader> header = parse_log_file_header(area);
  if (!header && header.error().code == Errc::wrong_version)
    co_return fail(Errc::wrong_version, files.path(number) + ": " + header.error().text);
  if (!header) {
    found.why_not = header.error().text;
  } else if (header->log_magic != magic) {
    co_return fail(Errc::corrupt,
                   files.path(number) + " belongs to another kind of log; was a directory moved?");
  } else if (header->number != number) {
    found.why_not = fmt::format("it is file {:08x} under a wrong name", header->number);
  } else {
    found.header = *header;
  }
  co_return found;
}

class Replayer {
 public:
  Replayer(runtime::Env& env, LogFiles& files, LogOptions options, const Replay& replay)
      : env_(env), files_(files), options_(options), replay_(replay) {}

  Task<Result<LogEnd>> run(std::vector<FoundFile> found) {
    for (std::size_t i = 0; i < found.size(); ++i)
      co_await file(found[i], i + 1 < found.size() ? &found[i + 1] : nullptr);
    co_return end_;
  }

 private:
  Task<Result<void>> file(const FoundFile& found, const FoundFile* next) {
    end_.next_file = found.number + 1;
    files_.note(found.number, found.size, {{}, found.header, std::min<u64>(found.size, kLogHeaderArea), 0});
    if (!found.header) {
      damaged({found.number, 0, static_cast<u32>(found.size)},
              "the file header is damaged: " + found.why_not);
      // How many records the last file held is unknown: leave room, so that no sequence is used twice.
      if (next == nullptr) end_.next_sequence += u64{1} << 32;
      co_return Result<void>();
    }
    std::unique_ptr<File> file =
        co_await env_.disk().open(files_.path(found.number), runtime::OpenMode::read_write);
    const Buffer whole = co_await read_whole(*file, found.size);
    const u64 end = records(found, whole, next);
    files_.extend(found.number, end, end_.next_sequence);
    if (next == nullptr && end < found.size) co_await cut(*file, found, end);
    co_return Result<void>();
  }

  // Gives the offset behind the last record that counts.
  u64 records(const FoundFile& found, const Buffer& whole, const FoundFile* next) {
    const std::vector<ScannedRecord> all = scan_log_file(whole, *found.header, options_.record_bytes_max);
    const bool followed = next != nullptr && next->header && next->number == found.number + 1;
    u64 expected = found.header->first_sequence;
    u32 previous = found.header->previous;
    u64 end = kLogHeaderArea;
    for (const ScannedRecord& at : all) {
      // Behind the place where an earlier opening cut the log.
      if (followed && at.header.sequence >= next->header->first_sequence) break;
      if (at.header.sequence != expected) {
        if (next == nullptr && all.back().header.group_first() <= expected) break;  // the torn last group
        damaged({found.number, static_cast<u32>(end), static_cast<u32>(at.offset - end)},
                fmt::format("{} records do not check", at.header.sequence - expected));
      }
      if (at.header.kind == LogRecordKind::data)
        replay_.record({found.number, at.offset, at.header.length},
                       Buffer::copy_of(whole.slice(at.offset + kLogRecordHeader, at.header.length)));
      expected = at.header.sequence + 1;
      previous = at.header.crc;
      end = at.end();
    }
    if (followed && expected < next->header->first_sequence) {
      damaged({found.number, static_cast<u32>(end), static_cast<u32>(found.size - std::min(found.size, end))},
              fmt::format("{} records do not check", next->header->first_sequence - expected));
      expected = next->header->first_sequence;
      previous = next->header->previous;
    }
    end_.next_sequence = std::max(end_.next_sequence, expected);
    end_.previous = previous;
    return end;
  }

  Task<Result<void>> cut(File& file, const FoundFile& found, u64 end) {
    CFS_PROBE(store_torn_tail_cut, "the torn end of a log is cut off");
    co_await file.truncate(end);
    co_await file.flush();
    files_.note(found.number, end, {{}, found.header, end, end_.next_sequence});
    co_return Result<void>();
  }

  void damaged(LogPosition at, std::string why) {
    CFS_PROBE(store_log_damaged, "damage in the middle of a log is found");
    const std::string path = files_.path(at.file);
    log::error("store", "log damaged",
               {log::kv("file", path), log::kv("offset", at.offset), log::kv("why", why)});
    if (replay_.damaged) replay_.damaged(at, fmt::format("{} at {}: {}", path, at.offset, why));
  }

  runtime::Env& env_;
  LogFiles& files_;
  LogOptions options_;
  const Replay& replay_;
  LogEnd end_;
};
}  // namespace

Task<Result<Buffer>> read_whole(File& file, u64 size) {
  constexpr u64 kPiece = 1_MiB;
  constexpr u64 kSector = 4096;
  Buffer whole = Buffer::allocate(size);
  for (u64 at = 0; at < size; at += kPiece) {
    const u64 length = std::min(kPiece, size - at);
    const MutableByteSpan piece = whole.mutable_span().subspan(at, length);
    const auto got = co_await file.read_at(at, piece).result();
    if (got) {
      std::fill(piece.begin() + static_cast<std::ptrdiff_t>(*got), piece.end(), std::byte{0});
      continue;
    }
    for (u64 sector = at; sector < at + length; sector += kSector) {
      const MutableByteSpan into =
          whole.mutable_span().subspan(sector, std::min(kSector, at + length - sector));
      const auto part = co_await file.read_at(sector, into).result();
      std::fill(into.begin() + static_cast<std::ptrdiff_t>(part.value_or(0)), into.end(), std::byte{0});
    }
  }
  co_return whole;
}

Task<Result<LogEnd>> replay_log(runtime::Env& env, LogFiles& files, u32 magic, LogOptions options,
                                const Replay& replay) {
  const std::vector<u32> numbers = co_await files.list();
  std::vector<FoundFile> found;
  for (u32 number : numbers) found.push_back(co_await look_at(env, files, number, magic));
  Replayer replayer(env, files, options, replay);
  co_return co_await replayer.run(std::move(found));
}

}  // namespace claudefs::store::detail
