#include "runtime/reactor.h"

#include "runtime/detail/disk.h"
#include "runtime/detail/network.h"
#include "runtime/detail/offload_pool.h"
#include "runtime/detail/packet_channel.h"
#include "runtime/detail/signal_watch.h"
#include "runtime/detail/system_random.h"
#include "runtime/detail/uring_loop.h"

namespace claudefs::runtime {
namespace {

Task<void> run_to_end(Task<void> main, bool& done) {
  co_await std::move(main);
  done = true;
}

class UringReactor final : public Reactor, private Env {
 public:
  UringReactor(std::unique_ptr<detail::UringLoop> loop, unsigned offload_threads)
      : loop_(std::move(loop)),
        pool_(*loop_, offload_threads),
        network_(*loop_, pool_),
        disk_(*loop_, pool_) {}

  Env& env() override { return *this; }
  void run(Task<void> main) override {
    bool done = false;
    Scope scope(*loop_);
    scope.spawn(run_to_end(std::move(main), done));
    loop_->run_until(done);
  }
  void on_signal(std::function<void(int)> handler) override {
    signals_.reset();
    if (handler) signals_ = std::make_unique<detail::SignalWatch>(*loop_, std::move(handler));
  }
  std::unique_ptr<PacketDevice> packet_device(int descriptor) override {
    return std::make_unique<detail::PacketChannel>(*loop_, detail::Descriptor(descriptor));
  }

 private:
  Executor& executor() override { return *loop_; }
  Random& random() override { return random_; }
  Offload& offload() override { return pool_; }
  Network& network() override { return network_; }
  Disk& disk() override { return disk_; }

  std::unique_ptr<detail::UringLoop> loop_;
  detail::SystemRandom random_;
  detail::OffloadPool pool_;
  detail::UringNetwork network_;
  detail::UringDisk disk_;
  std::unique_ptr<detail::SignalWatch> signals_;
};

}  // namespace

Result<std::unique_ptr<Reactor>> Reactor::create(ReactorOptions options) {
  TRY_ASSIGN(auto loop, detail::UringLoop::create(options.queue_entries));
  return std::unique_ptr<Reactor>(new UringReactor(std::move(loop), options.offload_threads));
}

}  // namespace claudefs::runtime
