// Transactions over shards, as each shard sees them: docs/architecture/transactions.md.
#pragma once

#include "meta/commands.h"

namespace claudefs::meta {

void register_transactions(OperationTable& table);

// A transaction this shard has prepared and not heard the end of. Stored.
using PreparedRecord = Prepare;

}  // namespace claudefs::meta
