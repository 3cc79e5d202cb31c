// What the tests of the RPC share: a service, and a raw peer that speaks the frame format by hand.
#pragma once

#include <gtest/gtest.h>

#include "net/detail/frame_reader.h"
#include "net/detail/handshake.h"
#include "net/detail/send_queue.h"
#include "net/rpc.h"

namespace claudefs::net::test {

using runtime::Duration;
using runtime::Task;
using namespace std::chrono_literals;

struct Echo {
  static constexpr u16 kMethod = 1;
  struct Reply {
    std::string text;
    u16 from = 0;
    static auto fields(auto& self) { return std::tie(self.text, self.from); }
  };
  std::string text;
  static auto fields(auto& self) { return std::tie(self.text); }
};
struct Sleep {
  static constexpr u16 kMethod = 2;
  using Reply = Empty;
  u64 ms = 0;
  static auto fields(auto& self) { return std::tie(self.ms); }
};
struct Refuse {
  static constexpr u16 kMethod = 3;
  using Reply = Empty;
  static auto fields(auto&) { return std::tie(); }
};
// Asks the caller back: the answer is the caller's echo of `text`.
struct AskBack {
  static constexpr u16 kMethod = 4;
  using Reply = Echo::Reply;
  std::string text;
  static auto fields(auto& self) { return std::tie(self.text); }
};

inline Identity identity(u16 node, std::string secret = "a common secret", u8 cluster = 1) {
  Identity out{.cluster = {}, .node = NodeId{node}, .secret = std::move(secret)};
  out.cluster[0] = std::byte{cluster};
  return out;
}

// Handlers of the test service. Counts what it has begun, so that a test can tell "refused" from "run".
struct Service {
  explicit Service(runtime::Env& e) : env(e) {
    methods.on<Echo>([this](Echo m, Request r) { return echo(std::move(m), std::move(r)); });
    methods.on<Sleep>([this](Sleep m, Request r) { return sleep(std::move(m), std::move(r)); });
    methods.on<Refuse>([this](Refuse, Request) { return refuse(); });
    methods.on<AskBack>([this](AskBack m, Request r) { return ask_back(std::move(m), std::move(r)); });
  }
  Task<Result<TypedReply<Echo::Reply>>> echo(Echo m, Request r) {
    ++begun;
    co_return TypedReply<Echo::Reply>{{m.text, r.peer.value}, r.payload};
  }
  Task<Result<TypedReply<Empty>>> sleep(Sleep m, Request r) {
    ++begun;
    last_deadline_left = r.deadline == runtime::Instant::never() ? Duration::max() : r.deadline - env.now();
    co_await env.executor().sleep(std::chrono::milliseconds(m.ms));
    co_return TypedReply<Empty>{};
  }
  Task<Result<TypedReply<Empty>>> refuse() { co_return fail(Errc::quota_exceeded, "volume 'v' is full"); }
  Task<Result<TypedReply<Echo::Reply>>> ask_back(AskBack m, Request r) {
    std::shared_ptr<Channel> channel = r.channel.lock();
    if (!channel) co_return fail(Errc::unavailable, "gone");
    Echo question{m.text};
    Reply raw = co_await channel->call(Echo::kMethod, wire::encode(question), {}, 5s);
    TypedReply<Echo::Reply> out;
    out.message = co_await wire::decode<Echo::Reply>(raw.body);
    co_return out;
  }
  runtime::Env& env;
  MethodTable methods;
  u64 begun = 0;
  Duration last_deadline_left{};
};

inline Buffer pattern(std::size_t size) {
  Buffer out = Buffer::allocate(size);
  for (std::size_t i = 0; i < size; ++i) out.data()[i] = static_cast<std::byte>(i * 7 + (i >> 12));
  return out;
}

}  // namespace claudefs::net::test
