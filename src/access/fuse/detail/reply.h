// What a handler answers.
#pragma once

#include <type_traits>
#include <vector>

#include "access/fuse/detail/directory_places.h"
#include "base/buffer.h"
#include "base/ids.h"
#include "client/types.h"

namespace claudefs::access::fuse::detail {

struct Reply {
  std::vector<Buffer> pieces;  // after the out header
  int error = 0;               // an errno that no Errc stands for; then `pieces` is empty
  bool silent = false;         // the kernel expects no answer

  // What the kernel holds once it has the answer; taken back when the answer cannot be given any more.
  std::vector<InodeId> looked_up;
  std::vector<std::pair<InodeId, u32>> flags;          // meta::InodeFlag of inodes in it
  std::vector<std::pair<InodeId, Place>> directories;  // that are in it, by name
  client::HandleId opened_file{};
  client::HandleId opened_directory{};

  static Reply with_error(int number) {
    Reply reply;
    reply.error = number;
    return reply;
  }
  template <class T>
  static Reply of(const T& answer) {
    Reply reply;
    reply.add(answer);
    return reply;
  }
  template <class T>
  void add(const T& answer) {
    static_assert(std::is_trivially_copyable_v<T>);
    pieces.push_back(Buffer::copy_of(ByteSpan(reinterpret_cast<const std::byte*>(&answer), sizeof(answer))));
  }
};

}  // namespace claudefs::access::fuse::detail
