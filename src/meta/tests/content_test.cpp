// Goal: a file's extents read back as what was written, and chunks have exactly as many references as
// extents. Method: random commits, holes, truncations and purges against plain byte arrays; the references
// are the sum of the messages, counted by a stand-in for the chunk index in the same shard.
#include <gtest/gtest.h>

#include "meta/detail/keys.h"
#include "meta/tests/one_shard.h"
#include "sim/random_stream.h"

namespace claudefs::meta::testing {
namespace {

constexpr u64 kFileMax = 60'000;
std::map<u64, i64> references;  // by chunk number

codec::ChunkHash hash_of(u64 chunk) {
  codec::ChunkHash hash;
  for (int i = 0; i < 8; ++i) hash.bytes[i] = static_cast<std::byte>(chunk >> (8 * i));
  return hash;
}
u64 chunk_of(const codec::ChunkHash& hash) {
  u64 v = 0;
  for (int i = 7; i >= 0; --i) v = v << 8 | static_cast<u64>(hash.bytes[i]);
  return v;
}
char byte_of(u64 chunk, u64 at) { return static_cast<char>((chunk * 2654435761u + at * 40503u) >> 5); }

Result<Nothing> count_deltas(ApplyContext&, const ChunkDeltas& op) {
  for (const auto& delta : op.deltas) references[chunk_of(delta.hash)] += delta.references;
  return Nothing{};
}

class Content : public ::testing::TestWithParam<u64> {
 protected:
  Content() : random(GetParam(), "content") {
    references.clear();
    shard.table.command<ChunkDeltas>(count_deltas);
    for (int i = 0; i < 2; ++i) files[shard.run(Create{kRootInode, std::to_string(i)})->inode.id] = {};
  }

  void write(InodeId id, std::string& bytes) {
    CommitWrite op;
    op.inode = id;
    if (random.between(0, 4) == 0) punch(op, bytes);
    for (u64 n = random.between(1, 4); n > 0; --n) add_extent(op, bytes);
    if (random.between(0, 3) == 0) {
      op.size_at_least = random.between(0, kFileMax);
      bytes.resize(std::max<u64>(bytes.size(), *op.size_at_least), '\0');
    }
    const auto reply = shard.run(op);
    ASSERT_TRUE(reply) << reply.error().to_string();
    ASSERT_EQ(reply->inode.size, bytes.size());
  }
  void punch(CommitWrite& op, std::string& bytes) {
    const CommitWrite::Range range{random.between(0, kFileMax), random.between(0, 20'000)};
    op.punch.push_back(range);
    for (u64 i = range.offset; i < std::min<u64>(range.offset + range.length, bytes.size()); ++i)
      bytes[i] = '\0';
  }
  void add_extent(CommitWrite& op, std::string& bytes) {
    const u64 offset = random.between(0, kFileMax);
    const bool is_inline = random.between(0, 2) == 0;
    const u64 length = random.between(1, is_inline ? 3000 : 12'000);
    std::string data;
    if (is_inline) {
      for (u64 i = 0; i < length; ++i) data.push_back(static_cast<char>(random.next()));
      op.extents.push_back({offset, length, InlineData{Buffer::copy_of(data)}});
    } else {
      const u64 chunk = random.between(1, 40);
      const u32 skip = static_cast<u32>(random.between(0, 500));
      for (u64 i = 0; i < length; ++i) data.push_back(byte_of(chunk, skip + i));
      op.extents.push_back({offset, length, ChunkRef{hash_of(chunk), {}, 20'000, skip}});
    }
    bytes.resize(std::max<u64>(bytes.size(), offset + length), '\0');
    bytes.replace(offset, length, data);
  }
  void truncate(InodeId id, std::string& bytes) {
    SetAttributes op{id};
    op.size = random.between(0, 2) == 0 ? 0 : random.between(0, kFileMax);
    bytes.resize(*op.size, '\0');
    ASSERT_TRUE(shard.run(op));
  }

  // Reads the file in pages, and counts what its extents hold.
  void read(InodeId id, const std::string& expected, std::map<u64, i64>& held, u64& inline_bytes) {
    std::string bytes(expected.size(), '\0');
    u64 offset = 0;
    u64 last_end = 0;
    u64 covered = 0;
    for (;;) {
      const auto page = shard.ask(GetExtents{id, offset, kFileMax * 2 - offset, 3});
      ASSERT_TRUE(page);
      ASSERT_EQ(page->inode.size, expected.size());
      for (const Extent& extent : page->extents) {
        ASSERT_GE(extent.offset, last_end);
        last_end = extent.offset + extent.length;
        ASSERT_LE(last_end, expected.size());
        covered += extent.length;
        for (u64 i = 0; i < extent.length; ++i) {
          if (const auto* data = std::get_if<InlineData>(&extent.content)) {
            bytes[extent.offset + i] = static_cast<char>(data->bytes.data()[i]);
          } else {
            const ChunkRef& chunk = std::get<ChunkRef>(extent.content);
            bytes[extent.offset + i] = byte_of(chunk_of(chunk.hash), chunk.offset_in_chunk + i);
          }
        }
        if (const auto* chunk = std::get_if<ChunkRef>(&extent.content))
          ++held[chunk_of(chunk->hash)];
        else
          inline_bytes += extent.length;
      }
      if (!page->truncated) {
        ASSERT_EQ(page->inode.allocated_bytes, covered);
        break;
      }
      offset = last_end;
    }
    ASSERT_EQ(bytes, expected);
  }
  void check() {
    std::map<u64, i64> held;
    u64 inline_bytes = 0;
    u64 logical = 0;
    for (const auto& [id, bytes] : files) {
      read(id, bytes, held, inline_bytes);
      logical += bytes.size();
    }
    while (shard.run(PurgeExtents{3})->more) {
    }
    std::erase_if(references, [](const auto& entry) { return entry.second == 0; });
    ASSERT_EQ(references, held);
    const auto usage = shard.ask(ShardUsage{});
    ASSERT_EQ(usage->inline_bytes, inline_bytes);
    ASSERT_EQ(usage->logical_bytes, logical);
    const auto pending = shard.ask(ListInline{Hlc{~u64{0}}, 64})->inodes;
    ASSERT_EQ(pending.empty(), inline_bytes == 0);
  }

  OneShard shard;
  sim::RandomStream random;
  std::map<InodeId, std::string> files;
};

TEST_P(Content, reads_back_and_counts_exactly) {
  for (int i = 0; i < 150; ++i) {
    auto at = files.begin();
    std::advance(at, random.between(0, files.size() - 1));
    if (random.between(0, 9) < 8)
      write(at->first, at->second);
    else
      truncate(at->first, at->second);
    if (i % 5 == 4) check();
    ASSERT_FALSE(HasFatalFailure()) << "step " << i;
  }
  for (const auto& [id, bytes] : files) {
    ASSERT_TRUE(shard.run(Unlink{kRootInode, id == files.begin()->first ? "0" : "1"}));
    ASSERT_TRUE(shard.run(PurgeInodes{{id}}));
  }
  files.clear();
  check();
  bool left = false;
  shard.machine->reader().scan(key_of_table(Table::extent), "", [&](std::string_view, std::string_view) {
    left = true;
    return false;
  });
  EXPECT_FALSE(left);
}
INSTANTIATE_TEST_SUITE_P(seeds, Content, ::testing::Range<u64>(1, 9));

TEST(CommitWriteTest, refuses_what_came_too_late) {
  OneShard shard;
  shard.table.command<ChunkDeltas>(count_deltas);
  const Inode file = shard.run(Create{kRootInode, "f"})->inode;
  CommitWrite op;
  op.inode = file.id;
  op.extents = {{0, 3, InlineData{Buffer::copy_of("abc")}}};
  const Inode first = shard.run(op)->inode;
  EXPECT_GT(first.data_version, file.data_version);
  op.if_data_version = file.data_version;
  EXPECT_EQ(shard.run(op).error().code, Errc::conflict);
  op.if_data_version = first.data_version;
  op.keep_data_version = true;
  EXPECT_EQ(shard.run(op)->inode.data_version, first.data_version);
  op.if_data_version.reset();
  op.valid_until = Hlc{shard.machine->last_hlc().value - 1};
  EXPECT_EQ(shard.run(op).error().code, Errc::conflict);
  op.valid_until = {};
  op.extents[0].length = 4;
  EXPECT_EQ(shard.run(op).error().code, Errc::invalid_argument);
  op.extents = {{kFileSizeMax - 1, 3, InlineData{Buffer::copy_of("abc")}}};
  EXPECT_EQ(shard.run(op).error().code, Errc::file_too_big);
}

TEST(RewriteContentsTest, does_those_that_nobody_wrote_meanwhile) {
  OneShard shard;
  shard.table.command<ChunkDeltas>(count_deltas);
  RewriteContents op;
  std::vector<Inode> files;
  for (const char* name : {"a", "b", "c"}) {
    CommitWrite write;
    write.inode = shard.run(Create{kRootInode, name})->inode.id;
    write.extents = {{0, 3, InlineData{Buffer::copy_of("abc")}}};
    files.push_back(shard.run(write)->inode);
    write.if_data_version = files.back().data_version;
    write.keep_data_version = true;
    op.rewrites.push_back(write);
  }
  CommitWrite meanwhile;
  meanwhile.inode = files[1].id;
  meanwhile.extents = {{0, 1, InlineData{Buffer::copy_of("x")}}};
  ASSERT_TRUE(shard.run(meanwhile));
  EXPECT_EQ(shard.run(op)->done, (std::vector{files[0].id, files[2].id}));
  EXPECT_EQ(shard.ask(GetAttributes{files[0].id})->inode.data_version, files[0].data_version);
  op.rewrites[2].keep_data_version = false;
  EXPECT_EQ(shard.run(op).error().code, Errc::invalid_argument);
}

}  // namespace
}  // namespace claudefs::meta::testing
