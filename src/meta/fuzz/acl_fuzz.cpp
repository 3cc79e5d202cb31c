// Any bytes are a list or refused; a list survives being written and read, and answers every question.
#include <cstdint>

#include "base/check.h"
#include "meta/acl.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace claudefs;
  using namespace claudefs::meta;
  Result<Acl> acl = Acl::parse(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!acl || acl->empty()) return 0;
  const std::string written = acl->format();
  CFS_CHECK(Acl::parse(written)->format() == written);
  Inode inode;
  inode.uid = 1;
  inode.gid = 2;
  for (u32 uid = 0; uid < 4; ++uid)
    for (Access want = 0; want < 8; ++want) (void)acl->allows(inode, Caller{uid, uid, {2, 3}}, want);
  const u16 mode = acl->narrow(0640);
  CFS_CHECK((mode & ~0640) == 0);
  acl->follow(0751);
  CFS_CHECK(acl->apply_to(0) == 0751);
  return 0;
}
