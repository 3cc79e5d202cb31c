#include "meta/tests/namespace_model.h"

#include <gtest/gtest.h>

namespace claudefs::meta::testing {
namespace {
constexpr FileType kDirectory = FileType::directory;

template <class T>
Errc code_of(const Result<T>& result) {
  return result ? Errc::ok : result.error().code;
}
}  // namespace

InodeId NamespaceModel::find(InodeId parent, const std::string& name) const {
  const auto& children = nodes.at(parent).children;
  const auto at = children.find(name);
  return at == children.end() ? InodeId{} : at->second;
}
bool NamespaceModel::contains(InodeId directory, InodeId below) const {
  for (;; below = nodes.at(below).parent) {
    if (below == directory) return true;
    if (below == kRootInode) return false;
  }
}
void NamespaceModel::drop_link(InodeId inode) {
  if (--nodes.at(inode).nlink == 0) nodes.erase(inode);
}

Errc NamespaceModel::make(InodeId parent, const std::string& name) {
  if (!nodes.contains(parent)) return Errc::stale;
  return find(parent, name) == InodeId{} ? Errc::ok : Errc::exists;
}
void NamespaceModel::made(InodeId parent, const std::string& name, const Inode& inode) {
  nodes.at(parent).children[name] = inode.id;
  if (inode.type == kDirectory) ++nodes.at(parent).nlink;
  nodes[inode.id] = {inode.type, inode.type == kDirectory ? 2u : 1u, parent, {}};
  ++inodes;
}
Errc NamespaceModel::unlink(InodeId parent, const std::string& name, bool to_trash) {
  if (!nodes.contains(parent)) return Errc::stale;
  const InodeId inode = find(parent, name);
  if (inode == InodeId{}) return Errc::not_found;
  if (nodes.at(inode).type == kDirectory) return Errc::is_directory;
  nodes.at(parent).children.erase(name);
  if (to_trash && nodes.at(inode).nlink == 1) trash[inode] = {nodes.at(inode).type, parent, name};
  drop_link(inode);
  return Errc::ok;
}
Errc NamespaceModel::remove_directory(InodeId parent, const std::string& name) {
  if (!nodes.contains(parent)) return Errc::stale;
  const InodeId inode = find(parent, name);
  if (inode == InodeId{}) return Errc::not_found;
  if (nodes.at(inode).type != kDirectory) return Errc::not_directory;
  if (!nodes.at(inode).children.empty()) return Errc::not_empty;
  nodes.at(parent).children.erase(name);
  --nodes.at(parent).nlink;
  nodes.erase(inode);
  --inodes;
  return Errc::ok;
}
Errc NamespaceModel::link(InodeId inode, InodeId parent, const std::string& name) {
  if (!nodes.contains(parent) || !nodes.contains(inode)) return Errc::stale;
  if (find(parent, name) != InodeId{}) return Errc::exists;
  if (nodes.at(inode).type == kDirectory) return Errc::not_permitted;
  ++nodes.at(inode).nlink;
  nodes.at(parent).children[name] = inode;
  return Errc::ok;
}
Errc NamespaceModel::restore(InodeId inode, InodeId parent, const std::string& name) {
  if (!trash.contains(inode)) return Errc::not_found;
  if (!nodes.contains(parent)) return Errc::stale;
  if (find(parent, name) != InodeId{}) return Errc::exists;
  nodes[inode] = {trash.at(inode).type, 1, parent, {}};
  nodes.at(parent).children[name] = inode;
  trash.erase(inode);
  return Errc::ok;
}
Errc NamespaceModel::rename(const Rename& op) {
  if (!nodes.contains(op.old_parent) || !nodes.contains(op.new_parent)) return Errc::stale;
  const InodeId moved = find(op.old_parent, op.old_name);
  const InodeId target = find(op.new_parent, op.new_name);
  if (moved == InodeId{}) return Errc::not_found;
  const bool exchange = op.mode == RenameMode::exchange;
  if (exchange && target == InodeId{}) return Errc::not_found;
  const bool is_dir = nodes.at(moved).type == kDirectory;
  const bool target_is_dir = target != InodeId{} && nodes.at(target).type == kDirectory;
  if (target != InodeId{} && op.mode == RenameMode::no_replace) return Errc::exists;
  if (target != InodeId{} && !exchange) {
    if (is_dir && !target_is_dir) return Errc::not_directory;
    if (!is_dir && target_is_dir) return Errc::is_directory;
  }
  if (moved == target) return Errc::ok;
  if (op.old_parent != op.new_parent) {
    if (is_dir && contains(moved, op.new_parent)) return Errc::would_loop;
    if (exchange && target_is_dir && contains(target, op.old_parent)) return Errc::would_loop;
  }
  Node& from = nodes.at(op.old_parent);
  Node& to = nodes.at(op.new_parent);
  if (!exchange && target_is_dir && !nodes.at(target).children.empty()) return Errc::not_empty;
  if (is_dir) --from.nlink;
  if (target_is_dir) --to.nlink;
  if (is_dir) ++to.nlink, nodes.at(moved).parent = op.new_parent;
  if (exchange && target_is_dir) ++from.nlink, nodes.at(target).parent = op.old_parent;
  from.children.erase(op.old_name);
  to.children[op.new_name] = moved;
  if (exchange) {
    from.children[op.old_name] = target;
  } else if (target_is_dir) {
    nodes.erase(target);
    --inodes;
  } else if (target != InodeId{}) {
    drop_link(target);
  }
  return Errc::ok;
}

void NamespaceWalk::compare(Errc expected, Errc actual, const char* what) {
  ++seen[actual];
  ASSERT_EQ(name_of(expected), name_of(actual)) << what;
}

InodeId NamespaceWalk::any_directory() {
  if (!removed_.empty() && random_.between(0, 40) == 0)
    return removed_[random_.between(0, removed_.size() - 1)];
  std::vector<InodeId> all;
  for (const auto& [id, node] : model.nodes)
    if (node.type == kDirectory) all.push_back(id);
  return all[random_.between(0, all.size() - 1)];
}
InodeId NamespaceWalk::any_file() {
  auto at = model.nodes.begin();
  std::advance(at, random_.between(0, model.nodes.size() - 1));
  return at->first;
}

void NamespaceWalk::create() {
  Create op{any_directory(), any_name(), FileType::regular, 0644, 0, {}, {}};
  const Errc expected = model.make(op.parent, op.name);
  const auto actual = system_.call(op.parent.shard(), op);
  compare(expected, code_of(actual), "create");
  if (actual) model.made(op.parent, op.name, actual->inode);
}
void NamespaceWalk::make_directory() {
  MakeDirectory op{any_directory(), any_name(), 0755, {}};
  const Errc expected = model.make(op.parent, op.name);
  const auto actual = system_.call(op.parent.shard(), op);
  compare(expected, code_of(actual), "make_directory");
  if (actual) model.made(op.parent, op.name, actual->inode);
}
void NamespaceWalk::unlink() {
  Unlink op{any_directory(), any_name(), {}, {}};
  op.to_trash = random_.coin();
  const Errc expected = model.unlink(op.parent, op.name, op.to_trash);
  const auto actual = system_.call(op.parent.shard(), op);
  compare(expected, code_of(actual), "unlink");
  if (!actual) return;
  const auto left = model.nodes.find(actual->inode);
  ASSERT_EQ(actual->nlink, left == model.nodes.end() ? 0 : left->second.nlink);
  ASSERT_EQ(actual->in_trash, model.trash.contains(actual->inode));
}
void NamespaceWalk::remove_directory() {
  RemoveDirectory op{any_directory(), any_name(), {}};
  const Errc expected = model.remove_directory(op.parent, op.name);
  const auto actual = system_.call(op.parent.shard(), op);
  compare(expected, code_of(actual), "remove_directory");
  if (actual) removed_.push_back(actual->inode);
}
void NamespaceWalk::link() {
  Link op{any_file(), any_directory(), any_name(), {}};
  const Errc expected = model.link(op.inode, op.new_parent, op.new_name);
  const auto actual = system_.call(op.new_parent.shard(), op);
  compare(expected, code_of(actual), "link");
  if (actual) ASSERT_EQ(actual->inode.nlink, model.nodes.at(op.inode).nlink);
}
void NamespaceWalk::rename() {
  Rename op{any_directory(), any_name(), any_directory(), any_name(), RenameMode{}, {}, {}};
  op.mode = static_cast<RenameMode>(random_.between(0, 2));
  const std::size_t before = model.nodes.size();
  const Errc expected = model.rename(op);
  const auto actual = system_.call(op.old_parent.shard(), op);
  compare(expected, code_of(actual), "rename");
  if (actual && model.nodes.size() < before) ASSERT_EQ(actual->replaced_nlink, 0u);
}

void NamespaceWalk::restore() {
  RestoreFile op{any_file(), any_directory(), any_name(), {}};
  if (!model.trash.empty() && random_.between(0, 3) != 0) {
    auto at = model.trash.begin();
    std::advance(at, random_.between(0, model.trash.size() - 1));
    op.inode = at->first;
  }
  const Errc expected = model.restore(op.inode, op.new_parent, op.new_name);
  const auto actual = system_.call(op.new_parent.shard(), op);
  // Which of two things that are wrong is told depends on the shards they are in.
  if (expected == Errc::ok || actual)
    compare(expected, code_of(actual), "restore");
  else
    ++seen[actual.error().code];
  if (actual) ASSERT_EQ(actual->inode.nlink, 1u);
}

void NamespaceWalk::step() {
  const u64 dice = random_.between(0, 99);
  if (dice < 25)
    create();
  else if (dice < 45)
    make_directory();
  else if (dice < 55)
    unlink();
  else if (dice < 65)
    remove_directory();
  else if (dice < 73)
    link();
  else if (dice < 79)
    restore();
  else
    rename();
}

void NamespaceWalk::check_directory(InodeId id) {
  const auto& node = model.nodes.at(id);
  std::map<std::string, InodeId> found;
  u64 cookie = 0;
  for (bool end = false; !end;) {
    const auto page = system_.call(id.shard(), ReadDirectory{id, cookie, 2, true});
    ASSERT_TRUE(page) << page.error().to_string();
    ASSERT_EQ(page->parent, node.parent);
    for (const auto& entry : page->entries) {
      ASSERT_GT(entry.cookie, cookie);
      ASSERT_LT(entry.cookie, u64{1} << 63);
      cookie = entry.cookie;
      found[entry.dentry.name] = entry.dentry.inode;
      ASSERT_EQ(entry.dentry.type, model.nodes.at(entry.dentry.inode).type);
      ASSERT_EQ(entry.inode.has_value(), entry.dentry.inode.shard() == id.shard());
    }
    end = page->end;
  }
  ASSERT_EQ(found, node.children);
}

void NamespaceWalk::check_trash() {
  std::map<InodeId, NamespaceModel::InTrash> found;
  u64 counted = 0;
  for (u16 shard = 0; shard < system_.shard_count(); ++shard) {
    TrashPlace after;
    for (bool end = false; !end;) {
      const auto page = system_.call(ShardId{shard}, ListTrash{after, 3, {}});
      ASSERT_TRUE(page);
      for (const auto& row : page->rows) found[row.inode.id] = {row.inode.type, row.parent, row.name};
      after = page->next;
      end = page->end;
    }
    counted += system_.call(ShardId{shard}, ShardUsage{})->trashed_inodes;
  }
  ASSERT_EQ(found, model.trash);
  ASSERT_EQ(counted, model.trash.size());
}

void NamespaceWalk::check_tree() {
  check_trash();
  for (const auto& [id, node] : model.nodes) {
    const auto actual = system_.call(id.shard(), GetAttributes{id});
    ASSERT_TRUE(actual) << actual.error().to_string();
    ASSERT_EQ(actual->inode.nlink, node.nlink) << id.value;
    ASSERT_EQ(actual->inode.type, node.type);
    if (node.type != kDirectory) continue;
    ASSERT_EQ(actual->inode.size, node.children.size());
    ASSERT_EQ(id == kRootInode ? kRootInode : actual->inode.parent, node.parent);
    check_directory(id);
    for (const auto& [name, child] : node.children) {
      const auto looked = system_.call(id.shard(), Lookup{id, name});
      ASSERT_TRUE(looked);
      ASSERT_EQ(looked->inode.id, child);
      ASSERT_EQ(looked->inode.type == FileType::none, child.shard() != id.shard());
    }
  }
}

}  // namespace claudefs::meta::testing
