// The files of one log: names, creation, reuse, removal, open handles. Knows no records.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/env.h"
#include "store/detail/log_format.h"
#include "store/log.h"

namespace claudefs::store::detail {

struct LogFile {
  std::shared_ptr<runtime::File> file;
  std::optional<LogFileHeader> header;  // none, and no file: it is damaged, nothing in it can be read
  u64 end = kLogHeaderArea;             // of what is known to have been written
  u64 end_sequence = 0;                 // of the record that would come there
};

class LogFiles {
 public:
  LogFiles(runtime::Env& env, std::string directory, u64 file_bytes)
      : env_(env), directory_(std::move(directory)), file_bytes_(file_bytes) {}

  // Makes the directory, removes what was being created, gives the numbers of the files, ascending.
  runtime::Task<Result<std::vector<u32>>> list();
  std::string path(u32 number) const;
  const std::string& directory() const { return directory_; }

  // A durable, preallocated file with this header, under its name.
  runtime::Task<Result<LogFile>> create(LogFileHeader header);
  // A handle for reading, opened at need. Errors: not_found.
  runtime::Task<Result<LogFile>> open(u32 number);
  // Durable when it ends. Fine if absent.
  runtime::Task<Result<void>> remove(u32 number);
  // After a file was found or cut at open.
  void note(u32 number, u64 size, LogFile what) { known_[number] = {size, std::move(what)}; }
  // Records up to there are durable.
  void extend(u32 number, u64 end, u64 end_sequence);
  bool has(u32 number) const { return known_.contains(number); }
  std::vector<LogFileInfo> infos() const;
  u64 disk_bytes() const;

 private:
  struct Known {
    u64 size = 0;
    LogFile what;  // its file open or null
  };
  void close_some();

  runtime::Env& env_;
  std::string directory_;
  u64 file_bytes_;
  std::map<u32, Known> known_;
  std::vector<std::string> spares_;  // paths of full-sized dead files
};

}  // namespace claudefs::store::detail
