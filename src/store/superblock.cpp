#include "store/superblock.h"

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/mutant.h"
#include "store/detail/fixed.h"
#include "store/detail/superblock_format.h"
#include "wire/codec.h"

namespace claudefs::store {

CFS_DEFINE_MUTANT(store_scrub_skips_superblock, "store: a scrub does not look at the superblock");

namespace {
using namespace detail;
using runtime::Task;

constexpr u32 kMagic = 0x42534643;  // "CFSB"
constexpr u16 kVersion = 2;
constexpr u16 kVersionLeast = 1;
constexpr u16 kHeader = 16;
constexpr u32 kBytesMax = 4096;

std::string hex(const std::array<std::byte, 16>& bytes) {
  std::string out;
  for (std::byte b : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(b));
  return out;
}

// Says the same whatever way the system refused.
Error explained(Error error, const std::string& directory) {
  const bool refused =
      error.code == Errc::access_denied || error.code == Errc::not_permitted || error.code == Errc::read_only;
  if (refused)
    return {Errc::not_permitted,
            fmt::format("the directory {} is not writable ({}); change its owner or mode, or "
                        "run as a user who may write it",
                        directory, error.text)};
  return error;
}

Result<void> check(const Superblock& found, const std::string& directory, const Owner& owner) {
  if (found.format != Superblock().format)
    return fail(Errc::wrong_version,
                fmt::format("{} has format {}, this claudefs reads format {}; start the version "
                            "that wrote it",
                            directory, found.format, Superblock().format));
  if (found.cluster != owner.cluster)
    return fail(Errc::wrong_cluster,
                fmt::format("{} belongs to cluster {}, not to {}; give the right --{} or an empty "
                            "directory",
                            directory, hex(found.cluster), hex(owner.cluster), name_of(found.device_class)));
  if (found.node != owner.node)
    return fail(Errc::wrong_node,
                fmt::format("{} belongs to node {}, this is node {}; were {} directories swapped?", directory,
                            found.node, owner.node, name_of(found.device_class)));
  return {};
}

Task<Result<Superblock>> load(runtime::Env& env, std::string path) {
  // For writing: a directory that has become read-only is better refused now than at the first write.
  const std::unique_ptr<runtime::File> file = co_await env.disk().open(path, runtime::OpenMode::read_write);
  Buffer bytes = Buffer::allocate(kBytesMax);
  const std::size_t got = co_await file->read_at(0, bytes.mutable_span());
  const auto parsed = parse_superblock(bytes.span().first(got));
  if (!parsed) co_return fail(parsed.error().code, path + ": " + parsed.error().text);
  co_return *parsed;
}

// What may lie in a directory that was never formatted: the process lock, what a file system puts into its
// root, and an interrupted formatting.
bool may_precede(const std::string& name) {
  return name == "lock" || name == "lost+found" || name == "superblock.tmp";
}

Task<Result<FoundDirectory>> look(runtime::Env& env, std::string directory, Owner owner) {
  co_await env.disk().make_directory(directory);
  FoundDirectory out;
  std::vector<std::string> names = co_await env.disk().list(directory);
  for (std::string& name : names) {
    if (name == "superblock") {
      out.superblock = co_await load(env, directory + "/superblock");
      co_await check(*out.superblock, directory, owner);
    } else if (!may_precede(name)) {
      out.names.push_back(std::move(name));
    }
  }
  co_return out;
}

Task<Result<void>> put(runtime::Env& env, std::string directory, Superblock superblock) {
  const std::string temporary = directory + "/superblock.tmp";
  const std::unique_ptr<runtime::File> file = co_await env.disk().open(temporary, runtime::OpenMode::create);
  co_await file->truncate(0);
  co_await file->write_at(0, std::vector<Buffer>(1, encode_superblock(superblock)));
  co_await file->flush();
  co_await env.disk().rename(temporary, directory + "/superblock");
  co_await env.disk().sync_directory(directory);
  co_return Result<void>();
}
}  // namespace

Buffer detail::encode_superblock(const Superblock& superblock) {
  const Buffer content = wire::encode(superblock);
  Buffer file = Buffer::zeros(kHeader + content.size());
  const MutableByteSpan out = file.mutable_span();
  put_fixed<u32>(out, 0, kMagic);
  put_fixed<u16>(out, 4, kVersion);
  put_fixed<u16>(out, 6, kHeader);
  put_fixed<u32>(out, 8, static_cast<u32>(content.size()));
  put_fixed<u32>(out, 12, crc32c(content, crc32c(out.first(12))));
  std::copy(content.span().begin(), content.span().end(), out.begin() + kHeader);
  return file;
}

Result<Superblock> detail::parse_superblock(ByteSpan in) {
  constexpr std::string_view kMend = "; empty this node's directories and let it rejoin, or restore the file";
  if (in.size() < kHeader || get_fixed<u32>(in, 0) != kMagic || get_fixed<u16>(in, 6) != kHeader)
    return fail(Errc::corrupt, std::string("this is no superblock").append(kMend));
  const u32 length = get_fixed<u32>(in, 8);
  if (length != in.size() - kHeader ||
      crc32c(in.subspan(kHeader), crc32c(in.first(12))) != get_fixed<u32>(in, 12))
    return fail(Errc::corrupt, std::string("the superblock does not check").append(kMend));
  const u16 version = get_fixed<u16>(in, 4);
  if (version < kVersionLeast || version > kVersion)
    return fail(Errc::wrong_version,
                "the superblock was written by another version of claudefs; start that version");
  TRY_ASSIGN(Superblock out, wire::decode<Superblock>(in.subspan(kHeader)));
  if (out.device_class > DeviceClass::fast)
    return fail(Errc::wrong_version, "the superblock has a device class that this claudefs does not know");
  return out;
}

std::string_view name_of(DeviceClass device_class) {
  return device_class == DeviceClass::fast ? "fast" : "data";
}

Task<Result<FoundDirectory>> look_for_superblock(runtime::Env& env, std::string directory, Owner owner) {
  auto found = co_await look(env, directory, owner).result();
  if (!found) co_return fail(explained(std::move(found.error()), directory));
  co_return found;
}

Task<Result<void>> write_superblock(runtime::Env& env, std::string directory, Superblock superblock) {
  auto written = co_await put(env, directory, std::move(superblock)).result();
  if (!written) co_return fail(explained(std::move(written.error()), directory));
  co_return Result<void>();
}

Task<Result<void>> verify_superblock(runtime::Env& env, std::string directory, Superblock opened) {
  if (CFS_MUTANT(store_scrub_skips_superblock)) co_return Result<void>();
  const std::string path = directory + "/superblock";
  const Result<Superblock> found = co_await load(env, path).result();
  if (found && *found == opened) co_return Result<void>();
  if (found)
    co_return fail(
        Errc::wrong_node,
        fmt::format("{} belongs to another {} directory now, of node {}; stop this node and put its "
                    "own directory back",
                    path, name_of(found->device_class), found->node));
  if (found.error().code != Errc::corrupt) co_return fail(found.error());
  co_await write_superblock(env, directory, opened);
  co_return fail(Errc::corrupt, path + " did not check and was written anew");
}

}  // namespace claudefs::store
