#include "client/detail/outage.h"

#include "base/log.h"

namespace claudefs::client {

Outage::Watch::Watch(Outage& of, ShardId shard) : of_(of), shard_(shard), number_(of.next_number_++) {
  of_.calls_.emplace(number_, Call{shard, of_.env_.now()});
}

void Outage::check() {
  if (calls_.empty()) return;
  const Call& oldest = calls_.begin()->second;
  if (env_.now() - oldest.started >= after_) begin(oldest.shard, "no answer yet");
}

void Outage::begin(ShardId shard, std::string_view why) {
  if (under_way()) return;
  since_ = env_.now();
  log::warn("client", "cluster unreachable: operations wait until it answers again",
            {log::kv("shard", shard), log::kv("why", why)});
}

void Outage::answered() {
  if (!under_way()) return;
  const auto seconds = (env_.now() - since_).count() / 1'000'000'000;
  since_ = runtime::Instant::never();
  log::info("client", "cluster reachable again", {log::kv("after_seconds", seconds)});
}

}  // namespace claudefs::client
