#include "simulator/namespace_model.h"

#include <algorithm>
#include <bit>

#include "meta/names.h"

namespace claudefs::simulator {

using meta::FileType;

namespace {
// Of a listing that shows one range of cookies at a moment: a split directory has several.
std::size_t count_covered(const Prediction& predicted, const Outcome& seen) {
  return static_cast<std::size_t>(std::ranges::count_if(predicted.entries, [&](const auto& entry) {
    const u64 cookie = meta::cookie_of(entry.first);
    return cookie >= seen.covers_from && cookie < seen.covers_to;
  }));
}

Prediction failed(Errc code) {
  Prediction out;
  out.code = code;
  return out;
}
}  // namespace

Model::Model(u16 shard_count, bool trash, InodeId root_id) : shard_count_(shard_count), trash_(trash) {
  Inode root;
  root.type = FileType::directory;
  root.mode = 0755;
  inodes_[0] = std::make_shared<const Inode>(std::move(root));
  ids_[0] = root_id;
}

bool Model::operator==(const Model& other) const {
  const auto same = [](const std::map<Symbol, Shared>& mine, const std::map<Symbol, Shared>& others) {
    return std::equal(mine.begin(), mine.end(), others.begin(), others.end(),
                      [](const auto& a, const auto& b) {
                        return a.first == b.first && (a.second == b.second || *a.second == *b.second);
                      });
  };
  return ids_ == other.ids_ && same(inodes_, other.inodes_) && same(trashed_, other.trashed_);
}

u64 Model::fingerprint() const {
  u64 out = 0;
  const auto mix = [&out](u64 value) { out = (std::rotl(out, 23) ^ value) * 0x9E3779B97F4A7C15; };
  const std::hash<std::string> hash;
  for (const std::map<Symbol, Shared>* all : {&inodes_, &trashed_}) {
    mix(all->size());
    for (const auto& [symbol, inode] : *all) {
      mix(symbol << 32 | u64{inode->nlink} << 16 | inode->mode);
      for (const auto& [name, child] : inode->entries) mix(hash(name) + child);
      for (const auto& [name, value] : inode->xattrs) mix(hash(name) ^ hash(value));
    }
  }
  for (const auto& [symbol, id] : ids_) mix(symbol ^ id.value);
  return out;
}

std::size_t Model::entries() const {
  std::size_t out = 0;
  for (const auto& [symbol, inode] : inodes_) out += inode->entries.size();
  return out;
}

const Model::Inode* Model::find(Symbol symbol) const {
  const auto at = inodes_.find(symbol);
  return at == inodes_.end() ? nullptr : at->second.get();
}
const Model::Inode* Model::find_any(Symbol symbol) const {
  const auto at = trashed_.find(symbol);
  return at == trashed_.end() ? find(symbol) : at->second.get();
}
Model::Inode& Model::change(Symbol symbol) {
  const auto in_trash = trashed_.find(symbol);
  Shared& slot = in_trash != trashed_.end() ? in_trash->second : inodes_.at(symbol);
  auto copy = std::make_shared<Inode>(*slot);
  Inode& out = *copy;
  slot = std::move(copy);
  return out;
}

// A directory's id is a hash of its birth: it may be met before the answer that tells it.
Symbol Model::resolve(InodeId id) {
  for (const auto& [symbol, known] : ids_)
    if (known == id && inodes_.contains(symbol)) return symbol;
  for (const auto& [symbol, inode] : inodes_) {
    if (inode->type != FileType::directory || ids_.contains(symbol)) continue;
    for (u32 attempt = 0; attempt < 8; ++attempt)
      if (meta::directory_id(inode->birth_parent, inode->birth_name, attempt, shard_count_) == id) {
        ids_[symbol] = id;
        return symbol;
      }
  }
  return kNoSymbol;
}

Symbol Model::resolve_any(InodeId id) {
  for (const auto& [symbol, inode] : trashed_)
    if (const auto known = ids_.find(symbol); known != ids_.end() && known->second == id) return symbol;
  return resolve(id);
}

bool Model::bind(Symbol symbol, InodeId id) {
  const auto known = ids_.find(symbol);
  if (known != ids_.end()) return known->second == id;
  for (const auto& [other, taken] : ids_)
    if (taken == id && inodes_.contains(other) && inodes_.contains(symbol)) return false;
  ids_[symbol] = id;
  return true;
}

void Model::forget_gone(const std::vector<Symbol>& kept) {
  std::erase_if(ids_, [&](const auto& item) {
    return !inodes_.contains(item.first) && !trashed_.contains(item.first) &&
           std::find(kept.begin(), kept.end(), item.first) == kept.end();
  });
}

Errc Model::directory(InodeId id, Symbol& out) {
  out = resolve(id);
  if (out == kNoSymbol) return Errc::stale;
  return find(out)->type == FileType::directory ? Errc::ok : Errc::not_directory;
}

bool Model::is_below(Symbol directory, Symbol ancestor) const {
  for (Symbol at = directory;; at = find(at)->parent) {
    if (at == ancestor) return true;
    if (at == 0) return false;
  }
}

void Model::drop_link(Symbol symbol, bool to_trash) {
  const bool is_directory = find(symbol)->type == FileType::directory;
  if (!is_directory && find(symbol)->nlink > 1) {
    --change(symbol).nlink;
    return;
  }
  if (to_trash && trash_ && !is_directory) {
    change(symbol).nlink = 0;
    trashed_[symbol] = inodes_.at(symbol);
  }
  inodes_.erase(symbol);
}

Prediction Model::apply(const Operation& op) {
  switch (op.verb) {
    case Verb::lookup:
      return lookup(op);
    case Verb::read_directory:
      return read_directory(op);
    case Verb::get_attributes:
    case Verb::read_link:
    case Verb::get_xattr:
    case Verb::list_xattrs:
      return query_inode(op);
    case Verb::create:
      return make(op, op.type);
    case Verb::make_directory:
      return make(op, FileType::directory);
    case Verb::unlink:
      return remove(op, false);
    case Verb::remove_directory:
      return remove(op, true);
    case Verb::rename:
      return rename(op);
    case Verb::link:
      return link(op);
    case Verb::restore:
      return restore(op);
    case Verb::set_mode:
    case Verb::set_xattr:
    case Verb::remove_xattr:
      return change_inode(op);
  }
  return failed(Errc::unsupported);
}

Prediction Model::lookup(const Operation& op) {
  Symbol parent;
  if (const Errc code = directory(op.inode, parent); code != Errc::ok) return failed(code);
  const auto& entries = find(parent)->entries;
  const auto at = entries.find(op.name);
  if (at == entries.end()) return failed(Errc::not_found);
  Prediction out;
  out.inode = at->second;
  out.type = find(at->second)->type;
  return out;
}

Prediction Model::read_directory(const Operation& op) {
  Symbol symbol;
  if (const Errc code = directory(op.inode, symbol); code != Errc::ok) return failed(code);
  Prediction out;
  for (const auto& [name, child] : find(symbol)->entries) out.entries[name] = {child, find(child)->type};
  return out;
}

Prediction Model::query_inode(const Operation& op) {
  const Symbol symbol = resolve_any(op.inode);
  Prediction out;
  if (symbol == kNoSymbol) {
    out.code = Errc::stale;
    out.gone = true;
    return out;
  }
  const Inode& inode = *find_any(symbol);
  out.inode = symbol;
  out.type = inode.type;
  out.mode = inode.mode;
  out.nlink = inode.nlink;
  if (inode.type == FileType::directory) {
    out.entries_count = inode.entries.size();
    out.nlink = 2;
    for (const auto& [name, child] : inode.entries) out.nlink += find(child)->type == FileType::directory;
  }
  if (op.verb == Verb::read_link && inode.type != FileType::symlink) return failed(Errc::invalid_argument);
  if (op.verb == Verb::read_link) out.value = inode.target;
  if (op.verb == Verb::list_xattrs)
    for (const auto& [name, value] : inode.xattrs) out.names.push_back(name);
  if (op.verb == Verb::get_xattr) {
    const auto at = inode.xattrs.find(op.name);
    if (at == inode.xattrs.end()) return failed(Errc::no_data);
    out.value = at->second;
  }
  return out;
}

Prediction Model::make(const Operation& op, FileType type) {
  Symbol parent;
  if (const Errc code = directory(op.inode, parent); code != Errc::ok) return failed(code);
  if (find(parent)->entries.contains(op.name)) return failed(Errc::exists);
  Inode inode;
  inode.type = type;
  inode.mode = op.mode;
  inode.nlink = 1;
  inode.target = type == FileType::symlink ? op.value : std::string();
  if (type == FileType::directory) {
    inode.parent = parent;
    inode.birth_parent = op.inode;
    inode.birth_name = op.name;
  }
  Prediction out;
  out.inode = op.number;
  out.type = type;
  out.mode = inode.mode;
  out.nlink = inode.nlink;
  inodes_[op.number] = std::make_shared<const Inode>(std::move(inode));
  change(parent).entries[op.name] = op.number;
  return out;
}

Prediction Model::remove(const Operation& op, bool wants_directory) {
  Symbol parent;
  if (const Errc code = directory(op.inode, parent); code != Errc::ok) return failed(code);
  const auto& entries = find(parent)->entries;
  const auto at = entries.find(op.name);
  if (at == entries.end()) return failed(Errc::not_found);
  const Symbol child = at->second;
  const bool is_directory = find(child)->type == FileType::directory;
  if (is_directory != wants_directory) return failed(is_directory ? Errc::is_directory : Errc::not_directory);
  if (is_directory && !find(child)->entries.empty()) return failed(Errc::not_empty);
  change(parent).entries.erase(op.name);
  drop_link(child, true);
  return {};
}

Prediction Model::rename(const Operation& op) {
  Symbol from, to;
  if (const Errc code = directory(op.inode, from); code != Errc::ok) return failed(code);
  if (const Errc code = directory(op.new_parent, to); code != Errc::ok) return failed(code);
  const auto source = find(from)->entries.find(op.name);
  if (source == find(from)->entries.end()) return failed(Errc::not_found);
  const Symbol moved = source->second;
  const auto target = find(to)->entries.find(op.new_name);
  const Symbol there = target == find(to)->entries.end() ? kNoSymbol : target->second;
  const bool moves_directory = find(moved)->type == FileType::directory;
  const bool exchange = op.rename_mode == meta::RenameMode::exchange;
  if (exchange && there == kNoSymbol) return failed(Errc::not_found);
  if (there != kNoSymbol && op.rename_mode == meta::RenameMode::no_replace) return failed(Errc::exists);
  const bool onto_directory = there != kNoSymbol && find(there)->type == FileType::directory;
  if (!exchange && there != kNoSymbol && moves_directory != onto_directory)
    return failed(onto_directory ? Errc::is_directory : Errc::not_directory);
  if (there == moved) return {};
  if (moves_directory && from != to && is_below(to, moved)) return failed(Errc::would_loop);
  if (exchange && onto_directory && from != to && is_below(from, there)) return failed(Errc::would_loop);
  if (!exchange && onto_directory && !find(there)->entries.empty()) return failed(Errc::not_empty);
  if (!exchange && there != kNoSymbol) drop_link(there, false);
  change(from).entries.erase(op.name);
  change(to).entries[op.new_name] = moved;
  if (moves_directory) change(moved).parent = to;
  if (exchange) {
    change(from).entries[op.name] = there;
    if (onto_directory) change(there).parent = from;
  }
  return {};
}

Prediction Model::link(const Operation& op) {
  const Symbol symbol = resolve(op.inode);
  if (symbol == kNoSymbol) return failed(Errc::stale);
  Symbol parent;
  if (const Errc code = directory(op.new_parent, parent); code != Errc::ok) return failed(code);
  if (find(symbol)->type == FileType::directory) return failed(Errc::not_permitted);
  if (find(parent)->entries.contains(op.new_name)) return failed(Errc::exists);
  change(parent).entries[op.new_name] = symbol;
  ++change(symbol).nlink;
  Prediction out;
  out.inode = symbol;
  out.type = find(symbol)->type;
  return out;
}

Prediction Model::restore(const Operation& op) {
  const Symbol symbol = resolve_any(op.inode);
  if (!trashed_.contains(symbol)) return failed(Errc::not_found);
  Symbol parent;
  if (const Errc code = directory(op.new_parent, parent); code != Errc::ok) return failed(code);
  if (find(parent)->entries.contains(op.new_name)) return failed(Errc::exists);
  change(parent).entries[op.new_name] = symbol;
  change(symbol).nlink = 1;
  inodes_[symbol] = trashed_.at(symbol);
  trashed_.erase(symbol);
  return {};
}

Prediction Model::change_inode(const Operation& op) {
  const Symbol symbol = resolve_any(op.inode);
  if (symbol == kNoSymbol) {
    Prediction out = failed(Errc::stale);
    out.gone = true;
    return out;
  }
  Prediction out;
  const bool there = find_any(symbol)->xattrs.contains(op.name);
  // user.* is for what holds data.
  const FileType type = find_any(symbol)->type;
  const bool may_have = type == FileType::regular || type == FileType::directory;
  if (op.verb != Verb::set_mode && !may_have) return failed(Errc::not_permitted);
  if (op.verb == Verb::set_mode) {
    change(symbol).mode = op.mode;
  } else if (op.verb == Verb::set_xattr) {
    if (there && op.xattr_mode == meta::XattrMode::create) return failed(Errc::exists);
    if (!there && op.xattr_mode == meta::XattrMode::replace) return failed(Errc::no_data);
    change(symbol).xattrs[op.name] = op.value;
  } else {
    if (!there) return failed(Errc::no_data);
    change(symbol).xattrs.erase(op.name);
  }
  return out;
}

bool Model::agrees(const Operation& op, const Prediction& predicted, const Outcome& seen) {
  // The inode of a file without names lives on for a while: what is asked of it then is not judged.
  if (predicted.gone) return seen.code == Errc::stale || seen.nlink == 0;
  if ((predicted.code == Errc::ok) != (seen.code == Errc::ok)) return false;
  // In a directory that is gone there is nothing: both say so.
  if (op.verb == Verb::lookup && predicted.code == Errc::stale && seen.code == Errc::not_found) return true;
  if (predicted.code != Errc::ok) {
    const bool one_cause = is_query(op.verb) || op.verb == Verb::create || op.verb == Verb::make_directory;
    return !one_cause || predicted.code == seen.code;
  }
  switch (op.verb) {
    case Verb::lookup:
      return predicted.type == seen.type && bind(predicted.inode, seen.inode);
    case Verb::create:
    case Verb::make_directory:
      return predicted.type == seen.type && predicted.mode == seen.mode && bind(predicted.inode, seen.inode);
    case Verb::get_attributes:
      // Of a directory: those of its fragments together.
      if (predicted.type == FileType::directory && predicted.entries_count != seen.size) return false;
      return predicted.type == seen.type && predicted.mode == seen.mode && predicted.nlink == seen.nlink;
    case Verb::read_directory:
      if (count_covered(predicted, seen) != seen.entries.size()) return false;
      return std::all_of(seen.entries.begin(), seen.entries.end(), [&](const auto& item) {
        const auto at = predicted.entries.find(item.first);
        return at != predicted.entries.end() && at->second.second == item.second.type &&
               bind(at->second.first, item.second.inode);
      });
    case Verb::read_link:
    case Verb::get_xattr:
      return predicted.value == seen.value;
    case Verb::list_xattrs:
      return predicted.names == seen.names;
    default:
      return true;
  }
}

}  // namespace claudefs::simulator
