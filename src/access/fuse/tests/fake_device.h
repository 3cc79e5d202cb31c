// The kernel's side of a FUSE device, played by a test.
#pragma once

#include <linux/fuse.h>

#include <deque>
#include <map>
#include <string>

#include "runtime/env.h"
#include "runtime/sync.h"

namespace claudefs::access::fuse::testing {

struct Answer {
  int error = 0;  // negative errno, as the kernel gets it
  std::string body;
  template <class T>
  T as(std::size_t at = 0) const {
    T out{};
    if (body.size() >= at + sizeof(T)) std::memcpy(&out, body.data() + at, sizeof(T));
    return out;
  }
};

// Shared by the test and by the device that the session owns.
struct Wire {
  explicit Wire(runtime::Executor& at) : executor(at), arrived(at) {}
  runtime::Executor& executor;
  std::deque<std::string> requests;
  std::map<u64, Answer> answers;  // by unique
  std::vector<Answer> notices;    // `error` is the code
  runtime::Duration notice_takes{0};
  bool closed = false;
  runtime::Condition arrived;

  void post(std::string packet) {
    requests.push_back(std::move(packet));
    arrived.notify_one();
  }
  void unmount() {
    closed = true;
    arrived.notify_all();
  }
};

class FakeDevice final : public runtime::PacketDevice {
 public:
  explicit FakeDevice(Wire& wire) : wire_(wire) {}
  runtime::Task<Result<std::size_t>> read(MutableByteSpan into) override {
    while (wire_.requests.empty() && !wire_.closed) co_await wire_.arrived.wait();
    if (wire_.closed) co_return fail(Errc::connection_lost, "unmounted");
    const std::string packet = std::move(wire_.requests.front());
    wire_.requests.pop_front();
    CFS_CHECK(packet.size() <= into.size());
    std::memcpy(into.data(), packet.data(), packet.size());
    co_return packet.size();
  }
  runtime::Task<Result<void>> write(std::vector<Buffer> pieces) override {
    std::string whole;
    for (const Buffer& piece : pieces) whole += piece.text();
    fuse_out_header header{};
    CFS_CHECK(whole.size() >= sizeof(header));
    std::memcpy(&header, whole.data(), sizeof(header));
    CFS_CHECK(header.len == whole.size());
    if (header.unique == 0) {
      if (wire_.notice_takes.count() != 0) co_await wire_.executor.sleep(wire_.notice_takes);
      wire_.notices.push_back({header.error, whole.substr(sizeof(header))});
      co_return Result<void>();
    }
    CFS_CHECK(!wire_.answers.contains(header.unique));
    wire_.answers[header.unique] = Answer{header.error, whole.substr(sizeof(header))};
    co_return Result<void>();
  }
  void close() override { wire_.unmount(); }

 private:
  Wire& wire_;
};

}  // namespace claudefs::access::fuse::testing
