// Mounting is a matter between this process and the kernel before any loop runs, and fusermount3 a child
// process: the runtime has no door for either, so the system calls are made here.
#include "access/fuse/mount.h"

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

#include <fmt/format.h>

extern char** environ;

namespace claudefs::access::fuse {
namespace {

constexpr const char* kType = "fuse.claudefs";
constexpr const char* kSubtype = "claudefs";
constexpr const char* kHelper = "fusermount3";

// Spaces and the like are octal escapes in mountinfo.
std::string unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool is_mount_of_ours(const std::string& path) {
  std::ifstream in("/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point;
    fields >> id >> parent >> device >> root >> point;
    if (unescape(point) == path && line.find(fmt::format(" - {} ", kType)) != std::string::npos) return true;
  }
  return false;
}

Result<void> check_empty(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return fail_errno(errno, fmt::format("open mount point '{}'", path));
  bool empty = true;
  while (const dirent* entry = ::readdir(directory)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") empty = false;
  }
  ::closedir(directory);
  if (!empty)
    return fail(Errc::not_empty,
                fmt::format("mount point '{}' is not empty: choose an empty directory", path));
  return {};
}

Result<struct stat> inspect_mount_point(const MountOptions& options) {
  const std::string path = without_trailing_slash(options.mount_point);
  struct stat at{};
  if (::stat(path.c_str(), &at) != 0) {
    const int error = errno;
    if (error == ENOTCONN)
      return fail(Errc::stale,
                  fmt::format("a dead mount is in the way: clean it with `claudefs umount {}`", path));
    if (error == ENOENT)
      return fail(Errc::not_found, fmt::format("mount point '{0}' does not exist: mkdir -p {0}", path));
    return fail_errno(error, fmt::format("mount point '{}'", path));
  }
  if (!S_ISDIR(at.st_mode))
    return fail(Errc::not_directory, fmt::format("mount point '{}' is not a directory", path));
  if (is_mount_of_ours(path))
    return fail(
        Errc::exists,
        fmt::format("ClaudeFS is already mounted at '{0}': unmount it with `claudefs umount {0}`", path));
  if (!options.allow_not_empty) TRY(check_empty(path));
  return at;
}

std::string common_options(const MountOptions& options) {
  std::string out;
  if (options.allow_other) out += ",allow_other";
  if (options.default_permissions) out += ",default_permissions";
  return out + fmt::format(",max_read={}", options.read_bytes_max);
}

Result<int> open_device() {
  const int device = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (device >= 0) return device;
  const int error = errno;
  if (error == ENOENT || error == ENODEV)
    return fail(Errc::not_found, "/dev/fuse does not exist: load the module with `modprobe fuse`");
  return fail_errno(error, "open /dev/fuse");
}

Result<int> mount_as_root(const MountOptions& options, const struct stat& at) {
  TRY_ASSIGN(const int device, open_device());
  const std::string data =
      fmt::format("fd={},rootmode={:o},user_id={},group_id={}{}", device, at.st_mode & S_IFMT, ::geteuid(),
                  ::getegid(), common_options(options));
  const unsigned long flags = options.read_only ? MS_RDONLY : 0;
  if (::mount(options.source.c_str(), options.mount_point.c_str(), kType, flags, data.c_str()) == 0)
    return device;
  const int error = errno;
  ::close(device);
  if (error == EPERM)
    return fail(Errc::not_permitted,
                fmt::format("mounting at '{}' is not allowed here: in a container, give it CAP_SYS_ADMIN and "
                            "/dev/fuse",
                            options.mount_point));
  return fail_errno(error, fmt::format("mount at '{}'", options.mount_point));
}

// Runs the helper; gives its exit status.
Result<int> run_helper(std::vector<std::string> arguments, std::vector<std::string> extra_environment,
                       int keep_open) {
  std::vector<char*> argv, envp;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  for (char** entry = environ; *entry != nullptr; ++entry) envp.push_back(*entry);
  for (std::string& entry : extra_environment) envp.push_back(entry.data());
  envp.push_back(nullptr);
  if (keep_open >= 0) (void)::fcntl(keep_open, F_SETFD, 0);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, kHelper, nullptr, nullptr, argv.data(), envp.data());
  if (error == ENOENT)
    return fail(Errc::not_found, "fusermount3 is missing: install the package fuse3, or mount as root");
  if (error != 0) return fail_errno(error, "start fusermount3");
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail_errno(errno, "wait for fusermount3");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

Result<int> receive_descriptor(int socket) {
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t got = 0;
  do got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  const cmsghdr* header = got > 0 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS)
    return fail(Errc::io_error, "fusermount3 gave no device descriptor");
  int device = -1;
  std::memcpy(&device, CMSG_DATA(header), sizeof(device));
  return device;
}

Result<int> mount_through_helper(const MountOptions& options) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno(errno, "socketpair");
  const std::string list = fmt::format("fsname={},subtype={}{}{}", options.source, kSubtype,
                                       options.read_only ? ",ro" : "", common_options(options));
  const Result<int> status = run_helper({kHelper, "-o", list, "--", options.mount_point},
                                        {fmt::format("_FUSE_COMMFD={}", ends[1])}, ends[1]);
  ::close(ends[1]);
  if (!status || *status != 0) {
    ::close(ends[0]);
    if (!status) return fail(status.error());
    return fail(Errc::not_permitted,
                fmt::format("fusermount3 could not mount at '{}' (its message is above); allow_other needs "
                            "user_allow_other in /etc/fuse.conf",
                            options.mount_point));
  }
  Result<int> device = receive_descriptor(ends[0]);
  ::close(ends[0]);
  return device;
}

}  // namespace

Result<void> check_mount_point(const MountOptions& options) {
  TRY(inspect_mount_point(options));
  return {};
}

Result<int> mount(const MountOptions& given) {
  MountOptions options = given;
  options.mount_point = without_trailing_slash(options.mount_point);
  TRY_ASSIGN(const struct stat at, inspect_mount_point(options));
  return ::geteuid() == 0 ? mount_as_root(options, at) : mount_through_helper(options);
}

Result<void> unmount(const std::string& given) {
  const std::string mount_point = without_trailing_slash(given);
  if (::geteuid() != 0) {
    TRY_ASSIGN(const int status, run_helper({kHelper, "-u", "-z", "--", mount_point}, {}, -1));
    if (status != 0)
      return fail(Errc::not_permitted, fmt::format("fusermount3 could not unmount '{}'", mount_point));
    return {};
  }
  if (::umount2(mount_point.c_str(), MNT_DETACH) == 0) return {};
  if (errno == EINVAL)
    return fail(Errc::invalid_argument, fmt::format("nothing is mounted at '{}'", mount_point));
  return fail_errno(errno, fmt::format("unmount '{}'", mount_point));
}

}  // namespace claudefs::access::fuse
