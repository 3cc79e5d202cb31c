// Goal: a write beyond a quota fails by itself, and what was taken is never lost to one. Method: clients over
// simulated messages, one user who has a limit and one who has none.
#include "meta/quota.h"

#include <gtest/gtest.h>

#include "client/tests/shared_cluster.h"

namespace claudefs::client::testing {
namespace {

using namespace std::chrono_literals;
using meta::QuotaKind;
using meta::QuotaSubject;

const Caller kAlice{1001, 1001, {}}, kBob{1002, 1002, {}};
constexpr QuotaSubject kAlices{QuotaKind::user, VolumeId{1}, 1001};

class QuotaTest : public ::testing::Test {
 protected:
  QuotaTest() {
    AttributeChange open_to_all;
    open_to_all.mode = 0777;
    EXPECT_TRUE(cluster.run(a, a.fs->set_attributes(meta::kRootInode, open_to_all)).has_value());
    cluster.world.run_for(1s);
  }
  template <class Op>
  typename Op::Reply ask(const Op& op) {
    return *wire::decode<typename Op::Reply>(
        *cluster.run(a, a.router->call_raw(ShardId{0}, Op::kKind, {}, wire::encode(op))));
  }
  void limit(i64 bytes, i64 inodes = 0) {
    meta::SetQuota op{kAlices, {}};
    op.limits.hard = {bytes, inodes};
    EXPECT_TRUE(ask(op).unheard.empty());
    cluster.world.run_for(1s);  // mounts hear of it
  }
  meta::QuotaUse used(const QuotaSubject& subject = kAlices) {
    for (const auto& row : ask(meta::ListQuota{}).rows)
      if (row.subject == subject) return row.use;
    return {};
  }
  Opened create(SharedCluster::Client& at, const std::string& name, Caller by) {
    NewNode node;
    node.parent = meta::kRootInode;
    node.name = name;
    node.mode = 0666;
    node.caller = by;
    OpenFlags flags;
    flags.write = true;
    auto made = cluster.run(at, at.fs->create_file(node, flags));
    EXPECT_TRUE(made.has_value()) << made.error().to_string();
    return *made;
  }
  Errc write(SharedCluster::Client& at, HandleId handle, u64 offset, u64 length, char with = 'x',
             bool append = false) {
    auto done =
        cluster.run(at, at.fs->write(handle, offset, Buffer::adopt(std::string(length, with)), append));
    return done ? Errc::ok : done.error().code;
  }
  Errc fsync(SharedCluster::Client& at, HandleId handle) {
    auto done = cluster.run(at, at.fs->fsync(handle));
    return done ? Errc::ok : done.error().code;
  }
  std::string read(SharedCluster::Client& at, HandleId handle, u64 offset, u64 length) {
    auto got = cluster.run(at, at.fs->read(handle, offset, length));
    std::string out;
    if (got)
      for (const Buffer& piece : got->pieces) out += piece.text();
    return out;
  }
  // Writes in pieces until one is refused; how many bytes were taken.
  u64 fill(SharedCluster::Client& at, HandleId handle, u64 piece) {
    for (u64 offset = 0;; offset += piece) {
      const Errc code = write(at, handle, offset, piece);
      if (code == Errc::ok && offset < 4_MiB) continue;
      EXPECT_EQ(code, Errc::quota_exceeded);
      return offset;
    }
  }

  SharedCluster cluster{7};
  SharedCluster::Client& a = cluster.add_client("a");
  SharedCluster::Client& b = cluster.add_client("b");
};

TEST_F(QuotaTest, a_write_is_refused_before_it_is_taken_and_what_was_taken_stays) {
  const Opened file = create(a, "f", kAlice);
  limit(1_MiB);
  const u64 taken = fill(a, file.handle, 64_KiB);
  EXPECT_EQ(taken, 1_MiB);
  EXPECT_EQ(fsync(a, file.handle), Errc::ok);
  EXPECT_EQ(used().bytes, static_cast<i64>(1_MiB));
  // What is there may be overwritten; elsewhere there is nothing left, on any mount.
  EXPECT_EQ(write(a, file.handle, 0, 64_KiB, 'y'), Errc::ok);
  EXPECT_EQ(fsync(a, file.handle), Errc::ok);
  EXPECT_EQ(read(a, file.handle, 0, 64_KiB), std::string(64_KiB, 'y'));
  const Opened other = create(b, "g", kAlice);
  EXPECT_EQ(write(b, other.handle, 0, 1), Errc::quota_exceeded);
  EXPECT_EQ(fsync(b, other.handle), Errc::ok);
  // Who has no limit is not in the way of anything.
  const Opened bobs = create(b, "h", kBob);
  EXPECT_EQ(write(b, bobs.handle, 0, 2_MiB), Errc::ok);
  EXPECT_EQ(fsync(b, bobs.handle), Errc::ok);
}

TEST_F(QuotaTest, what_is_cut_off_can_be_written_elsewhere_at_once) {
  const Opened file = create(a, "f", kAlice), other = create(b, "g", kAlice);
  limit(256_KiB);
  EXPECT_EQ(fill(a, file.handle, 16_KiB), 256_KiB);
  AttributeChange shorter;
  shorter.size = 128_KiB;
  shorter.handle = file.handle;
  ASSERT_TRUE(cluster.run(a, a.fs->set_attributes(file.inode.id, shorter)).has_value());
  EXPECT_EQ(write(b, other.handle, 0, 100'000), Errc::ok);
  EXPECT_EQ(write(b, other.handle, 100'000, 100'000), Errc::quota_exceeded);
  EXPECT_EQ(fsync(b, other.handle), Errc::ok);
  EXPECT_LE(used().bytes, static_cast<i64>(256_KiB));
}

TEST_F(QuotaTest, clients_that_buffer_share_what_is_left) {
  const Opened file = create(a, "f", kAlice), other = create(b, "g", kAlice);
  limit(1_MiB);
  u64 taken = 0;
  for (u64 i = 0; i < 60; ++i) {
    taken += write(a, file.handle, i * 20'000, 20'000) == Errc::ok ? 20'000 : 0;
    taken += write(b, other.handle, i * 20'000, 20'000) == Errc::ok ? 20'000 : 0;
  }
  EXPECT_LE(taken, 1_MiB);
  EXPECT_GE(taken, 1_MiB - 40'000);
  EXPECT_EQ(fsync(a, file.handle), Errc::ok);
  EXPECT_EQ(fsync(b, other.handle), Errc::ok);
  EXPECT_LE(used().bytes, static_cast<i64>(1_MiB));
}

// While it waits for room in the quota its session ends, and somebody else writes.
TEST_F(QuotaTest, a_write_that_outlives_its_session_asks_for_the_lease_anew) {
  const Opened file = create(a, "f", kAlice);
  OpenFlags flags;
  flags.write = true;
  const auto there = cluster.run(b, b.fs->open(file.inode.id, flags));
  ASSERT_TRUE(there.has_value());
  limit(1_MiB);
  EXPECT_EQ(write(a, file.handle, 0, 10, '-'), Errc::ok);
  cluster.world.isolate("a");
  runtime::Scope scope(a.node.executor());
  bool written = false;
  scope.spawn([](FileSystem* fs, HandleId handle, bool* done) -> runtime::Task<void> {
    *done = (co_await fs->write(handle, 0, Buffer::adopt(std::string(3'000, 'a'))).result()).has_value();
  }(a.fs.get(), file.handle, &written));
  cluster.world.run_for(12s);
  EXPECT_EQ(write(b, there->handle, 0, 10, 'b'), Errc::ok);
  cluster.world.heal();
  ASSERT_TRUE(cluster.world.run_until([&] { return written; }, 20s));
  EXPECT_EQ(a.fs->lease_stats().sessions_lost, 1u);
  EXPECT_EQ(read(b, there->handle, 0, 10), std::string(10, 'a'));
  EXPECT_EQ(read(a, file.handle, 0, 10), std::string(10, 'a'));
}

TEST_F(QuotaTest, an_append_is_refused_whole) {
  const Opened file = create(a, "f", kAlice);
  limit(64_KiB);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(write(a, file.handle, 0, 10'000, 'a', true), Errc::ok);
  EXPECT_EQ(write(a, file.handle, 0, 10'000, 'b', true), Errc::quota_exceeded);
  EXPECT_EQ(write(a, file.handle, 0, 4'000, 'c', true), Errc::ok);
  EXPECT_EQ(fsync(a, file.handle), Errc::ok);
  EXPECT_EQ(read(a, file.handle, 0, 100'000), std::string(60'000, 'a') + std::string(4'000, 'c'));
}

TEST_F(QuotaTest, what_was_taken_before_a_limit_is_kept) {
  const Opened file = create(a, "f", kAlice);
  EXPECT_EQ(write(a, file.handle, 0, 500'000), Errc::ok);
  limit(100'000);
  EXPECT_EQ(write(a, file.handle, 500'000, 1000), Errc::quota_exceeded);
  EXPECT_EQ(fsync(a, file.handle), Errc::ok);
  EXPECT_EQ(read(a, file.handle, 0, 1_MiB), std::string(500'000, 'x'));
  EXPECT_EQ(write(a, file.handle, 0, 500'000, 'y'), Errc::ok);
  EXPECT_EQ(write(a, file.handle, 499'999, 700), Errc::quota_exceeded);
}

TEST_F(QuotaTest, a_limit_that_comes_later_binds_what_was_set_aside_of_another) {
  const Opened file = create(a, "f", kAlice);
  limit(1_MiB);
  EXPECT_EQ(write(a, file.handle, 0, 10'000), Errc::ok);
  EXPECT_EQ(write(a, file.handle, 10'000, 20'000), Errc::ok);  // and some is set aside for the next
  meta::SetQuota group{{QuotaKind::group, VolumeId{1}, 1001}, {}};
  group.limits.hard = {10'000, 0};
  EXPECT_TRUE(ask(group).unheard.empty());
  cluster.world.run_for(1s);
  EXPECT_EQ(write(a, file.handle, 30'000, 1000), Errc::quota_exceeded);
  EXPECT_EQ(fsync(a, file.handle), Errc::ok);
  EXPECT_EQ(read(a, file.handle, 0, 1_MiB), std::string(30'000, 'x'));
  EXPECT_EQ(write(a, file.handle, 0, 30'000, 'y'), Errc::ok);
  EXPECT_EQ(fsync(a, file.handle), Errc::ok);
}

TEST_F(QuotaTest, reservations_end_with_the_file_the_session_and_the_owner) {
  const Opened file = create(a, "f", kAlice), other = create(b, "g", kAlice);
  limit(1_MiB);
  for (u64 i = 0; i < 4; ++i) EXPECT_EQ(write(a, file.handle, i * 50'000, 50'000), Errc::ok);
  ASSERT_TRUE(cluster.run(a, a.fs->release(file.handle)).has_value());
  // All but what it uses, which is less than what was set aside for it.
  EXPECT_EQ(write(b, other.handle, 0, 1_MiB - 200'000 - 2048), Errc::ok);
  EXPECT_EQ(fsync(b, other.handle), Errc::ok);
  AttributeChange away;
  away.uid = 1002;
  ASSERT_TRUE(cluster.run(b, b.fs->set_attributes(other.inode.id, away)).has_value());
  EXPECT_EQ(write(b, other.handle, 0, 3_MiB), Errc::ok);  // Bob's now
  EXPECT_EQ(fsync(b, other.handle), Errc::ok);
  const Opened third = create(a, "h", kAlice);
  EXPECT_EQ(write(a, third.handle, 0, 800'000), Errc::ok);
  EXPECT_EQ(fsync(a, third.handle), Errc::ok);
}

TEST_F(QuotaTest, without_a_limit_nothing_is_asked) {
  const Opened file = create(b, "f", kBob);
  EXPECT_EQ(write(b, file.handle, 0, 10), Errc::ok);
  EXPECT_EQ(fsync(b, file.handle), Errc::ok);
  const auto messages_of_a_write = [&](const Opened& at, u64 offset) {
    const u64 before = cluster.requests;
    EXPECT_EQ(write(b, at.handle, offset, 10), Errc::ok);
    return cluster.requests - before;
  };
  EXPECT_EQ(messages_of_a_write(file, 10), 0u);
  EXPECT_EQ(fsync(b, file.handle), Errc::ok);
  limit(1_MiB);                                  // another's
  EXPECT_EQ(messages_of_a_write(file, 20), 1u);  // once for all files of these owners
  EXPECT_EQ(messages_of_a_write(file, 30), 0u);
  const Opened second = create(b, "g", kBob);
  EXPECT_EQ(messages_of_a_write(second, 0), 0u);
}

TEST_F(QuotaTest, inodes_are_limited_too) {
  limit(0, 3);
  create(a, "1", kAlice), create(b, "2", kAlice), create(a, "3", kAlice);
  NewNode node;
  node.parent = meta::kRootInode;
  node.name = "4";
  node.caller = kAlice;
  const auto refused = cluster.run(a, a.fs->create_file(node, {}));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::quota_exceeded);
  const auto directory = cluster.run(a, a.fs->make_directory(node));
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code, Errc::quota_exceeded);
  create(b, "5", kBob);
  limit(0, 0);
  create(a, "4", kAlice);
  EXPECT_EQ(used().inodes, 4);
}

TEST_F(QuotaTest, usage_shows_the_tightest_limit) {
  NewNode node;
  node.parent = meta::kRootInode;
  node.name = "d";
  node.mode = 0777;
  const auto directory = cluster.run(a, a.fs->make_directory(node));
  ASSERT_TRUE(directory.has_value());
  const auto usage = [&](InodeId where) { return *cluster.run(b, b.fs->usage(where)); };
  const FileSystemUsage all = usage(meta::kRootInode);
  meta::SetQuota op{{QuotaKind::directory, VolumeId{1}, directory->id.value}, {}};
  op.limits.hard = {65536, 5};
  EXPECT_TRUE(ask(op).unheard.empty());
  cluster.world.run_for(1s);
  node.parent = directory->id;
  node.name = "f";
  OpenFlags flags;
  flags.write = true;
  const auto file = cluster.run(a, a.fs->create_file(node, flags));
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(write(a, file->handle, 0, 40'000), Errc::ok);
  EXPECT_EQ(write(a, file->handle, 40'000, 40'000), Errc::quota_exceeded);
  EXPECT_EQ(fsync(a, file->handle), Errc::ok);
  const FileSystemUsage inside = usage(file->inode.id);
  EXPECT_EQ(inside.inodes_used, 2u);
  EXPECT_EQ(inside.inodes_free, 3u);
  EXPECT_EQ(inside.total_bytes, 65536u);
  EXPECT_EQ(inside.free_bytes, 65536u - 40'448u);
  EXPECT_EQ(usage(meta::kRootInode).total_bytes, all.total_bytes);
}

}  // namespace
}  // namespace claudefs::client::testing
