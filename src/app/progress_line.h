// How far a command is: one line on standard error that is written over, with share done, rate and time left.
#pragma once

#include <string>

#include "base/ids.h"

namespace claudefs::app {

class ProgressLine {
 public:
  explicit ProgressLine(bool on) : on_(on) {}
  // `total` 0: not known. A new phase begins the rate anew.
  void show(const std::string& phase, u64 done, u64 total);
  void end();  // clears it

 private:
  bool on_;
  std::string phase_;
  double began_ = 0, shown_ = 0;
};

}  // namespace claudefs::app
