// Goal: a path that nobody has asked for takes one round trip, and leads where its names lead, whatever was
// renamed. Method: messages and time counted over a simulated network; random trees against walking name by
// name.
#include <random>

#include <gtest/gtest.h>

#include "base/tests/with_mutant.h"

#include "client/tests/shared_cluster.h"

namespace claudefs::client::testing {
namespace {

class ResolveTest : public ::testing::Test {
 protected:
  InodeId make_directory(InodeId parent, const std::string& name) {
    NewNode node;
    node.parent = parent;
    node.name = name;
    node.type = FileType::directory;
    node.mode = 0755;
    const auto made = cluster.run(a, a.fs->make_directory(std::move(node)));
    return made ? made->id : InodeId{};
  }
  bool rename(InodeId parent, const std::string& name, InodeId to, const std::string& new_name) {
    RenameRequest request;
    request.old_parent = parent;
    request.old_name = name;
    request.new_parent = to;
    request.new_name = new_name;
    return cluster.run(a, a.fs->rename(std::move(request))).has_value();
  }
  // As 0: not there.
  InodeId resolved(SharedCluster::Client& at, const std::string& path) {
    const auto found = cluster.run(at, at.fs->resolve(path));
    if (!found)
      EXPECT_TRUE(found.error().code == Errc::not_found || found.error().code == Errc::not_directory);
    return found ? found->id : InodeId{};
  }
  InodeId walked(const std::vector<std::string>& names) {
    InodeId at = meta::kRootInode;
    for (const std::string& name : names) {
      const auto found = cluster.run(a, a.fs->lookup(at, name));
      if (!found) return InodeId{};
      at = found->id;
    }
    return at;
  }

  SharedCluster cluster{11};
  SharedCluster::Client& a = cluster.add_client("a");
  SharedCluster::Client& b = cluster.add_client("b");
};

TEST_F(ResolveTest, a_cold_path_of_depth_ten_takes_one_round_trip) {
  std::string path;
  InodeId at = make_directory(meta::kRootInode, "top");
  for (int depth = 2; depth <= 10; ++depth) {
    path += "/d" + std::to_string(depth);
    at = make_directory(at, "d" + std::to_string(depth));
  }
  runtime::Instant began = cluster.world.now();
  ASSERT_NE(resolved(b, "/top"), InodeId{});
  const runtime::Duration of_one = cluster.world.now() - began;
  const u64 before = cluster.requests;
  SharedCluster::Client& cold = cluster.add_client("c");
  (void)resolved(cold, "/top");  // attached
  began = cluster.world.now();
  EXPECT_EQ(resolved(cold, "/top" + path), at);
  EXPECT_LT(cluster.world.now() - began, 3 * of_one);
  EXPECT_LT(cluster.requests - before, 20u);  // ten names, the directory itself, and the client's beginning
}

TEST_F(ResolveTest, the_path_counts_and_not_where_directories_were_made) {
  const InodeId one = make_directory(meta::kRootInode, "one");
  const InodeId two = make_directory(one, "two");
  const InodeId three = make_directory(two, "three");
  ASSERT_TRUE(rename(one, "two", meta::kRootInode, "moved"));
  EXPECT_EQ(resolved(b, "/one/two/three"), InodeId{});
  EXPECT_EQ(resolved(b, "/moved/three"), three);
  EXPECT_EQ(resolved(b, "moved//three/"), three);
  EXPECT_EQ(resolved(b, "/"), meta::kRootInode);
  const InodeId again = make_directory(one, "two");  // its first id is taken
  EXPECT_EQ(resolved(b, "/one/two"), again);
  EXPECT_EQ(resolved(b, "/one/two/three"), InodeId{});
  EXPECT_FALSE(cluster.run(b, b.fs->resolve("/one/../one")).has_value());
}

TEST_F(ResolveTest, it_finds_what_walking_finds) {
  std::mt19937_64 random(3);
  std::vector<InodeId> directories{meta::kRootInode};
  const auto any = [&] { return directories[random() % directories.size()]; };
  const auto name = [&] { return std::string(1, static_cast<char>('a' + random() % 3)); };
  int found = 0;
  for (int i = 0; i < 400; ++i) {
    if (random() % 2 == 0) {
      if (const InodeId made = make_directory(any(), name()); made != InodeId{}) directories.push_back(made);
    } else {
      (void)rename(any(), name(), any(), name());
    }
    std::vector<std::string> names;
    std::string path;
    for (u64 depth = random() % 6; depth != 0; --depth) {
      names.push_back(name());
      path += "/" + names.back();
    }
    const InodeId there = walked(names);
    ASSERT_EQ(resolved(b, path), there) << path;
    found += there != InodeId{} && names.size() > 1;
  }
  EXPECT_GT(found, 20);
}

}  // namespace
}  // namespace claudefs::client::testing
