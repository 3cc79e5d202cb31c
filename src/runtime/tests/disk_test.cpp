// Goal: files, directories and the packet device behave as env.h says, on a real disk.
// Method: random writes against a byte-array model; then the errors.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "runtime/reactor.h"
#include "runtime/scope.h"

namespace claudefs::runtime {
namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/claudefs_test_XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};
std::unique_ptr<Reactor> make_reactor() { return std::move(*Reactor::create()); }

Task<Result<void>> random_writes(Env& env, std::string path) {
  auto file = co_await env.disk().open(path, OpenMode::create_new);
  std::string model;
  Random& random = env.random();
  for (int round = 0; round < 200; ++round) {
    const u64 offset = random.between(0, 200'000);
    std::vector<Buffer> pieces;
    u64 at = offset;
    for (u64 i = random.between(1, 5); i > 0; --i) {
      const std::string text(random.between(0, 3000), static_cast<char>('a' + round % 26));
      if (model.size() < at + text.size()) model.resize(at + text.size(), '\0');
      model.replace(at, text.size(), text);
      at += text.size();
      pieces.push_back(Buffer::copy_of(text));
    }
    if (at > offset && model.size() < at) model.resize(at);
    if (round % 10 == 5) {
      co_await file->write_durably_at(offset, std::move(pieces));
    } else {
      co_await file->write_at(offset, std::move(pieces));
    }
    if (round % 20 == 0) co_await file->flush();
  }
  // Zero-length writes past the end do not extend a file; only written bytes do.
  Buffer all = Buffer::allocate(model.size() + 100);
  const std::size_t got = co_await file->read_at(0, all.mutable_span());
  const u64 size = co_await file->size();
  EXPECT_EQ(size, got);
  EXPECT_LE(got, model.size());
  EXPECT_TRUE(all.slice(0, got).text() == std::string_view(model).substr(0, got));
  EXPECT_EQ(model.find_first_not_of('\0', got), std::string::npos);

  co_await file->truncate(1000);
  co_await file->allocate(8192);
  const u64 grown = co_await file->size();
  EXPECT_EQ(grown, 8192u);
  const std::size_t after = co_await file->read_at(0, all.mutable_span().first(4096));
  EXPECT_EQ(after, 4096u);
  EXPECT_EQ(all.slice(0, 1000).text(), std::string_view(model).substr(0, 1000));
  EXPECT_EQ(all.slice(1000, 3096), Buffer::zeros(3096));
  const std::size_t past = co_await file->read_at(9000, all.mutable_span());
  EXPECT_EQ(past, 0u);
  co_return Result<void>();
}
Task<Result<void>> directories(Env& env, std::string root) {
  Disk& disk = env.disk();
  co_await disk.make_directory(root + "/a/b/c");
  co_await disk.make_directory(root + "/a/b/c");
  for (const char* name : {"z", "y", "x"}) co_await disk.open(root + "/a/b/" + name, OpenMode::create);
  co_await disk.rename(root + "/a/b/z", root + "/a/b/w");
  co_await disk.remove(root + "/a/b/y");
  co_await disk.remove(root + "/a/b/c");
  co_await disk.sync_directory(root + "/a/b");
  const std::vector<std::string> names = co_await disk.list(root + "/a/b");
  EXPECT_EQ(names, (std::vector<std::string>{"w", "x"}));
  const DiskSpace space = co_await disk.space(root);
  EXPECT_GT(space.total, 0u);
  EXPECT_LE(space.free, space.total);
  co_return Result<void>();
}
Task<Errc> open_code(Env& env, std::string path, OpenMode mode) {
  auto got = co_await env.disk().open(path, mode);
  co_return got ? Errc::ok : got.error().code;
}
Task<Result<void>> refusals(Env& env, std::string root) {
  EXPECT_EQ(co_await open_code(env, root + "/none", OpenMode::read_only), Errc::not_found);
  EXPECT_EQ(co_await open_code(env, root + "/none", OpenMode::read_write), Errc::not_found);
  EXPECT_EQ(co_await open_code(env, root + "/none", OpenMode::create_new), Errc::ok);
  EXPECT_EQ(co_await open_code(env, root + "/none", OpenMode::create_new), Errc::exists);
  Result<void> made = co_await env.disk().make_directory(root + "/none/below").result();
  EXPECT_EQ(made.error().code, Errc::not_directory);
  Result<void> over = co_await env.disk().make_directory(root + "/none").result();
  EXPECT_EQ(over.error().code, Errc::not_directory);
  Result<void> removed = co_await env.disk().remove(root + "/never").result();
  EXPECT_EQ(removed.error().code, Errc::not_found);
  EXPECT_NE(removed.error().text.find(root + "/never"), std::string::npos);
  co_return Result<void>();
}
using Body = Task<Result<void>> (*)(Env&, std::string);
Task<void> run_body(Env& env, Body body, std::string path, Result<void>& out) {
  out = co_await body(env, std::move(path));
}
void run(Body body, const std::string& path) {
  auto reactor = make_reactor();
  Result<void> out = fail(Errc::cancelled);
  reactor->run(run_body(reactor->env(), body, path, out));
  EXPECT_TRUE(out.has_value()) << out.error().to_string();
}
// Past the page cache where it may, and through it beside that: the model is the same.
Task<Result<void>> large_writes(Env& env, std::string path) {
  auto file = co_await env.disk().open(path, OpenMode::create_new);
  std::string model;
  Random& random = env.random();
  for (int round = 0; round < 24; ++round) {
    const u64 offset = 4096 * random.between(0, 300) + (round % 8 == 7 ? 100 : 0);
    std::vector<Buffer> pieces;
    u64 at = offset;
    for (u64 i = random.between(1, 3); i > 0; --i) {
      const bool ragged = random.between(0, 3) == 0;
      const std::size_t length = 4096 * random.between(1, 120) + (ragged ? random.between(1, 4095) : 0);
      Buffer piece = Buffer::allocate(length, random.between(0, 5) == 0 ? 16 : 4096);
      std::memset(piece.data(), 'a' + round, length);
      if (model.size() < at + length) model.resize(at + length, '\0');
      model.replace(at, length, length, static_cast<char>('a' + round));
      at += length;
      pieces.push_back(std::move(piece));
    }
    co_await file->write_at(offset, std::move(pieces));
    const u64 size = co_await file->size();
    EXPECT_EQ(size, model.size());
    if (round % 5 == 0) co_await file->flush();
    if (round % 3 != 0) continue;
    Buffer all = Buffer::allocate(model.size());
    const std::size_t got = co_await file->read_at(0, all.mutable_span());
    EXPECT_EQ(got, model.size());
    EXPECT_TRUE(all.text() == model) << "round " << round;
  }
  co_return Result<void>();
}

TEST(Disk, RandomWritesAgreeWithAByteArray) {
  const TemporaryDirectory directory;
  run(random_writes, directory / "file");
}
TEST(Disk, LargeWritesAgreeWithAByteArray) {
  const TemporaryDirectory directory;
  run(large_writes, directory / "file");
}
TEST(Disk, Directories) {
  const TemporaryDirectory directory;
  run(directories, directory.path());
}
TEST(Disk, Refusals) {
  const TemporaryDirectory directory;
  run(refusals, directory.path());
}

struct Taken {
  std::vector<std::string> packets;
  int lost = 0;
};
Task<void> take_packets(PacketDevice& device, Taken& taken) {
  std::vector<std::byte> space(16_KiB);  // /dev/fuse refuses less than 8 KiB
  for (;;) {
    const Result<std::size_t> got = co_await device.read(space);
    if (!got) {
      EXPECT_EQ(got.error().code, Errc::connection_lost);
      ++taken.lost;
      co_return;
    }
    taken.packets.emplace_back(as_text(ByteSpan(space).first(*got)));
  }
}
Task<void> exchange_packets(Env& env, PacketDevice& device, PacketDevice& far, Taken& taken) {
  Scope scope(env.executor());
  for (int i = 0; i < 4; ++i) scope.spawn(take_packets(device, taken));
  for (int i = 0; i < 1000; ++i) {
    std::vector<Buffer> pieces;
    pieces.push_back(Buffer::copy_of(std::to_string(i)));
    pieces.push_back(Buffer::copy_of("."));
    const Result<void> put = co_await far.write(std::move(pieces));
    EXPECT_TRUE(put.has_value());
    if (i % 7 == 0) co_await env.executor().yield();
  }
  while (taken.packets.size() < 1000) co_await env.executor().sleep(1ms);
  device.close();
  co_await scope.join();
}
TEST(PacketDevice, WholePacketsOnceEachAndCloseWakesEveryReader) {
  auto reactor = make_reactor();
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
  auto near = reactor->packet_device(ends[0]);
  auto far = reactor->packet_device(ends[1]);
  Taken taken;
  reactor->run(exchange_packets(reactor->env(), *near, *far, taken));
  EXPECT_EQ(taken.lost, 4);
  ASSERT_EQ(taken.packets.size(), 1000u);
  std::sort(taken.packets.begin(), taken.packets.end());
  EXPECT_EQ(std::unique(taken.packets.begin(), taken.packets.end()), taken.packets.end());
  for (const std::string& packet : taken.packets) EXPECT_EQ(packet.back(), '.');
}

Task<void> crash_readers(Env& env, PacketDevice& device, PacketDevice& far, Taken& taken) {
  {
    Scope scope(env.executor());
    for (int i = 0; i < 4; ++i) scope.spawn(take_packets(device, taken));
    co_await env.executor().sleep(1ms);
  }
  Scope scope(env.executor());
  scope.spawn(take_packets(device, taken));
  std::vector<Buffer> pieces;
  pieces.push_back(Buffer::copy_of("after"));
  (void)co_await far.write(std::move(pieces));
  while (taken.packets.empty()) co_await env.executor().sleep(1ms);
  device.close();
  co_await scope.join();
}
TEST(PacketDevice, DestroyedReadersLeaveTheDeviceUsable) {
  auto reactor = make_reactor();
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
  auto near = reactor->packet_device(ends[0]);
  auto far = reactor->packet_device(ends[1]);
  Taken taken;
  reactor->run(crash_readers(reactor->env(), *near, *far, taken));
  EXPECT_EQ(taken.packets, std::vector<std::string>{"after"});
}

Task<void> read_until_unmounted(Env& env, PacketDevice& device, std::string mount_point, Taken& taken) {
  Scope scope(env.executor());
  for (int i = 0; i < 3; ++i) scope.spawn(take_packets(device, taken));
  while (taken.packets.empty()) co_await env.executor().sleep(1ms);
  ::umount2(mount_point.c_str(), MNT_DETACH);
  co_await scope.join();
}
TEST(PacketDevice, ReadsTheKernelsFirstRequestAndSeesTheUnmount) {
  const TemporaryDirectory directory;
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) GTEST_SKIP() << "no /dev/fuse";
  const std::string options = "fd=" + std::to_string(device) + ",rootmode=40000,user_id=0,group_id=0";
  if (::mount("claudefs_test", directory.path().c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) < 0) {
    ::close(device);
    GTEST_SKIP() << "may not mount";
  }
  auto reactor = make_reactor();
  auto fuse = reactor->packet_device(device);
  Taken taken;
  reactor->run(read_until_unmounted(reactor->env(), *fuse, directory.path(), taken));
  EXPECT_EQ(taken.lost, 3);
  ASSERT_EQ(taken.packets.size(), 1u);
  ASSERT_GE(taken.packets[0].size(), 8u);
  constexpr std::uint32_t kInit = 26;
  std::uint32_t opcode = 0;
  std::memcpy(&opcode, taken.packets[0].data() + 4, sizeof opcode);
  EXPECT_EQ(opcode, kInit);
}

}  // namespace
}  // namespace claudefs::runtime
