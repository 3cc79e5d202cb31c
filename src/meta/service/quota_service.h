// Limits at work: shards ask a subject's home, the home asks all shards for what they do not need.
// docs/quotas.md.
#pragma once

#include <map>
#include <memory>

#include "meta/commands.h"
#include "meta/shard_service.h"
#include "runtime/sync.h"

namespace claudefs::meta {

class QuotaService {
 public:
  explicit QuotaService(ShardService& service) : service_(service) {}

  runtime::Task<Result<Buffer>> set_quota(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> quota_state(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> ask_quota(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> return_quota(ShardId shard, cluster::RequestId id, Buffer body);
  runtime::Task<Result<Buffer>> reserve_quota(ShardId shard, cluster::RequestId id, Buffer body);

  // Leader task: when soft limits are passed, and when they are not any more.
  runtime::Task<void> watch_soft_limits(ShardId shard, Term term);

 private:
  template <class Op>
  runtime::Task<Result<QuotaUse>> sum_of(Op op, QuotaUse Op::Reply::* figure);
  runtime::Task<Result<QuotaUse>> collect(QuotaSubject subject);
  runtime::Task<Result<QuotaUse>> use_of_all(QuotaSubject subject);
  runtime::Task<Result<void>> watch(ShardId shard, ListLimitsReply::Row row);
  runtime::Task<std::vector<ShardId>> await_heard(QuotaSubject subject, bool limited, Hlc version);
  runtime::Task<Result<RecordQuota>> record_of(SetQuota op);
  runtime::Task<Result<void>> make_whole(Inode directory);

  ShardService& service_;
  // Who asks for a subject waits for who asked before: one round over the shards at a time.
  std::map<QuotaSubject, std::weak_ptr<runtime::Mutex>> rounds_;
};

// A command of `shard`, led here, was not executed for want of `needs`: it may be proposed again. Errors:
// quota_exceeded, naming the limit; busy (somebody who has to be asked does not answer).
runtime::Task<Result<void>> obtain_quota(ShardService& service, ShardId shard, QuotaNeeds needs);

}  // namespace claudefs::meta
