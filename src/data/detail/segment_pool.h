// Segment ids granted ahead, so that a full segment waits for no grant.
#pragma once

#include <deque>

#include "cluster/shard_call.h"
#include "data/operations.h"
#include "runtime/env.h"
#include "runtime/sync.h"

namespace claudefs::data {

struct Granted {
  SegmentId id{};
  Hlc at{};
  runtime::Instant known_at{};
};

class SegmentPool {
 public:
  SegmentPool(runtime::Env& env, cluster::Router& router, SessionId owner)
      : env_(env), router_(router), owner_(owner), asking_(env.executor()) {}
  // A segment without journals, granted so recently that its data and the commit can follow in time.
  runtime::Task<Result<Granted>> take();
  // One that `journals` mirror.
  runtime::Task<Result<Granted>> grant_open(std::vector<NodeId> journals);

  static constexpr runtime::Duration kFresh{30'000'000'000};

 private:
  runtime::Task<Result<std::vector<Granted>>> grant(u32 count, std::vector<NodeId> journals);
  static constexpr u32 kGrantLeast = 2;
  static constexpr u32 kGrantMost = 32;

  runtime::Env& env_;
  cluster::Router& router_;
  SessionId owner_;
  runtime::Mutex asking_;
  std::deque<Granted> ready_;
  u32 next_count_ = kGrantLeast;
};

}  // namespace claudefs::data
