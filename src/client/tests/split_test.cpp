// Goal: a mount sees one directory, however many fragments it has: every name once in a listing that runs
// through splits and merges, its size and times those of all, and what another mount does at once.
// Method: two clients with leases, directories that are split at a few entries.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "client/tests/shared_cluster.h"

namespace claudefs::client::testing {
namespace {

using namespace std::chrono_literals;

meta::SplitPolicy small() {
  meta::SplitPolicy policy;
  policy.split_at = 8;
  policy.merge_below = 5;
  policy.quiet_for = 2s;
  policy.figures = std::make_shared<meta::SplitFigures>();
  return policy;
}

class SplitTest : public ::testing::Test {
 protected:
  using Client = SharedCluster::Client;
  InodeId create(Client& at, const std::string& name, FileType type = FileType::fifo) {
    NewNode node;
    node.parent = directory;
    node.name = name;
    node.type = type;
    node.mode = 0644;
    const auto made = type == FileType::directory ? cluster.run(at, at.fs->make_directory(std::move(node)))
                                                  : cluster.run(at, at.fs->make_node(std::move(node)));
    EXPECT_TRUE(made.has_value()) << name;
    return made ? made->id : InodeId{};
  }
  bool unlink(Client& at, const std::string& name) {
    return cluster.run(at, at.fs->unlink(directory, name, {})).has_value();
  }
  bool is_there(Client& at, const std::string& name) {
    return cluster.run(at, at.fs->lookup(directory, name)).has_value();
  }
  Inode attributes(Client& at) { return *cluster.run(at, at.fs->get_attributes(directory)); }
  void fill(Client& at, int from, int to) {
    for (int i = from; i < to; ++i) create(at, fmt::format("f{}", i));
  }
  void SetUp() override {
    NewNode node;
    node.parent = meta::kRootInode;
    node.name = "d";
    node.mode = 0755;
    directory = cluster.run(a, a.fs->make_directory(std::move(node)))->id;
  }

  SharedCluster cluster{21, small()};
  Client& a = cluster.add_client("a");
  Client& b = cluster.add_client("b");
  InodeId directory{};
};

TEST_F(SplitTest, names_and_attributes_are_those_of_one_directory) {
  for (int round = 0; round < 4; ++round) {
    fill(a, round * 15, round * 15 + 15);
    create(b, fmt::format("dir{}", round), FileType::directory);
    cluster.world.run_for(3s);
    for (Client* client : {&a, &b}) {
      const Inode now = attributes(*client);
      EXPECT_EQ(now.size, static_cast<u64>(16 * (round + 1)));
      EXPECT_EQ(now.nlink, static_cast<u32>(2 + round + 1));
    }
    for (int i = 0; i < round * 15 + 15; ++i) EXPECT_TRUE(is_there(b, fmt::format("f{}", i)));
  }
  EXPECT_GT(cluster.split.figures->splits, 2u);
  // A change by one is seen by the other at once, present or absent.
  EXPECT_FALSE(is_there(b, "new"));
  const meta::Time before = attributes(b).modified;
  create(a, "new");
  EXPECT_TRUE(is_there(b, "new"));
  EXPECT_LT(before, attributes(b).modified);
  EXPECT_TRUE(unlink(b, "new"));
  EXPECT_FALSE(is_there(a, "new"));
}

TEST_F(SplitTest, what_is_known_under_leases_sends_nothing) {
  fill(a, 0, 40);
  cluster.world.run_for(3s);
  (void)attributes(b);
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(is_there(b, fmt::format("f{}", i)));
  (void)attributes(b);
  const u64 before = cluster.requests;
  (void)attributes(b);
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(is_there(b, fmt::format("f{}", i)));
  EXPECT_EQ(cluster.requests, before);
}

// What a kernel was given for long, and what it was told to forget.
struct Kernel final : KernelCaches {
  std::vector<InodeId> attributes;
  std::vector<std::pair<InodeId, std::string>> names;
  void forget_attributes(InodeId inode) override { attributes.push_back(inode); }
  runtime::Task<void> forget_content(InodeId) override { co_return; }
  runtime::Task<void> forget_name(InodeId parent, std::string name) override {
    names.emplace_back(parent, std::move(name));
    co_return;
  }
};

TEST_F(SplitTest, a_kernel_keeps_names_as_long_as_the_lease_of_their_fragment) {
  fill(a, 0, 40);
  cluster.world.run_for(6s);
  Kernel kernel;
  b.fs->set_kernel(&kernel);
  const auto give = [&](int number) {
    const auto found = cluster.run(b, b.fs->lookup(directory, fmt::format("f{}", number)));
    return found ? b.fs->give_name(directory, fmt::format("f{}", number), found->id) : 0s;
  };
  for (int i = 0; i < 40; ++i) (void)give(i);  // it learns where they are
  for (int i = 0; i < 40; ++i) EXPECT_GT(give(i), 0s) << i;
  EXPECT_FALSE(is_there(b, "new"));
  EXPECT_GT(b.fs->give_name(directory, "new", InodeId{}), 0s);
  // Only what is known.
  EXPECT_EQ(b.fs->give_name(directory, "new", directory), 0s);
  EXPECT_EQ(b.fs->give_name(directory, "never asked for", InodeId{}), 0s);
  EXPECT_TRUE(kernel.names.empty());

  create(a, "new");
  const auto& forgotten = kernel.names;
  EXPECT_EQ(std::ranges::count(forgotten, std::pair(directory, std::string("new"))), 1);
  EXPECT_LT(forgotten.size(), 20u);  // those of the other fragments stay
  for (const auto& [parent, name] : forgotten) EXPECT_EQ(parent, directory) << name;
  EXPECT_TRUE(is_there(b, "new"));
  const InodeId made = cluster.run(b, b.fs->lookup(directory, "new"))->id;
  EXPECT_EQ(b.fs->give_name(directory, "new", made), 0s);  // contended
  cluster.world.run_for(6s);
  EXPECT_GT(b.fs->give_name(directory, "new", made), 0s);
  kernel.names.clear();
  EXPECT_TRUE(unlink(a, "new"));
  EXPECT_EQ(std::ranges::count(forgotten, std::pair(directory, std::string("new"))), 1);
  b.fs->set_kernel(nullptr);
}

TEST_F(SplitTest, a_kernel_keeps_attributes_as_long_as_all_leases_that_they_are_made_of) {
  fill(a, 0, 40);
  cluster.world.run_for(3s);
  Kernel kernel;
  b.fs->set_kernel(&kernel);
  EXPECT_EQ(b.fs->give_attributes(directory), 0s);
  EXPECT_EQ(attributes(b).size, 40u);
  EXPECT_GT(b.fs->give_attributes(directory), 0s);
  int told = 0;
  for (int i = 0; i < 12; ++i) {
    create(a, fmt::format("new{}", i));  // in one fragment, or the directory's own range
    EXPECT_EQ(kernel.attributes, std::vector<InodeId>(static_cast<std::size_t>(++told), directory));
    EXPECT_EQ(b.fs->give_attributes(directory), 0s);
    const u64 before = cluster.requests;
    EXPECT_EQ(attributes(b).size, 41u + static_cast<u64>(i));
    EXPECT_LE(cluster.requests - before, 3u);  // of what was changed only
    EXPECT_GT(b.fs->give_attributes(directory), 0s);
  }
  // Of all fragments, and told once.
  AttributeChange change;
  change.mode = 0700;
  ASSERT_TRUE(cluster.run(a, a.fs->set_attributes(directory, change)).has_value());
  EXPECT_EQ(kernel.attributes.size(), static_cast<std::size_t>(++told));
  EXPECT_EQ(attributes(b).mode, 0700);
  b.fs->set_kernel(nullptr);
}

TEST_F(SplitTest, times_that_are_set_are_those_of_the_whole) {
  fill(a, 0, 40);
  cluster.world.run_for(3s);
  (void)attributes(a);
  AttributeChange change;
  change.modified = meta::Time{1000, 7};
  change.mode = 0700;
  const auto changed = cluster.run(a, a.fs->set_attributes(directory, change));
  ASSERT_TRUE(changed.has_value());
  EXPECT_EQ(changed->modified, (meta::Time{1000, 7}));
  EXPECT_EQ(changed->size, 40u);
  EXPECT_EQ(attributes(b).modified, (meta::Time{1000, 7}));
  EXPECT_EQ(attributes(b).mode, 0700);
}

TEST_F(SplitTest, a_listing_goes_on_through_splits_and_merges) {
  fill(a, 0, 30);
  for (const bool grows : {true, false, true}) {
    const HandleId handle = *cluster.run(b, b.fs->open_directory(directory, {}));
    std::multiset<std::string> seen;
    u64 cookie = 0;
    for (int step = 0;; ++step) {
      const auto page = cluster.run(b, b.fs->read_directory(handle, cookie, step % 2 == 0));
      ASSERT_TRUE(page.has_value());
      if (page->entries.empty()) break;
      EXPECT_EQ(page->parent, meta::kRootInode);
      // One entry a step, as a program that looks at each.
      seen.insert(page->entries.front().name);
      EXPECT_LT(cookie, page->entries.front().cookie);
      cookie = page->entries.front().cookie;
      for (int i = 0; i < 3; ++i) {
        const std::string name = fmt::format("x{}", 3 * step + i);
        if (grows)
          create(a, name);
        else
          unlink(a, name);
      }
      cluster.world.run_for(500ms);
    }
    b.fs->release_directory(handle);
    for (int i = 0; i < 30; ++i) EXPECT_EQ(seen.count(fmt::format("f{}", i)), 1u) << i;
    for (const std::string& name : seen) EXPECT_EQ(seen.count(name), 1u) << name;
  }
  EXPECT_GT(cluster.split.figures->splits, 5u);
}

TEST_F(SplitTest, renames_links_and_removal) {
  fill(a, 0, 40);
  cluster.world.run_for(3s);
  for (int i = 0; i < 40; i += 2) {
    RenameRequest rename;
    rename.old_parent = rename.new_parent = directory;
    rename.old_name = fmt::format("f{}", i);
    rename.new_name = fmt::format("g{}", i);
    EXPECT_TRUE(cluster.run(i % 4 == 0 ? a : b, (i % 4 == 0 ? a : b).fs->rename(rename)).has_value());
  }
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(is_there(b, fmt::format("f{}", i)), i % 2 == 1);
    EXPECT_EQ(is_there(a, fmt::format("g{}", i)), i % 2 == 0);
  }
  const Inode one = *cluster.run(a, a.fs->lookup(directory, "f1"));
  EXPECT_EQ(cluster.run(b, b.fs->link(one.id, directory, "again", {}))->nlink, 2u);
  EXPECT_EQ(cluster.run(a, a.fs->remove_directory(meta::kRootInode, "d", {})).error().code, Errc::not_empty);
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(unlink(a, fmt::format("{}{}", i % 2 == 0 ? "g" : "f", i)));
  EXPECT_TRUE(unlink(b, "again"));
  EXPECT_EQ(attributes(b).size, 0u);
  EXPECT_TRUE(cluster.run(b, b.fs->remove_directory(meta::kRootInode, "d", {})).has_value());
  EXPECT_FALSE(cluster.run(a, a.fs->lookup(meta::kRootInode, "d")).has_value());
}

}  // namespace
}  // namespace claudefs::client::testing
