// Are the answers that all clients got those of one sequential file system, each operation taking effect at
// one moment between its call and its answer? Decided while the run goes on (Wing and Gong, with Lowe's
// just-in-time order): a set of states that the history so far allows, each with the pending operations that
// took effect in it already. An operation takes effect at its answer, or before another one's answer where
// the two conflict. One whose answer never came may take effect at any later time until settle(), or never.
#pragma once

#include <optional>

#include "simulator/namespace_model.h"

namespace claudefs::simulator {

class Linearizer {
 public:
  explicit Linearizer(u16 shard_count, bool trash = false, InodeId root = meta::kRootInode);

  void called(Operation operation);
  // A text that explains the violation when no state allows the answer; then it goes on without the
  // operation.
  std::optional<std::string> answered(u64 number, const Outcome& seen);
  // No definite answer: it may have happened, or may yet happen.
  void lost(u64 number);
  // An answer that any state allows and that says that nothing happened: a quota was used up.
  std::optional<std::string> refused(u64 number);
  // Operations that were lost can no longer take effect: nothing of theirs is under way.
  void settle();

  // True once too many states were possible: from then on answers of this run are not judged.
  bool gave_up() const { return !judging_; }

 private:
  struct State {
    Model model;
    std::map<u64, Prediction> done;  // pending operations that took effect
    u64 fingerprint = 0;             // of both, as it was when it came
  };
  // All states in which `number` took effect with the answer seen, and before it any of those that matter.
  void expand(const State& from, u64 number, const Outcome& seen, std::vector<State>& out);
  static bool add(std::vector<State>& states, State state);  // false when it was there
  std::vector<u64> conflicting(State& state, u64 number) const;
  bool is_lost(u64 number) const;
  void forget_gone();
  void give_up();

  std::vector<State> states_;
  std::map<u64, Operation> pending_;
  std::vector<u64> lost_;
  bool judging_ = true;
  u64 steps_ = 0;
};

}  // namespace claudefs::simulator
