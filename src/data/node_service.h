// A server's part in the data plane: answers journal and shard calls (data/messages.h), and does the
// background work of the shards it leads: sealing open segments, restoring redundancy, reclaiming chunks and
// segments that nothing refers to, compacting segments that are partly dead, moving inline content into
// chunks, storing chunks as deltas against similar ones; and it reads all that the node holds now and then,
// to find damage early. Background work yields to foreground calls.
#pragma once

#include <memory>

#include "data/chunk_io.h"
#include "data/scrub.h"
#include "meta/shard_service.h"
#include "net/rpc.h"
#include "store/journal.h"
#include "store/shard_store.h"
#include "store/superblock.h"

namespace claudefs::data {

// A segment in which nothing has changed for so long is worth the second tier's work: what was written for a
// moment is gone by then, and what is being written does not pay for it.
inline constexpr runtime::Duration kReduceAfter = std::chrono::hours(1);

// Totals of this node's background work since it started.
struct DataFigures {
  u64 reclaimed_bytes = 0;  // of segments given back
  u64 moved_bytes = 0;      // by compaction
  u64 saved_bytes = 0;      // stored forms that became shorter in the second tier
};

class NodeService {
 public:
  struct Parts {  // all outlive it
    runtime::Env& env;
    net::Client& client;
    cluster::Router& router;
    net::MethodTable& methods;
    store::Journal& journal;
    store::ShardStore& shards;
    meta::ShardService& service;
    NodeId self{};
    runtime::Duration scrub_every = kScrubEvery;
    std::function<std::vector<ScrubFile>()> files;  // that scrubbing is to read, too; may be empty
    runtime::Duration reduce_after = kReduceAfter;
    bool two_devices = false;  // journal and shards lie on different ones
  };
  static std::unique_ptr<NodeService> create(Parts parts);
  virtual ~NodeService() = default;
  virtual runtime::Task<void> stop() = 0;
  // Why this node takes no data any more, by the device at fault; empty while it is well. With one device
  // that is `data`.
  virtual std::string disk_fault(store::DeviceClass device) const = 0;
  virtual DataFigures figures() const = 0;
  virtual ScrubReply scrub(Scrub message) = 0;
};

// Registers the chunk index's and segment table's operations (data/ops/).
void register_data(meta::OperationTable& table);

}  // namespace claudefs::data
