// Bytes of one file that were written and not yet committed: ranges that never overlap; the newest write
// wins.
//
// Written Buffers are kept as they are (shared); a run of small appends is gathered in a growing block.
#pragma once

#include <map>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"

namespace claudefs::client {

class DirtySet {
 public:
  struct Piece {
    u64 offset = 0;
    Buffer data;
  };
  struct Run {  // pieces without a gap
    u64 offset = 0;
    u64 length = 0;
  };

  void write(u64 offset, Buffer data);
  void erase(u64 offset, u64 length);
  void truncate(u64 size) { erase(size, UINT64_MAX - size); }
  void clear();
  // Takes what `older` has where this one has nothing.
  void absorb_below(DirtySet older);

  bool empty() const { return pieces_.empty(); }
  u64 bytes() const { return bytes_; }
  u64 end() const;  // behind the last byte; 0 when empty
  // Where the last write ended: the place at which a stream goes on.
  u64 last_write_end() const { return last_write_end_; }
  // Slices of what lies in the range, ascending.
  std::vector<Piece> in(u64 offset, u64 length) const;
  std::vector<Run> runs() const;
  // Requires that the range lies within one run. Copies only what is in several pieces.
  Buffer gather(u64 offset, u64 length) const;

 private:
  struct Block {
    Buffer data;
    std::size_t used = 0;  // the rest of `data` is room that nobody else sees
    Buffer view() const { return data.slice(0, used); }
  };
  bool append(u64 offset, const Buffer& data);

  std::map<u64, Block> pieces_;
  u64 bytes_ = 0;
  u64 last_write_end_ = 0;
};

}  // namespace claudefs::client
