// A POSIX name space in a few maps, and a random walk that holds a System to it.
#pragma once

#include <map>
#include <string>

#include "meta/tests/one_shard.h"
#include "sim/random_stream.h"

namespace claudefs::meta::testing {

class NamespaceModel {
 public:
  struct Node {
    FileType type{};
    u32 nlink = 0;
    InodeId parent{};
    std::map<std::string, InodeId> children;
  };
  std::map<InodeId, Node> nodes{{kRootInode, {FileType::directory, 2, kRootInode, {}}}};
  u64 inodes = 1;  // with orphans
  struct InTrash {
    FileType type{};
    InodeId parent{};
    std::string name;
    auto operator<=>(const InTrash&) const = default;
  };
  std::map<InodeId, InTrash> trash;  // files

  Errc make(InodeId parent, const std::string& name);
  void made(InodeId parent, const std::string& name, const Inode& inode);
  Errc unlink(InodeId parent, const std::string& name, bool to_trash);
  Errc restore(InodeId inode, InodeId parent, const std::string& name);
  Errc remove_directory(InodeId parent, const std::string& name);
  Errc link(InodeId inode, InodeId parent, const std::string& name);
  Errc rename(const Rename& op);

 private:
  InodeId find(InodeId parent, const std::string& name) const;
  bool contains(InodeId directory, InodeId below) const;
  void drop_link(InodeId inode);
};

// Random operations; every answer and, now and then, the whole tree must be the model's.
class NamespaceWalk {
 public:
  NamespaceWalk(System& system, u64 seed) : system_(system), random_(seed, "namespace walk") {}
  void step();
  void check_tree();
  NamespaceModel model;
  std::map<Errc, int> seen;

 private:
  void create();
  void make_directory();
  void unlink();
  void remove_directory();
  void link();
  void rename();
  void restore();
  void check_trash();
  void check_directory(InodeId id);
  InodeId any_directory();
  InodeId any_file();
  std::string any_name() { return std::string(1, static_cast<char>('a' + random_.between(0, 4))); }
  void compare(Errc expected, Errc actual, const char* what);

  System& system_;
  sim::RandomStream random_;
  std::vector<InodeId> removed_;
};

}  // namespace claudefs::meta::testing
