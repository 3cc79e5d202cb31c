// Goal: the session works with the kernel that runs here.
// Method: mount the in-memory cluster at a temporary directory, served by the production loop, and let a
// child process use it through system calls. Skipped where /dev/fuse or mounting is not allowed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "access/fuse/mount.h"
#include "access/fuse/session.h"
#include "client/tests/fake_cluster.h"
#include "runtime/reactor.h"

namespace claudefs::access::fuse {
namespace {

namespace stdfs = std::filesystem;

#define NEED(condition)                                           \
  do {                                                            \
    if (!(condition)) {                                           \
      fprintf(stderr, "line %d: %s: %m\n", __LINE__, #condition); \
      return __LINE__;                                            \
    }                                                             \
  } while (0)

std::string content_of(const stdfs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// In the child. 0, or the line that failed.
int use_files(const stdfs::path& root) {
  std::string content;
  for (int i = 0; content.size() < (5u << 20); ++i) content += std::to_string(i * 7919LL) + ",";
  {
    std::ofstream out(root / "big", std::ios::binary);
    out << content;
  }
  NEED(content_of(root / "big") == content);
  NEED(stdfs::file_size(root / "big") == content.size());
  const int file = ::open((root / "big").c_str(), O_RDWR);
  NEED(file >= 0);
  NEED(::pwrite(file, "HELLO", 5, 1'000'000) == 5);
  content.replace(1'000'000, 5, "HELLO");
  NEED(::fsync(file) == 0);
  NEED(content_of(root / "big") == content);
  NEED(::ftruncate(file, 2'000'001) == 0);
  content.resize(2'000'001);
  NEED(content_of(root / "big") == content);
  NEED(::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192) == 0);
  content.replace(4096, 8192, std::string(8192, '\0'));
  NEED(content_of(root / "big") == content);
  NEED(::lseek(file, 0, SEEK_HOLE) == 4096);
  NEED(::lseek(file, 5000, SEEK_DATA) == 12288);
  NEED(::unlink((root / "big").c_str()) == 0);
  char five[6] = {};
  NEED(::pread(file, five, 5, 1'000'000) == 5);
  NEED(std::string(five) == "HELLO");
  NEED(::close(file) == 0);

  NEED(stdfs::create_directories(root / "a/b/c"));
  for (int i = 0; i < 500; ++i) std::ofstream(root / "a/b" / ("f" + std::to_string(i))) << i;
  int entries = 0;
  for (const auto& entry : stdfs::directory_iterator(root / "a/b")) entries += entry.exists();
  NEED(entries == 501);
  NEED(content_of(root / "a/b/f123") == "123");
  stdfs::rename(root / "a/b/f123", root / "a/moved");
  NEED(content_of(root / "a/moved") == "123");
  stdfs::create_symlink("moved", root / "a/link");
  NEED(content_of(root / "a/link") == "123");
  stdfs::create_hard_link(root / "a/moved", root / "a/hard");
  NEED(stdfs::hard_link_count(root / "a/hard") == 2);
  NEED(::setxattr((root / "a/hard").c_str(), "user.k", "v", 1, 0) == 0);
  char value[8] = {};
  NEED(::getxattr((root / "a/moved").c_str(), "user.k", value, sizeof(value)) == 1 && value[0] == 'v');
  NEED(::chmod((root / "a/hard").c_str(), 04711) == 0);
  struct stat at{};
  NEED(::stat((root / "a/moved").c_str(), &at) == 0 && (at.st_mode & 07777) == 04711);
  NEED(::chown((root / "a/hard").c_str(), 1234, 5678) == 0);
  NEED(::stat((root / "a/moved").c_str(), &at) == 0 && at.st_uid == 1234 && (at.st_mode & 07777) == 0711);
  struct statvfs usage{};
  NEED(::statvfs(root.c_str(), &usage) == 0 && usage.f_blocks * usage.f_frsize == 1_GiB);
  NEED(stdfs::remove_all(root / "a") > 500);
  NEED(stdfs::is_empty(root));
  return 0;
}

struct Served {
  runtime::Reactor& reactor;
  std::string mount_point;
  int device;
  pid_t child = 0;
  Result<void> outcome;
};

runtime::Task<Result<void>> serve(Served& served) {
  runtime::Env& env = served.reactor.env();
  client::testing::FakeCluster cluster(env);
  auto fs = cluster.mount(env);
  co_await fs->start();
  auto session = FuseSession::create(env, served.reactor.packet_device(served.device), *fs);
  co_await session->run();
  co_await fs->stop();
  co_return Result<void>();
}
runtime::Task<void> serve_and_keep(Served& served) { served.outcome = co_await serve(served); }

TEST(FuseKernel, ProgramsWorkOnTheMount) {
  char directory[] = "/tmp/claudefs_kernel_test_XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  MountOptions options;
  options.mount_point = directory;
  options.source = "claudefs#test:1";
  Result<std::unique_ptr<runtime::Reactor>> reactor = runtime::Reactor::create();
  Result<int> device = reactor ? mount(options) : Result<int>(fail(reactor.error()));
  if (!device) {
    ::rmdir(directory);
    GTEST_SKIP() << "cannot mount here: " << device.error().to_string();
  }
  Served served{**reactor, directory, *device};
  served.child = ::fork();
  ASSERT_GE(served.child, 0);
  if (served.child == 0) {
    ::close(*device);  // or the mount would outlive the server
    ::alarm(60);
    int line = 0;
    try {
      line = use_files(directory);
    } catch (const std::exception& error) {
      fprintf(stderr, "%s\n", error.what());
      line = 1;
    }
    // Ends the session in the parent.
    const Result<void> unmounted = unmount(directory);
    ::_exit(line != 0 || !unmounted ? 1 : 0);
  }
  (*reactor)->run(serve_and_keep(served));
  int status = 0;
  ASSERT_EQ(::waitpid(served.child, &status, 0), served.child);
  EXPECT_EQ(status, 0) << "the failed line is above";
  EXPECT_TRUE(served.outcome);
  (void)unmount(directory);
  EXPECT_EQ(::rmdir(directory), 0);
}

TEST(FuseMount, RefusesWhatCannotBeAMountPoint) {
  MountOptions options;
  options.mount_point = "/tmp/claudefs_no_such_directory";
  EXPECT_EQ(mount(options).error().code, Errc::not_found);
  EXPECT_NE(mount(options).error().text.find("mkdir -p"), std::string::npos);
  options.mount_point = "/etc/passwd";
  EXPECT_EQ(mount(options).error().code, Errc::not_directory);
  options.mount_point = "/etc";
  EXPECT_EQ(mount(options).error().code, Errc::not_empty);
}

}  // namespace
}  // namespace claudefs::access::fuse
