// A packet of the kernel, taken apart: pure, and safe on any bytes.
//
// Every request is a header, a fixed struct, then names that end in NUL, then data; the shape table says
// how much of each an opcode has.
#pragma once

#include <linux/fuse.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/result.h"

namespace claudefs::access::fuse::detail {

struct Shape {
  u32 opcode;
  std::string_view name;
  u32 fixed;       // bytes of the struct that a 7.28 kernel sends at least
  u32 names;       // NUL-terminated, after the struct
  u32 fixed_full;  // bytes of the struct as far as we know it; 0: like `fixed`
};
const Shape* find_shape(u32 opcode);

struct Request {
  fuse_in_header header{};
  InodeId inode{};               // what it is about: Context::inode_of
  const Shape* shape = nullptr;  // null: an opcode we do not know
  Buffer fixed;
  std::vector<std::string> names;
  Buffer data;

  u32 opcode() const { return header.opcode; }
  InodeId node() const { return inode; }
  // The fixed struct; what the kernel did not send is zero.
  template <class T>
  T as() const {
    T out{};
    if (!fixed.empty()) std::memcpy(&out, fixed.data(), std::min(sizeof(T), fixed.size()));
    return out;
  }
};

// Errors: invalid_argument with what is wrong. When the header itself is readable `header` is set all the
// same, so that the caller can answer.
Result<Request> parse_request(const Buffer& packet, fuse_in_header& header);

}  // namespace claudefs::access::fuse::detail
