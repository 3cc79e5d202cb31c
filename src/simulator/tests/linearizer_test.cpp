// Goal: the linearizer, which decides while a run goes on and looks at orders only where operations conflict,
// says what a search through all orders says. Method: random small histories of files in one directory, half
// of them with one answer falsified; a file system of five lines and every order that time allows.
#include <algorithm>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "simulator/linearizer.h"

namespace claudefs::simulator {
namespace {

struct Call {
  Operation operation;
  Outcome answer;
  u64 called = 0, applied = 0, answered = 0;
};
using Names = std::map<std::string, InodeId>;

Outcome shown(InodeId inode) {
  Outcome out;
  out.inode = inode;
  out.type = meta::FileType::regular;
  out.mode = 0644;
  out.nlink = 1;
  return out;
}
Outcome told(Errc code) {
  Outcome out;
  out.code = code;
  return out;
}
bool is_same(const Outcome& a, const Outcome& b) { return a.code == b.code && a.inode == b.inode; }

// `fresh`: what a creation is given.
Outcome apply(Names& names, const Operation& op, InodeId fresh) {
  const auto at = names.find(op.name);
  if (op.verb == Verb::create) {
    if (at != names.end()) return told(Errc::exists);
    names[op.name] = fresh;
    return shown(fresh);
  }
  if (at == names.end()) return told(Errc::not_found);
  const InodeId inode = at->second;
  if (op.verb == Verb::lookup) return shown(inode);
  names.erase(at);
  if (op.verb == Verb::rename) names[op.new_name] = inode;
  return told(Errc::ok);
}

struct History {
  std::vector<Call> calls;

  explicit History(std::mt19937_64& random) {
    const auto draw = [&](u64 below) { return random() % below; };
    constexpr Verb kVerbs[] = {Verb::create, Verb::lookup, Verb::lookup, Verb::unlink, Verb::rename};
    u64 clients[3] = {};  // the time at which each is free again
    const u64 count = 3 + draw(5);
    for (u64 i = 0; i < count; ++i) {
      Call call;
      call.operation.number = i + 1;
      call.operation.verb = kVerbs[draw(std::size(kVerbs))];
      call.operation.inode = meta::kRootInode;
      call.operation.name = std::string(1, static_cast<char>('a' + draw(2)));
      call.operation.mode = 0644;
      call.operation.new_parent = meta::kRootInode;
      call.operation.new_name = std::string(1, static_cast<char>('a' + draw(2)));
      u64& free = clients[draw(std::size(clients))];
      // No two moments are one: the number is in the last digits.
      call.called = (free / 1000 + 1 + draw(4)) * 1000 + i * 3;
      call.applied = (call.called / 1000 + draw(5)) * 1000 + i * 3 + 1;
      call.answered = (call.applied / 1000 + draw(5)) * 1000 + i * 3 + 2;
      free = call.answered;
      calls.push_back(std::move(call));
    }
    std::vector<Call*> order;
    for (Call& call : calls) order.push_back(&call);
    std::ranges::sort(order, {}, &Call::applied);
    Names names;
    for (Call* call : order)
      call->answer = apply(names, call->operation, InodeId{100 + call->operation.number});
    if (draw(2) == 0) falsify(calls[draw(count)], draw(count));
  }

  static void falsify(Call& call, u64 other) {
    const bool was_ok = call.answer.code == Errc::ok;
    if (call.operation.verb == Verb::create)
      call.answer = was_ok ? told(Errc::exists) : shown(InodeId{100 + call.operation.number});
    else if (call.operation.verb == Verb::lookup)
      call.answer = was_ok && other % 2 == 0 ? told(Errc::not_found) : shown(InodeId{101 + other});
    else
      call.answer = told(was_ok ? Errc::not_found : Errc::ok);
  }

  bool has_an_order(Names names = {}, u64 done = 0) const {
    if (done == (u64{1} << calls.size()) - 1) return true;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      if (((done >> i) & 1) != 0 || !may_be_next(i, done)) continue;
      Names next = names;
      const Outcome would = apply(next, calls[i].operation, InodeId{100 + calls[i].operation.number});
      if (is_same(would, calls[i].answer) && has_an_order(std::move(next), done | (u64{1} << i))) return true;
    }
    return false;
  }
  bool may_be_next(std::size_t i, u64 done) const {
    for (std::size_t j = 0; j < calls.size(); ++j)
      if (((done >> j) & 1) == 0 && calls[j].answered < calls[i].called) return false;
    return true;
  }

  bool linearizer_accepts() const {
    std::map<u64, std::pair<const Call*, bool>> moments;  // true: the answer
    for (const Call& call : calls) {
      moments[call.called] = {&call, false};
      moments[call.answered] = {&call, true};
    }
    Linearizer linearizer(4);
    for (const auto& [at, moment] : moments) {
      const auto& [call, is_answer] = moment;
      if (!is_answer)
        linearizer.called(call->operation);
      else if (linearizer.answered(call->operation.number, call->answer))
        return false;
    }
    EXPECT_FALSE(linearizer.gave_up());
    return true;
  }

  std::string to_string() const {
    std::string out;
    for (const Call& call : calls)
      out += fmt::format("{}..{} {} -> {}\n", call.called, call.answered, call.operation.to_string(),
                         call.answer.to_string());
    return out;
  }
};

TEST(Linearizer, says_what_a_search_through_all_orders_says) {
  std::mt19937_64 random(20);
  int accepted = 0, refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    const History history(random);
    const bool has = history.has_an_order();
    ASSERT_EQ(history.linearizer_accepts(), has) << history.to_string();
    ++(has ? accepted : refused);
  }
  EXPECT_GT(accepted, 5000);
  EXPECT_GT(refused, 5000);
}

}  // namespace
}  // namespace claudefs::simulator
