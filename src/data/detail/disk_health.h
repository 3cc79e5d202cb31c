// Whether a disk of this node can be trusted with data. One that fails writes, keeps failing reads or hands
// back bytes that do not check is taken out: it is read where it reads, nothing new goes to it, and what it
// holds is made anew elsewhere. Only a restart lets it in again. A node with two disks has one of these for
// each, and is taken out for either.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "base/result.h"
#include "runtime/env.h"

namespace claudefs::data {

class DiskHealth {
 public:
  // `name` of the disk, in what is said of it: "its fast device".
  explicit DiskHealth(runtime::Env& env, std::string name = "it") : env_(env), name_(std::move(name)) {}
  // What a store answered to a write or flush; gives what the sender is told: io_error for what the disk did,
  // also when the directory has vanished or refuses, so that it turns to another node at once.
  Error note_write(Error error);
  // What a store answered to a read. Damage of one place counts once, however often it is read.
  void note_read(const Error& error);
  bool sound() const { return fault_.empty(); }
  const std::string& fault() const { return fault_; }  // for people; empty while it is well

  static constexpr std::size_t kReadErrors = 3;
  static constexpr std::size_t kDamages = 16;
  static constexpr runtime::Duration kWithin = std::chrono::minutes(10);

 private:
  void take_out(std::string why);
  bool too_many_read_errors();
  bool too_much_damage(const std::string& place);

  runtime::Env& env_;
  const std::string name_;
  std::deque<runtime::Instant> read_errors_;
  std::map<std::string, runtime::Instant> damages_;  // by what was said of each
  std::string fault_;
};

}  // namespace claudefs::data
