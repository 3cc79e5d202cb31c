// One open file.
#pragma once

#include "runtime/detail/descriptor.h"
#include "runtime/detail/uring_loop.h"
#include "runtime/env.h"

namespace claudefs::runtime::detail {

class UringFile final : public File {
 public:
  UringFile(UringLoop& loop, Offload& offload, Descriptor file, std::string path)
      : state_(new State{loop, offload, std::move(file), std::move(path), {}, false}) {}
  Task<Result<std::size_t>> read_at(u64 offset, MutableByteSpan into) override;
  Task<Result<void>> write_at(u64 offset, std::vector<Buffer> pieces) override;
  Task<Result<void>> flush() override;
  Task<Result<void>> write_durably_at(u64 offset, std::vector<Buffer> pieces) override;
  Task<Result<void>> allocate(u64 size) override;
  Task<Result<void>> truncate(u64 size) override;
  Task<Result<u64>> size() override;

 private:
  // Shared with the tasks under way, so that the descriptor outlives them.
  struct State {
    UringLoop& loop;
    Offload& offload;
    Descriptor file;
    std::string path;
    Descriptor direct;  // the same file, past the page cache
    bool direct_tried = false;
  };
  using Shared = std::shared_ptr<State>;
  static Task<Result<std::size_t>> do_read(Shared state, u64 offset, MutableByteSpan into);
  static Task<Result<void>> write_plainly(Shared state, u64 offset, std::vector<Buffer> pieces);
  static Task<Result<std::size_t>> write_past_cache(Shared state, u64 offset, std::vector<Buffer> pieces);
  // But for the `begun` bytes of the beginning, which are written.
  static Task<Result<void>> do_write(Shared state, u64 offset, std::vector<Buffer> pieces, int flags,
                                     std::size_t begun = 0);
  static Task<Result<void>> write_durably(Shared state, u64 offset, std::vector<Buffer> pieces);
  static Task<void> open_direct(Shared state);
  static Task<Result<void>> do_flush(Shared state);
  static Task<Result<void>> do_allocate(Shared state, u64 size);
  static Task<Result<void>> do_truncate(Shared state, u64 size);
  static Task<Result<u64>> do_size(Shared state);
  Shared state_;
};

}  // namespace claudefs::runtime::detail
