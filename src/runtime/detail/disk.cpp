#include "runtime/detail/disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/detail/descriptor.h"
#include "runtime/detail/disk_file.h"

namespace claudefs::runtime::detail {
namespace {

int flags_of(OpenMode mode) {
  switch (mode) {
    case OpenMode::read_only:
      return O_RDONLY | O_CLOEXEC;
    case OpenMode::read_write:
      return O_RDWR | O_CLOEXEC;
    case OpenMode::create:
      return O_RDWR | O_CREAT | O_CLOEXEC;
    case OpenMode::create_new:
      return O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
  }
  CFS_CHECK(!"an open mode without flags");
  return 0;
}

// The blocking bodies of what runs on the offload pool. They give 0 or an errno.
int sync_parent(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const Descriptor directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return errno;
  return ::fsync(directory.get()) < 0 ? errno : 0;
}
int make_directories(const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    struct stat about{};
    if (::mkdir(part.c_str(), 0755) == 0) {
      if (const int error = sync_parent(part); error != 0) return error;
    } else if (errno != EEXIST) {
      return errno;
    }
    if (end == std::string::npos) {
      if (::stat(part.c_str(), &about) < 0) return errno;
      return S_ISDIR(about.st_mode) ? 0 : ENOTDIR;
    }
  }
}
int list_names(const std::string& path, std::vector<std::string>& names) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return errno;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) break;
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
      names.emplace_back(entry->d_name);
  }
  const int error = errno;
  ::closedir(directory);
  std::sort(names.begin(), names.end());
  return error;
}

}  // namespace

Task<Result<std::unique_ptr<File>>> UringDisk::open(std::string path, OpenMode mode) {
  constexpr mode_t kOwnerOnly = 0600;
  const int got = co_await loop_.submit([&](io_uring_sqe* sqe) {
    io_uring_prep_openat(sqe, AT_FDCWD, path.c_str(), flags_of(mode), kOwnerOnly);
  });
  if (got < 0) co_return fail_errno(-got, "open " + path);
  co_return std::unique_ptr<File>(new UringFile(loop_, offload_, Descriptor(got), std::move(path)));
}

Task<Result<void>> UringDisk::remove(std::string path) {
  int status = co_await loop_.submit(
      [&](io_uring_sqe* sqe) { io_uring_prep_unlinkat(sqe, AT_FDCWD, path.c_str(), 0); });
  if (status == -EISDIR) {
    status = co_await loop_.submit(
        [&](io_uring_sqe* sqe) { io_uring_prep_unlinkat(sqe, AT_FDCWD, path.c_str(), AT_REMOVEDIR); });
  }
  if (status < 0) co_return fail_errno(-status, "remove " + path);
  co_return Result<void>();
}

Task<Result<void>> UringDisk::rename(std::string from, std::string to) {
  const int status = co_await loop_.submit([&](io_uring_sqe* sqe) {
    io_uring_prep_renameat(sqe, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0);
  });
  if (status < 0) co_return fail_errno(-status, "rename " + from + " to " + to);
  co_return Result<void>();
}

Task<Result<void>> UringDisk::make_directory(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  int error = 0;
  co_await offload_.run([&] { error = make_directories(path); });
  if (error != 0) co_return fail_errno(error, "make the directory " + path);
  co_return Result<void>();
}

Task<Result<std::vector<std::string>>> UringDisk::list(std::string path) {
  std::vector<std::string> names;
  int error = 0;
  co_await offload_.run([&] { error = list_names(path, names); });
  if (error != 0) co_return fail_errno(error, "list " + path);
  co_return names;
}

Task<Result<void>> UringDisk::sync_directory(std::string path) {
  const int got = co_await loop_.submit([&](io_uring_sqe* sqe) {
    io_uring_prep_openat(sqe, AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  });
  if (got < 0) co_return fail_errno(-got, "open the directory " + path);
  const Descriptor directory(got);
  const int status =
      co_await loop_.submit([&](io_uring_sqe* sqe) { io_uring_prep_fsync(sqe, directory.get(), 0); });
  if (status < 0) co_return fail_errno(-status, "flush the directory " + path);
  co_return Result<void>();
}

Task<Result<DiskSpace>> UringDisk::space(std::string path) {
  struct statvfs about{};
  int error = 0;
  co_await offload_.run([&] {
    if (::statvfs(path.c_str(), &about) < 0) error = errno;
  });
  if (error != 0) co_return fail_errno(error, "get the free space of " + path);
  DiskSpace out;
  out.total = u64{about.f_blocks} * about.f_frsize;
  out.free = u64{about.f_bavail} * about.f_frsize;
  co_return out;
}

}  // namespace claudefs::runtime::detail
