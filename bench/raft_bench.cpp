// Consensus next to what it cannot do without: three members, each with a thread, a reactor, a log on a real
// disk and TCP over loopback. Before each load the same bytes go through three bare logs at once, two records
// at a time with all that is in flight between them: no commit can be faster. One at a time a commit waits
// for a flush and for a call to a follower that flushes. Last, the memory of a group that nobody uses.
// Usage: bench_raft [seconds per line] [directory]
#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <thread>

#include "base/check.h"
#include "base/log.h"
#include "raft/host.h"
#include "runtime/reactor.h"
#include "store/log.h"

using namespace claudefs;
using runtime::Duration;
using runtime::Env;
using runtime::Task;
using namespace std::chrono_literals;

namespace {

constexpr int kMembers = 3;
constexpr u64 kFileBytes = 16_MiB;  // of a log, which keeps two full ones and uses dead ones again
constexpr u64 kFilesFirst = 6;  // written before anything counts: blocks written for the first time cost more
Duration time_per_line = 2s;
std::string directory = "/var/tmp";

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto of = [](timeval t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return of(used.ru_utime) + of(used.ru_stime);
}
template <class T>
T must(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "bench_raft: {}\n", result.error().to_string());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// In flight: in the whole cluster.
struct Load {
  int groups = 1;
  std::size_t in_flight = 1;
  std::size_t bytes = 256;
};

// Where the threads wait for each other, their reactors running.
class Meeting {
 public:
  Task<void> meet(Env& env) {
    const int all = (came_++ / kMembers + 1) * kMembers;
    while (came_ < all) co_await env.executor().sleep(2ms);
  }

 private:
  std::atomic<int> came_ = 0;
};

// `body(env, i)` on three reactors in three threads, each in an empty directory of its own.
template <class F>
void in_three_threads(F body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kMembers; ++i)
    threads.emplace_back([i, &body] {
      auto reactor = must(runtime::Reactor::create());
      reactor->run(body(reactor->env(), i));
    });
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kMembers; ++i) std::filesystem::remove_all(fmt::format("{}/{}", directory, i));
}

struct Measured {
  double per_second = 0;
  double cpu_us = 0;
};

// What three threads count while `meeting` is closed.
class Count {
 public:
  void begin() {
    if (begun_++ == 0) cpu_ = cpu_seconds();
  }
  void end(u64 done) {
    done_ += done;
    if (++ended_ == kMembers) cpu_ = cpu_seconds() - cpu_;
  }
  Measured measured(u64 each) const {
    const double done = static_cast<double>(done_) / static_cast<double>(each);
    return {done / seconds(time_per_line), cpu_ * 1e6 / std::max(1.0, done)};
  }

 private:
  std::atomic<int> begun_ = 0, ended_ = 0;
  std::atomic<u64> done_ = 0;
  double cpu_ = 0;
};

void report(std::string_view what, const Load& load, Measured m, double log_alone) {
  fmt::print("{:<12} {:>5} x {:>5} B in flight {:>9.0f} commits/s {:>8.1f} MB/s {:>8.2f} us cpu each", what,
             load.in_flight, load.bytes, m.per_second, m.per_second * static_cast<double>(load.bytes) / 1e6,
             m.cpu_us);
  if (log_alone != 0) fmt::print("   {:.2f} of the bare log", m.per_second / log_alone);
  fmt::print("\n");
  std::fflush(stdout);
}

// The bare log ---------------------------------------------------------------------------------------------

Task<void> append(store::Log& log, Buffer record) {
  const u32 file = log.current_file();
  std::vector<Buffer> content;
  content.push_back(std::move(record));
  must(co_await log.append(std::move(content)).result());
  if (log.current_file() != file) must(co_await log.remove_file(file).result());
}

Task<void> append_until(Env& env, store::Log& log, Buffer record, u64 commands, runtime::Instant end,
                        u64& done) {
  for (; env.now() < end; done += commands) co_await append(log, record);
}

Task<void> log_alone(Env& env, int member, Load load, Meeting& meeting, Count& count) {
  const std::string where = fmt::format("{}/{}", directory, member);
  store::Replay nothing{[](store::LogPosition, const Buffer&) {}, [](store::LogPosition, std::string) {}};
  store::LogOptions options;
  options.file_bytes = kFileBytes;
  auto log = must(co_await store::Log::open(env, where, 0x48434e42, options, nothing).result());
  const std::size_t at_once = std::min<std::size_t>(2, load.in_flight);
  const Buffer record = Buffer::zeros(load.in_flight / at_once * load.bytes);
  const Buffer filling = Buffer::zeros(1_MiB);
  while (log->current_file() < kFilesFirst) co_await append(*log, filling);
  co_await meeting.meet(env);
  count.begin();
  u64 done = 0;
  std::vector<Task<void>> appenders;
  for (std::size_t i = 0; i < at_once; ++i)
    appenders.push_back(
        append_until(env, *log, record, load.in_flight / at_once, env.now() + time_per_line, done));
  co_await runtime::join_all(env.executor(), std::move(appenders));
  count.end(done);
  co_await meeting.meet(env);
  co_await log->stop();
}

double measure_log(const Load& load) {
  Meeting meeting;
  Count count;
  in_three_threads([&](Env& env, int i) { return log_alone(env, i, load, meeting, count); });
  // A command that commits is in all three logs.
  const Measured measured = count.measured(kMembers);
  report("bare log", load, measured, 0);
  return measured.per_second;
}

// Raft -----------------------------------------------------------------------------------------------------

class CountingMachine final : public raft::StateMachine {
 public:
  std::vector<Buffer> apply(const std::vector<raft::Committed>& entries) override {
    applied_ = entries.back().index;
    term_ = entries.back().term;
    return std::vector<Buffer>(entries.size());
  }
  LogIndex applied() const override { return applied_; }
  Term applied_term() const override { return term_; }
  LogIndex durable() const override { return applied_; }
  Result<std::unique_ptr<raft::SnapshotSource>> snapshot() override { return refuse(); }
  Result<void> begin_install() override { return refuse(); }
  Result<void> install(const Buffer&) override { return refuse(); }
  Task<Result<void>> finish_install(LogIndex, Term) override { co_return refuse(); }
  void on_leadership(bool leader, Term) override { leads_ = leader; }
  bool leads() const { return leads_; }

 private:
  static std::unexpected<Error> refuse() { return fail(Errc::unsupported, "this machine has no snapshots"); }
  LogIndex applied_{};
  Term term_{};
  bool leads_ = false;
};

struct Cluster {
  Load load;
  std::array<std::string, kMembers> addresses;
  Meeting meeting;
  Count count;
  u64 heap_in_use = 0;  // once every group is silent; 0: not asked for
  std::atomic<int> silent = 0;
};

struct Member {
  Member(Env& on, int i, Cluster& of) : env(on), index(i), cluster(of) {}
  Env& env;
  const int index;
  Cluster& cluster;
  net::MethodTable methods;
  std::unique_ptr<net::Client> client;
  std::unique_ptr<net::Server> server;
  std::vector<std::unique_ptr<CountingMachine>> machines;
  std::unique_ptr<raft::Host> host;
  u64 done = 0;
};

Task<void> start(Member& m) {
  const auto id = [](int i) { return NodeId{static_cast<u16>(i + 1)}; };
  const net::Identity self{.cluster = {}, .node = id(m.index), .secret = "s"};
  m.client = net::Client::create(m.env, self, &m.methods);
  raft::HostOptions options;
  options.self = self.node;
  options.log_directory = fmt::format("{}/{}", directory, m.index);
  options.log_file_bytes = kFileBytes;
  options.log_keep_bytes = 2 * kFileBytes;
  options.quiesce_after = 1s;
  std::function<std::string(NodeId)> addresses = [&m](NodeId node) {
    return m.cluster.addresses[node.value - 1u];
  };
  m.host = must(co_await raft::Host::open(m.env, *m.client, m.methods, options, addresses).result());
  for (int g = 0; g < m.cluster.load.groups; ++g) {
    m.machines.push_back(std::make_unique<CountingMachine>());
    must(m.host->add_group(ShardId{static_cast<u16>(g)}, {id(0), id(1), id(2)}, *m.machines.back()));
  }
  m.server = must(net::Server::start(m.env, "127.0.0.1:0", self, m.methods));
  m.cluster.addresses[static_cast<std::size_t>(m.index)] = m.server->address();
  co_await m.cluster.meeting.meet(m.env);
  m.host->start();
  for (bool led = false; !led; co_await m.env.executor().sleep(20ms)) {
    const std::vector<ShardId> groups = m.host->groups();
    led = std::all_of(groups.begin(), groups.end(), [&](ShardId group) {
      const raft::GroupStatus status = m.host->status(group);
      return status.leader_hint.has_value() && status.applied.value != 0;
    });
  }
  co_await m.cluster.meeting.meet(m.env);
}

Task<void> stop(Member& m) {
  co_await m.cluster.meeting.meet(m.env);
  co_await m.server->stop();
  co_await m.host->stop();
  co_await m.client->stop();
}

// All three logs, by the leader of group 0.
Task<void> fill(Member& m, Buffer command, u64& left) {
  while (m.machines[0]->leads() && left > command.size()) {
    left -= command.size();
    (void)co_await m.host->propose(ShardId{0}, command).result();
  }
}

Task<void> fill_logs(Member& m) {
  u64 left = kFilesFirst * kFileBytes;
  std::vector<Task<void>> clients;
  for (int i = 0; i < 16; ++i) clients.push_back(fill(m, Buffer::zeros(64_KiB), left));
  co_await runtime::join_all(m.env.executor(), std::move(clients));
}

Task<void> propose_while_leading(Member& m, ShardId group, Buffer command, runtime::Instant end) {
  while (m.env.now() < end) {
    const Result<Buffer> reply = co_await m.host->propose(group, command).result();
    if (!reply) co_return;
    m.done += m.env.now() < end;
  }
}

// Leadership may move to where it is preferred, or because the machine stalls.
Task<void> use_group(Member& m, std::size_t group, std::size_t at_once, runtime::Instant end) {
  const Buffer command = Buffer::zeros(m.cluster.load.bytes);
  while (m.env.now() < end) {
    std::vector<Task<void>> clients;
    for (std::size_t i = 0; m.machines[group]->leads() && i < at_once; ++i)
      clients.push_back(propose_while_leading(m, ShardId{static_cast<u16>(group)}, command, end));
    co_await runtime::join_all(m.env.executor(), std::move(clients));
    co_await m.env.executor().sleep(50ms);
  }
}

Task<void> commit(Env& env, int index, Cluster& cluster) {
  Member m(env, index, cluster);
  co_await start(m);
  co_await fill_logs(m);
  co_await cluster.meeting.meet(env);
  const Load& load = cluster.load;
  const runtime::Instant end = env.now() + time_per_line;
  cluster.count.begin();
  std::vector<Task<void>> users;
  for (std::size_t g = 0; g < m.machines.size(); ++g)
    users.push_back(use_group(m, g, std::max<std::size_t>(1, load.in_flight / m.machines.size()), end));
  co_await runtime::join_all(env.executor(), std::move(users));
  cluster.count.end(m.done);
  co_await stop(m);
}

double measure_raft(const Load& load, double log_alone) {
  Cluster cluster;
  cluster.load = load;
  in_three_threads([&](Env& env, int i) { return commit(env, i, cluster); });
  const Measured measured = cluster.count.measured(1);
  report(fmt::format("{} group{}", load.groups, load.groups == 1 ? "" : "s"), load, measured, log_alone);
  return measured.per_second;
}

// Memory ---------------------------------------------------------------------------------------------------

Task<void> fall_silent(Env& env, int index, Cluster& cluster) {
  Member m(env, index, cluster);
  co_await start(m);
  for (bool silent = false; !silent; co_await env.executor().sleep(50ms)) {
    const std::vector<ShardId> groups = m.host->groups();
    silent = std::all_of(groups.begin(), groups.end(),
                         [&](ShardId group) { return m.host->status(group).quiescent; });
  }
  co_await cluster.meeting.meet(env);
  if (index == 0) {
    const auto heap = ::mallinfo2();
    cluster.heap_in_use = heap.uordblks + heap.hblkhd;
  }
  co_await stop(m);
}

double heap_of(int groups) {
  Cluster cluster;
  cluster.load.groups = groups;
  in_three_threads([&](Env& env, int i) { return fall_silent(env, i, cluster); });
  return static_cast<double>(cluster.heap_in_use);
}

// The round trip -------------------------------------------------------------------------------------------

struct Ping {
  static constexpr u16 kMethod = 1;
  using Reply = net::Empty;
  static auto fields(auto&) { return std::tie(); }
};
Task<Result<net::TypedReply<net::Empty>>> pong() { co_return net::TypedReply<net::Empty>{}; }

// Member 0 asks member 1; member 2 is idle.
Task<void> ask(Env& env, int index, Cluster& cluster) {
  Member m(env, index, cluster);
  const net::Identity self{.cluster = {}, .node = NodeId{static_cast<u16>(index + 1)}, .secret = "s"};
  m.methods.on<Ping>([](Ping, net::Request) { return pong(); });
  m.client = net::Client::create(env, self);
  m.server = must(net::Server::start(env, "127.0.0.1:0", self, m.methods));
  cluster.addresses[static_cast<std::size_t>(index)] = m.server->address();
  co_await cluster.meeting.meet(env);
  const Buffer payload = Buffer::zeros(cluster.load.bytes);
  const runtime::Instant end = env.now() + time_per_line;
  cluster.count.begin();
  for (; index == 0 && env.now() < end; ++m.done)
    must(co_await net::call(*m.client, cluster.addresses[1], Ping(), 30s, payload).result());
  cluster.count.end(m.done);
  co_await cluster.meeting.meet(env);
  co_await m.client->stop();
  co_await m.server->stop();
}

double measure_round_trips(std::size_t bytes) {
  Cluster cluster;
  cluster.load.bytes = bytes;
  in_three_threads([&](Env& env, int i) { return ask(env, i, cluster); });
  return cluster.count.measured(1).per_second;
}

void one_at_a_time() {
  const Load one;
  const double flushes = measure_log(one);
  const double trips = measure_round_trips(one.bytes);
  const double limit = 1 / (1 / flushes + 1 / trips);
  fmt::print("a flush takes {:.0f} us, an RPC with {} B {:.0f} us; one after the other {:.0f} a second\n",
             1e6 / flushes, one.bytes, 1e6 / trips, limit);
  const double commits = measure_raft(one, flushes);
  fmt::print("that is {:.2f} of flush and round trip\n", commits / limit);
}

void many_at_once(std::size_t in_flight, std::size_t bytes) {
  const double log = measure_log({.groups = 1, .in_flight = in_flight, .bytes = bytes});
  for (const int groups : {1, 256})
    measure_raft({.groups = groups, .in_flight = in_flight, .bytes = bytes}, log);
}

}  // namespace

int main(int argc, char** argv) {
  log::set_level(log::Level::warn);  // connections end: no news
  if (argc > 1) time_per_line = Duration(static_cast<i64>(std::stod(argv[1]) * 1e9));
  if (argc > 2) directory = argv[2];
  directory += "/bench-raft-XXXXXX";
  CFS_CHECK(::mkdtemp(directory.data()) != nullptr);
  one_at_a_time();
  many_at_once(256, 256);
  many_at_once(1024, 256);
  many_at_once(256, 16_KiB);
  const double few = heap_of(64), many = heap_of(1024);
  fmt::print("an idle group takes {:.1f} KiB of a member's memory\n",
             (many - few) / (1024 - 64) / kMembers / 1024);
  std::filesystem::remove_all(directory);
}
