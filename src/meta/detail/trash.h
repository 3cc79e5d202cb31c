// What is in a shard's trash: docs/trash.md.
#pragma once

#include "meta/detail/parts.h"

namespace claudefs::meta {

// A directory that is about to go, or a file; nothing when the file has names left.
void put_in_trash(ApplyContext& context, const KeepInTrash& part);
// A file that gets a name, or is to be purged; nothing when it is not there.
void leave_trash(ApplyContext& context, InodeId file);

}  // namespace claudefs::meta
