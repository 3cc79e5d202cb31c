// jemalloc, for the executables that are linked with it: what their `malloc_conf` cannot say.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" __attribute__((weak)) int mallctl(const char* name, void* old, std::size_t* old_length,
                                             void* fresh, std::size_t fresh_length) noexcept;

namespace claudefs {

// jemalloc gives freed extents of 8 MiB and more back at once, whatever `dirty_decay_ms` says, and neighbours
// that are free grow together to such: megabyte buffers that come and go are mapped and faulted anew each
// time. `oversize_threshold:0` switches that off, but the first arena is made before it is read.
// Call it first thing in main().
inline void keep_large_extents() {
  if (mallctl == nullptr) return;  // another heap: sanitizers
  std::size_t never = SIZE_MAX;
  (void)mallctl("arena.0.oversize_threshold", nullptr, nullptr, &never, sizeof(never));
}

// The thread that gives freed pages back while nothing goes on does not live on in the child of a fork().
inline void give_back_in_background() {
  if (mallctl == nullptr) return;
  bool on = true;
  (void)mallctl("background_thread", nullptr, nullptr, &on, sizeof(on));
}

}  // namespace claudefs
