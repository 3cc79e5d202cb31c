// What is in a shard's trash: docs/trash.md.
#pragma once

#include "meta/detail/parts.h"
#include "meta/trash.h"

namespace claudefs::meta {

// A directory that is about to go, or a file; nothing when the file has names left.
void put_in_trash(ApplyContext& context, const KeepInTrash& part);
// A file that gets a name, or is to be purged; nothing when it is not there.
void leave_trash(ApplyContext& context, InodeId file);

// Of what has been there for as long as its volume keeps it, some behind `after`.
struct DueTrash {
  std::vector<TrashPlace> places;
  TrashPlace next;  // where to look on; the beginning when all were looked at
};
DueTrash due_trash(const ReadContext& context, TrashPlace after, Hlc now, const TrashPolicy& of_cluster);

}  // namespace claudefs::meta
