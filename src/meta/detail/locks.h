// Keys that prepared transactions hold: docs/formats/metadata.md, table lock.
#pragma once

#include <string>

#include "meta/shard_machine.h"

namespace claudefs::meta {

std::string inode_lock(InodeId inode);
std::string dentry_lock(InodeId parent, std::string_view name);
std::string rename_lock();

// Errc::busy when a transaction holds `object` against us: exclusively, or in any way when `alone` is set.
Result<void> check_free(const ReadContext& context, std::string_view object, bool alone);

void take_lock(ApplyContext& context, const std::string& object, TxnId txn, bool exclusive);
void release_lock(ApplyContext& context, const std::string& object, TxnId txn);

}  // namespace claudefs::meta
