// One simulated machine: the doors of runtime::Env, and the switches that a test throws.
//
// Call the switches from outside the node's coroutines (between runs, or from World::after). A crash is:
//   node.crash();       // no coroutine of the node runs any more; its disk loses what a crash loses
//   server.reset();     // the caller destroys the node's objects and scopes
//   node.restart();     // the disk is as the crash left it; make new objects
// Between crash and restart every door is shut: destructors may still call close() and notify().
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "runtime/env.h"
#include "sim/disk_image.h"
#include "sim/world.h"

namespace claudefs::sim {

class SimExecutor;
class SimNetwork;
class SimDisk;
class SimOffload;

class Node final : public runtime::Env {
 public:
  Node(World& world, std::string name, u64 index);
  ~Node() override;

  runtime::Executor& executor() override;
  runtime::Random& random() override;
  runtime::Offload& offload() override;
  runtime::Network& network() override;
  runtime::Disk& disk() override;

  World& world() { return world_; }
  const std::string& name() const { return name_; }
  u64 index() const { return index_; }
  bool is_up() const { return up_; }

  void crash();
  void restart();
  // Runs nothing until `time` has passed: a long garbage collection, a stopped virtual machine.
  void pause(runtime::Duration time) {
    paused_until_ = world_.now() + time;
    world_.count_fault("pause");
  }
  // Every step of its coroutines takes so many times longer, until told otherwise.
  void slow_down(u32 times) {
    slowness_ = times;
    if (times != 1) world_.count_fault("slow node");
  }
  u32 slowness() const { return slowness_; }
  // Its wall clock is set, forwards or backwards.
  void jump_clock(runtime::Duration by);
  runtime::Instant paused_until() const { return paused_until_; }

  // This node's own disk faults instead of the world's; nothing: the world's again.
  void set_disk_faults(std::optional<FaultOptions> faults) { disk_faults_ = std::move(faults); }
  const FaultOptions& disk_faults() const { return disk_faults_ ? *disk_faults_ : world_.faults(); }

  // Flips one bit of a file at rest. False when the file is shorter.
  bool flip_bit(const std::string& path, u64 byte_offset, unsigned bit);
  // What lies at rest under these names now; nothing when there is no such file.
  std::vector<std::string> file_names() const;
  std::optional<Buffer> file_content(const std::string& path) const;
  // The same for as long as it is the same file, whatever is written to it.
  std::shared_ptr<const void> file_identity(const std::string& path) const;
  // Overwrites at rest, within the file.
  void damage_file(const std::string& path, u64 offset, ByteSpan with);
  // Flips `count` drawn bits of drawn files.
  void flip_random_bits(RandomStream& random, unsigned count);
  // The next `count` flushes of any file fail, no others.
  void fail_flushes(unsigned count);
  // Bytes in files; FaultOptions::disk_bytes is the limit.
  u64 disk_used() const;
  // Until it crashes, flushes answer that they are done, and nothing becomes durable by them.
  void lie_about_flushes();
  // A replaced disk: all files are gone; or all below one directory, which stands for a disk of its own.
  // Requires that the node is down.
  void wipe_disk(const std::string& directory = {});
  // What lies on it now (sim/disk_image.h), and another disk in its place, of which nothing is in use yet:
  // requires an image without unflushed changes.
  DiskImage disk_image() const;
  void load_disk(const DiskImage& image);
  // Calls `watcher` after each change on the disk: a write, a resize, a flush, a name, a synced directory.
  void watch_disk(std::function<void()> watcher);

  SimNetwork& simulated_network() { return *network_; }  // for the doors of this module

 private:
  World& world_;
  std::string name_;
  u64 index_;
  bool up_ = true;
  u32 slowness_ = 1;
  runtime::Instant paused_until_{};
  std::optional<FaultOptions> disk_faults_;
  RandomStream random_;
  std::unique_ptr<SimExecutor> executor_;
  std::unique_ptr<SimOffload> offload_;
  std::unique_ptr<SimDisk> disk_;
  std::unique_ptr<SimNetwork> network_;
};

}  // namespace claudefs::sim
