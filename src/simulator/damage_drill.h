// The corruption drill: one block after the other is damaged on one of three servers, of every file type and
// byte class that a node has on its disk, while it runs and while it is down. Each must be noticed (read,
// scrubbed or met at the start), mended from what the other servers have, and never be seen by a reader.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simulator/run.h"

namespace claudefs::simulator {

struct DamageRow {
  u64 planted = 0;
  u64 found = 0;   // said so: by a scrub, or refused at the start
  u64 mended = 0;  // the damaged bytes are nowhere any more
  u64 unused = 0;  // of places that nobody will ever read
};
struct DamageReport {
  std::map<std::string, DamageRow> rows;  // by file type, byte class and whether the server ran
  std::vector<std::string> violations;
};

// `count` damages, one at a time, on a cluster of three. The same seed is the same drill.
DamageReport damage_drill(u64 seed, u64 count, const Trace& trace);

}  // namespace claudefs::simulator
