#include "base/mutant.h"
#include "meta/acl.h"
#include "meta/detail/fragments.h"
#include "meta/detail/keys.h"
#include "meta/detail/locks.h"
#include "meta/detail/namespace.h"
#include "meta/detail/permission.h"
#include "meta/ops/ops.h"

namespace claudefs::meta {

CFS_DEFINE_MUTANT(meta_permission_acl_leaves_mode, "meta: setting an access list does not change the mode");

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

u32 flag_of(std::string_view name) {
  if (name == kAccessAcl) return kHasAccessAcl;
  if (name == kDefaultAcl) return kHasDefaultAcl;
  return name == kCapability ? u32{kHasCapability} : 0;
}

// What a list means for its inode. True when it is to be stored: one that says no more than the mode is not.
Result<bool> take_acl(Inode& inode, const SetXattr& op) {
  TRY_ASSIGN(const Acl acl, Acl::parse(op.value.text()));
  if (op.name == kDefaultAcl) {
    if (inode.type != FileType::directory && !acl.empty())
      return fail(Errc::access_denied, "only directories hand on access control lists");
    return !acl.empty();
  }
  if (acl.empty()) return false;
  if (!CFS_MUTANT(meta_permission_acl_leaves_mode)) inode.mode = acl.apply_to(inode.mode);
  if (!is_root(op.caller) && !is_member(op.caller, inode.gid)) inode.mode &= static_cast<u16>(~02000);
  return !acl.is_minimal();
}

bool is_list(std::string_view name) { return name == kAccessAcl || name == kDefaultAcl; }

Plan<Nothing> plan_lists(const ReadContext& context, const Inode& before, Newborn to, Time now) {
  return {parts_to_set(context, before, std::move(to), std::nullopt, std::nullopt, now),
          [](const After&) { return Nothing{}; },
          {}};
}

Result<Nothing> set_acl(ApplyContext& context, Inode inode, const SetXattr& op) {
  TRY_ASSIGN(const bool kept, take_acl(inode, op));
  const u32 flag = flag_of(op.name);
  std::string key = xattr_key(inode.id, op.name);
  if (kept) {
    inode.flags |= flag;
    context.put(std::move(key), std::string(op.value.text()));
  } else {
    inode.flags &= ~flag;
    context.remove(std::move(key));
  }
  store_inode(context, inode);
  return Nothing{};
}

}  // namespace

Result<XattrReply> read_xattr(const ReadContext& context, const GetXattr& op) {
  TRY(check_free(context, inode_lock(op.inode), true));  // a directory just made may not be here yet
  TRY_ASSIGN(const Inode inode, load_inode(context, op.inode));
  TRY(check_xattr_read(context, inode, op.caller, op.name));
  std::optional<std::string> value = context.get(xattr_key(op.inode, op.name));
  if (!value) return fail(Errc::no_data);
  return XattrReply{Buffer::adopt(std::move(*value))};
}

Result<ListXattrsReply> read_xattr_names(const ReadContext& context, const ListXattrs& op) {
  TRY(check_free(context, inode_lock(op.inode), true));
  TRY(load_inode(context, op.inode));
  ListXattrsReply reply{names_of(context, op.inode)};
  if (!is_root(op.caller))
    std::erase_if(reply.names, [](const std::string& name) { return name.starts_with("trusted."); });
  return reply;
}

Result<Nothing> apply_set_xattr(ApplyContext& context, const SetXattr& op) {
  TRY(check_xattr_name(op.name));
  if (op.value.size() > kValueMax) return fail(Errc::too_big);
  TRY_ASSIGN(Inode inode, load_to_change(context, op.inode));
  TRY(check_xattr_change(context, inode, op.caller, op.name));
  if (is_list(op.name) && is_split(inode)) return fail(Errc::cross_device, "its fragments follow");
  if (is_list(op.name)) return set_acl(context, std::move(inode), op);
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
  inode.flags |= flag_of(op.name);
  store_inode(context, inode);
  return Nothing{};
}

Result<Nothing> apply_remove_xattr(ApplyContext& context, const RemoveXattr& op) {
  TRY_ASSIGN(Inode inode, load_to_change(context, op.inode));
  TRY(check_xattr_removal(context, inode, op.caller, op.name));
  if (is_list(op.name) && is_split(inode)) return fail(Errc::cross_device, "its fragments follow");
  std::string key = xattr_key(op.inode, op.name);
  // Going back to the mode always works.
  if (!is_list(op.name) && !context.get(key)) return fail(Errc::no_data);
  context.remove(std::move(key));
  inode.flags &= ~flag_of(op.name);
  store_inode(context, inode);
  return Nothing{};
}

Result<Plan<Nothing>> plan_set_list(const ReadContext& context, const SetXattr& op, Time now) {
  TRY(check_free(context, inode_lock(op.inode), false));
  TRY_ASSIGN(const Inode before, load_directory(context, op.inode));
  TRY(check_xattr_change(context, before, op.caller, op.name));
  Newborn to = with_lists(context, before);
  TRY_ASSIGN(const bool kept, take_acl(to.inode, op));
  const u32 flag = flag_of(op.name);
  to.inode.flags = kept ? to.inode.flags | flag : to.inode.flags & ~flag;
  (op.name == kAccessAcl ? to.access_acl : to.default_acl) = kept ? std::string(op.value.text()) : "";
  return plan_lists(context, before, std::move(to), now);
}

Result<Plan<Nothing>> plan_remove_list(const ReadContext& context, const RemoveXattr& op, Time now) {
  TRY(check_free(context, inode_lock(op.inode), false));
  TRY_ASSIGN(const Inode before, load_directory(context, op.inode));
  TRY(check_xattr_removal(context, before, op.caller, op.name));
  Newborn to = with_lists(context, before);
  to.inode.flags &= ~flag_of(op.name);
  (op.name == kAccessAcl ? to.access_acl : to.default_acl).clear();
  return plan_lists(context, before, std::move(to), now);
}

}  // namespace claudefs::meta
