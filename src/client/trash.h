// The trash by paths: what was removed, from where, and how it comes back. docs/trash.md.
//
// A row of the trash names the directory that something was in, not its path. Paths are made from the
// directories that are there and from those that are in the trash too.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "client/file_system.h"

namespace claudefs::client {

struct Trashed {
  InodeId inode{};
  meta::Hlc removed{};
  std::string path;  // "/a/b", from the root of the file system
  bool path_known =
      true;          // false: a directory above is neither there nor in the trash; the path begins with "?"
  Inode attributes;  // of a file as it is, of a directory as it was
  std::vector<meta::Xattr> xattrs;  // of a directory
  bool is_directory() const { return attributes.type == FileType::directory; }
};

struct Restored {
  u64 files = 0;
  u64 directories = 0;
  std::vector<std::string> failures;  // each names the path, what is wrong, and the mend
};

class Trash {
 public:
  // `files` is started and outlives it. `caller` sees and restores what is his, root everything.
  Trash(FileSystem& files, Caller caller) : files_(files), caller_(std::move(caller)) {}

  // Reads it: before the rest, and again after a change. Errors: the router's.
  runtime::Task<Result<void>> load();
  // By path; of one path the newest first. A directory that is there again is left out.
  const std::vector<Trashed>& entries() const { return entries_; }

  // The entries at `path`, or the one that is `inode` (0: the newest); with `all_below`, everything below it
  // too, of each path the newest. To where they were, or so that `path` is `to` (empty: where they were).
  // Directories above that are in the trash come back with them. Errors: not_found (nothing to restore).
  runtime::Task<Result<Restored>> restore(std::string path, InodeId inode, bool all_below, std::string to);

  // What the caller may empty and was removed before.
  runtime::Task<Result<meta::EmptyTrashReply>> empty(meta::Hlc before);

 private:
  struct Place {
    std::string path;
    bool known = true;
  };
  using Row = meta::ListTrashReply::Row;

  runtime::Task<Result<void>> read_rows();
  runtime::Task<Place> place_of(InodeId directory, meta::Hlc at, u32 depth = 0);
  runtime::Task<Place> place_of_living(InodeId directory);
  runtime::Task<Result<void>> read_names(InodeId directory);
  // What is at a path now: type none when nothing is. Directories that were found are remembered.
  runtime::Task<Result<Inode>> find(std::string path);
  // The directory at a path, made like the one that was, or is, at the path's source.
  runtime::Task<Result<InodeId>> directory_for(std::string path);
  runtime::Task<Result<InodeId>> make_directory(std::string path, Trashed like);
  runtime::Task<std::optional<Trashed>> pattern_of(std::string path);
  runtime::Task<Result<void>> give_attributes(InodeId directory, const Trashed& like);
  runtime::Task<Result<void>> restore_one(const Trashed& entry, std::string target, Restored* out);

  FileSystem& files_;
  Caller caller_;
  std::vector<Row> rows_;
  std::map<std::pair<InodeId, meta::Hlc>, const Row*> removed_directories_;
  std::map<InodeId, Place> living_;       // directories
  std::map<InodeId, std::string> names_;  // of living directories in theirs
  std::map<std::string, InodeId> found_;  // directories by path
  std::vector<Trashed> entries_;
  std::string from_, to_;            // what restore() brings back, and the path it gets; equal: where it was
  std::map<InodeId, Trashed> made_;  // directories that still lack their attributes
};

}  // namespace claudefs::client
