// What a node says of its scrubbing (docs/data-path.md), and how it is told to begin a pass now.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "net/rpc.h"

namespace claudefs::data {

inline constexpr runtime::Duration kScrubEvery = std::chrono::hours(14 * 24);  // unless told otherwise

// A file of this node that holds neither shards nor segments: who owns it checks it, and mends it when it
// does not check.
struct ScrubFile {
  std::string name;
  u64 bytes = 0;
  // Errors: not_found (it is gone), cancelled; any other: it does not check (its owner mends it, or the text
  // says how to).
  std::function<runtime::Task<Result<void>>()> verify;
};

struct ScrubReply {
  bool running = false;    // a pass is under way, or about to begin
  u64 pass = 0;            // which one since the node started; 0: none yet
  u64 pass_bytes = 0;      // read in it
  u64 pass_total = 0;      // that it is to read
  u64 verified_bytes = 0;  // by all passes since the node started
  i64 last_complete = 0;   // when a pass last came to its end: seconds since 1970; 0: none since the start
  u64 found = 0;           // damaged copies since the start
  u64 repaired = 0;        // of them: laid out anew from good ones, or not needed any more
  static auto fields(auto& self) {
    return std::tie(self.running, self.pass, self.pass_bytes, self.pass_total, self.verified_bytes,
                    self.last_complete, self.found, self.repaired);
  }
};
struct Scrub {  // to each node; answered with how it stands afterwards
  static constexpr u16 kMethod = 0x0314;
  using Reply = ScrubReply;
  bool begin = false;  // a pass over everything from the start, at full speed beside idle clients
  static auto fields(auto& self) { return std::tie(self.begin); }
};

}  // namespace claudefs::data
