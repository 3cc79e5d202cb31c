#include "data/detail/disk_health.h"

#include <fmt/format.h>

#include "base/log.h"

namespace claudefs::data {

Error DiskHealth::note_write(Error error) {
  switch (error.code) {
    case Errc::not_found:
    case Errc::not_directory:
    case Errc::access_denied:
    case Errc::not_permitted:
    case Errc::read_only:
    case Errc::io_error:
      error.code = Errc::io_error;
      take_out("failed a write: " + error.text);
      break;
    default:  // a refusal
      break;
  }
  return error;
}

void DiskHealth::note_read(const Error& error) {
  if (error.code == Errc::io_error && too_many_read_errors())
    take_out(fmt::format("failed {} reads within ten minutes, at last: {}", kReadErrors, error.text));
  if (error.code == Errc::corrupt && too_much_damage(error.text))
    take_out(fmt::format("damaged {} blocks within ten minutes, at last: {}", kDamages, error.text));
}

bool DiskHealth::too_many_read_errors() {
  read_errors_.push_back(env_.now());
  while (env_.now() - read_errors_.front() > kWithin) read_errors_.pop_front();
  return read_errors_.size() >= kReadErrors;
}

bool DiskHealth::too_much_damage(const std::string& place) {
  const runtime::Instant now = env_.now();
  std::erase_if(damages_, [&](const auto& damage) { return now - damage.second > kWithin; });
  damages_.try_emplace(place, now);
  return damages_.size() >= kDamages;
}

void DiskHealth::take_out(std::string why) {
  if (!sound()) return;
  fault_ = fmt::format("{} {}", name_, why);
  log::error("data", "this node's disk is taken out: nothing new is written to it; replace it and restart",
             {log::kv("why", fault_)});
}

}  // namespace claudefs::data
