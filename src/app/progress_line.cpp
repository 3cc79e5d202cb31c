#include "app/progress_line.h"

#include <cstdio>

#include <fmt/format.h>

#include "app/process.h"

namespace claudefs::app {

void ProgressLine::show(const std::string& phase, u64 done, u64 total) {
  if (!on_) return;
  const double now = monotonic_seconds();
  if (phase != phase_) {
    phase_ = phase;
    began_ = now;
  } else if (now - shown_ < 0.5) {
    return;
  }
  shown_ = now;
  std::string line = fmt::format("{} {}", phase, done);
  if (total != 0) line += fmt::format(" of {}", total);
  if (done != 0 && now > began_) {
    const double rate = static_cast<double>(done) / (now - began_);
    line += fmt::format(", {:.1f}/s", rate);
    if (total > done) line += fmt::format(", {:.0f} s left", static_cast<double>(total - done) / rate);
  }
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
}

void ProgressLine::end() {
  if (on_ && shown_ != 0) fmt::print(stderr, "\r\033[K");
}

}  // namespace claudefs::app
