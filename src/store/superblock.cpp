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
constexpr u16 kVersion = 1;
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
            fmt::format("the data directory {} is not writable ({}); change its owner or mode, or "
                        "run as a user who may write it",
                        directory, error.text)};
  return error;
}

Result<Superblock> check(Superblock found, const std::string& directory,
                         const std::array<std::byte, 16>& cluster, NodeId node) {
  if (found.format != Superblock().format)
    return fail(Errc::wrong_version,
                fmt::format("{} has format {}, this claudefs reads format {}; start the version "
                            "that wrote it",
                            directory, found.format, Superblock().format));
  if (found.cluster != cluster)
    return fail(Errc::wrong_cluster,
                fmt::format("{} belongs to cluster {}, not to {}; give the right --data or an empty "
                            "directory",
                            directory, hex(found.cluster), hex(cluster)));
  if (found.node != node)
    return fail(Errc::wrong_node,
                fmt::format("{} belongs to node {}, this is node {}; were data directories swapped?",
                            directory, found.node, node));
  return found;
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

Task<Result<void>> format(runtime::Env& env, std::string directory, Superblock superblock) {
  const std::string temporary = directory + "/superblock.tmp";
  const std::unique_ptr<runtime::File> file = co_await env.disk().open(temporary, runtime::OpenMode::create);
  co_await file->truncate(0);
  co_await file->write_at(0, std::vector<Buffer>(1, encode_superblock(superblock)));
  co_await file->flush();
  co_await env.disk().rename(temporary, directory + "/superblock");
  co_await env.disk().sync_directory(directory);
  co_return Result<void>();
}

// What may lie in a directory that was never formatted: the process lock, what a file system puts into its
// root, and an interrupted formatting.
bool may_precede(const std::string& name) {
  return name == "lock" || name == "lost+found" || name == "superblock.tmp";
}

Task<Result<Superblock>> open_or_format(runtime::Env& env, std::string directory,
                                        std::array<std::byte, 16> cluster, NodeId node) {
  co_await env.disk().make_directory(directory);
  const std::vector<std::string> names = co_await env.disk().list(directory);
  for (const std::string& name : names) {
    if (name != "superblock") continue;
    const Superblock found = co_await load(env, directory + "/superblock");
    co_return check(found, directory, cluster, node);
  }
  for (const std::string& name : names)
    if (!may_precede(name))
      co_return fail(
          Errc::invalid_argument,
          fmt::format("{} holds {} but no superblock: it is not a data directory, and will not be made "
                      "one; give an empty directory",
                      directory, name));
  Superblock fresh{.cluster = cluster, .node = node};
  env.random().fill_secret(fresh.incarnation);
  co_await format(env, directory, fresh);
  co_return fresh;
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
  constexpr std::string_view kMend =
      "; empty the data directory and let the node rejoin, or restore the file";
  if (in.size() < kHeader || get_fixed<u32>(in, 0) != kMagic || get_fixed<u16>(in, 6) != kHeader)
    return fail(Errc::corrupt, std::string("this is no superblock").append(kMend));
  const u32 length = get_fixed<u32>(in, 8);
  if (length != in.size() - kHeader ||
      crc32c(in.subspan(kHeader), crc32c(in.first(12))) != get_fixed<u32>(in, 12))
    return fail(Errc::corrupt, std::string("the superblock does not check").append(kMend));
  if (get_fixed<u16>(in, 4) != kVersion)
    return fail(Errc::wrong_version,
                "the superblock was written by another version of claudefs; start that version");
  return wire::decode<Superblock>(in.subspan(kHeader));
}

Task<Result<Superblock>> open_data_directory(runtime::Env& env, std::string directory,
                                             std::array<std::byte, 16> cluster, NodeId node) {
  auto opened = co_await open_or_format(env, directory, cluster, node).result();
  if (!opened) co_return fail(explained(std::move(opened.error()), directory));
  co_return opened;
}

Task<Result<void>> verify_superblock(runtime::Env& env, std::string directory, Superblock opened) {
  if (CFS_MUTANT(store_scrub_skips_superblock)) co_return Result<void>();
  const std::string path = directory + "/superblock";
  const Result<Superblock> found = co_await load(env, path).result();
  if (found && found->incarnation == opened.incarnation) co_return Result<void>();
  if (found)
    co_return fail(
        Errc::wrong_node,
        fmt::format("{} belongs to another data directory now, of node {}; stop this node and put its "
                    "own directory back",
                    path, found->node));
  if (found.error().code != Errc::corrupt) co_return fail(found.error());
  co_await format(env, directory, opened);
  co_return fail(Errc::corrupt, path + " did not check and was written anew");
}

}  // namespace claudefs::store
