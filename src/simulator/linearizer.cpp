#include "simulator/linearizer.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

namespace claudefs::simulator {
namespace {

constexpr std::size_t kStatesMax = 200;
constexpr u64 kStepsMax = 3000;  // of one answer

}  // namespace

Linearizer::Linearizer(u16 shard_count, bool trash, InodeId root) {
  states_.push_back({Model(shard_count, trash, root), {}});
}

void Linearizer::give_up() {
  judging_ = false;
  states_.clear();
  pending_.clear();
  lost_.clear();
}

void Linearizer::called(Operation operation) {
  if (!judging_) return;
  const u64 number = operation.number;
  pending_.emplace(number, std::move(operation));
}

bool Linearizer::add(std::vector<State>& states, State state) {
  state.fingerprint = state.model.fingerprint();
  for (const auto& [number, prediction] : state.done)
    state.fingerprint = std::rotl(state.fingerprint, 7) ^ number;
  const auto same = [&state](const State& other) {
    return other.fingerprint == state.fingerprint && other.model == state.model && other.done == state.done;
  };
  if (std::ranges::any_of(states, same)) return false;
  states.push_back(std::move(state));
  return true;
}

bool Linearizer::is_lost(u64 number) const {
  return std::find(lost_.begin(), lost_.end(), number) != lost_.end();
}

// The pending operations whose order with this one may matter, directly or through others.
std::vector<u64> Linearizer::conflicting(State& state, u64 number) const {
  std::vector<std::pair<u64, Model::Footprint>> rest;
  for (const auto& [other, operation] : pending_)
    if (other != number && !state.done.contains(other))
      rest.emplace_back(other, state.model.footprint(operation));
  std::vector<u64> found;
  std::vector<Model::Footprint> reached{state.model.footprint(pending_.at(number))};
  for (std::size_t i = 0; i < reached.size(); ++i)
    for (std::size_t j = rest.size(); j-- > 0;) {
      if (!Model::conflict(reached[i], rest[j].second)) continue;
      found.push_back(rest[j].first);
      reached.push_back(std::move(rest[j].second));
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(j));
    }
  return found;
}

void Linearizer::expand(const State& from, u64 number, const Outcome& seen, std::vector<State>& out) {
  const Operation& operation = pending_.at(number);
  std::vector<State> reached{from};
  for (std::size_t i = 0; i < reached.size(); ++i) {
    if (++steps_ > kStepsMax) return;
    State direct = reached[i];
    const Prediction predicted = direct.model.apply(operation);
    if (direct.model.agrees(operation, predicted, seen)) add(out, std::move(direct));
    for (const u64 other : conflicting(reached[i], number)) {
      State next = reached[i];
      Prediction effect = next.model.apply(pending_.at(other));
      // A lost operation that fails changes nothing, and nobody hears of it.
      if (is_lost(other) && effect.code != Errc::ok) continue;
      next.done.emplace(other, is_lost(other) ? Prediction() : std::move(effect));
      add(reached, std::move(next));
    }
  }
}

void Linearizer::forget_gone() {
  for (State& state : states_) {
    std::vector<Symbol> kept;
    for (const auto& [number, prediction] : state.done) {
      kept.push_back(prediction.inode);
      for (const auto& [name, entry] : prediction.entries) kept.push_back(entry.first);
    }
    state.model.forget_gone(kept);
  }
}

std::optional<std::string> Linearizer::answered(u64 number, const Outcome& seen) {
  if (!judging_) return std::nullopt;
  std::vector<State> next;
  steps_ = 0;
  for (State& state : states_) {
    const auto done = state.done.find(number);
    if (done == state.done.end()) {
      expand(state, number, seen, next);
      continue;
    }
    State same = state;
    const Prediction predicted = done->second;
    same.done.erase(number);
    if (same.model.agrees(pending_.at(number), predicted, seen)) add(next, std::move(same));
  }
  std::optional<std::string> violation;
  if (steps_ > kStepsMax || next.size() > kStatesMax) {
    give_up();
    return violation;
  }
  if (next.empty()) {
    Model model = states_.front().model;
    const Prediction expected = model.apply(pending_.at(number));
    violation = fmt::format(
        "no order of the operations gives this answer: {} answered {}; {} states, for instance one "
        "that gives {} nlink {} mode {:o}",
        pending_.at(number).to_string(), seen.to_string(), states_.size(), claudefs::name_of(expected.code),
        expected.nlink, expected.mode);
    next = std::move(states_);
    for (State& state : next) state.done.erase(number);
  }
  states_ = std::move(next);
  pending_.erase(number);
  forget_gone();
  return violation;
}

void Linearizer::lost(u64 number) {
  const auto at = pending_.find(number);
  if (at == pending_.end()) return;
  if (!is_query(at->second.verb)) {
    lost_.push_back(number);
    for (State& state : states_)
      if (const auto done = state.done.find(number); done != state.done.end()) done->second = Prediction();
    return;
  }
  pending_.erase(at);
  std::vector<State> next;
  for (State& state : states_) {
    state.done.erase(number);
    add(next, std::move(state));
  }
  states_ = std::move(next);
}

std::optional<std::string> Linearizer::refused(u64 number) {
  const auto at = pending_.find(number);
  if (at == pending_.end()) return std::nullopt;
  std::vector<State> without;
  for (const State& state : states_)
    if (!state.done.contains(number)) without.push_back(state);
  std::optional<std::string> violation;
  if (without.empty())
    violation =
        fmt::format("{} was refused for a quota, and others saw that it took effect", at->second.to_string());
  else
    states_ = std::move(without);
  for (State& state : states_) state.done.erase(number);
  pending_.erase(at);
  return violation;
}

void Linearizer::settle() {
  // Any of them may have taken effect unseen, in any order.
  for (std::size_t i = 0; i < states_.size() && states_.size() <= kStatesMax; ++i)
    for (const u64 number : lost_) {
      if (states_[i].done.contains(number)) continue;
      State next = states_[i];
      if (next.model.apply(pending_.at(number)).code != Errc::ok) continue;
      next.done.emplace(number, Prediction());
      add(states_, std::move(next));
    }
  if (states_.size() > kStatesMax) return give_up();
  std::vector<State> settled;
  for (State& state : states_) {
    for (const u64 number : lost_) state.done.erase(number);
    add(settled, std::move(state));
  }
  states_ = std::move(settled);
  for (const u64 number : lost_) pending_.erase(number);
  lost_.clear();
}

}  // namespace claudefs::simulator
