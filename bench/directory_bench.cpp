// Empty files created through the client library, many at once. A mount cannot show what a directory bears:
// Linux holds a directory's lock for each create in it, so that they come one after the other. Usage:
// bench_directory CLUSTER_FILE DIRECTORY FIRST COUNT [AT_ONCE] [SPREAD] Creates the files FIRST to FIRST +
// COUNT - 1 in a directory below the root, which is made where it is missing, AT_ONCE (128) at a time; with a
// SPREAD above 1 dealt to so many directories in it. Prints how many a second. bench/directories uses it.
#include <fmt/format.h>

#include <cstdlib>

#include "app/cluster_access.h"

using namespace claudefs;
using runtime::Task;

namespace {

struct Work {
  std::string directory;
  u64 first = 0, count = 0, at_once = 128, spread = 1;
};

Task<Result<InodeId>> directory_of(client::FileSystem& files, InodeId parent, std::string name) {
  client::NewNode node;
  node.parent = parent;
  node.name = name;
  node.type = meta::FileType::directory;
  node.mode = 0755;
  Result<client::Inode> made = co_await files.make_directory(node).result();
  if (!made && made.error().code == Errc::exists) made = co_await files.lookup(parent, name).result();
  if (!made) co_return fail(std::move(made.error()));
  co_return made->id;
}

// One of those at work: its share of the numbers, one after the other.
Task<Result<void>> create_share(client::FileSystem* files, const std::vector<InodeId>* directories, Work work,
                                u64 share) {
  for (u64 i = share; i < work.count; i += work.at_once) {
    client::NewNode node;
    node.parent = (*directories)[i % directories->size()];
    node.name = fmt::format("{:07}", work.first + i);
    node.mode = 0644;
    const Result<client::Opened> made = co_await files->create_file(node, {}).result();
    if (!made) co_return fail(made.error());
    const Result<void> closed = co_await files->release(made->handle).result();
    if (!closed) co_return fail(closed.error());
    files->forget(made->inode.id);  // as a kernel does sooner or later: a million are not kept
  }
  co_return Result<void>();
}

Task<Result<void>> create_all(runtime::Env& env, client::FileSystem& files, Work work) {
  const InodeId top = co_await directory_of(files, meta::kRootInode, work.directory);
  std::vector<InodeId> directories;
  for (u64 i = 0; work.spread > 1 && i < work.spread; ++i)
    directories.push_back(co_await directory_of(files, top, fmt::format("{:03}", i)));
  if (directories.empty()) directories.push_back(top);
  std::vector<Task<Result<void>>> shares;
  for (u64 share = 0; share < work.at_once; ++share)
    shares.push_back(create_share(&files, &directories, work, share));
  const runtime::Instant began = env.executor().now();
  for (Result<void>& share : co_await runtime::join_all(env.executor(), std::move(shares)))
    if (!share) co_return fail(std::move(share.error()));
  const double seconds = std::chrono::duration<double>(env.executor().now() - began).count();
  fmt::print("{:.1f}\n", static_cast<double>(work.count) / seconds);
  co_return Result<void>();
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 5 || count > 7) {
    fmt::print(stderr, "usage: bench_directory CLUSTER_FILE DIRECTORY FIRST COUNT [AT_ONCE] [SPREAD]\n");
    return 2;
  }
  const auto number = [&](int at, u64 otherwise) {
    return at < count ? std::strtoull(arguments[at], nullptr, 10) : otherwise;
  };
  const Work work{arguments[2], number(3, 0), number(4, 0), std::max<u64>(number(5, 128), 1), number(6, 1)};
  const Result<void> done = app::run_on_files(
      arguments[1], {},
      [&](runtime::Env& env, client::FileSystem& files) { return create_all(env, files, work); });
  if (done) return 0;
  fmt::print(stderr, "bench_directory: {}\n", done.error().text);
  return 1;
}
