// RPC over loopback next to bare blocking sockets on the same machine: calls a second and GB a second.
// Server and client have a thread and a reactor each. Usage: bench_rpc [seconds per line]
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "base/check.h"
#include "net/rpc.h"
#include "runtime/reactor.h"

using namespace claudefs;
using runtime::Task;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

double seconds_per_line = 2;
double since(Clock::time_point began) { return std::chrono::duration<double>(Clock::now() - began).count(); }
double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto of = [](timeval t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return of(used.ru_utime) + of(used.ru_stime);
}
void report(std::string_view what, u64 calls, u64 bytes, double seconds, double cpu) {
  fmt::print("{:<44} {:>10.0f} calls/s {:>8.2f} GB/s {:>8.2f} us cpu/call\n", what,
             static_cast<double>(calls) / seconds, static_cast<double>(bytes) / seconds / 1e9,
             cpu * 1e6 / static_cast<double>(calls));
  std::fflush(stdout);
}

// Bare sockets ---------------------------------------------------------------------------------------------

void exchange_all(int socket, std::byte* data, std::size_t size, bool sends) {
  while (size != 0) {
    const ssize_t n = sends ? ::send(socket, data, size, 0) : ::recv(socket, data, size, 0);
    if (n <= 0) return;
    data += n;
    size -= static_cast<std::size_t>(n);
  }
}
void bare(std::string_view what, std::size_t request, std::size_t answer) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  CFS_CHECK(::bind(listener, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
            ::listen(listener, 1) == 0);
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  CFS_CHECK(::connect(client, reinterpret_cast<sockaddr*>(&address), length) == 0);
  const int server = ::accept(listener, nullptr, nullptr);
  const int one = 1;
  for (int s : {client, server}) ::setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  std::atomic<bool> stop = false;
  std::thread echo([&] {
    std::vector<std::byte> data(std::max(request, answer));
    while (!stop) {
      exchange_all(server, data.data(), request, false);
      exchange_all(server, data.data(), answer, true);
    }
  });
  std::vector<std::byte> data(std::max(request, answer));
  const auto began = Clock::now();
  const double cpu = cpu_seconds();
  u64 calls = 0;
  for (; since(began) < seconds_per_line; ++calls) {
    exchange_all(client, data.data(), request, true);
    exchange_all(client, data.data(), answer, false);
  }
  report(what, calls, calls * (request + answer), since(began), cpu_seconds() - cpu);
  stop = true;
  ::shutdown(client, SHUT_RDWR);
  echo.join();
  for (int s : {client, server, listener}) ::close(s);
}

// RPC ------------------------------------------------------------------------------------------------------

struct Ping {
  static constexpr u16 kMethod = 1;
  struct Reply {
    u64 number = 0;
    static auto fields(auto& self) { return std::tie(self.number); }
  };
  u64 number = 0;
  u64 answer_bytes = 0;
  static auto fields(auto& self) { return std::tie(self.number, self.answer_bytes); }
};

Task<Result<net::TypedReply<Ping::Reply>>> pong(Ping ping, const Buffer* bulk) {
  co_return net::TypedReply<Ping::Reply>{{ping.number}, bulk->slice(0, ping.answer_bytes)};
}
Task<void> serve(runtime::Env& env, std::promise<std::pair<std::string, std::function<void()>>>& ready) {
  const Buffer bulk = Buffer::zeros(8u << 20);
  net::MethodTable methods;
  methods.on<Ping>([&bulk](Ping ping, net::Request) { return pong(ping, &bulk); });
  auto server =
      net::Server::start(env, "127.0.0.1:0", {.cluster = {}, .node = NodeId{1}, .secret = "s"}, methods);
  CFS_CHECK(server.has_value());
  runtime::Event stop(env.executor());
  runtime::Executor& executor = env.executor();
  ready.set_value({(*server)->address(), [&] { executor.post_remote([&] { stop.set(); }); }});
  co_await stop.wait();
  co_await (*server)->stop();
}

struct Load {
  std::size_t concurrency;
  std::size_t request_bytes;
  std::size_t answer_bytes;
};
Task<void> caller(net::Client& client, const std::string& address, Load load, Buffer bulk,
                  Clock::time_point began, u64& calls) {
  while (since(began) < seconds_per_line) {
    auto reply = co_await net::call(client, address, Ping{calls, load.answer_bytes}, 30s, bulk);
    CFS_CHECK(reply.has_value());
    CFS_CHECK(reply->payload.size() == load.answer_bytes);
    ++calls;
  }
}
Task<void> measure(runtime::Env& env, const std::string& address, std::string_view what, Load load) {
  auto client = net::Client::create(env, {.cluster = {}, .node = NodeId{}, .secret = "s"});
  const Buffer bulk = Buffer::zeros(load.request_bytes);
  u64 calls = 0;
  const auto began = Clock::now();
  const double cpu = cpu_seconds();
  std::vector<Task<void>> callers;
  for (std::size_t i = 0; i < load.concurrency; ++i)
    callers.push_back(caller(*client, address, load, bulk, began, calls));
  co_await runtime::join_all(env.executor(), std::move(callers));
  report(what, calls, calls * (load.request_bytes + load.answer_bytes), since(began), cpu_seconds() - cpu);
  co_await client->stop();
}
Task<void> measure_all(runtime::Env& env, const std::string& address) {
  co_await measure(env, address, "rpc, 1 call at a time", {1, 0, 0});
  co_await measure(env, address, "rpc, 16 calls", {16, 0, 0});
  co_await measure(env, address, "rpc, 256 calls", {256, 0, 0});
  co_await measure(env, address, "rpc, 4 KiB answers, 32 calls", {32, 0, 4096});
  co_await measure(env, address, "rpc, 1 MiB requests, 1 call at a time", {1, 1u << 20, 0});
  co_await measure(env, address, "rpc, 1 MiB requests, 8 calls", {8, 1u << 20, 0});
  co_await measure(env, address, "rpc, 1 MiB answers, 8 calls", {8, 0, 1u << 20});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) seconds_per_line = std::stod(argv[1]);
  bare("bare sockets, 64 bytes each way", 64, 64);
  bare("bare sockets, 1 MiB there, 64 bytes back", 1u << 20, 64);
  std::promise<std::pair<std::string, std::function<void()>>> ready;
  std::thread server([&] {
    auto reactor = runtime::Reactor::create();
    CFS_CHECK(reactor.has_value());
    (*reactor)->run(serve((*reactor)->env(), ready));
  });
  const auto [address, stop] = ready.get_future().get();
  auto reactor = runtime::Reactor::create();
  CFS_CHECK(reactor.has_value());
  (*reactor)->run(measure_all((*reactor)->env(), address));
  stop();
  server.join();
}
