// Answers the calls of data/messages.h from this node's journal and shard store.
#pragma once

#include <set>

#include "data/detail/disk_health.h"
#include "data/detail/nodes.h"
#include "data/detail/throttle.h"
#include "data/messages.h"
#include "store/journal.h"
#include "store/shard_store.h"

namespace claudefs::data {

class Handlers {
 public:
  struct Parts {
    runtime::Env& env;
    Nodes& nodes;
    net::MethodTable& methods;
    store::Journal& journal;
    store::ShardStore& shards;
    DiskHealth& journal_disk;  // one and the same where the node has one disk
    DiskHealth& shard_disk;
    Throttle& throttle;
    NodeId self{};
  };
  explicit Handlers(Parts parts);
  // This node's copy does not check or cannot be read: it does not count as held from now on. False when that
  // was known.
  bool note_bad(store::ShardKey key, const Error& error);
  bool is_bad(store::ShardKey key) const { return bad_.contains(key); }

 private:
  template <class M>
  using Answer = runtime::Task<Result<net::TypedReply<typename M::Reply>>>;
  template <class M>
  void on(Answer<M> (Handlers::*handler)(M, net::Request));
  Answer<JournalAppend> journal_append(JournalAppend message, net::Request request);
  Answer<JournalRead> journal_read(JournalRead message, net::Request request);
  Answer<JournalDrop> journal_drop(JournalDrop message, net::Request request);
  Answer<SealFromJournal> seal_from_journal(SealFromJournal message, net::Request request);
  Answer<ShardWrite> shard_write(ShardWrite message, net::Request request);
  Answer<ShardRead> shard_read(ShardRead message, net::Request request);
  Answer<ShardRemove> shard_remove(ShardRemove message, net::Request request);
  Answer<ShardHolds> shard_holds(ShardHolds message, net::Request request);
  Result<void> check_disk() const;
  Result<void> check_room(const net::Request& request) const;
  void note_traffic(const net::Request& request);

  runtime::Env& env_;
  Nodes& nodes_;
  net::MethodTable& methods_;
  store::Journal& journal_;
  store::ShardStore& shards_;
  DiskHealth& journal_disk_;
  DiskHealth& shard_disk_;
  Throttle& throttle_;
  const NodeId self_;
  // Shards that did not check: still read where they do, not counted as held, so that they are replaced.
  std::set<store::ShardKey> bad_;
};

}  // namespace claudefs::data
