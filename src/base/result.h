// The one channel for errors that a disk, a peer, a client or an operator can cause.
//
// `Result<T>` is std::expected<T, Error>, made [[nodiscard]]. Errors of our own (broken invariants) are
// not Results: see check.h. Absence is std::optional, not an error. A code exists only where some caller
// acts on it; detail goes to the text, which names the thing and, where there is one, the mend.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace claudefs {

// Stored on the wire: never renumber, only append.
enum class Errc : std::uint16_t {
  ok = 0,
  not_found = 1,         // ENOENT
  exists = 2,            // EEXIST
  not_directory = 3,     // ENOTDIR
  is_directory = 4,      // EISDIR
  not_empty = 5,         // ENOTEMPTY
  access_denied = 6,     // EACCES
  not_permitted = 7,     // EPERM
  invalid_argument = 8,  // EINVAL
  name_too_long = 9,     // ENAMETOOLONG
  no_space = 10,         // ENOSPC
  quota_exceeded = 11,   // EDQUOT
  too_many_links = 12,   // EMLINK
  cross_device = 13,     // EXDEV
  no_data = 14,          // ENODATA
  out_of_range = 15,     // ERANGE
  too_big = 16,          // E2BIG
  file_too_big = 17,     // EFBIG
  io_error = 18,         // EIO
  corrupt = 19,          // EIO: a checksum, hash or format did not hold
  stale = 20,            // ESTALE: the inode or handle is gone
  read_only = 21,        // EROFS
  unsupported = 22,      // EOPNOTSUPP
  busy = 23,             // EBUSY
  would_loop = 24,       // EINVAL: a directory moved below itself
  symlink_loop = 25,     // ELOOP
  // Transport and cluster. Callers retry these until their own deadline.
  unavailable = 40,  // no leader, no quorum, peer away: try again
  not_leader = 41,   // ask the hinted leader
  timed_out = 42,
  cancelled = 43,
  connection_lost = 44,  // the request may or may not have been applied
  overloaded = 45,       // a stated limit is reached: back off
  conflict = 46,         // another transaction holds the key, or an expected version moved on: redo
  fenced = 47,           // the session has expired; open a new one
  moved = 48,            // nothing happened: the name is in another fragment of its directory; ask there
  // Start-up and configuration.
  wrong_cluster = 60,
  wrong_node = 61,
  wrong_version = 62,
  locked = 63,  // a living process holds it
  address_in_use = 64,
  not_configured = 65,
};

// The errno that a POSIX caller sees; EIO for what has no better one.
int errno_of(Errc code);
// The Errc for an errno that a system call returned.
Errc errc_of_errno(int value);
std::string_view name_of(Errc code);
// True for errors after which the same request may succeed later or elsewhere.
bool is_retryable(Errc code);

struct Error {
  Errc code = Errc::ok;
  std::string text;  // for people: names the thing, and the mend where there is one

  bool operator==(const Error&) const = default;
  // "no_space: /data/1: 3 MiB left; delete files or add a node"
  std::string to_string() const;
};

template <class T = void>
class [[nodiscard]] Result : public std::expected<T, Error> {
 public:
  using value_type = T;
  using std::expected<T, Error>::expected;
};

// return fail(Errc::not_found, "volume 'x' does not exist");
[[nodiscard]] inline std::unexpected<Error> fail(Errc code, std::string text = {}) {
  return std::unexpected<Error>(Error{code, std::move(text)});
}
[[nodiscard]] inline std::unexpected<Error> fail(Error error) {
  return std::unexpected<Error>(std::move(error));
}
// An errno with what was being done: fail_errno(EIO, "read /data/1/log.3").
[[nodiscard]] std::unexpected<Error> fail_errno(int value, std::string_view doing);

}  // namespace claudefs

// Outside coroutines: TRY(expr) returns the error of `expr`; TRY_ASSIGN(auto x, expr) also takes its value.
// Inside a coroutine, `co_await` of a failed Result ends the coroutine: see runtime/task.h.
#define CFS_CONCAT_(a, b) a##b
#define CFS_CONCAT(a, b) CFS_CONCAT_(a, b)
#define TRY(...)                                               \
  do {                                                         \
    if (auto try_result_ = (__VA_ARGS__); !try_result_)        \
      return ::claudefs::fail(std::move(try_result_.error())); \
  } while (0)
#define TRY_ASSIGN(target, ...) TRY_ASSIGN_(CFS_CONCAT(try_value_, __LINE__), target, __VA_ARGS__)
#define TRY_ASSIGN_(name, target, ...)                         \
  auto name = (__VA_ARGS__);                                   \
  if (!name) return ::claudefs::fail(std::move(name.error())); \
  target = std::move(*name)
