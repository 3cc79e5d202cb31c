// A node's disk. Survives crashes of its node; loses then what was not flushed or synced.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "sim/detail/sim_inode.h"
#include "sim/disk_image.h"
#include "sim/node.h"

namespace claudefs::sim {

class SimDisk final : public runtime::Disk {
 public:
  SimDisk(Node& node, u64 seed) : node_(node), stream_(seed, "disk", node.index()) {}
  runtime::Task<Result<std::unique_ptr<runtime::File>>> open(std::string path,
                                                             runtime::OpenMode mode) override;
  runtime::Task<Result<void>> remove(std::string path) override;
  runtime::Task<Result<void>> rename(std::string from, std::string to) override;
  runtime::Task<Result<void>> make_directory(std::string path) override;
  runtime::Task<Result<std::vector<std::string>>> list(std::string path) override;
  runtime::Task<Result<void>> sync_directory(std::string path) override;
  runtime::Task<Result<runtime::DiskSpace>> space(std::string path) override;

  void crash();
  void wipe(const std::string& directory);  // "": everything
  void lie_about_flushes() { lies_ = true; }
  std::shared_ptr<SimInode> find(const std::string& path) const;
  std::vector<std::string> files() const;
  void fail_flushes(unsigned count) { failing_flushes_ = count; }
  u64 used() const;

  DiskImage image() const;
  void load(const DiskImage& image);
  void watch(std::function<void()> watcher) { watcher_ = std::move(watcher); }

 private:
  friend class SimFile;
  friend class DiskImage;
  using Inode = std::shared_ptr<SimInode>;
  using Names = std::map<std::string, Inode>;
  // A change of names that is not durable yet.
  struct NameChange {
    u64 order = 0;
    std::string from;  // renamed or removed; empty for a creation
    std::string to;    // renamed or created; empty for a removal
    Inode inode;       // created
  };
  // Of a map of names to inodes of either kind.
  template <class Held>
  static void apply(std::map<std::string, Held>& names, const std::string& from, const std::string& to,
                    Held inode) {
    if (!from.empty()) {
      const auto found = names.find(from);
      if (found != names.end()) {
        inode = found->second;
        names.erase(found);
      }
    }
    if (!to.empty() && inode) names[to] = inode;
  }
  static std::set<std::string> directories_of(const std::string& from, const std::string& to);
  void change_names(std::string from, std::string to, Inode created);
  u64 next_order() { return ++order_; }
  // Something on the disk is not as it was.
  void changed() {
    if (watcher_) watcher_();
  }
  bool is_directory(const std::string& path) const;
  bool has_entries(const std::string& path) const;
  auto delay() {
    const FaultOptions& faults = node_.disk_faults();
    runtime::Duration time = stream_.between_times(faults.disk_delay_min, faults.disk_delay_max);
    if (stream_.chance(faults.slow_io)) {
      node_.world().count_fault("slow I/O");
      time *= 100;
    }
    if (stream_.chance(faults.hung_io)) {
      node_.world().count_fault("hung I/O");
      time = stream_.between_times(std::chrono::seconds(1), std::chrono::seconds(30));
    }
    return node_.executor().sleep(time);
  }

  Node& node_;
  RandomStream stream_;
  Names names_;
  Names durable_names_;
  std::vector<NameChange> pending_;
  std::set<std::string> directories_;  // all durable
  unsigned failing_flushes_ = 0;
  u64 order_ = 0;
  std::function<void()> watcher_;
  bool lies_ = false;
};

}  // namespace claudefs::sim
