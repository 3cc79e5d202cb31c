// What a client asked of the file system and what it was told: the history that the oracles judge.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "meta/operations.h"

namespace claudefs::simulator {

enum class Verb : u8 {
  lookup,
  get_attributes,
  read_directory,
  read_link,
  get_xattr,
  list_xattrs,
  create,
  make_directory,
  unlink,
  remove_directory,
  rename,
  link,
  set_mode,
  set_xattr,
  remove_xattr,
  restore,  // from the trash
};
std::string_view name_of(Verb verb);
inline bool is_query(Verb verb) { return verb < Verb::create; }

struct Operation {
  u64 number = 0;  // unique in a run
  u32 client = 0;
  Verb verb{};
  InodeId inode{};  // or the directory that holds `name`
  std::string name;
  InodeId new_parent{};  // rename, link, restore
  std::string new_name;
  meta::FileType type = meta::FileType::regular;  // create
  u16 mode = 0;
  meta::RenameMode rename_mode = meta::RenameMode::replace;
  meta::XattrMode xattr_mode = meta::XattrMode::set;
  std::string value;     // of an extended attribute; target of a symbolic link
  u64 after_cookie = 0;  // read_directory: what follows it
  std::string to_string() const;
};

struct Outcome {
  struct Entry {
    InodeId inode{};
    meta::FileType type{};
    auto operator<=>(const Entry&) const = default;
  };
  Errc code = Errc::ok;
  InodeId inode{};
  meta::FileType type{};
  u16 mode = 0;
  u32 nlink = 0;
  u64 size = 0;                          // of a directory: its entries
  std::map<std::string, Entry> entries;  // of a directory: all with cookies in [covers_from, covers_to)
  u64 covers_from = 0;
  u64 covers_to = 0;
  std::vector<std::string> names;  // of extended attributes, sorted
  std::string value;
  std::string to_string() const;
};

// An answer that says for certain whether the operation took place.
bool is_definite(Errc code);

}  // namespace claudefs::simulator
