// Which operations may not be reordered: see Model::Footprint.
#include "simulator/namespace_model.h"

namespace claudefs::simulator {

using Use = Model::Footprint::Use;
using Place = Model::Footprint::Place;
using Kind = Place::Kind;

namespace {
struct Uses {
  Model::Footprint out;
  void add(Kind kind, Symbol symbol, Use use, std::string name = {}) {
    out.uses.push_back({Place{kind, symbol, std::move(name)}, use});
  }
  void change_entry(Symbol directory, const std::string& name) {
    add(Kind::existence, directory, Use::read);
    add(Kind::entry, directory, Use::write, name);
    add(Kind::listing, directory, Use::add);
  }
};
}  // namespace

bool Model::conflict(const Footprint& a, const Footprint& b) {
  for (const auto& [place, use] : a.uses)
    for (const auto& [other, other_use] : b.uses) {
      if (use == other_use && use != Use::write) continue;
      if (place == other) return true;
    }
  return false;
}

Model::Footprint Model::footprint(const Operation& op) {
  Uses uses;
  const Symbol at = resolve_any(op.inode);
  const Symbol to = op.new_parent == InodeId{} ? kNoSymbol : resolve(op.new_parent);
  // What it names may be made by another one that is under way.
  if (at == kNoSymbol || (op.new_parent != InodeId{} && to == kNoSymbol))
    uses.add(Kind::unknown, 0, Use::read);
  if (op.verb == Verb::create || op.verb == Verb::make_directory) uses.add(Kind::unknown, 0, Use::add);
  const auto child_of = [this](Symbol directory, const std::string& name) -> Symbol {
    const Inode* inode = directory == kNoSymbol ? nullptr : find(directory);
    if (inode == nullptr) return kNoSymbol;
    const auto entry = inode->entries.find(name);
    return entry == inode->entries.end() ? kNoSymbol : entry->second;
  };
  // An inode whose name goes, comes or moves.
  const auto touch_child = [&](Symbol child) {
    if (child == kNoSymbol) return;
    uses.add(Kind::inode, child, Use::write);
    if (find(child)->type != meta::FileType::directory) return;
    uses.add(Kind::existence, child, Use::write);
    uses.add(Kind::listing, child, Use::read);
  };
  switch (op.verb) {
    case Verb::lookup:
      uses.add(Kind::existence, at, Use::read);
      uses.add(Kind::entry, at, Use::read, op.name);
      break;
    case Verb::read_directory:
      uses.add(Kind::existence, at, Use::read);
      uses.add(Kind::listing, at, Use::read);
      break;
    case Verb::get_attributes:
      uses.add(Kind::listing, at, Use::read);  // of a directory: its size and links
      uses.add(Kind::inode, at, Use::read);
      break;
    case Verb::read_link:
    case Verb::get_xattr:
    case Verb::list_xattrs:
      uses.add(Kind::inode, at, Use::read);
      break;
    case Verb::create:
    case Verb::make_directory:
      uses.change_entry(at, op.name);
      break;
    case Verb::unlink:
    case Verb::remove_directory:
      uses.change_entry(at, op.name);
      touch_child(child_of(at, op.name));
      break;
    case Verb::rename:
      uses.change_entry(at, op.name);
      uses.change_entry(to, op.new_name);
      touch_child(child_of(at, op.name));
      touch_child(child_of(to, op.new_name));
      if (at != to) uses.add(Kind::tree, 0, Use::write);
      break;
    case Verb::link:
    case Verb::restore:
      uses.change_entry(to, op.new_name);
      uses.add(Kind::inode, at, Use::write);
      break;
    case Verb::set_mode:
    case Verb::set_xattr:
    case Verb::remove_xattr:
      uses.add(Kind::inode, at, Use::write);
      break;
  }
  return std::move(uses.out);
}

}  // namespace claudefs::simulator
