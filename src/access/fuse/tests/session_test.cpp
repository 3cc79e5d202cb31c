// Goal: requests as the kernel makes them get the answers the kernel expects; anything else is refused.
// Method: hand-made packets through a device in memory, over the real file-system library and metadata.
#include "access/fuse/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>

#include "access/fuse/detail/newer.h"
#include "access/fuse/detail/request.h"
#include "access/fuse/tests/fake_device.h"
#include "base/mutant.h"
#include "client/tests/fake_cluster.h"
#include "sim/run.h"

namespace claudefs::access::fuse {
namespace {

using namespace std::chrono_literals;
using testing::Answer;

template <class T>
std::string bytes_of(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}
std::string name(std::string_view text) { return std::string(text) + '\0'; }

class FuseSessionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs_ = cluster_.mount(node_);
    ASSERT_TRUE(sim::run(world_, node_, fs_->start()).value());
    SessionOptions options;
    options.entry_valid = options.attributes_valid = 1s;  // there are no leases here
    options.groups_of = [this](u32) {
      ++groups_asked_;
      return groups_;
    };
    session_ = FuseSession::create(node_, std::make_unique<testing::FakeDevice>(wire_), *fs_, options);
    scope_.spawn(serve());
    initialise();
  }
  void TearDown() override {
    wire_.unmount();
    EXPECT_TRUE(world_.run_until([&] { return ended_; }, 1min));
    EXPECT_TRUE(sim::run(world_, node_, fs_->stop()).has_value());
  }
  runtime::Task<void> serve() {
    outcome_ = co_await session_->run();
    ended_ = true;
  }

  u64 post(u32 opcode, u64 node, std::string body) {
    fuse_in_header header{};
    header.opcode = opcode;
    header.unique = next_unique_ += 2;
    header.nodeid = node;
    header.uid = 1000;
    header.gid = 100;
    header.pid = 4711;
    header.len = static_cast<u32>(sizeof(header) + body.size());
    wire_.post(bytes_of(header) + body);
    return header.unique;
  }
  bool answered(u64 unique, runtime::Duration limit = 1min) {
    return world_.run_until([&] { return wire_.answers.contains(unique); }, limit);
  }
  Answer ask(u32 opcode, u64 node, std::string body) {
    const u64 unique = post(opcode, node, std::move(body));
    EXPECT_TRUE(answered(unique)) << "opcode " << opcode;
    return wire_.answers[unique];
  }
  void initialise() {
    fuse_init_in in{};
    in.major = 7;
    in.minor = 45;
    in.max_readahead = 131072;
    in.flags = ~u32{0};
    const Answer answer = ask(FUSE_INIT, 0, bytes_of(in));
    ASSERT_EQ(answer.error, 0);
    init_ = answer.as<fuse_init_out>();
  }
  struct Created {
    u64 node;
    u64 handle;
  };
  Created create(const std::string& file) {
    fuse_create_in in{};
    in.flags = O_RDWR | O_CREAT;
    in.mode = S_IFREG | 0640;
    const Answer answer = ask(FUSE_CREATE, FUSE_ROOT_ID, bytes_of(in) + name(file));
    EXPECT_EQ(answer.error, 0);
    return {answer.as<fuse_entry_out>().nodeid, answer.as<fuse_open_out>(sizeof(fuse_entry_out)).fh};
  }
  Answer write(Created file, u64 offset, const std::string& data) {
    fuse_write_in in{};
    in.fh = file.handle;
    in.offset = offset;
    in.size = static_cast<u32>(data.size());
    return ask(FUSE_WRITE, file.node, bytes_of(in) + data);
  }
  Answer read(Created file, u64 offset, u32 size) {
    fuse_read_in in{};
    in.fh = file.handle;
    in.offset = offset;
    in.size = size;
    return ask(FUSE_READ, file.node, bytes_of(in));
  }

  sim::World world_{11};
  sim::Node& node_ = world_.add_node("client");
  client::testing::FakeCluster cluster_{node_};
  std::unique_ptr<client::FileSystem> fs_;
  testing::Wire wire_{node_.executor()};
  std::unique_ptr<FuseSession> session_;
  runtime::Scope scope_{node_.executor()};
  fuse_init_out init_{};
  u64 next_unique_ = 0;
  std::vector<u32> groups_;
  int groups_asked_ = 0;
  Result<void> outcome_;
  bool ended_ = false;
};

TEST_F(FuseSessionTest, InitAgreesOnWhatBothCan) {
  EXPECT_EQ(init_.major, 7u);
  EXPECT_EQ(init_.max_write, 1u << 20);
  EXPECT_EQ(init_.max_pages, 256);
  EXPECT_TRUE(init_.flags & FUSE_ATOMIC_O_TRUNC);
  EXPECT_TRUE(init_.flags & FUSE_HANDLE_KILLPRIV_V2);
  EXPECT_FALSE(init_.flags & FUSE_WRITEBACK_CACHE);
  EXPECT_TRUE(init_.flags & FUSE_POSIX_LOCKS);
  EXPECT_TRUE(init_.flags & FUSE_FLOCK_LOCKS);
  EXPECT_TRUE(init_.flags & FUSE_AUTO_INVAL_DATA);
}

TEST_F(FuseSessionTest, AFileFromCreationToUnlink) {
  const Created file = create("f");
  const std::string data(300'000, 'd');
  EXPECT_EQ(write(file, 0, data).as<fuse_write_out>().size, data.size());
  EXPECT_EQ(read(file, 0, 1 << 20).body, data);
  EXPECT_EQ(read(file, data.size(), 4096).body, "");
  fuse_flush_in flush{};
  flush.fh = file.handle;
  EXPECT_EQ(ask(FUSE_FLUSH, file.node, bytes_of(flush)).error, 0);

  const Answer looked_up = ask(FUSE_LOOKUP, FUSE_ROOT_ID, name("f"));
  const auto entry = looked_up.as<fuse_entry_out>();
  EXPECT_EQ(entry.nodeid, file.node);
  EXPECT_EQ(entry.attr.size, data.size());
  EXPECT_EQ(entry.attr.mode, S_IFREG | 0640u);
  EXPECT_EQ(entry.attr.uid, 1000u);
  EXPECT_EQ(entry.entry_valid, 1u);

  fuse_setattr_in set{};
  set.valid = FATTR_SIZE | FATTR_MODE;
  set.size = 5;
  set.mode = S_IFREG | 0600;
  const auto attributes = ask(FUSE_SETATTR, file.node, bytes_of(set)).as<fuse_attr_out>();
  EXPECT_EQ(attributes.attr.size, 5u);
  EXPECT_EQ(attributes.attr.mode, S_IFREG | 0600u);
  EXPECT_EQ(read(file, 0, 4096).body, "ddddd");

  EXPECT_EQ(session_->stats().known_inodes, 1u);
  EXPECT_EQ(ask(FUSE_UNLINK, FUSE_ROOT_ID, name("f")).error, 0);
  EXPECT_EQ(ask(FUSE_LOOKUP, FUSE_ROOT_ID, name("f")).error, -ENOENT);
  EXPECT_EQ(read(file, 0, 4096).body, "ddddd");
  fuse_release_in release{};
  release.fh = file.handle;
  EXPECT_EQ(ask(FUSE_RELEASE, file.node, bytes_of(release)).error, 0);
  EXPECT_EQ(fs_->open_files(), 0u);
  fuse_forget_in forget{};
  forget.nlookup = 2;
  const u64 silent = post(FUSE_FORGET, file.node, bytes_of(forget));
  world_.run_for(1s);
  EXPECT_FALSE(wire_.answers.contains(silent));
  EXPECT_EQ(session_->stats().known_inodes, 0u);
}

// Walks a listing as the kernel does: with a small buffer, from the last entry's position on.
TEST_F(FuseSessionTest, DirectoriesListEachEntryOnce) {
  std::set<std::string> expected = {".", ".."};
  for (int i = 0; i < 120; ++i) {
    const std::string file = "file-" + std::to_string(i);
    create(file);
    expected.insert(file);
  }
  fuse_open_in open{};
  const u64 handle = ask(FUSE_OPENDIR, FUSE_ROOT_ID, bytes_of(open)).as<fuse_open_out>().fh;
  for (const u32 opcode : {FUSE_READDIR, FUSE_READDIRPLUS}) {
    const std::size_t head = opcode == FUSE_READDIRPLUS ? sizeof(fuse_entry_out) : 0;
    std::set<std::string> seen;
    fuse_read_in in{};
    in.fh = handle;
    in.size = 4096;
    for (;;) {
      const Answer answer = ask(opcode, FUSE_ROOT_ID, bytes_of(in));
      ASSERT_EQ(answer.error, 0);
      ASSERT_LE(answer.body.size(), in.size);
      if (answer.body.empty()) break;
      for (std::size_t at = 0; at < answer.body.size();) {
        const auto dirent = answer.as<fuse_dirent>(at + head);
        const std::string found = answer.body.substr(at + head + FUSE_NAME_OFFSET, dirent.namelen);
        EXPECT_TRUE(seen.insert(found).second) << found;
        if (head != 0 && found[0] != '.') EXPECT_EQ(answer.as<fuse_entry_out>(at).nodeid, dirent.ino);
        in.offset = dirent.off;
        at += FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + dirent.namelen);
      }
    }
    EXPECT_EQ(seen, expected);
  }
}

TEST_F(FuseSessionTest, MalformedRequestsAreRefused) {
  EXPECT_EQ(ask(FUSE_LOOKUP, FUSE_ROOT_ID, "no end").error, -EINVAL);
  EXPECT_EQ(ask(FUSE_LOOKUP, FUSE_ROOT_ID, "").error, -EINVAL);
  EXPECT_EQ(ask(FUSE_LOOKUP, FUSE_ROOT_ID, name("")).error, -EINVAL);
  EXPECT_EQ(ask(FUSE_OPEN, FUSE_ROOT_ID, "abc").error, -EINVAL);
  EXPECT_EQ(ask(FUSE_RENAME, FUSE_ROOT_ID, std::string(8, '\1') + name("one")).error, -EINVAL);
  EXPECT_EQ(session_->stats().malformed, 5u);
  wire_.post("short");
  fuse_write_in in{};
  in.size = 100;
  EXPECT_EQ(ask(FUSE_WRITE, 5, bytes_of(in) + "less").error, -EINVAL);
  EXPECT_EQ(ask(FUSE_READ, 5, bytes_of(fuse_read_in{})).error, -ESTALE);
  EXPECT_EQ(ask(FUSE_POLL, 5, bytes_of(fuse_poll_in{})).error, -ENOSYS);
  EXPECT_EQ(ask(9999, 5, "").error, -ENOSYS);
}

TEST_F(FuseSessionTest, AnInterruptedWaitEndsButNothingLeaks) {
  cluster_.router.silent = true;
  fuse_create_in in{};
  in.flags = O_RDWR;
  in.mode = S_IFREG | 0600;
  const u64 waiting = post(FUSE_CREATE, FUSE_ROOT_ID, bytes_of(in) + name("late"));
  world_.run_for(10ms);
  fuse_interrupt_in interrupt{};
  interrupt.unique = waiting;
  post(FUSE_INTERRUPT, 0, bytes_of(interrupt));
  ASSERT_TRUE(answered(waiting, 5s));
  EXPECT_EQ(wire_.answers[waiting].error, -EINTR);
  cluster_.router.silent = false;
  world_.run_for(5s);
  // The file was made after all; its handle, which nobody got, is closed.
  EXPECT_EQ(ask(FUSE_LOOKUP, FUSE_ROOT_ID, name("late")).error, 0);
  EXPECT_EQ(fs_->open_files(), 0u);
}

TEST_F(FuseSessionTest, XattrsTellTheirSizeFirst) {
  const Created file = create("f");
  fuse_setxattr_in set{};
  set.size = 5;
  EXPECT_EQ(ask(FUSE_SETXATTR, file.node, bytes_of(set).substr(0, 8) + name("user.k") + "value").error, 0);
  fuse_getxattr_in get{};
  EXPECT_EQ(ask(FUSE_GETXATTR, file.node, bytes_of(get) + name("user.k")).as<fuse_getxattr_out>().size, 5u);
  get.size = 3;
  EXPECT_EQ(ask(FUSE_GETXATTR, file.node, bytes_of(get) + name("user.k")).error, -ERANGE);
  get.size = 64;
  EXPECT_EQ(ask(FUSE_GETXATTR, file.node, bytes_of(get) + name("user.k")).body, "value");
  EXPECT_EQ(ask(FUSE_GETXATTR, file.node, bytes_of(get) + name("user.none")).error, -ENODATA);
  EXPECT_EQ(ask(FUSE_GETXATTR, file.node, bytes_of(get) + name("system.nfs4_acl")).error, -EOPNOTSUPP);
  EXPECT_EQ(ask(FUSE_LISTXATTR, file.node, bytes_of(get)).body, name("user.k"));
}

TEST_F(FuseSessionTest, GroupsAreAskedForOnceAndAgainWhenRefused) {
  client::NewNode node;
  node.parent = InodeId{FUSE_ROOT_ID};
  node.name = "closed";
  node.mode = 0770;
  const InodeId closed = sim::run(world_, node_, fs_->make_directory(node))->value().id;
  client::AttributeChange change;
  change.gid = 500;
  ASSERT_TRUE(sim::run(world_, node_, fs_->set_attributes(closed, change)).value());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask(FUSE_LOOKUP, FUSE_ROOT_ID, name("closed")).error, 0);
  EXPECT_EQ(groups_asked_, 1);
  EXPECT_EQ(ask(FUSE_LOOKUP, closed.value, name("x")).error, -EACCES);
  EXPECT_EQ(groups_asked_, 2);
  groups_.assign(100, 7);
  groups_.push_back(500);
  EXPECT_EQ(ask(FUSE_LOOKUP, closed.value, name("x")).error, -ENOENT);
  EXPECT_EQ(groups_asked_, 3);
}

TEST_F(FuseSessionTest, StatxTellsTheBirthAndTmpfileHasNoName) {
  fuse_create_in in{};
  in.flags = O_RDWR;
  in.mode = S_IFREG | 0666;
  in.umask = 027;
  const Answer made = ask(detail::kTmpfile, FUSE_ROOT_ID, bytes_of(in) + name("/"));
  ASSERT_EQ(made.error, 0);
  const auto entry = made.as<fuse_entry_out>();
  EXPECT_EQ(entry.attr.nlink, 0u);
  EXPECT_EQ(entry.attr.mode, S_IFREG | 0640u);
  const auto stat =
      ask(detail::kStatx, entry.nodeid, bytes_of(detail::StatxIn{})).as<detail::StatxOut>().stat;
  EXPECT_EQ(stat.mask, u32{STATX_BASIC_STATS | STATX_BTIME});
  EXPECT_EQ(stat.ino, entry.nodeid);
  EXPECT_EQ(stat.btime.seconds, static_cast<i64>(entry.attr.ctime));
  // By handle it is not found: it has no name. One that has is.
  EXPECT_EQ(ask(FUSE_LOOKUP, entry.nodeid, name(".")).error, -ESTALE);
  const Created file = create("f");
  EXPECT_EQ(ask(FUSE_LOOKUP, file.node, name(".")).as<fuse_entry_out>().nodeid, file.node);
  EXPECT_EQ(ask(FUSE_LOOKUP, FUSE_ROOT_ID, name("..")).as<fuse_entry_out>().nodeid, u64{FUSE_ROOT_ID});
}

TEST_F(FuseSessionTest, ThatThereIsNoAclIsKnownWithoutAsking) {
  const Created file = create("f");
  const int asked = cluster_.router.calls[meta::GetXattr::kKind];
  fuse_getxattr_in in{};
  EXPECT_EQ(ask(FUSE_GETXATTR, file.node, bytes_of(in) + name("system.posix_acl_access")).error, -ENODATA);
  EXPECT_EQ(cluster_.router.calls[meta::GetXattr::kKind], asked);
  world_.run_for(2s);
  EXPECT_EQ(ask(FUSE_GETXATTR, file.node, bytes_of(in) + name("system.posix_acl_access")).error, -ENODATA);
  EXPECT_EQ(cluster_.router.calls[meta::GetXattr::kKind], asked + 1);
}

// A kernel that renames cannot move a directory from the place where it has it.
TEST_F(FuseSessionTest, ADirectoryThatAnotherHasMovedIsDroppedWhereItWas) {
  std::map<std::string, u64> nodes;
  for (const char* parent : {"p", "q"})
    nodes[parent] = ask(FUSE_MKDIR, FUSE_ROOT_ID, bytes_of(fuse_mkdir_in{0755, 0}) + name(parent))
                        .as<fuse_entry_out>()
                        .nodeid;
  const u64 moving =
      ask(FUSE_MKDIR, nodes["p"], bytes_of(fuse_mkdir_in{0755, 0}) + name("d")).as<fuse_entry_out>().nodeid;
  const auto move_behind_our_back = [&](const std::string& from, const std::string& to,
                                        const std::string& as) {
    client::RenameRequest rename;
    rename.old_parent = InodeId{nodes[from]};
    rename.new_parent = InodeId{nodes[to]};
    rename.old_name = from == "p" ? "d" : as;
    rename.new_name = as;
    ASSERT_TRUE(sim::run(world_, node_, fs_->rename(rename)).value());
  };
  const auto is_found_in = [&](const std::string& parent, const std::string& as) {
    return ask(FUSE_LOOKUP, nodes[parent], name(as)).as<fuse_entry_out>().nodeid == moving;
  };
  move_behind_our_back("p", "q", "e");
  EXPECT_TRUE(wire_.notices.empty());
  EXPECT_TRUE(is_found_in("q", "e"));
  ASSERT_EQ(wire_.notices.size(), 1u);
  const Answer notice = wire_.notices[0];
  EXPECT_EQ(notice.error, int{FUSE_NOTIFY_INVAL_ENTRY});
  EXPECT_EQ(notice.as<fuse_notify_inval_entry_out>().parent, nodes["p"]);
  EXPECT_EQ(notice.as<fuse_notify_inval_entry_out>().flags, 0u);  // dropped, not only to be asked for
  EXPECT_EQ(notice.body.substr(sizeof(fuse_notify_inval_entry_out)), name("d"));

  // Not what the kernel has moved itself, nor in one directory: there it needs no lock.
  fuse_rename2_in back{};
  back.newdir = nodes["p"];
  ASSERT_EQ(ask(FUSE_RENAME2, nodes["q"], bytes_of(back) + name("e") + name("d")).error, 0);
  EXPECT_TRUE(is_found_in("p", "d"));
  move_behind_our_back("p", "p", "d2");
  EXPECT_TRUE(is_found_in("p", "d2"));
  EXPECT_EQ(wire_.notices.size(), 1u);

  // The kernel may need for the notice what it holds until it has the answer.
  back.newdir = nodes["p"];
  ASSERT_EQ(ask(FUSE_RENAME2, nodes["p"], bytes_of(back) + name("d2") + name("d")).error, 0);
  wire_.notice_takes = 10s;
  move_behind_our_back("p", "q", "f");
  const runtime::Instant began = world_.now();
  EXPECT_TRUE(is_found_in("q", "f"));
  EXPECT_TRUE(is_found_in("q", "f"));
  EXPECT_LT(world_.now() - began, 50ms);
  // It comes again: on its way it waits longer.
  for (const char* parent : {"p", "q"}) ask(FUSE_LOOKUP, FUSE_ROOT_ID, name(parent));
  EXPECT_GT(world_.now() - began, 200ms);
  EXPECT_LT(world_.now() - began, 1s);
  EXPECT_EQ(wire_.notices.size(), 1u);
  world_.run_for(11s);
  EXPECT_EQ(wire_.notices.size(), 2u);
#ifdef CLAUDEFS_MUTANTS
  ASSERT_TRUE(Mutant::select("fuse_directory_in_two_places"));
  move_behind_our_back("q", "p", "f");
  EXPECT_TRUE(is_found_in("p", "f"));
  EXPECT_EQ(wire_.notices.size(), 2u);
  Mutant::select("");
#endif
}

TEST_F(FuseSessionTest, AnUnmountEndsTheSessionWithoutError) {
  wire_.unmount();
  EXPECT_TRUE(world_.run_until([&] { return ended_; }, 1min));
  EXPECT_TRUE(outcome_);
}

// Any cut of a valid packet is parsed or refused, never read beyond its end (run under the sanitizers).
TEST(FuseRequest, EveryPrefixOfARequestIsHandled) {
  fuse_in_header header{};
  header.opcode = FUSE_RENAME2;
  const std::string whole =
      bytes_of(header) + bytes_of(fuse_rename2_in{}) + name("from") + name("to") + "rest";
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    std::string packet = whole.substr(0, length);
    header.len = static_cast<u32>(length);
    packet.replace(0, std::min(length, sizeof(header)),
                   bytes_of(header).substr(0, std::min(length, sizeof(header))));
    fuse_in_header seen{};
    const auto request = detail::parse_request(Buffer::copy_of(packet), seen);
    ASSERT_EQ(request.has_value(), length >= whole.size() - 4) << length;
    if (request) EXPECT_EQ(request->names, (std::vector<std::string>{"from", "to"}));
  }
}

}  // namespace
}  // namespace claudefs::access::fuse
