#include "simulator/detail/damage_place.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace claudefs::simulator {
namespace {

// The layouts are those of docs/formats.
constexpr u64 kBlock = 4096;
constexpr u64 kSector = 512;
constexpr u64 kLogHeaderCopy = 2048;
constexpr u64 kLogHeaderBytes = 48;
constexpr u64 kLogRecordHeader = 32;
constexpr std::string_view kLogRecordMagic = "CFSR";
constexpr u64 kShardHeader = 64;
constexpr u64 kSuperblockHeader = 16;

struct Range {
  u64 begin = 0, end = 0;
};
using Classes = std::map<std::string, std::vector<Range>>;

u32 number_at(const Buffer& bytes, u64 offset) {
  u32 out = 0;
  std::memcpy(&out, bytes.data() + offset, sizeof out);
  return out;
}

Classes classes_of_log(const Buffer& bytes, u64 written) {
  Classes out;
  out["header"] = {{0, kLogHeaderBytes}, {kLogHeaderCopy, kLogHeaderCopy + kLogHeaderBytes}};
  out["rest of the header's block"] = {{kLogHeaderBytes, kLogHeaderCopy},
                                       {kLogHeaderCopy + kLogHeaderBytes, kBlock}};
  u64 at = kBlock;
  for (u64 record = kBlock; record + kLogRecordHeader <= written; record += 8) {
    if (bytes.text().substr(record, kLogRecordMagic.size()) != kLogRecordMagic) continue;
    const u64 content = record + kLogRecordHeader;
    const u64 end = content + number_at(bytes, record + 8);
    if (end > written) break;
    if (at < record) out["between records"].push_back({at, record});
    out["record header"].push_back({record, content});
    if (content < end) out["record content"].push_back({content, end});
    at = end;
    record = (end + 7) / 8 * 8 - 8;
  }
  if (at < written) out["between records"].push_back({at, written});
  if (written < bytes.size()) out["not written yet"] = {{written, bytes.size()}};
  return out;
}

Classes classes_of_shard(const Buffer& bytes) {
  Classes out;
  const u64 content = number_at(bytes, 32);
  const u64 table = kShardHeader + 4 * ((bytes.size() - content + kBlock - 1) / kBlock);
  out["header"] = {{0, kShardHeader}};
  out["table"] = {{kShardHeader, table}};
  out["padding"] = {{table, content}};
  out["blocks"] = {{content, bytes.size()}};
  return out;
}

std::optional<u64> log_number(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  if (name.size() != 12 || !name.ends_with(".log")) return std::nullopt;
  return std::stoul(name, nullptr, 16);
}

// On whichever device.
std::string_view inside_device(std::string_view path) { return path.substr(path.find('/') + 1); }

Classes classes_of(Server& server, const std::string& path, const Buffer& bytes) {
  const std::string_view inside = inside_device(path);
  const bool raft = inside.starts_with("raft/");
  if (raft || inside.starts_with("journal/")) {
    const std::optional<u64> number = log_number(path);
    const auto files = raft ? server.node->raft().log_files() : server.node->journal().files();
    for (const store::LogFileInfo& file : files)
      if (file.number == number) return classes_of_log(bytes, std::min<u64>(file.bytes, bytes.size()));
    return {{"spare file", {{0, bytes.size()}}}};
  }
  if (inside.starts_with("shards/")) return classes_of_shard(bytes);
  if (inside == "superblock")
    return {{"header", {{0, kSuperblockHeader}}}, {"content", {{kSuperblockHeader, bytes.size()}}}};
  return {{"", {{0, bytes.size()}}}};
}

struct FileType {
  std::string_view name, prefix;
  bool read_while_running = true;
};
constexpr FileType kTypes[] = {{"superblock", "superblock"},
                               {"raft log", "raft/"},
                               {"journal", "journal/"},
                               {"shard", "shards/"},
                               {"metadata store", "meta/image", false}};

}  // namespace

std::optional<DamagePlace> draw_place(Server& server, bool running, sim::RandomStream& random) {
  const FileType& type = kTypes[random.between(0, std::size(kTypes) - 1)];
  if (running && !type.read_while_running) return std::nullopt;
  std::vector<std::string> paths;
  for (const std::string& path : server.machine->file_names()) {
    const std::optional<Buffer> content = server.machine->file_content(path);
    if (inside_device(path).starts_with(type.prefix) && !content->empty() &&
        path.find("tmp") == std::string::npos)
      paths.push_back(path);
  }
  if (paths.empty()) return std::nullopt;
  DamagePlace out;
  out.path = paths[random.between(0, paths.size() - 1)];
  const Buffer bytes = *server.machine->file_content(out.path);
  Classes classes = classes_of(server, out.path, bytes);
  std::erase_if(classes, [](const auto& one) {
    return std::ranges::none_of(one.second, [](const Range& range) { return range.begin < range.end; });
  });
  auto at = classes.begin();
  std::advance(at, random.between(0, classes.size() - 1));
  std::erase_if(at->second, [](const Range& range) { return range.begin >= range.end; });
  const Range range = at->second[random.between(0, at->second.size() - 1)];
  out.offset = random.between(range.begin, range.end - 1);
  out.name = fmt::format("{}{}{}", type.name, at->first.empty() ? "" : ", ", at->first);
  out.unused = at->first == "not written yet" || at->first == "spare file";
  return out;
}

bool Damage::is_there(const sim::Node& machine, const DamagePlace& place) const {
  const std::optional<Buffer> now = machine.file_content(place.path);
  return now && machine.file_identity(place.path) == file && now->size() >= place.offset + bytes.size() &&
         now->slice(place.offset, bytes.size()) == bytes;
}

std::optional<Damage> plant(sim::Node& machine, DamagePlace& place, sim::RandomStream& random) {
  const std::optional<Buffer> before = machine.file_content(place.path);
  if (!before || before->size() <= place.offset) return std::nullopt;
  const u64 kind = place.unused ? 0 : random.between(0, 2);
  const u64 unit = kind == 0 ? 1 : kind == 1 ? kSector : kBlock;
  place.offset = place.offset / unit * unit;
  Buffer damaged =
      Buffer::copy_of(before->span().subspan(place.offset, std::min(unit, before->size() - place.offset)));
  for (std::byte& byte : damaged.mutable_span())
    byte = kind == 0   ? byte ^ static_cast<std::byte>(1u << random.between(0, 7))
           : kind == 1 ? std::byte{0}
                       : static_cast<std::byte>(random.next());
  if (damaged == before->slice(place.offset, damaged.size())) return std::nullopt;
  machine.damage_file(place.path, place.offset, damaged.span());
  machine.world().count_fault("damage at rest");
  return Damage{machine.file_identity(place.path), std::move(damaged)};
}

}  // namespace claudefs::simulator
