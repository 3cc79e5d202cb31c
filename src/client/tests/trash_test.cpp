// Goal: what was removed through a client comes back through one, by its path, with its directories and with
// all that was written to it; and writes wait for the trash rather than fail for want of space. Method:
// scenarios on a file system over one shard in memory.
#include "client/trash.h"

#include <gtest/gtest.h>

#include "client/tests/fake_cluster.h"
#include "runtime/scope.h"
#include "sim/run.h"

namespace claudefs::client::testing {
namespace {

using namespace std::chrono_literals;
using meta::kRootInode;

class TrashTest : public ::testing::Test {
 protected:
  TrashTest() : fs(cluster.mount(node)), trash(*fs, Caller{}) { EXPECT_TRUE(run(fs->start())); }
  ~TrashTest() override { EXPECT_TRUE(run(fs->stop())); }
  template <class T>
  T run(runtime::Task<T> task) {
    auto value = sim::run(world, node, std::move(task), 30min);
    CFS_CHECK(value.has_value());
    return std::move(*value);
  }
  static NewNode named(InodeId parent, const std::string& name, u16 mode = 0644) {
    NewNode out;
    out.parent = parent;
    out.name = name;
    out.mode = mode;
    return out;
  }
  InodeId directory(InodeId parent, const std::string& name, u16 mode = 0755) {
    return run(fs->make_directory(named(parent, name, mode))).value().id;
  }
  InodeId file(InodeId parent, const std::string& name, const std::string& content) {
    OpenFlags flags;
    flags.write = true;
    const Opened opened = run(fs->create_file(named(parent, name), flags)).value();
    EXPECT_TRUE(run(fs->write(opened.handle, 0, Buffer::copy_of(content))));
    EXPECT_TRUE(run(fs->release(opened.handle)));
    return opened.inode.id;
  }
  void unlink(InodeId parent, const std::string& name) { ASSERT_TRUE(run(fs->unlink(parent, name, {}))); }
  void remove(InodeId parent, const std::string& name) {
    ASSERT_TRUE(run(fs->remove_directory(parent, name, {})));
  }
  InodeId find(const std::string& path) {
    InodeId at = kRootInode;
    for (std::size_t begin = 1; begin <= path.size();) {
      const std::size_t end = std::min(path.find('/', begin), path.size());
      const Result<Inode> found = run(fs->lookup(at, path.substr(begin, end - begin)));
      if (!found) return {};
      at = found->id;
      begin = end + 1;
    }
    return at;
  }
  std::string content(const std::string& path) {
    const InodeId inode = find(path);
    if (inode == InodeId{}) return "(not there)";
    const Opened opened = run(fs->open(inode, OpenFlags{})).value();
    std::string out;
    for (const Buffer& piece : run(fs->read(opened.handle, 0, 1_MiB)).value().pieces) out += piece.text();
    EXPECT_TRUE(run(fs->release(opened.handle)));
    return out;
  }
  std::vector<std::string> listed() {
    EXPECT_TRUE(run(trash.load()));
    std::vector<std::string> out;
    for (const Trashed& entry : trash.entries()) out.push_back(entry.path);
    return out;
  }
  Restored restore(const std::string& path, bool all_below = false, const std::string& to = "") {
    EXPECT_TRUE(run(trash.load()));
    const Result<Restored> done = run(trash.restore(path, {}, all_below, to));
    EXPECT_TRUE(done) << done.error().to_string();
    return done ? *done : Restored{};
  }
  using Paths = std::vector<std::string>;

  sim::World world{11};
  sim::Node& node = world.add_node("client");
  FakeCluster cluster{node};
  std::unique_ptr<FileSystem> fs;
  Trash trash;
};

// /top/d {f, deep/g}, removed as rm -r does.
class TrashTree : public TrashTest {
 protected:
  TrashTree() {
    top = directory(kRootInode, "top");
    d = directory(top, "d", 0751);
    const InodeId deep = directory(d, "deep");
    file(d, "f", "content of f");
    file(deep, "g", "content of g");
    EXPECT_TRUE(
        run(fs->set_xattr(d, "user.color", Buffer::copy_of(std::string("red")), meta::XattrMode::set)));
    AttributeChange change;
    change.uid = 7;
    EXPECT_TRUE(run(fs->set_attributes(d, change)));
    remove_it();
  }
  void remove_it() {
    const InodeId deep = find("/top/d/deep");
    unlink(find("/top/d"), "f");
    unlink(deep, "g");
    remove(d, "deep");
    d_before = run(fs->get_attributes(d)).value();
    remove(top, "d");
  }
  InodeId top{}, d{};
  Inode d_before;
};

TEST_F(TrashTree, ATreeComesBackWithItsDirectories) {
  EXPECT_EQ(listed(), (Paths{"/top/d", "/top/d/deep", "/top/d/deep/g", "/top/d/f"}));
  const Restored done = restore("/top/d", true);
  EXPECT_EQ(done.files, 2u);
  EXPECT_EQ(done.directories, 2u);
  EXPECT_TRUE(done.failures.empty());
  EXPECT_EQ(content("/top/d/f"), "content of f");
  EXPECT_EQ(content("/top/d/deep/g"), "content of g");
  const Inode now = run(fs->get_attributes(find("/top/d"))).value();
  EXPECT_EQ(now.mode, 0751);
  EXPECT_EQ(now.uid, 7u);
  EXPECT_EQ(now.modified, d_before.modified);
  EXPECT_EQ(run(fs->get_xattr(now.id, "user.color")).value().text(), "red");
  EXPECT_TRUE(listed().empty());
}

TEST_F(TrashTree, AFileBringsTheDirectoriesAboveIt) {
  const Restored done = restore("/top/d/deep/g");
  EXPECT_TRUE(done.failures.empty());
  EXPECT_EQ(content("/top/d/deep/g"), "content of g");
  EXPECT_EQ(listed(), Paths{"/top/d/f"});
}

TEST_F(TrashTree, ATreeComesBackAtAnotherPlace) {
  directory(top, "d");
  file(find("/top/d"), "f", "new");
  EXPECT_TRUE(restore("/top/d", true, "/old").failures.empty());
  EXPECT_EQ(content("/old/deep/g"), "content of g");
  EXPECT_EQ(content("/old/f"), "content of f");
  EXPECT_EQ(content("/top/d/f"), "new");
  EXPECT_EQ(listed(), Paths{"/top/d/deep"});  // until there is one
}

TEST_F(TrashTree, ATakenNameIsLeftAndTold) {
  directory(top, "d");
  file(find("/top/d"), "f", "new");
  const Restored done = restore("/top/d", true);
  ASSERT_EQ(done.failures.size(), 1u);
  EXPECT_NE(done.failures[0].find("--to"), std::string::npos) << done.failures[0];
  EXPECT_EQ(content("/top/d/f"), "new");
  EXPECT_EQ(content("/top/d/deep/g"), "content of g");
}

// A directory that is made anew under its name has its old id; what was in the one before keeps its path.
TEST_F(TrashTree, TwoLivesOfADirectoryAreToldApart) {
  fs->forget(d);  // as a kernel does that uses it no more
  const InodeId again = directory(top, "d");
  ASSERT_EQ(again, d);
  RenameRequest move;
  move.old_parent = move.new_parent = top;
  move.old_name = "d";
  move.new_name = "e";
  ASSERT_TRUE(run(fs->rename(move)));
  world.run_for(11min);
  file(again, "h", "content of h");
  unlink(again, "h");
  EXPECT_EQ(listed(), (Paths{"/top/d", "/top/d/deep", "/top/d/deep/g", "/top/d/f", "/top/e/h"}));
}

TEST_F(TrashTest, OfOnePathTheNewestComesBack) {
  file(kRootInode, "f", "old");
  unlink(kRootInode, "f");
  world.run_for(1s);
  const InodeId newer = file(kRootInode, "f", "newer");
  unlink(kRootInode, "f");
  EXPECT_EQ(listed(), (Paths{"/f", "/f"}));
  EXPECT_EQ(restore("/f").files, 1u);
  EXPECT_EQ(find("/f"), newer);
  // The other by its id.
  ASSERT_TRUE(run(trash.load()));
  ASSERT_EQ(trash.entries().size(), 1u);
  const InodeId older = trash.entries()[0].inode;
  EXPECT_TRUE(run(trash.restore("", older, false, "/f.old")).value().failures.empty());
  EXPECT_EQ(content("/f.old"), "old");
  ASSERT_TRUE(run(trash.load()));
  EXPECT_EQ(run(trash.restore("/f", {}, false, "")).error().code, Errc::not_found);
}

TEST_F(TrashTest, WhatWasWrittenAndNotYetSentComesBackToo) {
  OpenFlags flags;
  flags.write = true;
  const Opened opened = run(fs->create_file(named(kRootInode, "f"), flags)).value();
  ASSERT_TRUE(run(fs->write(opened.handle, 0, Buffer::copy_of(std::string("just written")))));
  unlink(kRootInode, "f");
  ASSERT_TRUE(run(fs->release(opened.handle)));
  EXPECT_EQ(restore("/f").files, 1u);
  EXPECT_EQ(content("/f"), "just written");
}

TEST_F(TrashTest, AMountMayRemoveForGood) {
  Options options;
  options.keep_removed = false;
  auto other = cluster.mount(node, options);
  ASSERT_TRUE(run(other->start()));
  file(kRootInode, "f", "x");
  directory(kRootInode, "d");
  ASSERT_TRUE(run(other->unlink(kRootInode, "f", {})));
  ASSERT_TRUE(run(other->remove_directory(kRootInode, "d", {})));
  EXPECT_TRUE(listed().empty());
  ASSERT_TRUE(run(other->stop()));
}

class TrashSpace : public TrashTest {
 protected:
  TrashSpace() {
    file(kRootInode, "removed", std::string(100'000, 'x'));
    OpenFlags flags;
    flags.write = true;
    opened = run(fs->create_file(named(kRootInode, "f"), flags)).value();
    EXPECT_TRUE(run(fs->write(opened.handle, 0, Buffer::copy_of(std::string(100'000, 'y')))));
    cluster.chunks->store_failure = Errc::no_space;
  }
  runtime::Duration time_of_sync(Errc expected) {
    const runtime::Instant begin = world.now();
    const Result<void> done = run(fs->fsync(opened.handle));
    EXPECT_EQ(done ? Errc::ok : done.error().code, expected);
    return world.now() - begin;
  }
  ~TrashSpace() override { EXPECT_TRUE(run(fs->release(opened.handle))); }
  Opened opened;
};

runtime::Task<void> empty(Trash* trash) { (void)co_await trash->empty(meta::Hlc{~u64{0}}).result(); }

TEST_F(TrashSpace, AWriteWaitsUntilTheTrashHasMadeRoom) {
  unlink(kRootInode, "removed");
  runtime::Scope scope(node.executor());
  world.after(20s, [&] { scope.spawn(empty(&trash)); });
  world.after(50s, [this] { cluster.chunks->store_failure.reset(); });
  EXPECT_LT(time_of_sync(Errc::ok), 60s);
}
TEST_F(TrashSpace, AWriteFailsWhenThatBringsNothing) {
  unlink(kRootInode, "removed");
  EXPECT_LT(time_of_sync(Errc::no_space), 70s);
}
TEST_F(TrashSpace, AWriteFailsAtOnceWhenTheTrashIsEmpty) { EXPECT_LT(time_of_sync(Errc::no_space), 1s); }

}  // namespace
}  // namespace claudefs::client::testing
