// Which inodes of this shard an operation reads or changes: what its leases are about.
#pragma once

#include <vector>

#include "meta/shard_machine.h"

namespace claudefs::meta {

struct Claims {
  bool covered = false;          // leases say something about this operation
  std::vector<InodeId> changes;  // nobody else may hold a lease
  std::vector<InodeId> reads;    // nobody else may hold a write lease
  SessionId session{};           // whose operation it is a part of, where it is not the sender's
  bool known = true;             // false: a kind of the name space that claims_of() has no row for
  std::vector<InodeId> named;    // that the request itself names
};
// As far as the applied state tells: who is behind a name may change until the operation is executed.
// A body that cannot be decoded claims nothing: the operation itself will say so.
Claims claims_of(const ReadContext& state, u16 kind, const Buffer& body);

// A client of one volume gets nowhere in another: stale when one of them is of another volume.
Result<void> check_volume(const ReadContext& state, SessionId session, const std::vector<InodeId>& named);

// What an answer says of inodes, in the order in which leases on them are useful.
std::vector<InodeId> shown_by(u16 kind, const Buffer& body, const Buffer& reply, bool found);
// The inodes that an answer says were changed beside those that had been claimed.
std::vector<InodeId> changed_by(u16 kind, const Buffer& reply);

}  // namespace claudefs::meta
