// One connection: a reader, a writer, the calls under way in both directions.
//
// The reader and the writer run on the connection's own Scope and never own it; handlers run on the scope
// of the Server or Client and share it, as do the frames of callers. So the last owner is never a frame
// that the connection's destructor would destroy.
#pragma once

#include "net/detail/call_table.h"
#include "net/detail/frame_reader.h"
#include "net/detail/handshake.h"
#include "net/detail/send_queue.h"
#include "net/rpc.h"
#include "net/stats.h"

namespace claudefs::net::detail {

// What all connections of a Server or Client share.
struct Context {
  runtime::Env& env;
  Identity self;
  const MethodTable* methods;  // may be null: then nothing is answered
  Limits limits;
  Stats stats;
};

// A time-out so long that it is none gives never().
inline runtime::Instant deadline_after(runtime::Executor& executor, runtime::Duration timeout) {
  constexpr runtime::Duration kEndless = std::chrono::hours(24 * 365);
  return timeout >= kEndless ? runtime::Instant::never() : executor.now() + timeout;
}

class Connection final : public Channel, public std::enable_shared_from_this<Connection> {
 public:
  // `handlers`: where requests of the peer run.
  Connection(std::shared_ptr<Context> context, std::unique_ptr<runtime::Stream> stream, Side side,
             runtime::Scope& handlers);
  ~Connection() override;

  // Exchanges hellos, then starts to read and write. On an error the connection is closed.
  runtime::Task<Result<void>> open();
  bool is_open() const { return state_ == State::open; }
  // Ends when the connection is closed and nothing of it runs any more.
  runtime::Task<void> ended();
  // Every call under way fails with `why`. The first reason stays.
  void close(Error why);
  // Closes, and answers no more requests: for an owner that goes away.
  void abandon();
  const Error& closed_why() const { return why_; }
  NodeId peer() const { return peer_; }

  // Fails with unavailable when it was surely not sent. The caller's frame shares the connection.
  static runtime::Task<Result<Reply>> call_until(std::shared_ptr<Connection> self, u16 method, Buffer body,
                                                 Buffer payload, runtime::Instant deadline);
  runtime::Task<Result<Reply>> call(u16 method, Buffer body, Buffer payload,
                                    runtime::Duration timeout) override;
  // One way: ends when it is queued.
  static runtime::Task<Result<void>> send_until(std::shared_ptr<Connection> self, u16 method, Buffer body,
                                                runtime::Instant deadline);

 private:
  enum class State : u8 { hello, open, closed };
  // Closes a connection whose peer does not speak.
  struct Watch final : runtime::TimerNode {
    explicit Watch(Connection& c) : of(c) {}
    void fire() override { of.watch(); }
    Connection& of;
  };

  runtime::Task<Result<void>> hello_as_client();
  runtime::Task<Result<void>> hello_as_server();
  runtime::Task<Result<Frame>> read_hello(u16 step);
  runtime::Task<Result<void>> write_hello(u16 step, Buffer body);
  runtime::Task<void> refuse(Error why);

  runtime::Task<void> read_loop();
  runtime::Task<void> write_loop();
  void dispatch(Frame frame);
  void answer_call(const Frame& frame, Result<Reply> answer);
  void start_handler(Frame frame);
  static runtime::Task<void> serve(std::shared_ptr<Connection> self, const MethodTable::Handler* handler,
                                   u64 call, Request request);
  void send(FrameType type, u64 call, u16 method, u32 deadline_ms, const Buffer& body, const Buffer& payload);
  void send_error(u64 call, u16 method, const Error& error);
  bool crowded() const { return queue_.waiting_bytes() >= context_->limits.queued_bytes; }
  void arm_watch(runtime::Duration in);
  void watch();

  std::shared_ptr<Context> context_;
  runtime::Executor& executor_;
  std::unique_ptr<runtime::Stream> stream_;
  Side side_;
  State state_ = State::hello;
  Error why_;
  NodeId peer_{};
  runtime::Scope* handlers_;
  FrameReader reader_;
  SendQueue queue_;
  CallTable calls_;
  std::size_t serving_ = 0;
  bool heard_ = false;  // since the watch last fired
  unsigned silent_ticks_ = 0;
  Watch watch_;
  runtime::Condition wake_writer_;
  runtime::Condition room_;  // the queue has room again, or the connection is closed
  runtime::Condition closed_;
  runtime::Scope io_;  // last: its frames go first
};

}  // namespace claudefs::net::detail
