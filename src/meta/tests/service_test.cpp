// Goal: operations over several shards are atomic whatever leader is lost between their steps, and end.
// Method: a walk held to the model, and clients that collide, on a cluster whose leaders move and nodes
// crash.
#include "meta/service/service.h"

#include <gtest/gtest.h>

#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/tests/cluster.h"
#include "meta/tests/namespace_model.h"

namespace claudefs::meta::testing {
namespace {

using namespace std::chrono_literals;

void expect_replicas_equal(Cluster& cluster) {
  for (const auto& member : cluster.members)
    EXPECT_EQ(contents(member->kv), contents(cluster.members.front()->kv)) << member->number;
}

// Every name leads to an inode, every link is counted, every directory hangs where it says, in one tree.
void expect_consistent(Cluster& cluster) {
  std::map<InodeId, Inode> inodes;
  std::map<InodeId, u32> names;
  std::map<InodeId, u64> entries;
  std::map<InodeId, u32> subdirectories;
  std::map<InodeId, InodeId> parent_of;
  for (const auto& [shard, at] : cluster.leader) {
    const ReadContext& state = cluster.state(shard);
    state.scan(key_of_table(Table::inode), "", [&](std::string_view key, std::string_view value) {
      inodes[InodeId{number_in(key, 1)}] = *wire::decode<Inode>(as_bytes(value));
      return true;
    });
    state.scan(key_of_table(Table::dentry), "", [&](std::string_view key, std::string_view value) {
      const Dentry dentry = *wire::decode<Dentry>(as_bytes(value));
      const InodeId directory{number_in(key, 1)};
      ++names[dentry.inode];
      ++entries[directory];
      if (dentry.type == FileType::directory) {
        ++subdirectories[directory];
        parent_of[dentry.inode] = directory;
      }
      return true;
    });
  }
  for (const auto& [id, count] : names) ASSERT_TRUE(inodes.contains(id)) << id.value;
  for (const auto& [id, inode] : inodes) {
    if (inode.type != FileType::directory) {
      EXPECT_EQ(inode.nlink, names[id]);
      continue;
    }
    EXPECT_EQ(names[id], id == kRootInode ? 0u : 1u);
    EXPECT_EQ(inode.size, entries[id]);
    EXPECT_EQ(inode.nlink, 2 + subdirectories[id]);
    InodeId at = id;
    for (int depth = 0; at != kRootInode; ++depth) {
      ASSERT_LT(depth, 1000) << "a loop";
      ASSERT_TRUE(parent_of.contains(at)) << "not below the root";
      EXPECT_EQ(inodes.at(at).parent, parent_of.at(at));
      at = parent_of.at(at);
    }
  }
}

TEST(Service, behaves_like_the_model_over_four_shards) {
  Cluster cluster(1, 4, 1);
  NamespaceWalk walk(cluster, 1);
  for (int i = 0; i < 400; ++i) {
    walk.step();
    if (i % 100 == 99) walk.check_tree();
    ASSERT_FALSE(HasFatalFailure()) << "step " << i;
  }
  cluster.run_for(5s);
  EXPECT_EQ(cluster.loose_ends(), 0u);
  expect_consistent(cluster);
  for (const Errc code : {Errc::ok, Errc::exists, Errc::not_empty, Errc::would_loop, Errc::not_permitted})
    EXPECT_GT(walk.seen[code], 0) << name_of(code);
}

TEST(Service, behaves_like_the_model_while_leaders_come_and_go) {
  int disturbances = 0;
  for (u64 seed = 1; seed <= 5; ++seed) {
    Cluster cluster(seed, 4, 3);
    cluster.disturb(20ms);
    NamespaceWalk walk(cluster, seed);
    for (int i = 0; i < 150; ++i) {
      walk.step();
      ASSERT_FALSE(HasFatalFailure()) << "seed " << seed << " step " << i;
    }
    cluster.calm();
    walk.check_tree();
    cluster.run_for(30s);
    EXPECT_EQ(cluster.loose_ends(), 0u) << "seed " << seed;
    expect_consistent(cluster);
    expect_replicas_equal(cluster);
    disturbances += cluster.disturbances;
  }
  EXPECT_GT(disturbances, 100);
}

// A client that collides with others on purpose: any answer but a transport error will do.
runtime::Task<void> collide(Cluster* cluster, u64 number, std::vector<InodeId> directories, int* running) {
  sim::RandomStream random(cluster->world.seed(), "client", number);
  const auto directory = [&] { return directories[random.between(0, directories.size() - 1)]; };
  const auto name = [&] { return std::string(1, static_cast<char>('a' + random.between(0, 2))); };
  std::vector<InodeId> files{kRootInode};
  for (u64 i = 1; i <= 40; ++i) {
    const InodeId parent = directory();
    const cluster::RequestId id{SessionId{100 + number}, i, i};
    Result<Buffer> result = fail(Errc::ok);
    const u64 dice = random.between(0, 9);
    u16 kind = 0;
    Buffer body;
    if (dice < 2)
      kind = Create::kKind, body = wire::encode(Create{parent, name()});
    else if (dice < 4)
      kind = MakeDirectory::kKind, body = wire::encode(MakeDirectory{parent, name()});
    else if (dice < 5)
      kind = Unlink::kKind, body = wire::encode(Unlink{parent, name()});
    else if (dice < 6)
      kind = RemoveDirectory::kKind, body = wire::encode(RemoveDirectory{parent, name()});
    else if (dice < 7)
      kind = Link::kKind,
      body = wire::encode(Link{files[random.between(0, files.size() - 1)], parent, name()});
    else
      kind = Rename::kKind, body = wire::encode(Rename{parent, name(), directory(), name(),
                                                       static_cast<RenameMode>(random.between(0, 2))});
    result = co_await cluster->request(parent.shard(), kind, id, body).result();
    if (result && kind == Create::kKind) files.push_back(wire::decode<InodeReply>(*result)->inode.id);
    if (result && kind == MakeDirectory::kKind)
      directories.push_back(wire::decode<InodeReply>(*result)->inode.id);
    if (!result) EXPECT_NE(name_of(result.error().code), "timed_out") << result.error().text;
  }
  --*running;
}

TEST(Service, colliding_clients_leave_a_tree) {
  for (u64 seed = 1; seed <= 6; ++seed) {
    Cluster cluster(seed, 5, 3);
    std::vector<InodeId> directories{kRootInode};
    for (int i = 0; i < 3; ++i)
      directories.push_back(
          cluster.call(ShardId{0}, MakeDirectory{kRootInode, "top" + std::to_string(i), 0755, {}})->inode.id);
    if (seed > 2) cluster.disturb(40ms);
    int running = 5;
    {
      runtime::Scope clients(cluster.env.executor());
      for (u64 i = 0; i < 5; ++i) clients.spawn(collide(&cluster, i, directories, &running));
      ASSERT_TRUE(cluster.world.run_until([&] { return running == 0; }, 600s)) << "seed " << seed;
    }
    cluster.calm();
    cluster.run_for(30s);
    EXPECT_EQ(cluster.loose_ends(), 0u) << "seed " << seed;
    expect_consistent(cluster);
    expect_replicas_equal(cluster);
  }
}

TEST(Service, a_leader_that_no_quorum_confirms_answers_no_query) {
  Cluster cluster(1, 1, 2);
  const auto ask = [&](SessionId session) {
    cluster::ShardRequest request;
    request.shard = ShardId{0};
    request.kind = GetAttributes::kKind;
    request.id.session = session;
    request.body = wire::encode(GetAttributes{kRootInode, 0, {}});
    return sim::run(cluster.world, cluster.env, cluster.members[0]->service->execute(std::move(request)));
  };
  for (const SessionId session : {SessionId{}, SessionId{5}}) {
    cluster.unconfirmed.clear();
    EXPECT_EQ(ask(session)->code, Errc::ok) << session.value;
    cluster.unconfirmed.insert(ShardId{0});
    EXPECT_EQ(ask(session)->code, Errc::unavailable) << session.value;
  }
}

TEST(Service, a_session_gets_the_key_of_the_domain) {
  Cluster cluster(1, 2, 2);
  const auto first = cluster.call(ShardId{0}, OpenSession{"a"});
  cluster.move_leader(ShardId{0});
  const auto second = cluster.call(ShardId{0}, OpenSession{"b"});
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->session, second->session);
  EXPECT_EQ(first->domain_key, second->domain_key);
  EXPECT_FALSE(first->domain_key == codec::DomainKey{});
}

TEST(Service, orphans_go_when_nobody_holds_them) {
  Cluster cluster(1, 1, 1);
  const InodeId file = cluster.call(ShardId{0}, Create{kRootInode, "f"})->inode.id;
  cluster.run_for(60s);
  const auto hold = [&] { ASSERT_TRUE(cluster.call(ShardId{0}, HoldOpen{SessionId{9}, {file}})); };
  hold();
  ASSERT_TRUE(cluster.call(ShardId{0}, Unlink{kRootInode, "f", {}, SessionId{9}}));
  for (int i = 0; i < 10; ++i) {
    cluster.run_for(10s);
    hold();
    EXPECT_TRUE(cluster.call(ShardId{0}, GetAttributes{file})) << i;
  }
  cluster.run_for(40s);
  EXPECT_EQ(cluster.call(ShardId{0}, GetAttributes{file}).error().code, Errc::stale);
  EXPECT_EQ(cluster.call(ShardId{0}, ShardUsage{})->inodes, 1u);
}

// What one shard emits arrives at the other once, also over a change of leaders, and then counts as
// delivered.
TEST(Service, messages_are_delivered_and_acknowledged) {
  Cluster cluster(3, 4, 3);
  cluster.disturb(10ms);
  const Inode directory = cluster.call(ShardId{0}, MakeDirectory{kRootInode, "d", 0755, {}})->inode;
  for (int i = 0; i < 20; ++i) {
    const std::string name = std::to_string(i);
    const InodeId id = cluster.call(directory.id.shard(), Create{directory.id, name})->inode.id;
    CommitWrite op;
    op.inode = id;
    codec::ChunkHash hash;
    hash.bytes[7] = static_cast<std::byte>(i);
    op.extents = {{0, 100, ChunkRef{hash, {}, 100, 0}}};
    ASSERT_TRUE(cluster.call(id.shard(), op));
  }
  cluster.calm();
  cluster.run_for(20s);
  EXPECT_EQ(cluster.loose_ends(), 0u);
  const auto status = cluster.call(directory.id.shard(), OutboxStatus{});
  EXPECT_EQ(status->delivered, status->clock);
  ASSERT_TRUE(sim::run(cluster.world, cluster.env, cluster.members[0]->service->checkpoint()).value());
  for (const auto& [shard, at] : cluster.leader) {
    const auto* machine = cluster.members[0]->service->machine(shard);
    EXPECT_EQ(machine->durable(), machine->applied());
  }
}

}  // namespace
}  // namespace claudefs::meta::testing
