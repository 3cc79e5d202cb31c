// Goal: the cluster file survives a round trip, and each mistake in it is named with its line.
#include "cluster/spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace claudefs::cluster {
namespace {

const char* const kGood =
    "format = 1\n"
    "[cluster]\n"
    "id = \"0123456789abcdef0123456789ABCDEF\"\n"
    "name = \"demo\"\n"
    "secret = \"00112233445566778899aabbccddeeff\"\n"
    "shards = 16\n"
    "[[node]]\n"
    "id = 2\n"
    "address = \"b:7400\"\n"
    "[[node]]\n"
    "id = 1\n"
    "address = \"[::1]:7400\"\n";

TEST(Spec, ParsesAndSorts) {
  const ClusterSpec spec = parse_spec(kGood).value();
  EXPECT_EQ(spec.name, "demo");
  EXPECT_EQ(spec.shards, 16);
  EXPECT_EQ(spec.trash_hours, 24u);  // of a file from before there was a trash
  EXPECT_EQ(spec.id[1], std::byte{0x23});
  EXPECT_EQ(spec.id[15], std::byte{0xef});
  ASSERT_EQ(spec.nodes.size(), 2u);
  EXPECT_EQ(spec.nodes[0].address, "[::1]:7400");
  EXPECT_EQ(spec.find(NodeId{2})->address, "b:7400");
  EXPECT_EQ(spec.find(NodeId{3}), nullptr);
}

TEST(Spec, SurvivesARoundTrip) {
  ClusterSpec spec = parse_spec(kGood).value();
  spec.trash_hours = 0;
  spec.name = "quotes \" and \\ and\nlines";
  const std::string text = format_spec(spec);
  const ClusterSpec again = parse_spec(text).value();
  EXPECT_EQ(again.name, spec.name);
  EXPECT_EQ(again.trash_hours, 0u);
  EXPECT_EQ(format_spec(again), text);
}

std::string with(std::string from, std::string to) {
  std::string text = kGood;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}
TEST(Spec, NamesTheMistakeAndItsLine) {
  struct Case {
    std::string text;
    Errc code;
    std::vector<std::string> says;
  };
  const std::vector<Case> cases = {
      {with("shards = 16", "shards = "), Errc::invalid_argument, {"line 6"}},
      {with("shards = 16", "sh\u00e4rds = 16"), Errc::invalid_argument, {"line 6", "ASCII"}},
      {with("shards = 16", "shards = 0"), Errc::invalid_argument, {"line 6", "cluster.shards", "1 to 16384"}},
      {with("shards = 16", "shard = 16"), Errc::invalid_argument, {"line 6", "shard", "misspelt"}},
      {with("shards = 16\n", ""), Errc::invalid_argument, {"line 2", "cluster.shards", "missing"}},
      {with("shards = 16", "shards = 16\ntrash_hours = -1"),
       Errc::invalid_argument,
       {"line 7", "cluster.trash_hours", "0 to 87840"}},
      {with("format = 1", "format = 2"), Errc::wrong_version, {"upgrade"}},
      {with("ABCDEF", "ABCDEG"), Errc::invalid_argument, {"line 3", "cluster.id"}},
      {with("aabbccddeeff", "aabb"), Errc::invalid_argument, {"line 5", "cluster.secret"}},
      {with("id = 2", "id = 1"), Errc::invalid_argument, {"node.id", "twice"}},
      {with("id = 2", "id = 70000"), Errc::invalid_argument, {"line 8", "node.id"}},
      {with("b:7400", "b"), Errc::invalid_argument, {"line 9", "host:port"}},
      {with("b:7400", "[::1]:7400"), Errc::invalid_argument, {"node.address", "twice"}},
      {"format = 1\n[cluster]\n", Errc::invalid_argument, {"line 2", "cluster.name", "missing"}},
      {"", Errc::invalid_argument, {"format", "missing"}},
  };
  for (const Case& c : cases) {
    Result<ClusterSpec> spec = parse_spec(c.text);
    ASSERT_FALSE(spec.has_value()) << c.text;
    EXPECT_EQ(spec.error().code, c.code) << spec.error().text;
    for (const std::string& word : c.says)
      EXPECT_NE(spec.error().text.find(word), std::string::npos) << spec.error().text << " lacks " << word;
  }
}

ClusterSpec nodes(std::vector<u16> ids) {
  ClusterSpec spec;
  for (u16 id : ids) spec.nodes.push_back({NodeId{id}, "x:1"});
  return spec;
}
TEST(Spec, PlacementIsFixedForEver) {
  const ClusterSpec spec = nodes({1, 2, 3, 4, 5});
  std::string text;
  for (u16 shard = 0; shard < 8; ++shard) {
    for (NodeId node : replicas_of(spec, ShardId{shard})) text += std::to_string(node.value);
    text += " ";
  }
  EXPECT_EQ(text, "142 143 153 512 415 435 453 542 ");
}
TEST(Spec, PlacementIsEvenAndMovesLittle) {
  const ClusterSpec five = nodes({1, 2, 3, 4, 5});
  const ClusterSpec six = nodes({1, 2, 3, 4, 5, 6});
  std::map<NodeId, int> load;
  int moved = 0;
  constexpr u16 kShards = 4000;
  for (u16 shard = 0; shard < kShards; ++shard) {
    const auto before = replicas_of(five, ShardId{shard});
    const auto after = replicas_of(six, ShardId{shard});
    EXPECT_EQ(std::set<NodeId>(before.begin(), before.end()).size(), 3u);
    for (NodeId node : before) ++load[node];
    for (NodeId node : after)
      if (std::find(before.begin(), before.end(), node) == before.end()) {
        EXPECT_EQ(node, NodeId{6});
        ++moved;
      }
  }
  for (const auto& [node, count] : load) EXPECT_NEAR(count, kShards * 3 / 5, 150) << node.value;
  EXPECT_NEAR(moved, kShards / 2, 150);
  EXPECT_EQ(replicas_of(nodes({9}), ShardId{3}), std::vector<NodeId>{NodeId{9}});
}

}  // namespace
}  // namespace claudefs::cluster
