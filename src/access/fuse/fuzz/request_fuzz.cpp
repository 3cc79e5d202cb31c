// Any packet is taken apart or refused; nothing is read outside it, and what comes out is inside it.
#include "access/fuse/detail/negotiate.h"
#include "access/fuse/detail/request.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace claudefs;
  using namespace claudefs::access::fuse;
  const Buffer packet = Buffer::copy_of(ByteSpan(reinterpret_cast<const std::byte*>(data), size));
  fuse_in_header header{};
  const Result<detail::Request> request = detail::parse_request(packet, header);
  if (!request) return 0;
  std::size_t used = sizeof(fuse_in_header) + request->fixed.size() + request->data.size();
  for (const std::string& name : request->names) used += name.size() + 1;
  CFS_CHECK(used <= size);
  (void)request->as<fuse_setattr_in>();
  if (request->opcode() == FUSE_INIT) (void)detail::negotiate(request->as<fuse_init_in>(), {});
  return 0;
}
