// Goal: what one client's call returned is what every other sees next, whatever is cached, lost, paused or
// led by another. Method: two or three clients over simulated messages, with the oracle that each write is
// known.
#include <gtest/gtest.h>

#include "base/tests/with_mutant.h"

#include "client/tests/shared_cluster.h"

namespace claudefs::client::testing {
namespace {

using namespace std::chrono_literals;

NewNode node(const std::string& name) {
  NewNode out;
  out.parent = meta::kRootInode;
  out.name = name;
  out.mode = 0644;
  return out;
}
OpenFlags reading() { return {}; }
OpenFlags writing() {
  OpenFlags out;
  out.write = true;
  return out;
}

class LeasesTest : public ::testing::Test {
 protected:
  Opened create(SharedCluster::Client& at, const std::string& name) {
    auto made = cluster.run(at, at.fs->create_file(node(name), writing()));
    EXPECT_TRUE(made.has_value());
    return *made;
  }
  HandleId open(SharedCluster::Client& at, InodeId inode, OpenFlags flags) {
    auto opened = cluster.run(at, at.fs->open(inode, flags));
    EXPECT_TRUE(opened.has_value()) << opened.error().to_string();
    return opened->handle;
  }
  Result<void> write(SharedCluster::Client& at, HandleId handle, u64 offset, const std::string& text) {
    return cluster.run(at, at.fs->write(handle, offset, Buffer::copy_of(as_bytes(text))));
  }
  std::string read(SharedCluster::Client& at, HandleId handle) {
    auto got = cluster.run(at, at.fs->read(handle, 0, 1 << 20));
    if (!got) return "error " + got.error().to_string();
    std::string out;
    for (const Buffer& piece : got->pieces) out += piece.text();
    return out;
  }
  u64 size_of(SharedCluster::Client& at, InodeId inode) {
    auto got = cluster.run(at, at.fs->get_attributes(inode));
    EXPECT_TRUE(got.has_value());
    return got ? got->size : 0;
  }

  SharedCluster cluster{7};
  SharedCluster::Client& a = cluster.add_client("a");
  SharedCluster::Client& b = cluster.add_client("b");
};

TEST_F(LeasesTest, a_write_is_seen_by_the_next_read_of_another) {
  const Opened file = create(a, "f");
  const HandleId there = open(b, file.inode.id, writing());
  std::string content(40, '.');
  ASSERT_TRUE(write(a, file.handle, 0, content).has_value());
  for (int i = 0; i < 40; ++i) {
    auto& writer = i % 3 == 0 ? a : b;
    auto& reader = i % 3 == 0 ? b : a;
    content[static_cast<std::size_t>(i)] = static_cast<char>('A' + i % 26);
    const std::string one(1, content[static_cast<std::size_t>(i)]);
    ASSERT_TRUE(write(writer, i % 3 == 0 ? file.handle : there, static_cast<u64>(i), one).has_value());
    ASSERT_EQ(read(reader, i % 3 == 0 ? there : file.handle), content) << i;
    ASSERT_EQ(read(writer, i % 3 == 0 ? file.handle : there), content) << i;
  }
}

// An answer that grants what is being recalled comes when the recall does its work.
TEST_F(LeasesTest, a_grant_that_crosses_a_recall_does_not_end_what_is_being_flushed) {
  const Opened file = create(a, "f");
  ASSERT_TRUE(write(a, file.handle, 0, std::string(40'000, 'x')).has_value());
  create(b, "g");  // a holds the directory no longer, so that its lookup is a message
  cluster.next_answer_after = 1200ms;
  runtime::Scope scope(a.node.executor());
  bool found = false;
  scope.spawn([](SharedCluster::Client* at, bool* done) -> runtime::Task<void> {
    *done = (co_await at->fs->lookup(meta::kRootInode, "f").result()).has_value();
  }(&a, &found));
  cluster.world.run_for(500ms);
  a.chunks->delay = 5s;
  EXPECT_EQ(size_of(b, file.inode.id), 40'000u);
  EXPECT_TRUE(found);
}

TEST_F(LeasesTest, attributes_and_names_are_seen_at_once) {
  const Opened file = create(a, "f");
  for (int i = 1; i < 20; ++i) {
    ASSERT_EQ(size_of(b, file.inode.id), static_cast<u64>(i - 1));
    ASSERT_TRUE(write(a, file.handle, static_cast<u64>(i - 1), "x").has_value());
    ASSERT_EQ(size_of(b, file.inode.id), static_cast<u64>(i));
    const std::string name = "n" + std::to_string(i);
    ASSERT_FALSE(cluster.run(b, b.fs->lookup(meta::kRootInode, name)).has_value());
    ASSERT_TRUE(cluster.run(a, a.fs->make_node(node(name))).has_value());
    ASSERT_TRUE(cluster.run(b, b.fs->lookup(meta::kRootInode, name)).has_value()) << i;
    ASSERT_TRUE(cluster.run(b, b.fs->unlink(meta::kRootInode, name, {})).has_value());
    ASSERT_FALSE(cluster.run(a, a.fs->lookup(meta::kRootInode, name)).has_value()) << i;
  }
}

TEST_F(LeasesTest, a_set_id_bit_of_another_is_not_overlooked_by_who_writes) {
  const Opened opened = create(a, "f");
  EXPECT_FALSE(cluster.run(a, a.fs->may_have_set_id(opened.inode.id)).value());
  ASSERT_TRUE(write(a, opened.handle, 0, "mine"));
  EXPECT_FALSE(
      cluster.run(a, a.fs->may_have_set_id(opened.inode.id)).value());  // own writes change nothing of it
  AttributeChange change;
  change.mode = 02775;
  ASSERT_TRUE(cluster.run(b, b.fs->set_attributes(opened.inode.id, change)).has_value());
  EXPECT_TRUE(cluster.run(a, a.fs->may_have_set_id(opened.inode.id)).value());
  change.mode.reset();
  change.clear_set_id = true;
  ASSERT_TRUE(cluster.run(a, a.fs->set_attributes(opened.inode.id, change)).has_value());
  EXPECT_EQ(cluster.run(b, b.fs->get_attributes(opened.inode.id))->mode, 0775);
}

TEST_F(LeasesTest, what_does_not_change_is_answered_without_a_message) {
  const Opened file = create(a, "f");
  ASSERT_TRUE(write(a, file.handle, 0, "content").has_value());
  ASSERT_TRUE(cluster.run(a, a.fs->release(file.handle)).has_value());
  const auto round = [&] {
    ASSERT_TRUE(cluster.run(b, b.fs->lookup(meta::kRootInode, "f")).has_value());
    ASSERT_FALSE(cluster.run(b, b.fs->lookup(meta::kRootInode, "absent")).has_value());
    EXPECT_EQ(size_of(b, file.inode.id), 7u);
    const HandleId handle = open(b, file.inode.id, reading());
    EXPECT_EQ(read(b, handle), "content");
    ASSERT_TRUE(cluster.run(b, b.fs->release(handle)).has_value());
  };
  round();
  const HandleId kept = open(b, file.inode.id, reading());
  EXPECT_EQ(read(b, kept), "content");
  const u64 before = cluster.requests;
  for (int i = 0; i < 50; ++i) round();
  EXPECT_EQ(cluster.requests, before);
}

// A notice that the kernel needs not voids the answer to its question for the attributes.
TEST_F(LeasesTest, the_kernel_is_told_to_forget_only_what_it_was_given) {
  struct Kernel final : KernelCaches {
    int attributes = 0, contents = 0;
    void forget_attributes(InodeId) override { ++attributes; }
    runtime::Task<void> forget_content(InodeId) override {
      ++contents;
      co_return;
    }
    runtime::Task<void> forget_name(InodeId, std::string) override { co_return; }
  } kernel;
  b.fs->set_kernel(&kernel);
  const Opened file = create(a, "f");
  const HandleId there = open(b, file.inode.id, reading());
  const auto change = [&] {
    EXPECT_TRUE(write(a, file.handle, 0, "x").has_value());
    cluster.world.run_for(1s);
    EXPECT_EQ(size_of(b, file.inode.id), 1u);  // takes the lease, for itself
  };
  change();
  change();
  EXPECT_EQ(kernel.attributes, 0);
  EXPECT_EQ(kernel.contents, 0);
  EXPECT_GT(b.fs->give_attributes(file.inode.id), 0s);
  change();
  EXPECT_EQ(kernel.attributes, 1);
  EXPECT_EQ(kernel.contents, 0);
  EXPECT_EQ(read(b, there), "x");
  change();
  change();
  EXPECT_EQ(kernel.attributes, 1);
  EXPECT_EQ(kernel.contents, 1);
  b.fs->set_kernel(nullptr);
}

// The kernel believes the answer that comes first: one that is older than a write must not come after it.
TEST_F(LeasesTest, a_write_is_not_answered_before_what_the_kernel_asked_earlier) {
  struct Kernel final : KernelCaches {
    void forget_attributes(InodeId) override {}
    runtime::Task<void> forget_content(InodeId) override { co_return; }
    runtime::Task<void> forget_name(InodeId, std::string) override { co_return; }
  } kernel;
  a.fs->set_kernel(&kernel);
  const Opened file = create(a, "f");
  const HandleId there = open(b, file.inode.id, writing());
  ASSERT_TRUE(write(b, there, 0, "x").has_value());  // a has no lease that would answer
  cluster.next_answer_after = 300ms;
  runtime::Scope scope(a.node.executor());
  bool answered = false;
  scope.spawn([](SharedCluster::Client* at, InodeId inode, bool* done) -> runtime::Task<void> {
    (void)co_await at->fs->get_attributes(inode).result();
    *done = true;
  }(&a, file.inode.id, &answered));
  cluster.world.run_for(100ms);
  ASSERT_FALSE(answered);
  ASSERT_TRUE(write(a, file.handle, 0, "yz").has_value());
  EXPECT_TRUE(answered);
  // Nor does an older answer lower the lease under which the write is buffered.
  EXPECT_EQ(size_of(b, file.inode.id), 2u);
  EXPECT_EQ(read(b, there), "yz");
  a.fs->set_kernel(nullptr);
}

TEST_F(LeasesTest, appends_of_two_are_both_there) {
  const Opened file = create(a, "log");
  const HandleId there = open(b, file.inode.id, writing());
  std::string expected;
  for (int i = 0; i < 20; ++i) {
    const std::string line = "line " + std::to_string(i) + "\n";
    expected += line;
    auto& at = i % 2 == 0 ? a : b;
    ASSERT_TRUE(
        cluster
            .run(at, at.fs->write(i % 2 == 0 ? file.handle : there, 0, Buffer::copy_of(as_bytes(line)), true))
            .has_value());
  }
  EXPECT_EQ(read(a, file.handle), expected);
  EXPECT_EQ(read(b, there), expected);
}

TEST_F(LeasesTest, who_has_unmounted_is_waited_for_by_nobody) {
  const Opened file = create(b, "f");
  ASSERT_TRUE(write(b, file.handle, 0, "read").has_value());
  ASSERT_TRUE(cluster.run(b, b.fs->fsync(file.handle)).has_value());
  EXPECT_EQ(read(a, open(a, file.inode.id, {})), "read");  // an access time to tell before it ends
  ASSERT_TRUE(cluster.run(a, a.fs->stop()).has_value());
  cluster.world.run_for(1s);
  EXPECT_EQ(a.fs->lease_stats().sessions_lost, 0u);
  cluster.lead(1);
  const runtime::Instant began = cluster.world.now();
  (void)create(b, "g");
  EXPECT_LT(cluster.world.now() - began, 3s);
}

TEST_F(LeasesTest, a_holder_that_stands_still_is_fenced_and_its_late_write_refused) {
  const Opened file = create(a, "f");
  ASSERT_TRUE(write(a, file.handle, 0, "old").has_value());
  ASSERT_TRUE(cluster.run(a, a.fs->fsync(file.handle)).has_value());
  const HandleId there = open(b, file.inode.id, writing());
  ASSERT_TRUE(write(a, file.handle, 0, "late").has_value());
  a.node.pause(40s);
  const runtime::Instant began = cluster.world.now();
  ASSERT_TRUE(write(b, there, 0, "new").has_value());
  EXPECT_LT(cluster.world.now() - began, 15s);
  EXPECT_GT(cluster.world.now() - began, 5s);  // the holder had its time
  ASSERT_TRUE(cluster.run(b, b.fs->fsync(there)).has_value());
  cluster.world.run_for(60s);
  EXPECT_FALSE(cluster.run(a, a.fs->fsync(file.handle)).has_value());
  EXPECT_EQ(read(b, there), "new");
  EXPECT_EQ(read(a, file.handle), "new");
  EXPECT_EQ(a.fs->lease_stats().sessions_lost, 1u);
}

// It lives and sends keep-alives, so it hears of the fence only with the next; all its leases in the shard
// went.
TEST_F(LeasesTest, who_owes_a_lease_when_it_is_fenced_trusts_no_other_either) {
  const Opened owed = create(a, "f");
  const Opened other = create(b, "g");
  ASSERT_EQ(owed.inode.id.shard(), other.inode.id.shard());
  ASSERT_TRUE(write(a, owed.handle, 0, std::string(64 << 10, 'o')).has_value());
  EXPECT_EQ(size_of(a, other.inode.id), 0u);
  a.chunks->delay = 25s;  // its flush takes longer than a recall may
  const runtime::Instant began = cluster.world.now();
  (void)open(b, owed.inode.id, writing());
  EXPECT_GT(cluster.world.now() - began, 15s);  // it had its time
  ASSERT_TRUE(write(b, other.handle, 0, "new").has_value());
  EXPECT_EQ(size_of(a, other.inode.id), 3u);
}

// The same client may hold, under its new session, the lease that a late request of the old one meets; and
// wait for that request's end before it gives the lease back.
TEST_F(LeasesTest, a_late_request_of_an_old_session_waits_for_no_lease) {
  const Opened file = create(a, "f");
  ASSERT_TRUE(write(a, file.handle, 0, std::string(64 << 10, 'o')).has_value());
  runtime::Scope scope(a.node.executor());
  const auto synced = std::make_shared<bool>(false);
  scope.spawn([](FileSystem* fs, HandleId handle, std::shared_ptr<bool> done) -> Task<void> {
    (void)co_await fs->fsync(handle).result();
    *done = true;
  }(a.fs.get(), file.handle, synced));
  cluster.world.isolate("a");
  cluster.world.run_for(12s);
  cluster.world.heal();
  ASSERT_TRUE(cluster.world.run_until([&] { return a.fs->lease_stats().sessions_lost == 1; }, 5s));
  EXPECT_FALSE(*synced);
  EXPECT_EQ(size_of(a, file.inode.id), 0u);  // a lease under the new session
  EXPECT_FALSE(*synced);
  cluster.world.run_for(5s);
  EXPECT_TRUE(*synced);
  EXPECT_EQ(a.fs->lease_stats().sessions_lost, 1u);
}

// Behind a flush that was under way, and lost with the session as well.
TEST_F(LeasesTest, a_change_of_attributes_that_was_lost_is_not_called_committed) {
  const Opened file = create(a, "f");
  ASSERT_TRUE(write(a, file.handle, 0, "x").has_value());
  cluster.world.isolate("a");
  runtime::Scope scope(a.node.executor());
  scope.spawn([](FileSystem* fs, HandleId handle) -> Task<void> {
    (void)co_await fs->fsync(handle).result();
  }(a.fs.get(), file.handle));
  cluster.world.run_for(1s);
  std::optional<Result<std::optional<Inode>>> committed;
  scope.spawn(
      [](FileSystem* fs, InodeId inode, std::optional<Result<std::optional<Inode>>>* out) -> Task<void> {
        AttributeChange change;
        change.mode = 0600;
        (void)co_await fs->set_attributes(inode, change).result();
        *out = co_await fs->commit_attributes(inode).result();
      }(a.fs.get(), file.inode.id, &committed));
  cluster.world.run_for(12s);
  cluster.world.heal();
  ASSERT_TRUE(cluster.world.run_until([&] { return committed.has_value(); }, 20s));
  EXPECT_EQ(a.fs->lease_stats().sessions_lost, 1u);
  EXPECT_FALSE(committed->has_value());
}

TEST_F(LeasesTest, a_client_cut_off_does_not_trust_what_it_knew) {
  const Opened file = create(a, "f");
  EXPECT_EQ(size_of(b, file.inode.id), 0u);
  cluster.world.isolate("b");
  cluster.world.run_for(9s);  // longer than a lease is trusted
  auto asked = std::make_shared<std::optional<Result<Inode>>>();
  runtime::Scope scope(b.node.executor());
  scope.spawn([](FileSystem* fs, InodeId inode, decltype(asked) out) -> Task<void> {
    out->emplace(co_await fs->get_attributes(inode).result());
  }(b.fs.get(), file.inode.id, asked));
  cluster.world.run_for(1s);
  EXPECT_FALSE(asked->has_value());
  ASSERT_TRUE(write(a, file.handle, 0, "four").has_value());
  cluster.world.heal();
  ASSERT_TRUE(cluster.world.run_until([&] { return asked->has_value(); }, 60s));
  ASSERT_TRUE((*asked)->has_value());
  EXPECT_EQ((**asked)->size, 4u);
}

TEST_F(LeasesTest, a_new_leader_knows_what_was_granted_before) {
  const Opened file = create(a, "f");
  const HandleId there = open(b, file.inode.id, reading());
  for (int i = 0; i < 6; ++i) {
    const std::string text = "version " + std::to_string(i);
    ASSERT_TRUE(write(a, file.handle, 0, text).has_value());  // only buffered
    cluster.lead(cluster.leader == 0 ? 1 : 0);
    const runtime::Instant began = cluster.world.now();
    ASSERT_EQ(read(b, there), text);
    EXPECT_LT(cluster.world.now() - began, 5s);  // everybody reclaimed: no need to wait longer
  }
  EXPECT_EQ(a.fs->lease_stats().sessions_lost + b.fs->lease_stats().sessions_lost, 0u);
}

// A change that waits at the new leader must not hide what the others tell it meanwhile.
TEST_F(LeasesTest, a_new_leader_recalls_what_it_is_told_while_a_change_waits) {
  const Opened file = create(a, "f");
  ASSERT_TRUE(cluster.run(a, a.fs->release(file.handle)).has_value());
  EXPECT_EQ(size_of(b, file.inode.id), 0u);  // a read lease
  b.node.pause(3s);
  cluster.lead(1);
  AttributeChange change;
  change.mode = 0600;
  ASSERT_TRUE(cluster.run(a, a.fs->set_attributes(file.inode.id, change)).has_value());
  const auto seen = cluster.run(b, b.fs->get_attributes(file.inode.id));
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->mode & 0777, 0600);
}

// Kept for the commit only while nobody else can look.
TEST_F(LeasesTest, changes_of_attributes_that_wait_for_a_commit_are_seen_at_once) {
  const Opened file = create(a, "f");
  ASSERT_TRUE(write(a, file.handle, 0, "bytes").has_value());
  const auto set_mode = [&](u16 mode) {
    AttributeChange change;
    change.mode = mode;
    ASSERT_TRUE(cluster.run(a, a.fs->set_attributes(file.inode.id, change)).has_value());
  };
  const auto seen_by_b = [&] { return cluster.run(b, b.fs->get_attributes(file.inode.id))->mode & 0777; };
  const u64 before = cluster.requests;
  set_mode(0600);
  EXPECT_EQ(cluster.requests, before);  // it waits
  EXPECT_EQ(seen_by_b(), 0600);         // asked back with the lease
  set_mode(0640);                       // with a lease to read only, shared with b
  EXPECT_EQ(seen_by_b(), 0640);
  ASSERT_TRUE(write(a, file.handle, 0, "BYTES").has_value());
  set_mode(0604);
  a.node.pause(60s);
  EXPECT_EQ(seen_by_b(), 0640);  // a is fenced: its change goes with its bytes
  cluster.world.run_for(70s);
  EXPECT_FALSE(cluster.run(a, a.fs->fsync(file.handle)).has_value());
  EXPECT_EQ(cluster.run(a, a.fs->get_attributes(file.inode.id))->mode & 0777, 0640);
}

// Who else has it open reads what was written to a file without a name, also after its writer's close.
TEST_F(LeasesTest, a_file_without_a_name_is_one_file_too) {
  const Opened file = create(a, "f");
  const HandleId there = open(b, file.inode.id, reading());
  ASSERT_TRUE(cluster.run(a, a.fs->unlink(meta::kRootInode, "f", {})).has_value());
  ASSERT_TRUE(write(a, file.handle, 0, "one").has_value());
  EXPECT_EQ(read(b, there), "one");
  ASSERT_TRUE(write(a, file.handle, 0, "two").has_value());
  ASSERT_TRUE(cluster.run(a, a.fs->release(file.handle)).has_value());
  EXPECT_EQ(read(b, there), "two");
}

// Opened under a lease alone, without one, or while the name goes; before, between and after the times at
// which a client says what it has open.
TEST_F(LeasesTest, what_another_unlinks_lives_until_it_is_closed) {
  cluster.world.run_for(40s);  // leaders purge
  for (int i = 0; i < 12; ++i) {
    const std::string name = "f" + std::to_string(i);
    const Opened file = create(a, name);
    ASSERT_TRUE(write(a, file.handle, 0, name).has_value());
    ASSERT_TRUE(cluster.run(a, a.fs->release(file.handle)).has_value());
    cluster.world.run_for(1700ms);
    const HandleId there = open(b, file.inode.id, reading());
    // Its lease is gone then.
    if (i % 3 == 1) ASSERT_TRUE(cluster.run(a, a.fs->set_attributes(file.inode.id, {})).has_value());
    ASSERT_TRUE(cluster.run(a, a.fs->unlink(meta::kRootInode, name, {})).has_value());
    cluster.world.run_for(4s);
    EXPECT_EQ(read(b, there), name);
    if (i % 4 == 3) {
      cluster.lead(1 - cluster.leader);
      cluster.world.run_for(50s);
      EXPECT_EQ(read(b, there), name) << "after a change of leaders";
    }
    ASSERT_TRUE(cluster.run(b, b.fs->release(there)).has_value());
    cluster.world.run_for(80s);
    EXPECT_EQ(cluster.run(b, b.fs->usage())->inodes_used, 1u);
  }
}

#ifdef CLAUDEFS_MUTANTS
TEST_F(LeasesTest, what_is_open_and_not_told_is_noticed) {
  cluster.world.run_for(40s);
  const Opened file = create(a, "f");
  ASSERT_TRUE(write(a, file.handle, 0, "text").has_value());
  ASSERT_TRUE(cluster.run(a, a.fs->release(file.handle)).has_value());
  ASSERT_TRUE(Mutant::select("open_file_not_told"));
  const HandleId there = open(b, file.inode.id, reading());
  ASSERT_TRUE(cluster.run(a, a.fs->unlink(meta::kRootInode, "f", {})).has_value());
  cluster.world.run_for(4s);
  EXPECT_NE(read(b, there), "text");
  Mutant::select("");
}
#endif

TEST_F(LeasesTest, an_open_that_meets_the_unlink_of_another_fails_or_reads) {
  cluster.world.run_for(40s);
  int opened = 0;
  for (int i = 0; i < 40; ++i) {
    const std::string name = "f" + std::to_string(i);
    const Opened file = create(a, name);
    ASSERT_TRUE(write(a, file.handle, 0, name).has_value());
    ASSERT_TRUE(cluster.run(a, a.fs->release(file.handle)).has_value());
    if (i % 2 == 0) EXPECT_EQ(size_of(b, file.inode.id), name.size());  // b holds a lease
    auto got = std::make_shared<std::optional<Result<Opened>>>();
    runtime::Scope scope(b.node.executor());
    scope.spawn([](SharedCluster::Client* at, InodeId inode, runtime::Duration after,
                   decltype(got) out) -> Task<void> {
      co_await at->node.executor().sleep(after);
      out->emplace(co_await at->fs->open(inode, reading()).result());
    }(&b, file.inode.id, runtime::Duration(i * 50'000), got));
    ASSERT_TRUE(cluster.run(a, a.fs->unlink(meta::kRootInode, name, {})).has_value());
    ASSERT_TRUE(cluster.world.run_until([&] { return got->has_value(); }, 60s));
    cluster.world.run_for(5s);
    if (!(*got)->has_value()) continue;
    ++opened;
    EXPECT_EQ(read(b, (**got)->handle), name) << i;
    ASSERT_TRUE(cluster.run(b, b.fs->release((**got)->handle)).has_value());
  }
  EXPECT_GT(opened, 10);
}

TEST_F(LeasesTest, a_new_leader_waits_for_one_that_stands_still_but_not_for_ever) {
  const Opened file = create(a, "f");
  const HandleId there = open(b, file.inode.id, reading());
  EXPECT_EQ(read(b, there), "");
  b.node.pause(60s);
  cluster.lead(1);
  const runtime::Instant began = cluster.world.now();
  ASSERT_TRUE(write(a, file.handle, 0, "x").has_value());
  auto synced = cluster.run(a, a.fs->fsync(file.handle));
  EXPECT_TRUE(synced.has_value());
  EXPECT_GT(cluster.world.now() - began, 5s);
  EXPECT_LT(cluster.world.now() - began, 16s);
}

struct Never : LockWait {
  bool cancelled() const override { return stop; }
  bool stop = false;
};

Lock exclusive(u64 owner, bool flock = false) {
  Lock out;
  out.owner = owner;
  out.exclusive = true;
  out.flock = flock;
  return out;
}

TEST_F(LeasesTest, a_lock_has_one_holder_over_all_clients) {
  const Opened file = create(a, "f");
  const HandleId there = open(b, file.inode.id, writing());
  for (const bool flock : {false, true}) {
    EXPECT_TRUE(*cluster.run(a, a.fs->set_lock(file.handle, exclusive(1, flock))));
    EXPECT_FALSE(*cluster.run(b, b.fs->set_lock(there, exclusive(1, flock))));
    EXPECT_TRUE(cluster.run(b, b.fs->test_lock(there, exclusive(1, flock)))->has_value());
    cluster.lead(cluster.leader == 0 ? 1 : 0);  // it outlives its leader
    EXPECT_FALSE(*cluster.run(b, b.fs->set_lock(there, exclusive(1, flock))));
    ASSERT_TRUE(cluster.run(a, a.fs->unlock(file.handle, exclusive(1, flock))).has_value());
    EXPECT_TRUE(*cluster.run(b, b.fs->set_lock(there, exclusive(1, flock))));
    ASSERT_TRUE(cluster.run(b, b.fs->unlock(there, exclusive(1, flock))).has_value());
  }
  EXPECT_TRUE(*cluster.run(a, a.fs->set_lock(file.handle, exclusive(1))));
  ASSERT_TRUE(cluster.run(a, a.fs->release(file.handle)).has_value());
  EXPECT_TRUE(*cluster.run(b, b.fs->set_lock(there, exclusive(1))));
}

TEST_F(LeasesTest, a_wait_for_a_lock_ends_with_its_release_and_with_its_holder) {
  const Opened file = create(a, "f");
  const HandleId there = open(b, file.inode.id, writing());
  Never wait;
  std::optional<Result<LockOutcome>> outcome;
  const auto waiter = [](FileSystem* fs, HandleId handle, Lock lock, LockWait* how,
                         std::optional<Result<LockOutcome>>* out) -> Task<void> {
    out->emplace(co_await fs->wait_for_lock(handle, lock, *how).result());
  };
  runtime::Scope scope(b.node.executor());
  EXPECT_TRUE(*cluster.run(a, a.fs->set_lock(file.handle, exclusive(1))));
  scope.spawn(waiter(b.fs.get(), there, exclusive(2), &wait, &outcome));
  cluster.world.run_for(3s);
  EXPECT_FALSE(outcome.has_value());
  ASSERT_TRUE(cluster.run(a, a.fs->unlock(file.handle, exclusive(1))).has_value());
  ASSERT_TRUE(cluster.world.run_until([&] { return outcome.has_value(); }, 500ms));
  EXPECT_EQ(**outcome, LockOutcome::held);
  ASSERT_TRUE(cluster.run(b, b.fs->unlock(there, exclusive(2))).has_value());

  EXPECT_TRUE(*cluster.run(a, a.fs->set_lock(file.handle, exclusive(1))));
  a.node.pause(100s);
  outcome.reset();
  scope.spawn(waiter(b.fs.get(), there, exclusive(2), &wait, &outcome));
  ASSERT_TRUE(cluster.world.run_until([&] { return outcome.has_value(); }, 15s));
  EXPECT_EQ(**outcome, LockOutcome::held);
  cluster.world.run_for(110s);
  // It still believes that it holds a lock: nothing may be done under it.
  EXPECT_FALSE(write(a, file.handle, 0, "x").has_value());
}

TEST_F(LeasesTest, a_circle_of_waits_is_found_over_clients) {
  const Opened one = create(a, "one");
  const Opened two = create(a, "two");
  const HandleId one_there = open(b, one.inode.id, writing());
  const HandleId two_there = open(b, two.inode.id, writing());
  EXPECT_TRUE(*cluster.run(a, a.fs->set_lock(one.handle, exclusive(1))));
  EXPECT_TRUE(*cluster.run(b, b.fs->set_lock(two_there, exclusive(1))));
  Never wait;
  std::optional<Result<LockOutcome>> outcome;
  runtime::Scope scope(a.node.executor());
  scope.spawn([](FileSystem* fs, HandleId handle, LockWait* how,
                 std::optional<Result<LockOutcome>>* out) -> Task<void> {
    out->emplace(co_await fs->wait_for_lock(handle, exclusive(1), *how).result());
  }(a.fs.get(), two.handle, &wait, &outcome));
  cluster.world.run_for(500ms);
  Never mine;
  EXPECT_EQ(*cluster.run(b, b.fs->wait_for_lock(one_there, exclusive(1), mine)), LockOutcome::would_deadlock);
  EXPECT_FALSE(outcome.has_value());
  wait.stop = true;
  ASSERT_TRUE(cluster.world.run_until([&] { return outcome.has_value(); }, 2s));
  EXPECT_EQ(**outcome, LockOutcome::interrupted);
}

}  // namespace
}  // namespace claudefs::client::testing
