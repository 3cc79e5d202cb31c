// A few operations on a small, known tree, for tests that try everything that can happen around them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace claudefs::simulator {

struct Step {
  enum class What : u8 {
    create,
    make_directory,
    remove_directory,
    symlink,
    link,  // path gets the name `other`
    unlink,
    rename,  // path to `other`
    exchange,
    set_mode,
    set_xattr,
    remove_xattr,
    wait,  // twelve seconds, in which segments are sealed and stores write checkpoints
    write,
    truncate,  // to `offset`
    punch_hole,
    zero_range,
    reserve,
    copy,  // the range of `path` to the same range of `other`
    sync,
    close,
  };
  What what{};
  std::string path;
  std::string other;
  u64 offset = 0, length = 0;  // multiples of 8
  u64 content = 0;             // of a write: equal ones are equal bytes; 0: never seen before
};
using Script = std::vector<Step>;

// The tree that all begin with: /a with a file f of 24 KiB, one s of 1 KiB; /b with a file g of 320 KiB and
// an empty directory e.
Script setup_script();

// An operation and, where it has one, its persistence point (fsync).
struct NamedScript {
  std::string_view name;
  Script steps;
};
const std::vector<NamedScript>& operation_scripts();

}  // namespace claudefs::simulator
