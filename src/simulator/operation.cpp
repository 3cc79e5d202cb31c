#include "simulator/operation.h"

#include <array>

#include <fmt/format.h>

namespace claudefs::simulator {

std::string_view name_of(Verb verb) {
  static constexpr std::array<std::string_view, 16> kNames{
      "lookup",   "get_attributes", "read_directory", "read_link", "get_xattr", "list_xattrs",
      "create",   "mkdir",          "unlink",         "rmdir",     "rename",    "link",
      "set_mode", "set_xattr",      "remove_xattr",   "restore"};
  return kNames[static_cast<std::size_t>(verb)];
}

std::string Operation::to_string() const {
  std::string out = fmt::format("#{} client {} {} {:#x}", number, client, simulator::name_of(verb), inode);
  if (after_cookie != 0) out += fmt::format(" after {:#x}", after_cookie);
  if (!name.empty()) out += fmt::format(" '{}'", name);
  if (new_parent != InodeId{}) out += fmt::format(" -> {:#x} '{}'", new_parent, new_name);
  if (verb == Verb::create) out += fmt::format(" type {} mode {:o}", static_cast<int>(type), mode);
  if (verb == Verb::make_directory || verb == Verb::set_mode) out += fmt::format(" mode {:o}", mode);
  if (verb == Verb::rename) out += fmt::format(" rename mode {}", static_cast<int>(rename_mode));
  if (verb == Verb::set_xattr)
    out += fmt::format(" xattr mode {} = '{}'", static_cast<int>(xattr_mode), value);
  return out;
}

std::string Outcome::to_string() const {
  if (code != Errc::ok) return std::string(claudefs::name_of(code));
  std::string out =
      fmt::format("ok inode {:#x} type {} mode {:o} nlink {}", inode, static_cast<int>(type), mode, nlink);
  if (covers_from > 1 || (covers_to != 0 && covers_to >> 63 == 0))
    out += fmt::format(" from {:#x} to {:#x}", covers_from, covers_to);
  for (const auto& [name, entry] : entries) out += fmt::format(" {}={:#x}", name, entry.inode);
  for (const std::string& name : names) out += " " + name;
  if (!value.empty()) out += fmt::format(" '{}'", value);
  return out;
}

bool is_definite(Errc code) {
  switch (code) {
    case Errc::ok:
    case Errc::not_found:
    case Errc::exists:
    case Errc::not_directory:
    case Errc::is_directory:
    case Errc::not_empty:
    case Errc::access_denied:
    case Errc::not_permitted:
    case Errc::invalid_argument:
    case Errc::name_too_long:
    case Errc::too_many_links:
    case Errc::cross_device:
    case Errc::no_data:
    case Errc::stale:
    case Errc::would_loop:
      return true;
    default:
      return false;
  }
}

}  // namespace claudefs::simulator
