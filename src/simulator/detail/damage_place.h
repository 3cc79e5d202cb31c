// Where damage may strike on a node's disk: its files' types and the classes of their bytes.
#pragma once

#include <optional>
#include <string>

#include "simulator/cluster.h"

namespace claudefs::simulator {

struct DamagePlace {
  std::string path;
  u64 offset = 0;
  std::string name;     // the file's type and the bytes' class: "raft log, record header"
  bool unused = false;  // nothing there will ever be read
};
// A type first, then a class of it, then a byte: all types come about equally often. Nothing when the server
// has no file of the type drawn. Of a server that runs only files that it still reads.
std::optional<DamagePlace> draw_place(Server& server, bool running, sim::RandomStream& random);

struct Damage {
  std::shared_ptr<const void> file;
  Buffer bytes;
  // Otherwise the file is gone, was made anew, or something was written there.
  bool is_there(const sim::Node& machine, const DamagePlace& place) const;
};
// A flipped bit, a sector of zeros or a block of noise, from place.offset on. Nothing when the file is no
// longer there, or nothing in it changed.
std::optional<Damage> plant(sim::Node& machine, DamagePlace& place, sim::RandomStream& random);

}  // namespace claudefs::simulator
