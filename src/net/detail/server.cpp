#include "base/log.h"
#include "net/detail/connection.h"

namespace claudefs::net {
namespace {

using runtime::Task;
using namespace std::chrono_literals;

class ServerImpl final : public Server {
 public:
  ServerImpl(std::shared_ptr<detail::Context> context, std::unique_ptr<runtime::Listener> listener)
      : context_(std::move(context)),
        listener_(std::move(listener)),
        scope_(context_->env.executor()),
        handlers_(context_->env.executor()) {
    scope_.spawn(accept_loop());
  }
  ~ServerImpl() override {
    for (const auto& [id, connection] : connections_) connection->abandon();
    listener_->close();
  }
  std::string address() const override { return listener_->address(); }
  std::size_t connections() const override { return context_->stats.connections_open; }
  Stats stats() const override { return context_->stats; }

  Task<void> stop() override {
    stopping_ = true;
    listener_->close();
    handlers_.stop_accepting();
    for (const auto& [id, connection] : connections_)
      connection->close({Errc::connection_lost, "this process is shutting down"});
    co_await scope_.join();
    co_await handlers_.join();
  }

 private:
  Task<void> accept_loop() {
    while (!stopping_) {
      Result<std::unique_ptr<runtime::Stream>> stream = co_await listener_->accept();
      if (stopping_) break;
      if (!stream) {
        // Out of descriptors, mostly: closing others helps, and trying at once again would not.
        log::warn("net", "accept failed", {log::kv("error", stream.error().to_string())});
        co_await context_->env.executor().sleep(100ms);
        continue;
      }
      scope_.spawn(attend(std::make_shared<detail::Connection>(context_, std::move(*stream),
                                                               detail::Side::server, handlers_)));
    }
  }
  Task<void> attend(std::shared_ptr<detail::Connection> connection) {
    const u64 id = ++last_connection_;
    connections_.emplace(id, connection);
    Result<void> opened = co_await connection->open();
    if (!opened) log::warn("net", "hello failed", {log::kv("error", opened.error().to_string())});
    co_await connection->ended();
    connections_.erase(id);
  }

  std::shared_ptr<detail::Context> context_;
  std::unique_ptr<runtime::Listener> listener_;
  bool stopping_ = false;
  u64 last_connection_ = 0;
  std::map<u64, std::shared_ptr<detail::Connection>> connections_;  // in the order in which they came
  runtime::Scope scope_;
  runtime::Scope handlers_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(runtime::Env& env, std::string address, Identity self,
                                              const MethodTable& methods, Limits limits) {
  TRY_ASSIGN(auto listener, env.network().listen(std::move(address)));
  auto context = std::make_shared<detail::Context>(detail::Context{
      .env = env, .self = std::move(self), .methods = &methods, .limits = limits, .stats = {}});
  return std::make_unique<ServerImpl>(std::move(context), std::move(listener));
}

}  // namespace claudefs::net
