// The one or two directories in which a node keeps its data, each mostly on a device of its own: which belong
// together, and what lies where. A node with a fast device has there what is small and flushed all the time
// (journal, Raft log, metadata store), and on the large one only sealed shards. Each superblock names the
// other device, so that a node never starts beside one that is not its own, or that is empty where there was
// one. Opened by node::Node. Format: docs/formats/superblock.md.
#pragma once

#include <optional>
#include <string>

#include "store/superblock.h"

namespace claudefs::store {

struct DeviceDirectories {
  std::string data;
  std::string fast;  // empty: there is one device, and everything lies in `data`

  bool has_fast() const { return !fast.empty(); }
  const std::string& of(DeviceClass device_class) const {
    return device_class == DeviceClass::fast ? fast : data;
  }
  std::string shards() const { return data + "/shards"; }
  std::string journal() const { return logs() + "/journal"; }
  std::string raft() const { return logs() + "/raft"; }
  std::string metadata() const { return logs() + "/meta"; }

 private:
  const std::string& logs() const { return has_fast() ? fast : data; }
};

struct Devices {
  Superblock data;
  std::optional<Superblock> fast;
};

// Reads the superblocks, or formats directories that are empty where the node never had others.
// Errors, each with its mend: invalid_argument (a directory that holds somebody's files is never formatted),
// wrong_cluster, wrong_node (another node's, or a device that was replaced), not_configured (the two are
// swapped, one too few or too many is given), not_found (a device is empty that was not: pair_devices() when
// it is lost), wrong_version, corrupt, not_permitted (not writable), no_space.
runtime::Task<Result<Devices>> open_devices(runtime::Env& env, DeviceDirectories directories, Owner owner);

// The operator's word that one of the two empty-handed cases is meant: a device is lost, and an empty
// directory takes its place; or `journal`, `meta` and `raft` of a node with one device were moved into the
// directory that becomes its fast one. The node must not run. Errors: not_configured (neither is the case),
// and as open_devices().
runtime::Task<Result<void>> pair_devices(runtime::Env& env, DeviceDirectories directories, Owner owner);

}  // namespace claudefs::store
