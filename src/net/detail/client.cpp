#include "net/detail/peer.h"

namespace claudefs::net {
namespace {

using runtime::Task;

class ClientImpl final : public Client {
 public:
  explicit ClientImpl(std::shared_ptr<detail::Context> context)
      : context_(std::move(context)), handlers_(context_->env.executor()) {
    dials_.emplace(context_->env.executor());
  }
  ~ClientImpl() override {
    for (const auto& [address, peer] : peers_) peer->stop(true);
  }
  Stats stats() const override { return context_->stats; }

  Task<Result<Reply>> call(std::string address, u16 method, Buffer body, Buffer payload,
                           runtime::Duration timeout) override {
    const runtime::Instant deadline = detail::deadline_after(context_->env.executor(), timeout);
    const std::shared_ptr<detail::Peer>& peer = peer_of(address);
    if (peer->is_open())
      return detail::Connection::call_until(peer->connection(), method, std::move(body), std::move(payload),
                                            deadline);
    return detail::Peer::call_until(peer, method, std::move(body), std::move(payload), deadline);
  }

  Task<Result<void>> send(std::string address, u16 method, Buffer body, runtime::Duration timeout) override {
    const runtime::Instant deadline = detail::deadline_after(context_->env.executor(), timeout);
    const std::shared_ptr<detail::Peer>& peer = peer_of(address);
    if (peer->is_open())
      return detail::Connection::send_until(peer->connection(), method, std::move(body), deadline);
    return detail::Peer::send_until(peer, method, std::move(body), deadline);
  }

  Task<void> stop() override {
    handlers_.stop_accepting();
    for (const auto& [address, peer] : peers_) peer->stop(false);
    // Dropped, not joined: a dial to a silent host would keep us for its whole time limit.
    dials_.reset();
    co_await handlers_.join();
  }

 private:
  const std::shared_ptr<detail::Peer>& peer_of(const std::string& address) {
    std::shared_ptr<detail::Peer>& peer = peers_[address];
    if (!peer) {
      peer = std::make_shared<detail::Peer>(context_, address, dials_ ? &*dials_ : nullptr, handlers_);
    }
    return peer;
  }

  std::shared_ptr<detail::Context> context_;
  std::map<std::string, std::shared_ptr<detail::Peer>> peers_;
  std::optional<runtime::Scope> dials_;  // none once stopped
  runtime::Scope handlers_;
};

}  // namespace

std::unique_ptr<Client> Client::create(runtime::Env& env, Identity self, const MethodTable* methods,
                                       Limits limits) {
  return std::make_unique<ClientImpl>(std::make_shared<detail::Context>(detail::Context{
      .env = env, .self = std::move(self), .methods = methods, .limits = limits, .stats = {}}));
}

}  // namespace claudefs::net
