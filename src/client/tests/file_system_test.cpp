// Goal: the verbs keep the promises of file_system.h: read your writes, close-to-open, errors told once.
// Method: the real metadata state machine and chunks in memory, in a simulated world; files are compared
// with plain strings, which know nothing of ranges, extents or chunks.
#include "client/file_system.h"

#include <gtest/gtest.h>

#include <set>

#include "client/tests/fake_cluster.h"
#include "sim/run.h"

namespace claudefs::client {
namespace {

using namespace std::chrono_literals;
using testing::FakeCluster;

constexpr InodeId kRoot = meta::kRootInode;
const OpenFlags kReadWrite{true, true, false, false};

NewNode named(std::string name, InodeId parent = kRoot) {
  NewNode node;
  node.parent = parent;
  node.name = std::move(name);
  node.mode = 0644;
  return node;
}

std::string joined(const ReadResult& result) {
  std::string out;
  for (const Buffer& piece : result.pieces) out += piece.text();
  return out;
}

std::string random_text(sim::RandomStream& random, u64 size) {
  std::string out(size, '\0');
  u64 word = 0;
  for (u64 i = 0; i < size; ++i) {
    if (i % 8 == 0) word = random.next();
    out[i] = static_cast<char>(word >> (8 * (i % 8)));
  }
  return out;
}

class FileSystemTest : public ::testing::Test {
 protected:
  template <class T>
  T run(runtime::Task<T> task) {
    auto value = sim::run(world_, node_, std::move(task), 30min);
    CFS_CHECK(value.has_value());
    return std::move(*value);
  }
  std::unique_ptr<FileSystem> mount(Options options = {}) {
    auto fs = cluster_.mount(node_, options);
    EXPECT_TRUE(run(fs->start()));
    return fs;
  }
  std::string read_all(FileSystem& fs, HandleId handle) {
    std::string out;
    for (;;) {
      const std::string part = joined(run(fs.read(handle, out.size(), 1_MiB)).value());
      if (part.empty()) return out;
      out += part;
    }
  }
  u64 size_of(FileSystem& fs, InodeId inode) { return run(fs.get_attributes(inode)).value().size; }

  sim::World world_{7};
  sim::Node& node_ = world_.add_node("client");
  FakeCluster cluster_{node_};
};

// A read that would renew one costs the kernel its pages: not what these tests are about.
Options without_access_times() {
  Options options;
  options.access_times = AccessTimes::none;
  return options;
}

void overwrite(std::string& file, u64 offset, const std::string& data) {
  if (file.size() < offset + data.size()) file.resize(offset + data.size());
  file.replace(offset, data.size(), data);
}

// One file, every verb that changes or shows content, write-backs in between and beside.
TEST_F(FileSystemTest, AFileAgreesWithAString) {
  Options options;
  options.dirty_bytes_per_file = 256_KiB;
  options.flush_run_bytes = 100_KiB;
  auto fs = mount(options);
  cluster_.router.delay = 300us;
  cluster_.chunks->delay = 2ms;
  for (u64 seed = 1; seed <= 8; ++seed) {
    sim::RandomStream random(seed, "file");
    std::string file;
    Opened opened = run(fs->create_file(named("f" + std::to_string(seed)), kReadWrite)).value();
    const u64 space = seed % 2 == 0 ? 1_MiB : 60_KiB;
    for (int step = 0; step < 150; ++step) {
      const u64 offset = random.between(0, space);
      const u64 length = random.between(1, random.coin() ? 5000 : space / 4);
      switch (random.between(0, 11)) {
        case 0: {
          ASSERT_TRUE(run(fs->fsync(opened.handle)));
          break;
        }
        case 1: {
          AttributeChange change;
          change.size = offset;
          ASSERT_TRUE(run(fs->set_attributes(opened.inode.id, change)));
          file.resize(offset);
          break;
        }
        case 2: {
          world_.run_for(std::chrono::milliseconds(random.between(1, 1500)));
          break;
        }
        case 3: {
          AllocateRequest request;
          request.mode = random.coin() ? AllocateMode::punch_hole : AllocateMode::zero_range;
          request.keep_size = request.mode == AllocateMode::punch_hole || random.coin();
          request.offset = offset;
          request.length = length;
          ASSERT_TRUE(run(fs->allocate(opened.handle, request)));
          if (!request.keep_size && file.size() < offset + length) file.resize(offset + length);
          for (u64 i = offset; i < std::min<u64>(file.size(), offset + length); ++i) file[i] = '\0';
          break;
        }
        case 4: {
          ASSERT_TRUE(run(fs->flush(opened.handle)));
          ASSERT_TRUE(run(fs->release(opened.handle)));
          opened = run(fs->open(opened.inode.id, kReadWrite)).value();
          break;
        }
        case 5:
        case 6: {
          const std::string got = joined(run(fs->read(opened.handle, offset, length)).value());
          ASSERT_EQ(got, offset < file.size() ? file.substr(offset, length) : "")
              << "seed " << seed << " step " << step;
          break;
        }
        default: {
          const std::string data = random_text(random, length);
          ASSERT_TRUE(run(fs->write(opened.handle, offset, Buffer::copy_of(data))));
          overwrite(file, offset, data);
        }
      }
      ASSERT_EQ(size_of(*fs, opened.inode.id), file.size()) << "seed " << seed << " step " << step;
    }
    ASSERT_EQ(read_all(*fs, opened.handle), file) << "seed " << seed;
    ASSERT_TRUE(run(fs->release(opened.handle)));
    auto other = mount();
    const Opened again = run(other->open(opened.inode.id, OpenFlags{})).value();
    ASSERT_EQ(read_all(*other, again.handle), file) << "seed " << seed << ", through another client";
    ASSERT_TRUE(run(other->stop()));
  }
  EXPECT_EQ(fs->dirty_bytes(), 0u);
  ASSERT_TRUE(run(fs->stop()));
}

TEST_F(FileSystemTest, AStreamIsCutByContentWhateverTheWritesWere) {
  auto fs = mount(without_access_times());
  sim::RandomStream random(3, "stream");
  const std::string content = random_text(random, 20_MiB);
  std::size_t after_first = 0;
  for (const u64 step : {u64{1_MiB}, u64{130'000}}) {
    const Opened opened = run(fs->create_file(named("s" + std::to_string(step)), kReadWrite)).value();
    for (u64 at = 0; at < content.size(); at += step)
      ASSERT_TRUE(
          run(fs->write(opened.handle, at, Buffer::copy_of(std::string_view(content).substr(at, step)))));
    ASSERT_TRUE(run(fs->release(opened.handle)));
    const Opened again = run(fs->open(opened.inode.id, OpenFlags{})).value();
    EXPECT_TRUE(again.keep_cache);
    EXPECT_TRUE(read_all(*fs, again.handle) == content);
    if (after_first == 0) after_first = cluster_.chunks->chunks.size();
  }
  // The second copy brought no chunk that the first had not.
  EXPECT_EQ(cluster_.chunks->chunks.size(), after_first);
  EXPECT_GT(after_first, 50u);
  ASSERT_TRUE(run(fs->stop()));
}

TEST_F(FileSystemTest, ChunksAreFetchedAheadOfReadsInOrderOnly) {
  auto writer = mount(), fs = mount();
  sim::RandomStream random = world_.stream("content");
  const Opened made = run(writer->create_file(named("f"), kReadWrite)).value();
  const std::string content = random_text(random, 24_MiB);
  ASSERT_TRUE(run(writer->write(made.handle, 0, Buffer::copy_of(as_bytes(content)))));
  ASSERT_TRUE(run(writer->release(made.handle)));
  const HandleId handle = run(fs->open(made.inode.id, OpenFlags{})).value().handle;
  const data::ChunkIoStats& stats = cluster_.chunks->stats();
  const u64 chunk = content.size() / stats.chunks_stored;  // on average
  const auto fetched = [&](u64 offset, u64 length) {
    const u64 before = stats.chunks_read;
    EXPECT_EQ(joined(run(fs->read(handle, offset, length)).value()), content.substr(offset, length));
    world_.run_for(std::chrono::seconds(1));
    return stats.chunks_read - before;
  };
  // Up and down, with holes in between.
  for (const u64 offset : {9_MiB, 3_MiB, 20_MiB, 6_MiB}) EXPECT_LE(fetched(offset, 4_KiB), 2u);
  // In order, some of them swapped as the kernel may: ahead by more than is asked for, by 8 MiB at last.
  u64 sum = 0;
  for (const u64 step : {0, 1, 3, 2, 4, 5, 7, 6}) sum += fetched(step * 1_MiB, 1_MiB);
  EXPECT_GE(sum * chunk, 15_MiB);
  EXPECT_LE(sum * chunk, 28_MiB);
}

TEST_F(FileSystemTest, WhatAnotherClientClosedIsSeenByWhoOpensLater) {
  auto one = mount(without_access_times());
  auto two = mount(without_access_times());
  const Opened writer = run(one->create_file(named("f"), kReadWrite)).value();
  ASSERT_TRUE(run(one->write(writer.handle, 0, Buffer::copy_of("first"))));
  ASSERT_TRUE(run(one->release(writer.handle)));
  const InodeId inode = run(two->lookup(kRoot, "f")).value().id;
  Opened reader = run(two->open(inode, OpenFlags{})).value();
  EXPECT_FALSE(reader.keep_cache);
  EXPECT_EQ(read_all(*two, reader.handle), "first");
  ASSERT_TRUE(run(two->release(reader.handle)));
  reader = run(two->open(inode, OpenFlags{})).value();
  EXPECT_TRUE(reader.keep_cache);
  ASSERT_TRUE(run(two->release(reader.handle)));

  const Opened again = run(one->open(inode, kReadWrite)).value();
  EXPECT_TRUE(again.keep_cache) << "its own writes do not make its pages stale";
  ASSERT_TRUE(run(one->write(again.handle, 0, Buffer::copy_of("later"))));
  ASSERT_TRUE(run(one->release(again.handle)));
  reader = run(two->open(inode, OpenFlags{})).value();
  EXPECT_FALSE(reader.keep_cache);
  EXPECT_EQ(read_all(*two, reader.handle), "later");
  ASSERT_TRUE(run(one->stop()));
  ASSERT_TRUE(run(two->stop()));
}

TEST_F(FileSystemTest, WhatIsWrittenWhileAHoleIsMadeGivesTheFileItsSize) {
  auto fs = mount();
  const Opened opened = run(fs->create_file(named("f"), kReadWrite)).value();
  const std::string begin(2000, 'a');
  ASSERT_TRUE(run(fs->write(opened.handle, 0, Buffer::copy_of(begin))));
  ASSERT_TRUE(run(fs->fsync(opened.handle)));
  cluster_.router.delay = 20ms;
  AllocateRequest hole;
  hole.mode = AllocateMode::punch_hole;
  hole.keep_size = true;
  hole.offset = 1000;
  hole.length = 100'000;
  std::vector<runtime::Task<Result<void>>> both;
  both.push_back(fs->allocate(opened.handle, hole));
  both.push_back(fs->write(opened.handle, 5000, Buffer::copy_of("behind")));
  for (const Result<void>& done : run(runtime::join_all(node_.executor(), std::move(both))))
    ASSERT_TRUE(done);
  EXPECT_EQ(size_of(*fs, opened.inode.id), 5006);
  ASSERT_TRUE(run(fs->fsync(opened.handle)));
  EXPECT_EQ(size_of(*fs, opened.inode.id), 5006);
  EXPECT_EQ(read_all(*fs, opened.handle).substr(0, 1001), begin.substr(0, 1000) + std::string(1, '\0'));
  ASSERT_TRUE(run(fs->stop()));
}

TEST_F(FileSystemTest, AnUnlinkedFileLivesWhileItIsOpen) {
  auto fs = mount();
  const Opened opened = run(fs->create_file(named("f"), kReadWrite)).value();
  ASSERT_TRUE(run(fs->write(opened.handle, 0, Buffer::copy_of("still here"))));
  ASSERT_TRUE(run(fs->unlink(kRoot, "f", {})));
  EXPECT_EQ(run(fs->lookup(kRoot, "f")).error().code, Errc::not_found);
  EXPECT_EQ(run(fs->get_attributes(opened.inode.id)).value().nlink, 0u);
  ASSERT_TRUE(run(fs->fsync(opened.handle)));
  EXPECT_EQ(read_all(*fs, opened.handle), "still here");
  world_.run_for(11s);
  EXPECT_EQ(cluster_.router.held, std::vector<InodeId>{opened.inode.id});
  ASSERT_TRUE(run(fs->release(opened.handle)));
  world_.run_for(1s);
  EXPECT_TRUE(cluster_.router.held.empty());
  ASSERT_TRUE(run(fs->stop()));
}

// cp -a and tar: what is set between the last write and the close costs no call of its own.
TEST_F(FileSystemTest, ChangesOfAttributesRideOnTheWrite) {
  auto one = mount(without_access_times());
  auto two = mount(without_access_times());
  const Opened opened = run(one->create_file(named("f"), kReadWrite)).value();
  const InodeId inode = opened.inode.id;
  const meta::Time then{1'000'000, 5};
  AttributeChange times, mode, owner;
  times.accessed = times.modified = then;
  mode.mode = 0640;
  owner.uid = owner.gid = 7;
  ASSERT_TRUE(run(one->write(opened.handle, 0, Buffer::copy_of("content"))));
  cluster_.router.calls.clear();
  for (const AttributeChange& change : {times, owner, mode})
    ASSERT_TRUE(run(one->set_attributes(inode, change)));
  const Inode here = run(one->get_attributes(inode)).value();
  EXPECT_EQ(here.modified, then);
  EXPECT_EQ(here.mode & 07777, 0640);
  EXPECT_EQ(here.uid, 7u);
  EXPECT_EQ(cluster_.router.calls[meta::SetAttributes::kKind], 0);
  ASSERT_TRUE(run(one->release(opened.handle)));
  EXPECT_EQ(cluster_.router.calls[meta::CommitWrite::kKind], 1);
  const Inode there = run(two->get_attributes(inode)).value();
  EXPECT_EQ(there.size, 7u);
  EXPECT_EQ(there.modified, then);
  EXPECT_EQ(there.accessed, then);
  EXPECT_EQ(there.mode & 07777, 0640);
  EXPECT_EQ(there.uid, 7u);

  // A write is later than the time that was set before it; who opens elsewhere is judged by what was set.
  const Opened again = run(one->open(inode, kReadWrite)).value();
  ASSERT_TRUE(run(one->set_attributes(inode, times)));
  ASSERT_TRUE(run(one->write(again.handle, 0, Buffer::copy_of("C"))));
  ASSERT_TRUE(run(one->set_attributes(inode, mode)));
  ASSERT_TRUE(run(one->fsync(again.handle)));
  EXPECT_GT(run(two->get_attributes(inode)).value().modified, then);
  // A refused change is told, and loses no byte.
  cluster_.router.fail_kind[meta::CommitWrite::kKind] = {Errc::not_permitted, 1};
  ASSERT_TRUE(run(one->write(again.handle, 7, Buffer::copy_of("!"))));
  mode.mode = 0600;
  ASSERT_TRUE(run(one->set_attributes(inode, mode)));
  EXPECT_EQ(run(one->fsync(again.handle)).error().code, Errc::not_permitted);
  EXPECT_EQ(run(two->get_attributes(inode)).value().size, 8u);
  EXPECT_EQ(run(two->get_attributes(inode)).value().mode & 07777, 0640);
  ASSERT_TRUE(run(one->release(again.handle)));
  ASSERT_TRUE(run(one->stop()));
  ASSERT_TRUE(run(two->stop()));
}

TEST_F(FileSystemTest, ALostWriteIsToldOncePerHandle) {
  auto fs = mount();
  const Opened opened = run(fs->create_file(named("f"), kReadWrite)).value();
  const Opened second = run(fs->open(opened.inode.id, OpenFlags{})).value();
  cluster_.router.fail_kind[meta::CommitWrite::kKind] = {Errc::no_space, 1};
  ASSERT_TRUE(run(fs->write(opened.handle, 0, Buffer::copy_of("lost"))));
  world_.run_for(3s);
  EXPECT_EQ(run(fs->fsync(opened.handle)).error().code, Errc::no_space);
  EXPECT_TRUE(run(fs->fsync(opened.handle)));
  EXPECT_EQ(run(fs->flush(second.handle)).error().code, Errc::no_space);
  EXPECT_TRUE(run(fs->flush(second.handle)));
  EXPECT_EQ(size_of(*fs, opened.inode.id), 0u);
  ASSERT_TRUE(run(fs->stop()));
}

TEST_F(FileSystemTest, AWriteSurvivesAnOutage) {
  auto fs = mount();
  const Opened opened = run(fs->create_file(named("f"), kReadWrite)).value();
  ASSERT_TRUE(run(fs->write(opened.handle, 0, Buffer::copy_of("kept"))));
  cluster_.router.failures = 1;
  fs->set_patience(0s);
  EXPECT_EQ(run(fs->fsync(opened.handle)).error().code, Errc::timed_out);
  EXPECT_EQ(read_all(*fs, opened.handle), "kept");
  EXPECT_TRUE(run(fs->fsync(opened.handle)));
  auto other = mount();
  const Opened again = run(other->open(opened.inode.id, OpenFlags{})).value();
  EXPECT_EQ(read_all(*other, again.handle), "kept");
  ASSERT_TRUE(run(fs->stop()));
  ASSERT_TRUE(run(other->stop()));
}

TEST_F(FileSystemTest, OperationsWaitForTheCluster) {
  auto fs = mount();
  fs->set_patience(1h);
  const Opened opened = run(fs->create_file(named("f"), kReadWrite)).value();
  ASSERT_TRUE(run(fs->write(opened.handle, 0, Buffer::copy_of("kept"))));
  cluster_.router.failures = 40;
  const runtime::Instant began = node_.now();
  EXPECT_TRUE(run(fs->fsync(opened.handle)));  // and nothing of the outage is told
  EXPECT_EQ(cluster_.router.failures, 0);
  EXPECT_GT(node_.now() - began, 30s);
  auto other = mount();
  const Opened again = run(other->open(opened.inode.id, OpenFlags{})).value();
  cluster_.router.failures = 10;
  EXPECT_EQ(read_all(*other, again.handle), "kept");
  EXPECT_EQ(cluster_.router.failures, 0);
  ASSERT_TRUE(run(fs->stop()));
  ASSERT_TRUE(run(other->stop()));
}

TEST_F(FileSystemTest, AnExpiredSessionIsRenewed) {
  auto fs = mount();
  cluster_.router.fail_kind[meta::Create::kKind] = {Errc::fenced, 1};
  EXPECT_TRUE(run(fs->create_file(named("f"), kReadWrite)));
  EXPECT_EQ(cluster_.router.calls[meta::OpenSession::kKind], 2);
  ASSERT_TRUE(run(fs->stop()));
}

TEST_F(FileSystemTest, NamesAndKinds) {
  auto fs = mount();
  const Inode directory = run(fs->make_directory(named("d"))).value();
  NewNode link = named("s", directory.id);
  link.type = FileType::symlink;
  link.target = "../elsewhere";
  const Inode symlink = run(fs->make_node(link)).value();
  EXPECT_EQ(run(fs->read_link(symlink.id)).value(), "../elsewhere");
  const Inode file = run(fs->make_node(named("f", directory.id))).value();
  EXPECT_EQ(run(fs->link(file.id, kRoot, "g", {})).value().nlink, 2u);
  RenameRequest rename;
  rename.old_parent = kRoot;
  rename.old_name = "g";
  rename.new_parent = directory.id;
  rename.new_name = "h";
  EXPECT_TRUE(run(fs->rename(rename)));
  EXPECT_EQ(run(fs->lookup(directory.id, "h")).value().id, file.id);
  EXPECT_EQ(run(fs->remove_directory(kRoot, "d", {})).error().code, Errc::not_empty);
  EXPECT_EQ(run(fs->lookup(directory.id, std::string(256, 'x'))).error().code, Errc::name_too_long);
  EXPECT_TRUE(run(fs->set_xattr(file.id, "user.a", Buffer::copy_of("b"), meta::XattrMode::create)));
  EXPECT_EQ(run(fs->get_xattr(file.id, "user.a")).value().text(), "b");
  EXPECT_EQ(run(fs->list_xattrs(file.id)).value(), std::vector<std::string>{"user.a"});
  EXPECT_TRUE(run(fs->remove_xattr(file.id, "user.a")));
  EXPECT_EQ(run(fs->get_xattr(file.id, "user.a")).error().code, Errc::no_data);
  const FileSystemUsage usage = run(fs->usage()).value();
  EXPECT_EQ(usage.total_bytes, 1_GiB);
  EXPECT_EQ(usage.free_bytes, 768_MiB);
  EXPECT_EQ(usage.inodes_used, 4u);
  ASSERT_TRUE(run(fs->stop()));
}

TEST_F(FileSystemTest, AnyPositionOfADirectoryCanBeContinued) {
  auto fs = mount();
  std::set<std::string> names;
  for (int i = 0; i < 700; ++i) {
    names.insert("n" + std::to_string(i));
    ASSERT_TRUE(run(fs->make_node(named("n" + std::to_string(i)))));
  }
  const HandleId handle = run(fs->open_directory(kRoot)).value();
  for (const bool with_attributes : {false, true}) {
    std::set<std::string> seen;
    u64 after = 0;
    for (;;) {
      const DirectoryPage page = run(fs->read_directory(handle, after, with_attributes)).value();
      if (page.entries.empty()) break;
      // As a small kernel buffer: a few of each page, then on from there.
      for (std::size_t i = 0; i < std::min<std::size_t>(page.entries.size(), 37); ++i) {
        EXPECT_TRUE(seen.insert(page.entries[i].name).second) << page.entries[i].name;
        EXPECT_EQ(page.entries[i].attributes.has_value(), with_attributes);
        after = page.entries[i].cookie;
      }
    }
    EXPECT_EQ(seen, names);
  }
  fs->release_directory(handle);
  ASSERT_TRUE(run(fs->stop()));
}

TEST_F(FileSystemTest, SeekFindsDataAndHoles) {
  auto fs = mount();
  const Opened opened = run(fs->create_file(named("f"), kReadWrite)).value();
  ASSERT_TRUE(run(fs->write(opened.handle, 100'000, Buffer::copy_of(std::string(50'000, 'x')))));
  AttributeChange change;
  change.size = 1_MiB;
  ASSERT_TRUE(run(fs->set_attributes(opened.inode.id, change)));
  EXPECT_EQ(run(fs->seek(opened.handle, 0, SeekTarget::data)).value(), 100'000u);
  EXPECT_EQ(run(fs->seek(opened.handle, 0, SeekTarget::hole)).value(), 0u);
  EXPECT_EQ(run(fs->seek(opened.handle, 120'000, SeekTarget::data)).value(), 120'000u);
  EXPECT_EQ(run(fs->seek(opened.handle, 120'000, SeekTarget::hole)).value(), 150'000u);
  EXPECT_EQ(run(fs->seek(opened.handle, 200'000, SeekTarget::data)).error().code, Errc::no_data);
  EXPECT_EQ(run(fs->seek(opened.handle, 1_MiB, SeekTarget::hole)).error().code, Errc::no_data);
  const Opened copy = run(fs->create_file(named("c"), kReadWrite)).value();
  CopyRequest request;
  request.from = opened.handle;
  request.from_offset = 90'000;
  request.to = copy.handle;
  request.length = 2_MiB;
  EXPECT_EQ(run(fs->copy_range(request)).value(), 1_MiB - 90'000);
  EXPECT_TRUE(read_all(*fs, copy.handle) == read_all(*fs, opened.handle).substr(90'000));
  ASSERT_TRUE(run(fs->stop()));
}

// Nothing is read and nothing stored: the target refers to what the source refers to.
TEST_F(FileSystemTest, ACopyIsReferencesToTheSameChunks) {
  auto fs = mount();
  sim::RandomStream random(3, "copy");
  const std::string content = random_text(random, 3_MiB);
  const Opened from = run(fs->create_file(named("f"), kReadWrite)).value();
  const Opened to = run(fs->create_file(named("g"), kReadWrite)).value();
  ASSERT_TRUE(run(fs->write(from.handle, 0, Buffer::copy_of(content))));
  ASSERT_TRUE(run(fs->fsync(from.handle)));
  std::map<codec::ChunkHash, i64> before = cluster_.router.references;
  const u64 stored = cluster_.chunks->stats().chunks_stored, read = cluster_.chunks->stats().chunks_read;
  CopyRequest request;
  request.from = from.handle;
  request.from_offset = 12'345;
  request.to = to.handle;
  request.to_offset = 100;
  request.length = 2_MiB;
  EXPECT_EQ(run(fs->copy_range(request)).value(), 2_MiB);
  EXPECT_EQ(cluster_.chunks->stats().chunks_stored, stored);
  EXPECT_EQ(cluster_.chunks->stats().chunks_read, read);
  EXPECT_EQ(read_all(*fs, to.handle), std::string(100, '\0') + content.substr(12'345, 2_MiB));
  int shared = 0;
  for (const auto& [hash, count] : cluster_.router.references) shared += count > before[hash] ? 1 : 0;
  EXPECT_GT(shared, 2);
  // Each copy counts: when both files are gone, so are all references.
  AttributeChange nothing;
  nothing.size = 1;
  ASSERT_TRUE(run(fs->set_attributes(to.inode.id, nothing)));
  EXPECT_EQ(cluster_.router.references, before);
  ASSERT_TRUE(run(fs->stop()));
}

TEST_F(FileSystemTest, AppendsOfTwoClientsAllStay) {
  auto one = mount(), two = mount();
  const Opened a = run(one->create_file(named("f"), kReadWrite)).value();
  ASSERT_TRUE(run(one->write(a.handle, 0, Buffer::copy_of("begin;"))));
  ASSERT_TRUE(run(one->fsync(a.handle)));
  const Opened b = run(two->open(a.inode.id, kReadWrite)).value();
  std::string of_one, of_two;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 3; ++i) {  // buffered here, both believing that the end is theirs
      ASSERT_TRUE(run(one->write(a.handle, 0, Buffer::copy_of("1a"), true)));
      ASSERT_TRUE(run(two->write(b.handle, 0, Buffer::copy_of("2b"), true)));
      of_one += "1a";
      of_two += "2b";
    }
    ASSERT_TRUE(run(two->fsync(b.handle)));
    ASSERT_TRUE(run(one->fsync(a.handle)));
  }
  const Opened again = run(two->open(a.inode.id, kReadWrite)).value();
  const std::string content = read_all(*two, again.handle);
  std::string got_one, got_two;
  for (const char c : content.substr(6)) (c == '1' || c == 'a' ? got_one : got_two) += c;
  EXPECT_EQ(content.substr(0, 6), "begin;");
  EXPECT_EQ(got_one, of_one);
  EXPECT_EQ(got_two, of_two);
  ASSERT_TRUE(run(one->stop()));
  ASSERT_TRUE(run(two->stop()));
}

TEST_F(FileSystemTest, AReadChangesTheAccessTimeOnceAndTheServerHearsOfIt) {
  auto fs = mount();
  const Opened opened = run(fs->create_file(named("f"), kReadWrite)).value();
  ASSERT_TRUE(run(fs->write(opened.handle, 0, Buffer::copy_of("content"))));
  ASSERT_TRUE(run(fs->fsync(opened.handle)));
  world_.run_for(1s);
  const Inode before = run(fs->get_attributes(opened.inode.id)).value();
  read_all(*fs, opened.handle);
  const Inode after = run(fs->get_attributes(opened.inode.id)).value();
  EXPECT_GT(after.accessed, before.accessed);
  EXPECT_EQ(after.changed, before.changed);
  world_.run_for(1s);
  read_all(*fs, opened.handle);
  EXPECT_EQ(run(fs->get_attributes(opened.inode.id)).value().accessed, after.accessed);
  world_.run_for(10s);
  auto other = mount();
  EXPECT_EQ(run(other->get_attributes(opened.inode.id)).value().accessed, after.accessed);
  Options options;
  options.access_times = AccessTimes::none;
  auto quiet = mount(options);
  AttributeChange old;
  old.accessed = meta::Time{1, 0};
  ASSERT_TRUE(run(quiet->set_attributes(opened.inode.id, old)));
  const Opened unseen = run(quiet->open(opened.inode.id, kReadWrite)).value();
  read_all(*quiet, unseen.handle);
  EXPECT_EQ(run(quiet->get_attributes(opened.inode.id)).value().accessed, (meta::Time{1, 0}));
  for (auto* each : {&fs, &other, &quiet}) ASSERT_TRUE(run((*each)->stop()));
}

TEST_F(FileSystemTest, ARemovedDirectoryInUseKeepsItsId) {
  auto fs = mount();
  const Inode first = run(fs->make_directory(named("d"))).value();
  ASSERT_TRUE(run(fs->remove_directory(kRoot, "d", {})));
  EXPECT_EQ(run(fs->get_attributes(first.id)).value().nlink, 0u);
  const Inode second = run(fs->make_directory(named("d"))).value();
  EXPECT_NE(second.id, first.id);
  fs->forget(first.id);
  EXPECT_EQ(run(fs->get_attributes(first.id)).error().code, Errc::stale);
  ASSERT_TRUE(run(fs->stop()));
}

TEST_F(FileSystemTest, ASquashedRootIsNobody) {
  Options options;
  options.squash_root = true;
  auto fs = mount(options);
  EXPECT_EQ(run(fs->make_directory(named("d"))).value().uid, 65534u);
  auto root = mount();
  NewNode closed = named("closed");
  closed.mode = 0700;
  const Inode directory = run(root->make_directory(closed)).value();
  EXPECT_EQ(run(fs->lookup(directory.id, "x")).error().code, Errc::access_denied);
  EXPECT_EQ(run(fs->make_node(named("x", directory.id))).error().code, Errc::access_denied);
  ASSERT_TRUE(run(fs->stop()));
  ASSERT_TRUE(run(root->stop()));
}

}  // namespace
}  // namespace claudefs::client
