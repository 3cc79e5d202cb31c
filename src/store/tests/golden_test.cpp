// Goal: what is on disks today stays readable: a change of a format cannot pass unseen.
// Method: fixed values are encoded and compared with files that were written once. A new format gets a new
// version and a new file beside the old one. CLAUDEFS_WRITE_GOLDEN=1 writes those that are missing.
#include <cstdlib>

#include "base/crc32c.h"
#include "store/detail/journal_record.h"
#include "store/detail/log_format.h"
#include "store/detail/log_group.h"
#include "store/detail/shard_format.h"
#include "store/detail/superblock_format.h"
#include "store/tests/support.h"
#include "wire/codec.h"

namespace claudefs::store {
namespace {
using namespace detail;

std::string golden(const std::string& name, const Buffer& now) {
  const auto path = std::filesystem::path(CLAUDEFS_GOLDEN_DIR) / "store" / name;
  if (std::getenv("CLAUDEFS_WRITE_GOLDEN") != nullptr && !std::filesystem::exists(path)) {
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << now.text();
  }
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}
Buffer joined(const std::vector<Buffer>& pieces) {
  std::string out;
  for (const Buffer& piece : pieces) out += piece.text();
  return Buffer::adopt(std::move(out));
}

TEST(Golden, LogFile) {
  const LogFileHeader header{.log_magic = 0x54534554,
                             .number = 7,
                             .salt = 0x0123456789abcdef,
                             .first_sequence = 41,
                             .previous = 0xfeed};
  LogGroup group(header.salt, kLogHeaderArea, 41, 0xfeed);
  for (const std::string text : {"one", "", "three and a bit more"})
    group.add(LogRecordKind::data, std::vector<Buffer>(1, Buffer::copy_of(text)),
              static_cast<u32>(text.size()), crc32c(as_bytes(text)));
  std::vector<Buffer> pieces(1, encode_log_file_header(header));
  pieces.push_back(joined(group.finish()));
  LogGroup mark(header.salt, group.end(), group.next_sequence(), group.previous());
  mark.add(LogRecordKind::mark, {}, 0, 0);
  pieces.push_back(joined(mark.finish()));
  const Buffer file = joined(pieces);
  EXPECT_TRUE(file.text() == golden("log_v1_blocks.bin", file));
  // The other one is of the time when groups followed each other without filling up blocks.
  for (const std::string name : {"log_v1_blocks.bin", "log_v1.bin"}) {
    const std::string kept = golden(name, file);
    EXPECT_EQ(parse_log_file_header(as_bytes(kept))->salt, header.salt);
    const auto records = scan_log_file(as_bytes(kept), header, 1 << 20);
    ASSERT_EQ(records.size(), 4u);
    EXPECT_EQ(records[2].header.group_back, 2u);
    EXPECT_EQ(records[3].header.kind, LogRecordKind::mark);
  }
}
TEST(Golden, Shard) {
  const std::string text(5000, 'q');
  const ShardInfo info{{SegmentId{0x1122334455667788}, 3, 9}, 5000};
  const Buffer head = encode_shard_head(info, block_checksums(std::vector<Buffer>(1, Buffer::copy_of(text))));
  const std::string kept = golden("shard_head_v1.bin", head);
  EXPECT_EQ(head.text(), kept);
  EXPECT_EQ(parse_shard_head(as_bytes(kept))->info.key, info.key);
  EXPECT_EQ(shard_file_name(info), "1122334455667788.00000009.03.00001388");
}
TEST(Golden, Superblock) {
  Superblock superblock{.node = NodeId{300}};
  superblock.cluster[0] = std::byte{1};
  superblock.device[15] = std::byte{2};
  // Of the time when a node had one device.
  EXPECT_EQ(*parse_superblock(as_bytes(golden("superblock_v1.bin", Buffer()))), superblock);
  for (const std::string name : {"superblock_v2_alone.bin", "superblock_v2_fast.bin"}) {
    const Buffer file = encode_superblock(superblock);
    const std::string kept = golden(name, file);
    EXPECT_EQ(file.text(), kept);
    EXPECT_EQ(*parse_superblock(as_bytes(kept)), superblock);
    superblock.device_class = DeviceClass::fast;
    superblock.partner.emplace().fill(std::byte{3});
  }
}
TEST(Golden, JournalRecord) {
  const JournalRecord record{JournalKind::append, SegmentId{123456789}, 4096, 5};
  std::vector<Buffer> pieces(1, wire::encode(record));
  pieces.push_back(Buffer::copy_of("bytes"));
  const Buffer content = joined(pieces);
  const std::string kept = golden("journal_append_v1.bin", content);
  EXPECT_EQ(content.text(), kept);
  EXPECT_EQ(parse_journal_record(as_bytes(kept))->record, record);
  EXPECT_EQ(kept.substr(parse_journal_record(as_bytes(kept))->data_at), "bytes");
  for (std::size_t n = 0; n < kept.size(); ++n)
    EXPECT_FALSE(parse_journal_record(as_bytes(kept).first(n)).has_value());
}

}  // namespace
}  // namespace claudefs::store
