// Who holds a lease on what, in one shard, as its leader knows it: plain bookkeeping, no waiting.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "cluster/shard_call.h"

namespace claudefs::meta {

using cluster::LeaseGrant;
using cluster::LeaseMode;

class LeaseTable {
 public:
  // Sessions other than `session` whose lease does not go with its reading the inode, or with its changing
  // it.
  std::vector<SessionId> in_the_way(InodeId inode, SessionId session, bool changes) const;
  LeaseMode mode_of(InodeId inode, SessionId session) const;

  // While a change is under way nobody but its session is granted anything on the inode.
  void begin_change(InodeId inode, SessionId session);
  void end_change(InodeId inode, SessionId session);
  bool changed_by_others(InodeId inode, SessionId session) const;

  // A holder whose lease is being recalled is granted nothing on that inode.
  void begin_recall(InodeId inode, SessionId session) { recalled_.emplace(inode, session); }
  void end_recall(InodeId inode, SessionId session) { recalled_.erase({inode, session}); }
  bool is_recalled(InodeId inode, SessionId session) const { return recalled_.contains({inode, session}); }

  // What `session` has from now on: at most `wanted`, more when it had more.
  LeaseMode grant(InodeId inode, SessionId session, LeaseMode wanted, u64 sequence);
  // What `session` was granted by a former leader: a fact, whatever goes on.
  void restore(InodeId inode, SessionId session, LeaseMode mode, u64 sequence);
  void reduce(InodeId inode, SessionId session, LeaseMode to);
  // Only when the holder's latest grant is not newer than `sequence`.
  void release(InodeId inode, SessionId session, u64 sequence);
  void drop_session(SessionId session);
  std::size_t size() const { return leases_; }

 private:
  struct Holder {
    LeaseMode mode = LeaseMode::none;
    u64 sequence = 0;
  };
  struct Entry {
    std::map<SessionId, Holder> holders;
    std::map<SessionId, u32> changes;  // under way
    bool empty() const { return holders.empty() && changes.empty(); }
  };
  void erase(std::map<InodeId, Entry>::iterator at, SessionId session);

  std::map<InodeId, Entry> entries_;
  std::set<std::pair<InodeId, SessionId>> recalled_;
  std::size_t leases_ = 0;
};

}  // namespace claudefs::meta
