#include "sim/faults.h"

#include "sim/random_stream.h"

namespace claudefs::sim {

FaultOptions draw_faults(u64 seed) {
  using namespace runtime;
  RandomStream stream(seed, "faults");
  const auto rate = [&]() -> u32 {
    const bool on = stream.coin();
    const u64 octave = u64{1} << stream.between(0, 13);
    const u64 drawn = octave + stream.between(0, octave - 1);
    return on ? static_cast<u32>(drawn) : 0;
  };
  FaultOptions out;
  out.network_delay_max = out.network_delay_min + stream.between_times(10us, 20ms);
  out.slow_segment = rate();
  out.connection_reset = rate();
  out.segment_corrupted = rate() / 16;
  out.disk_delay_max = out.disk_delay_min + stream.between_times(10us, 20ms);
  out.read_error = rate();
  out.write_error = rate();
  out.flush_error = rate();
  out.bit_flip = rate();
  out.slow_io = rate();
  out.hung_io = rate() / 256;
  out.misdirected_read = rate();
  out.stale_read = rate();
  out.crash_loses_write = static_cast<u32>(stream.between(0, 1'000'000));
  out.crash_tears_write = static_cast<u32>(stream.between(0, 1'000'000));
  out.crash_loses_directory_operation = static_cast<u32>(stream.between(0, 1'000'000));
  out.clock_skew_max = stream.coin() ? stream.between_times(0ns, 2s) : 0ns;
  return out;
}

std::string FaultOptions::to_string() const {
  return fmt::format(
      "network {}..{} ns slow {} reset {} corrupted {}; disk {}..{} ns slow {} hung {} misdirected {} stale "
      "{} read_error {} write_error {} flush_error {} "
      "bit_flip {} "
      "bytes {}; crash loses {} tears {} directory {}; skew {} ns drift {}",
      network_delay_min.count(), network_delay_max.count(), slow_segment, connection_reset, segment_corrupted,
      disk_delay_min.count(), disk_delay_max.count(), slow_io, hung_io, misdirected_read, stale_read,
      read_error, write_error, flush_error, bit_flip, disk_bytes, crash_loses_write, crash_tears_write,
      crash_loses_directory_operation, clock_skew_max.count(), clock_drift_max);
}

}  // namespace claudefs::sim
