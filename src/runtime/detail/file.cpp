#include "runtime/env.h"

namespace claudefs::runtime {

Task<Result<void>> File::write_durably_at(u64 offset, std::vector<Buffer> pieces) {
  co_await write_at(offset, std::move(pieces));
  co_await flush();
  co_return Result<void>();
}

}  // namespace claudefs::runtime
