// A request to the leader of a shard, and the router that finds it. Servers and clients use the same.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "cluster/membership.h"
#include "net/rpc.h"

namespace claudefs::cluster {

// Makes a mutation happen once however often it is sent. sequence 0: not deduplicated (reads, idempotent);
// the session, when given, says who asks and gets leases with the answer.
struct RequestId {
  SessionId session{};
  u64 sequence = 0;
  u64 done_below = 0;  // the caller has the answers of all lower ones: their records may go
  static auto fields(auto& self) { return std::tie(self.session, self.sequence, self.done_below); }
};

// Leases that came with an answer: docs/architecture/leases.md.
enum class LeaseMode : u8 { none = 0, read = 1, write = 2 };
struct LeaseGrant {
  InodeId inode{};
  LeaseMode mode = LeaseMode::none;
  static auto fields(auto& self) { return std::tie(self.inode, self.mode); }
};
struct LeaseGrants {
  Term term{};
  u64 sequence = 0;  // of the leader: a recall of the same inode with a higher one voids the grant
  std::vector<LeaseGrant> leases;
  static auto fields(auto& self) { return std::tie(self.term, self.sequence, self.leases); }
};

struct ShardReply {
  Errc code = Errc::ok;
  std::string text;
  NodeId leader_hint{};  // with not_leader
  Buffer body;
  LeaseGrants grants;
  static auto fields(auto& self) {
    return std::tie(self.code, self.text, self.leader_hint, self.body, self.grants);
  }
};
struct ShardRequest {
  static constexpr u16 kMethod = 0x0210;
  using Reply = ShardReply;
  ShardId shard{};
  u16 kind = 0;  // an operation's kKind
  RequestId id;
  Buffer body;  // the encoded operation
  static auto fields(auto& self) { return std::tie(self.shard, self.kind, self.id, self.body); }
};

struct RouterOptions {
  runtime::Duration attempt_timeout{2'000'000'000};
  runtime::Duration give_up_after{60'000'000'000};  // then Errc::timed_out, naming the shard
};

// Finds the leader, follows hints, retries what may be retried (same RequestId) with back-off until the
// operation's deadline. Fails with the operation's own error, or timed_out / unavailable at the deadline.
class Router {
 public:
  // `seeds`: addresses to ask for the map first.
  static std::unique_ptr<Router> create(runtime::Env& env, net::Client& client,
                                        std::vector<std::string> seeds, RouterOptions options = {});
  virtual ~Router() = default;
  // Fetches the map; also done on demand. Errors: unavailable, naming the seeds tried.
  virtual runtime::Task<Result<void>> refresh() = 0;
  virtual const ClusterMap& map() const = 0;  // last known
  virtual u16 shard_count() const = 0;        // 0 before the first map
  virtual std::string address_of(NodeId node) const = 0;
  // Of calls under way as well.
  virtual void set_give_up_after(runtime::Duration) {}
  virtual runtime::Task<Result<Buffer>> call_raw(ShardId shard, u16 kind, RequestId id, Buffer body) = 0;
  // With the leases that were granted. The default is for routers that know none.
  virtual runtime::Task<Result<ShardReply>> call_for_leases(ShardId shard, u16 kind, RequestId id,
                                                            Buffer body) {
    ShardReply reply;
    reply.body = co_await call_raw(shard, kind, id, std::move(body));
    co_return reply;
  }

  // `Op` has kKind, Reply, fields(). auto attr = co_await router.call(shard, GetAttr{ino});
  template <class Op>
  runtime::Task<Result<typename Op::Reply>> call(ShardId shard, Op op, RequestId id = {}) {
    Buffer body = wire::encode(op);
    Buffer reply = co_await call_raw(shard, Op::kKind, id, std::move(body));
    co_return wire::decode<typename Op::Reply>(reply);
  }
};

}  // namespace claudefs::cluster
