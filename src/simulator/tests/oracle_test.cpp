// The oracles must notice what they are for.
#include <gtest/gtest.h>

#include "simulator/content_oracle.h"
#include "simulator/linearizer.h"
#include "simulator/lock_oracle.h"

namespace claudefs::simulator {
namespace {

using runtime::Instant;

Operation operation(u64 number, Verb verb, std::string name) {
  Operation out;
  out.number = number;
  out.verb = verb;
  out.inode = meta::kRootInode;
  out.name = std::move(name);
  out.mode = 0644;
  return out;
}
Outcome created(u64 inode) {
  Outcome out;
  out.inode = InodeId{inode};
  out.type = meta::FileType::regular;
  out.mode = 0644;
  out.nlink = 1;
  return out;
}
Outcome failed(Errc code) {
  Outcome out;
  out.code = code;
  return out;
}

TEST(Linearizer, takes_either_order_of_concurrent_operations) {
  for (const bool found : {false, true}) {
    Linearizer linearizer(4);
    linearizer.called(operation(1, Verb::create, "a"));
    linearizer.called(operation(2, Verb::lookup, "a"));
    EXPECT_FALSE(linearizer.answered(2, found ? created(7) : failed(Errc::not_found)));
    EXPECT_FALSE(linearizer.answered(1, created(7)));
  }
}

TEST(Linearizer, refuses_a_stale_answer) {
  Linearizer linearizer(4);
  linearizer.called(operation(1, Verb::create, "a"));
  EXPECT_FALSE(linearizer.answered(1, created(7)));
  linearizer.called(operation(2, Verb::lookup, "a"));
  EXPECT_TRUE(linearizer.answered(2, failed(Errc::not_found)));
}

TEST(Linearizer, a_lost_operation_may_happen_later_but_not_after_it_settled) {
  Linearizer linearizer(4);
  linearizer.called(operation(1, Verb::create, "a"));
  linearizer.lost(1);
  linearizer.called(operation(2, Verb::lookup, "a"));
  EXPECT_FALSE(linearizer.answered(2, failed(Errc::not_found)));
  linearizer.called(operation(3, Verb::lookup, "a"));
  EXPECT_FALSE(linearizer.answered(3, created(7)));
  linearizer.settle();
  linearizer.called(operation(4, Verb::lookup, "a"));
  EXPECT_TRUE(linearizer.answered(4, failed(Errc::not_found)));
}

TEST(Linearizer, two_creations_of_one_name_cannot_both_succeed) {
  Linearizer linearizer(4);
  linearizer.called(operation(1, Verb::create, "a"));
  linearizer.called(operation(2, Verb::create, "a"));
  EXPECT_FALSE(linearizer.answered(1, created(7)));
  EXPECT_TRUE(linearizer.answered(2, created(8)));
}

constexpr InodeId kFile{42};
constexpr Process kWriter{0, 1}, kReader{1, 1};
Instant at(i64 ns) { return {ns}; }

ContentOracle::Read read_by(Process by, i64 called) { return {kFile, 0, 64, by, at(called), at(called + 1)}; }

TEST(ContentOracle, a_synced_write_must_be_seen_by_everybody) {
  ContentOracle oracle;
  const u64 event = oracle.called(kFile, 20, 0, 64, kWriter, at(10));
  oracle.answered(event, at(11));
  oracle.synced(kFile, kWriter, at(12), at(20));
  EXPECT_FALSE(oracle.judge(read_by(kReader, 19), {}));  // a suspicion
  EXPECT_TRUE(oracle.judge(read_by(kReader, 21), {}));
  EXPECT_FALSE(oracle.judge(read_by(kReader, 21), ContentOracle::bytes_of(20, 0, 64)));
}

TEST(ContentOracle, an_answered_write_must_be_seen_by_everybody_unless_its_client_lost_it) {
  for (const Process reader : {kWriter, kReader})
    for (const bool lost : {false, true}) {
      ContentOracle oracle;
      oracle.answered(oracle.called(kFile, 20, 0, 64, kWriter, at(10)), at(12));
      EXPECT_FALSE(oracle.judge(read_by(reader, 11), {}));  // at the same time: either
      EXPECT_FALSE(oracle.judge_suspicions());
      EXPECT_FALSE(oracle.judge(read_by(reader, 13), {}));
      if (lost) oracle.lost(kWriter);
      EXPECT_EQ(oracle.judge_suspicions().has_value(), !lost);
      EXPECT_FALSE(oracle.judge_suspicions());  // told once
    }
}

TEST(ContentOracle, a_stat_shows_what_was_written_and_no_more) {
  ContentOracle oracle;
  oracle.answered(oracle.called(kFile, 20, 0, 64, kWriter, at(10)), at(11));
  EXPECT_FALSE(oracle.judge_size(read_by(kReader, 12), 64));
  EXPECT_FALSE(oracle.judge_suspicions());
  EXPECT_TRUE(oracle.judge_size(read_by(kReader, 12), 65));
  EXPECT_FALSE(oracle.judge_size(read_by(kReader, 12), 0));
  EXPECT_TRUE(oracle.judge_suspicions());
  const u64 cut = oracle.called(kFile, 0, 8, ~u64{0}, kWriter, at(20));
  EXPECT_FALSE(oracle.judge_size(read_by(kReader, 21), 64));
  EXPECT_FALSE(oracle.judge_size(read_by(kReader, 21), 8));
  oracle.stable(cut, at(23));
  EXPECT_FALSE(oracle.judge_suspicions());
}

TEST(LockOracle, two_holders_are_told_unless_one_had_lost_its_session) {
  const LockOracle::Held lock{kFile, false, true, 0, 9, kWriter};
  const LockOracle::Held next{kFile, false, true, 10, 19, kReader};
  LockOracle::Held overlapping = next;
  overlapping.start = 9;
  for (const bool lost : {false, true}) {
    LockOracle oracle;
    oracle.granted(1, lock, at(1));
    oracle.granted(2, next, at(2));
    EXPECT_FALSE(oracle.judge_suspicions());
    oracle.granted(3, overlapping, at(3));
    if (lost) oracle.lost(kWriter);
    EXPECT_EQ(oracle.judge_suspicions().has_value(), true);  // 2 and 3 are of one process, and both held
    oracle.released(2);
    oracle.released(3);
    oracle.granted(4, overlapping, at(4));
    EXPECT_EQ(oracle.judge_suspicions().has_value(), !lost);
  }
}

TEST(ContentOracle, an_older_write_may_not_come_back) {
  ContentOracle oracle;
  for (const u64 number : {20, 21}) {
    oracle.answered(oracle.called(kFile, number, 0, 64, kWriter, at(number * 10)), at(number * 10 + 1));
    oracle.synced(kFile, kWriter, at(number * 10 + 2), at(number * 10 + 3));
  }
  EXPECT_FALSE(oracle.judge(read_by(kReader, 301), ContentOracle::bytes_of(21, 0, 64)));
  EXPECT_TRUE(oracle.judge(read_by(kReader, 301), ContentOracle::bytes_of(20, 0, 64)));
}

TEST(ContentOracle, bytes_that_nobody_wrote_are_refused) {
  ContentOracle oracle;
  oracle.answered(oracle.called(kFile, 20, 0, 64, kWriter, at(1)), at(2));
  EXPECT_TRUE(oracle.judge(read_by(kReader, 4), ContentOracle::bytes_of(21, 0, 64)));
  EXPECT_TRUE(oracle.judge(read_by(kReader, 4), ContentOracle::bytes_of(20, 64, 64)));  // of another place
}

TEST(ContentOracle, a_truncation_gives_zeros_and_takes_what_was_there) {
  ContentOracle oracle;
  oracle.answered(oracle.called(kFile, 20, 0, 64, kWriter, at(1)), at(2));
  oracle.synced(kFile, kWriter, at(3), at(4));
  oracle.stable(oracle.called(kFile, 0, 0, ~u64{0}, kWriter, at(5)), at(6));
  EXPECT_FALSE(oracle.judge(read_by(kReader, 8), {}));
  EXPECT_TRUE(oracle.judge(read_by(kReader, 8), ContentOracle::bytes_of(20, 0, 64)));
}

}  // namespace
}  // namespace claudefs::simulator
