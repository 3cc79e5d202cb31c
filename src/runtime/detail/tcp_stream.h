// One TCP connection.
#pragma once

#include "runtime/detail/descriptor.h"
#include "runtime/detail/uring_loop.h"
#include "runtime/env.h"

namespace claudefs::runtime::detail {

class TcpStream final : public Stream {
 public:
  TcpStream(UringLoop& loop, Descriptor socket, std::string peer);
  ~TcpStream() override { close(); }
  Task<Result<std::size_t>> read(MutableByteSpan into) override;
  Task<Result<void>> write(std::vector<Buffer> pieces) override;
  void close() override;
  std::string peer() const override;

 private:
  // Shared with the tasks under way: they end after the stream, with connection_lost.
  struct State {
    UringLoop& loop;
    Descriptor socket;
    std::string peer;
    bool closed = false;
  };
  static Task<Result<std::size_t>> read_from(std::shared_ptr<State> state, MutableByteSpan into);
  static Task<Result<void>> write_to(std::shared_ptr<State> state, std::vector<Buffer> pieces);
  std::shared_ptr<State> state_;
};

}  // namespace claudefs::runtime::detail
