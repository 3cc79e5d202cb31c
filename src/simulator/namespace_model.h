// A sequential POSIX namespace: what each verb must answer in each state. Independent of meta/: names are in
// std::maps, one verb is one step. Inodes are symbols (the number of the operation that made them), because
// the id that the cluster drew is known only once some answer has shown it.
#pragma once

#include <memory>

#include "simulator/operation.h"

namespace claudefs::simulator {

using Symbol = u64;  // 0: the root
inline constexpr Symbol kNoSymbol = ~Symbol{0};

// An answer before ids are known.
struct Prediction {
  Errc code = Errc::ok;
  bool gone = false;  // a file without a name: its inode may be there yet or not
  Symbol inode = kNoSymbol;
  meta::FileType type{};
  u16 mode = 0;
  u32 nlink = 0;
  u64 entries_count = 0;  // of a directory
  std::map<std::string, std::pair<Symbol, meta::FileType>> entries;
  std::vector<std::string> names;
  std::string value;
  bool operator==(const Prediction&) const = default;
};

class Model {
 public:
  // With `trash` what loses its last name by an unlink can be restored for ever.
  explicit Model(u16 shard_count, bool trash = false, InodeId root = meta::kRootInode);

  Prediction apply(const Operation& operation);
  // Is `seen` what was predicted? Learns ids from it.
  bool agrees(const Operation& operation, const Prediction& predicted, const Outcome& seen);
  // What an operation would read and change in this state: `conflict` says whether the order of two may
  // matter. Wide where it is uncertain: a conflict too many costs time, one too few would be an error.
  struct Footprint {
    enum class Use : u8 { read, add, write };  // two adds do not conflict
    struct Place {
      enum class Kind : u8 { entry, listing, existence, inode, tree, unknown } kind{};
      Symbol symbol = 0;
      std::string name;
      bool operator==(const Place&) const = default;
    };
    std::vector<std::pair<Place, Use>> uses;
  };
  Footprint footprint(const Operation& operation);
  static bool conflict(const Footprint& a, const Footprint& b);

  // Forgets the ids of inodes that are gone, but for those that `kept` mentions.
  void forget_gone(const std::vector<Symbol>& kept);
  bool operator==(const Model& other) const;
  u64 fingerprint() const;  // equal for equal models, and seldom for others

  // For the audit: ids of all inodes that are reachable, as far as they are known.
  std::size_t inodes() const { return inodes_.size(); }
  std::size_t entries() const;

 private:
  struct Inode {
    meta::FileType type{};
    u16 mode = 0;
    u32 nlink = 0;
    Symbol parent = 0;     // directories
    InodeId birth_parent;  // directories: with birth_name, what their id is a hash of
    std::string birth_name;
    std::string target;
    std::map<std::string, Symbol> entries;
    std::map<std::string, std::string> xattrs;
    bool operator==(const Inode&) const = default;
  };
  using Shared = std::shared_ptr<const Inode>;

  Symbol resolve(InodeId id);
  Symbol resolve_any(InodeId id);  // also in the trash
  bool bind(Symbol symbol, InodeId id);
  const Inode* find(Symbol symbol) const;
  const Inode* find_any(Symbol symbol) const;
  Inode& change(Symbol symbol);  // a copy of its own
  void drop_link(Symbol symbol, bool to_trash);
  bool is_below(Symbol directory, Symbol ancestor) const;
  // The directory of an operation, or the error that it must give.
  Errc directory(InodeId id, Symbol& out);

  Prediction lookup(const Operation& op);
  Prediction read_directory(const Operation& op);
  Prediction query_inode(const Operation& op);
  Prediction make(const Operation& op, meta::FileType type);
  Prediction remove(const Operation& op, bool wants_directory);
  Prediction rename(const Operation& op);
  Prediction link(const Operation& op);
  Prediction restore(const Operation& op);
  Prediction change_inode(const Operation& op);

  u16 shard_count_;
  bool trash_;
  std::map<Symbol, Shared> inodes_;
  std::map<Symbol, Shared> trashed_;
  std::map<Symbol, InodeId> ids_;
};

}  // namespace claudefs::simulator
