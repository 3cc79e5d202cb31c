// What a kernel keeps of this file system beside us, and how to make it forget. Implemented by an access
// protocol; the library calls it when a lease is given back.
#pragma once

#include <string>

#include "base/ids.h"
#include "runtime/task.h"

namespace claudefs::client {

class KernelCaches {
 public:
  virtual ~KernelCaches() = default;
  // At once: the next look at the attributes asks us.
  virtual void forget_attributes(InodeId inode) = 0;
  // Pages too; dirty ones come as writes before it ends. May wait for requests of this inode under way.
  virtual runtime::Task<void> forget_content(InodeId inode) = 0;
  // The next use of the name asks us. May wait for requests of the directory under way.
  virtual runtime::Task<void> forget_name(InodeId parent, std::string name) = 0;
};

}  // namespace claudefs::client
