// Tells an operator, in one line at its start and one at its end, that the cluster does not answer.
#pragma once

#include <map>

#include "base/ids.h"
#include "runtime/env.h"

namespace claudefs::client {

class Outage {
 public:
  Outage(runtime::Env& env, runtime::Duration after) : env_(env), after_(after) {}

  // One call under way.
  class [[nodiscard]] Watch {
   public:
    Watch(Outage& of, ShardId shard);
    ~Watch() { of_.calls_.erase(number_); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    void answered() { of_.answered(); }
    void gave_up(const Error& error) { of_.begin(shard_, error.text); }

   private:
    Outage& of_;
    ShardId shard_;
    u64 number_;
  };
  // Looks at the calls under way; to be called about once a second.
  void check();
  bool under_way() const { return since_ != runtime::Instant::never(); }

 private:
  struct Call {
    ShardId shard;
    runtime::Instant started;
  };
  void begin(ShardId shard, std::string_view why);
  void answered();

  runtime::Env& env_;
  runtime::Duration after_;
  std::map<u64, Call> calls_;  // in order of their start
  u64 next_number_ = 0;
  runtime::Instant since_ = runtime::Instant::never();
};

}  // namespace claudefs::client
