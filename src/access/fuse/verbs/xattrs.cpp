#include <sys/xattr.h>

#include "access/fuse/verbs/verbs.h"

namespace claudefs::access::fuse::verbs {
namespace {

constexpr u64 kValueMax = 64 << 10;  // XATTR_SIZE_MAX of Linux

constexpr std::string_view kAccessAcl = "system.posix_acl_access";
constexpr std::string_view kDefaultAcl = "system.posix_acl_default";

bool is_acl(std::string_view name) { return name == kAccessAcl || name == kDefaultAcl; }
// In system.* there are the access control lists and nothing else.
bool is_supported(std::string_view name) { return !name.starts_with("system.") || is_acl(name); }

// The kernel asks for lists at every check of a permission: what it was told of the inode says that there is
// none.
bool surely_has_none(const Context& context, InodeId inode, std::string_view name) {
  if (!is_acl(name)) return false;
  std::optional<u32> flags = context.fs.flags_under_lease(inode);
  if (!flags) flags = context.lookups.flags_of(inode, context.env.now());
  return flags && (*flags & (name == kAccessAcl ? meta::kHasAccessAcl : meta::kHasDefaultAcl)) == 0;
}

// Size 0 asks how much room is needed.
Result<Reply> sized(u32 room, Buffer value) {
  if (room == 0) {
    fuse_getxattr_out out{};
    out.size = static_cast<u32>(value.size());
    return Reply::of(out);
  }
  if (value.size() > room) return fail(Errc::out_of_range, "the value is longer than the buffer");
  Reply reply;
  reply.pieces.push_back(std::move(value));
  return reply;
}

}  // namespace

Task<Result<Reply>> setxattr(Context& context, Request request) {
  const auto in = request.as<fuse_setxattr_in>();
  if (!is_supported(request.names[0])) co_return fail(Errc::unsupported, request.names[0]);
  if (in.size > kValueMax) co_return fail(Errc::too_big, "xattr value");
  if (request.data.size() < in.size)
    co_return fail(Errc::invalid_argument, "setxattr: less data than announced");
  meta::XattrMode mode = meta::XattrMode::set;
  if ((in.flags & XATTR_CREATE) != 0) mode = meta::XattrMode::create;
  if ((in.flags & XATTR_REPLACE) != 0) mode = meta::XattrMode::replace;
  Buffer value = Buffer::copy_of(request.data.span().first(in.size));
  client::Caller caller = caller_of(context, request);
  co_await context.fs.set_xattr(request.node(), std::move(request.names[0]), std::move(value), mode,
                                std::move(caller));
  context.lookups.forget_flags(request.node());
  co_return Reply{};
}

Task<Result<Reply>> getxattr(Context& context, Request request) {
  if (!is_supported(request.names[0])) co_return fail(Errc::unsupported, request.names[0]);
  if (surely_has_none(context, request.node(), request.names[0])) co_return fail(Errc::no_data);
  client::Caller caller = caller_of(context, request);
  Buffer value =
      co_await context.fs.get_xattr(request.node(), std::move(request.names[0]), std::move(caller));
  co_return sized(request.as<fuse_getxattr_in>().size, std::move(value));
}

Task<Result<Reply>> listxattr(Context& context, Request request) {
  const std::vector<std::string> names =
      co_await context.fs.list_xattrs(request.node(), caller_of(context, request));
  std::string all;
  for (const std::string& name : names) {
    all += name;
    all += '\0';
  }
  co_return sized(request.as<fuse_getxattr_in>().size, Buffer::adopt(std::move(all)));
}

Task<Result<Reply>> removexattr(Context& context, Request request) {
  if (!is_supported(request.names[0])) co_return fail(Errc::unsupported, request.names[0]);
  client::Caller caller = caller_of(context, request);
  co_await context.fs.remove_xattr(request.node(), std::move(request.names[0]), std::move(caller));
  context.lookups.forget_flags(request.node());
  co_return Reply{};
}

}  // namespace claudefs::access::fuse::verbs
