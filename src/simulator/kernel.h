// A client machine's kernel as far as content goes: pages and attributes that it keeps between a program and
// the file system, by the rules of Linux' FUSE with FUSE_AUTO_INVAL_DATA. What the oracle judges is what a
// program gets from it.
#pragma once

#include <map>

#include "client/file_system.h"
#include "sim/node.h"

namespace claudefs::simulator {

class Kernel final : public client::KernelCaches {
 public:
  template <class T>
  using Task = runtime::Task<T>;

  // Without `keeps` every call goes through. Both outlive it, and it what runs on the machine.
  Kernel(sim::Node& machine, client::FileSystem& files, bool keeps);

  Task<Result<client::HandleId>> open(InodeId inode, client::OpenFlags flags);
  Task<Result<Buffer>> read(client::HandleId handle, InodeId inode, u64 offset, u64 length);
  Task<Result<void>> write(client::HandleId handle, InodeId inode, u64 offset, Buffer data);
  Task<Result<client::Inode>> get_attributes(InodeId inode);
  Task<Result<client::Inode>> truncate(InodeId inode, u64 size);
  Task<Result<void>> allocate(client::HandleId handle, InodeId inode, client::AllocateRequest request);
  // A name's answer brings attributes.
  Task<Result<client::Inode>> lookup(InodeId parent, std::string name);

  void forget_attributes(InodeId inode) override;
  Task<void> forget_content(InodeId inode) override;
  Task<void> forget_name(InodeId parent, std::string name) override;  // names are asked for each time

 private:
  struct File {
    std::map<u64, Buffer> pages;  // by number; whole, zeros behind the end
    client::Inode attributes;
    runtime::Instant valid_until{};
    u64 version = 0;  // on `clock_`: answers to what was asked before are not believed
    u64 drops = 0;    // of pages: what was being read then is not kept
  };
  void distrust(File& file) {
    file.version = ++clock_;
    file.valid_until = {};
  }
  static void drop_pages(File& file) {
    ++file.drops;
    file.pages.clear();
  }
  void take(u64 asked, const client::Inode& inode);
  static Buffer from_pages(const File& file, u64 offset, u64 end);

  sim::Node& machine_;
  client::FileSystem& files_;
  const bool keeps_;
  sim::RandomStream random_;
  std::map<InodeId, File> known_;
  u64 clock_ = 0;
};

}  // namespace claudefs::simulator
