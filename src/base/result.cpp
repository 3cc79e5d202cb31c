#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace claudefs {
namespace {
struct Row {
  Errc code;
  int errno_value;
  std::string_view name;
};
// What a caller was retried on until its deadline is ETIMEDOUT: EAGAIN would tell a blocking program to spin.
constexpr Row kRows[] = {
    {Errc::ok, 0, "ok"},
    {Errc::not_found, ENOENT, "not_found"},
    {Errc::exists, EEXIST, "exists"},
    {Errc::not_directory, ENOTDIR, "not_directory"},
    {Errc::is_directory, EISDIR, "is_directory"},
    {Errc::not_empty, ENOTEMPTY, "not_empty"},
    {Errc::access_denied, EACCES, "access_denied"},
    {Errc::not_permitted, EPERM, "not_permitted"},
    {Errc::invalid_argument, EINVAL, "invalid_argument"},
    {Errc::name_too_long, ENAMETOOLONG, "name_too_long"},
    {Errc::no_space, ENOSPC, "no_space"},
    {Errc::quota_exceeded, EDQUOT, "quota_exceeded"},
    {Errc::too_many_links, EMLINK, "too_many_links"},
    {Errc::cross_device, EXDEV, "cross_device"},
    {Errc::no_data, ENODATA, "no_data"},
    {Errc::out_of_range, ERANGE, "out_of_range"},
    {Errc::too_big, E2BIG, "too_big"},
    {Errc::file_too_big, EFBIG, "file_too_big"},
    {Errc::io_error, EIO, "io_error"},
    {Errc::corrupt, EIO, "corrupt"},
    {Errc::stale, ESTALE, "stale"},
    {Errc::read_only, EROFS, "read_only"},
    {Errc::unsupported, EOPNOTSUPP, "unsupported"},
    {Errc::busy, EBUSY, "busy"},
    {Errc::would_loop, EINVAL, "would_loop"},
    {Errc::symlink_loop, ELOOP, "symlink_loop"},
    {Errc::unavailable, ETIMEDOUT, "unavailable"},
    {Errc::not_leader, ETIMEDOUT, "not_leader"},
    {Errc::timed_out, ETIMEDOUT, "timed_out"},
    {Errc::cancelled, EINTR, "cancelled"},
    {Errc::connection_lost, ETIMEDOUT, "connection_lost"},
    {Errc::overloaded, ETIMEDOUT, "overloaded"},
    {Errc::conflict, ETIMEDOUT, "conflict"},
    {Errc::fenced, ESTALE, "fenced"},
    {Errc::moved, ESTALE, "moved"},
    {Errc::wrong_cluster, EIO, "wrong_cluster"},
    {Errc::wrong_node, EIO, "wrong_node"},
    {Errc::wrong_version, EPROTO, "wrong_version"},
    {Errc::locked, EBUSY, "locked"},
    {Errc::address_in_use, EADDRINUSE, "address_in_use"},
    {Errc::not_configured, EINVAL, "not_configured"},
};
}  // namespace

int errno_of(Errc code) {
  for (const Row& row : kRows)
    if (row.code == code) return row.errno_value;
  return EIO;
}

Errc errc_of_errno(int value) {
  switch (value) {  // several codes share an errno: these are the ones a system call means
    case EIO:
      return Errc::io_error;
    case EINVAL:
      return Errc::invalid_argument;
    case EAGAIN:
      return Errc::unavailable;
    case ETIMEDOUT:
      return Errc::timed_out;
    case ECONNREFUSED:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Errc::unavailable;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ENOTCONN:
      return Errc::connection_lost;
    case EBUSY:
      return Errc::busy;
    case ESTALE:
      return Errc::stale;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
      return Errc::overloaded;
    case ECANCELED:
    case EINTR:
      return Errc::cancelled;
    default:
      break;
  }
  for (const Row& row : kRows)
    if (row.errno_value == value) return row.code;
  return Errc::io_error;
}

std::string_view name_of(Errc code) {
  for (const Row& row : kRows)
    if (row.code == code) return row.name;
  return "unknown_error";
}

bool is_retryable(Errc code) {
  switch (code) {
    case Errc::unavailable:
    case Errc::not_leader:
    case Errc::timed_out:
    case Errc::connection_lost:
    case Errc::overloaded:
    case Errc::conflict:
      return true;
    default:
      return false;
  }
}

std::string Error::to_string() const {
  std::string out(name_of(code));
  if (!text.empty()) out.append(": ").append(text);
  return out;
}

std::unexpected<Error> fail_errno(int value, std::string_view doing) {
  std::string text(doing);
  text.append(": ").append(std::strerror(value));
  return fail(errc_of_errno(value), std::move(text));
}

}  // namespace claudefs
