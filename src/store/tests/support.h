// For the tests of this module: a directory that goes away, and tasks run on the production doors.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "runtime/reactor.h"

namespace claudefs::store {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "cfs-store-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

template <class T>
runtime::Task<void> keep(runtime::Task<T> task, std::optional<T>& out) {
  out.emplace(co_await std::move(task));
}
// Runs `task` to its end on the reactor.
template <class T>
T run(runtime::Reactor& reactor, runtime::Task<T> task) {
  std::optional<T> out;
  reactor.run(keep(std::move(task), out));
  return std::move(*out);
}
inline std::unique_ptr<runtime::Reactor> make_reactor() {
  auto made = runtime::Reactor::create();
  EXPECT_TRUE(made.has_value());
  return std::move(*made);
}

inline void flip_bit(const std::string& path, u64 byte, unsigned bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(byte));
  const char old = static_cast<char>(file.get());
  file.seekp(static_cast<std::streamoff>(byte));
  file.put(static_cast<char>(old ^ (1 << bit)));
  EXPECT_TRUE(file.good()) << path << " " << byte;
}

}  // namespace claudefs::store
