#include "data/detail/compute.h"

#include <algorithm>

namespace claudefs::data {

constexpr u64 kInPlaceBytes = 32_KiB;  // below, the hop to another thread costs more than the work
constexpr u64 kPartBytes = 512_KiB;
constexpr u64 kPartsMax = 4;

runtime::Task<void> compute(runtime::Env& env, std::size_t count, u64 bytes,
                            std::function<void(std::size_t)> work) {
  if (bytes < kInPlaceBytes) {
    for (std::size_t i = 0; i < count; ++i) work(i);
    co_return;
  }
  auto shared = std::make_shared<const std::function<void(std::size_t)>>(std::move(work));
  const u64 parts = std::clamp<u64>(bytes / kPartBytes, 1, std::min<u64>(kPartsMax, std::max<u64>(count, 1)));
  std::vector<runtime::Task<void>> tasks;
  for (u64 part = 0; part < parts; ++part) {
    const std::size_t first = count * part / parts, end = count * (part + 1) / parts;
    tasks.push_back(env.offload().run([shared, first, end] {
      for (std::size_t i = first; i < end; ++i) (*shared)(i);
    }));
  }
  if (tasks.size() == 1)
    co_await std::move(tasks.front());
  else
    co_await runtime::join_all(env.executor(), std::move(tasks));
}

}  // namespace claudefs::data
