// Goal: a disk is taken out for what it does, not for how often it is looked at.
#include "data/detail/disk_health.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "sim/node.h"
#include "sim/world.h"

namespace claudefs::data {
namespace {

struct Rig {
  sim::World world{1};
  sim::Node& node = world.add_node("n");
  DiskHealth health{node};
};
Error damage(std::size_t place) {
  return {Errc::corrupt, fmt::format("block {} of a shard is damaged", place)};
}

TEST(DiskHealth, one_damaged_place_is_one_however_often_it_is_read) {
  Rig rig;
  for (int i = 0; i < 100; ++i) rig.health.note_read(damage(7));
  EXPECT_TRUE(rig.health.sound());
  for (std::size_t i = 0; i < DiskHealth::kDamages - 1; ++i) rig.health.note_read(damage(i));
  EXPECT_TRUE(rig.health.sound());
  rig.health.note_read(damage(100));
  EXPECT_FALSE(rig.health.sound());
}

TEST(DiskHealth, what_is_long_past_does_not_count) {
  Rig rig;
  for (std::size_t i = 0; i < 3 * DiskHealth::kDamages; ++i) {
    rig.health.note_read(damage(i));
    rig.world.run_for(DiskHealth::kWithin / 10);
  }
  EXPECT_TRUE(rig.health.sound());
  for (std::size_t i = 0; i < DiskHealth::kReadErrors - 1; ++i)
    rig.health.note_read({Errc::io_error, "a read failed"});
  EXPECT_TRUE(rig.health.sound());
  rig.health.note_read({Errc::io_error, "a read failed"});
  EXPECT_FALSE(rig.health.sound());
}

TEST(DiskHealth, one_failed_write_is_enough_and_a_refusal_is_none) {
  Rig rig;
  EXPECT_EQ(rig.health.note_write({Errc::no_space, "it is full"}).code, Errc::no_space);
  EXPECT_TRUE(rig.health.sound());
  EXPECT_EQ(rig.health.note_write({Errc::not_found, "the directory is gone"}).code, Errc::io_error);
  EXPECT_FALSE(rig.health.sound());
}

TEST(DiskHealth, of_two_disks_it_says_which) {
  Rig rig;
  DiskHealth fast(rig.node, "its fast device");
  fast.note_write({Errc::io_error, "write journal/1: EIO"});
  EXPECT_EQ(fast.fault(), "its fast device failed a write: write journal/1: EIO");
  rig.health.note_write({Errc::io_error, "EIO"});
  EXPECT_EQ(rig.health.fault(), "it failed a write: EIO");
}

}  // namespace
}  // namespace claudefs::data
