#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {
namespace {

constexpr std::size_t kValueMax = 64 << 10;  // Linux' own limits
constexpr std::size_t kListMax = 64 << 10;

Result<void> check_xattr_name(std::string_view name) {
  if (name.size() > 255) return fail(Errc::out_of_range);
  if (name.empty() || name.find('\0') != name.npos) return fail(Errc::invalid_argument);
  return {};
}

std::vector<std::string> names_of(const ReadContext& context, InodeId inode) {
  std::vector<std::string> names;
  const std::string prefix = xattrs_key(inode);
  context.scan(prefix, prefix, [&](std::string_view key, std::string_view) {
    names.emplace_back(key.substr(prefix.size()));
    return true;
  });
  return names;
}

Result<Inode> load_to_change(ApplyContext& context, InodeId id) {
  TRY(check_free(context, inode_lock(id), false));
  TRY_ASSIGN(Inode inode, load_inode(context, id));
  inode.changed = std::max(inode.changed, context.now());
  return inode;
}

}  // namespace

Result<XattrReply> read_xattr(const ReadContext& context, const GetXattr& op) {
  TRY(check_free(context, inode_lock(op.inode), true));  // a directory just made may not be here yet
  TRY(load_inode(context, op.inode));
  std::optional<std::string> value = context.get(xattr_key(op.inode, op.name));
  if (!value) return fail(Errc::no_data);
  return XattrReply{Buffer::adopt(std::move(*value))};
}

Result<ListXattrsReply> read_xattr_names(const ReadContext& context, const ListXattrs& op) {
  TRY(check_free(context, inode_lock(op.inode), true));
  TRY(load_inode(context, op.inode));
  return ListXattrsReply{names_of(context, op.inode)};
}

Result<Nothing> apply_set_xattr(ApplyContext& context, const SetXattr& op) {
  TRY(check_xattr_name(op.name));
  if (op.value.size() > kValueMax) return fail(Errc::too_big);
  TRY_ASSIGN(const Inode inode, load_to_change(context, op.inode));
  const std::string key = xattr_key(op.inode, op.name);
  const bool there = context.get(key).has_value();
  if (there && op.mode == XattrMode::create) return fail(Errc::exists);
  if (!there && op.mode == XattrMode::replace) return fail(Errc::no_data);
  if (!there) {
    std::size_t bytes = op.name.size() + 1;
    for (const std::string& name : names_of(context, op.inode)) bytes += name.size() + 1;
    if (bytes > kListMax)
      return fail(Errc::no_space, "the names of its extended attributes would exceed 64 KiB");
  }
  context.put(key, std::string(op.value.text()));
  store_inode(context, inode);
  return Nothing{};
}

Result<Nothing> apply_remove_xattr(ApplyContext& context, const RemoveXattr& op) {
  TRY_ASSIGN(const Inode inode, load_to_change(context, op.inode));
  std::string key = xattr_key(op.inode, op.name);
  if (!context.get(key)) return fail(Errc::no_data);
  context.remove(std::move(key));
  store_inode(context, inode);
  return Nothing{};
}

}  // namespace claudefs::meta
