#include "simulator/disk_faults.h"

#include <array>

#include <fmt/format.h>

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {
constexpr runtime::Duration kRefusedWithin = 30s;
}

std::string_view name_of(DiskFault fault) {
  static constexpr std::array<std::string_view, 3> kNames{
      "a disk whose flushes do nothing", "a disk that is rolled back", "two disks that are swapped"};
  return kNames[static_cast<std::size_t>(fault)];
}

void DiskFaults::strike(DiskFault fault, const Complain& complain) {
  workload_.note(fmt::format("FAULT   {}: server {}", name_of(fault), victim_.number + 1));
  run_a_while(5s);
  switch (fault) {
    case DiskFault::lying_flush:
      forget_flushes();
      break;
    case DiskFault::rolled_back:
      roll_back();
      break;
    case DiskFault::swapped:
      swap(complain);
      break;
  }
  run_a_while(20s);
}

void DiskFaults::forget_flushes() {
  victim_.machine->lie_about_flushes();
  run_a_while(20s);
  cluster_.crash_server(victim_);
  run_a_while(3s);
  cluster_.start_server(victim_);
}

void DiskFaults::roll_back() {
  cluster_.crash_server(victim_);
  const sim::DiskImage old = victim_.machine->disk_image();
  cluster_.start_server(victim_);
  run_a_while(60s);
  cluster_.crash_server(victim_);
  cluster_.world().count_fault("disk rolled back");
  victim_.machine->load_disk(old);
  run_a_while(3s);
  cluster_.start_server(victim_);
}

void DiskFaults::swap(const Complain& complain) {
  const std::size_t count = cluster_.servers().size();
  Server& other = *cluster_.servers()[(victim_.number + random_.between(1, count - 1)) % count];
  const auto exchange = [&] {
    for (Server* server : {&victim_, &other}) cluster_.crash_server(*server);
    const sim::DiskImage own = victim_.machine->disk_image();
    victim_.machine->load_disk(other.machine->disk_image());
    other.machine->load_disk(own);
    for (Server* server : {&victim_, &other}) cluster_.start_server(*server);
  };
  cluster_.world().count_fault("disks swapped");
  exchange();
  for (Server* server : {&victim_, &other}) {
    cluster_.world().run_until([&] { return server->started.has_value(); }, kRefusedWithin);
    if (!server->started || *server->started || server->started->error().code != Errc::wrong_node)
      complain(fmt::format("server {} was given another's disk and did not say so", server->number + 1));
  }
  exchange();
}

}  // namespace claudefs::simulator
