#include "store/devices.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"

namespace claudefs::store {

CFS_DEFINE_MUTANT(store_partner_not_checked, "store: whatever two devices of a node are given go together");

namespace {
using runtime::Task;

// In the fast directory where there is one; sorted.
constexpr std::string_view kLogs[] = {"journal", "meta", "raft"};

struct Found {
  FoundDirectory data, fast;
};

DeviceId draw_id(runtime::Env& env) {
  DeviceId out;
  env.random().fill_secret(out);
  return out;
}

Error not_ours(const std::string& directory, const std::string& name) {
  return {Errc::invalid_argument,
          fmt::format("{} holds {} but no superblock: it is not a data directory, and will not be made "
                      "one; give an empty directory",
                      directory, name)};
}

Result<void> check_class(const FoundDirectory& found, const DeviceDirectories& directories,
                         DeviceClass wanted) {
  if (!found.superblock || found.superblock->device_class == wanted) return {};
  return fail(
      Errc::not_configured,
      fmt::format("--{} {} is the {} device of node {}: were --data and --fast swapped?", name_of(wanted),
                  directories.of(wanted), name_of(found.superblock->device_class), found.superblock->node));
}

Task<Result<Found>> look_at_both(runtime::Env& env, DeviceDirectories directories, Owner owner) {
  if (directories.data == directories.fast)
    co_return fail(Errc::invalid_argument,
                   fmt::format("--data and --fast are the same directory, {}: give one device only, or two",
                               directories.data));
  Found out;
  out.data = co_await look_for_superblock(env, directories.data, owner);
  out.fast = co_await look_for_superblock(env, directories.fast, owner);
  co_await check_class(out.data, directories, DeviceClass::data);
  co_await check_class(out.fast, directories, DeviceClass::fast);
  co_return out;
}

// Those without a superblock.
Result<void> check_empty_ones(const Found& found, const DeviceDirectories& directories) {
  if (!found.data.superblock && !found.data.names.empty())
    return fail(not_ours(directories.data, found.data.names.front()));
  if (!found.fast.superblock && !found.fast.names.empty())
    return fail(not_ours(directories.fast, found.fast.names.front()));
  return {};
}

// The survivor is told first: until the new device is there too it is as lost as the old one, which is
// refused from now on. A new id in each attempt, so that no two devices ever share one.
Task<Result<Devices>> give_partner(runtime::Env& env, DeviceDirectories directories, Superblock survivor) {
  Superblock fresh = survivor;
  const bool lacks_fast = survivor.device_class == DeviceClass::data;
  fresh.device_class = lacks_fast ? DeviceClass::fast : DeviceClass::data;
  fresh.device = draw_id(env);
  fresh.partner = survivor.device;
  survivor.partner = fresh.device;
  co_await write_superblock(env, directories.of(survivor.device_class), survivor);
  co_await write_superblock(env, directories.of(fresh.device_class), fresh);
  co_return lacks_fast ? Devices{survivor, fresh} : Devices{fresh, survivor};
}

Task<Result<Devices>> open_one(runtime::Env& env, DeviceDirectories directories, Owner owner) {
  const FoundDirectory found = co_await look_for_superblock(env, directories.data, owner);
  if (!found.superblock) {
    if (!found.names.empty()) co_return fail(not_ours(directories.data, found.names.front()));
    const Superblock fresh{.cluster = owner.cluster, .node = owner.node, .device = draw_id(env)};
    co_await write_superblock(env, directories.data, fresh);
    co_return Devices{fresh, std::nullopt};
  }
  co_await check_class(found, directories, DeviceClass::data);
  if (found.superblock->partner)
    co_return fail(
        Errc::not_configured,
        fmt::format("{} holds the shards of node {} only: its journal, Raft log and metadata are on "
                    "a fast device; give that as --fast",
                    directories.data, owner.node));
  co_return Devices{*found.superblock, std::nullopt};
}

// One of the two has a superblock and the other none.
Error missing(const DeviceDirectories& directories, DeviceClass lost, NodeId node) {
  const bool fast = lost == DeviceClass::fast;
  return {
      Errc::not_found,
      fmt::format(
          "{} is empty, but node {} has a {} device with its {}: mount it there; if it is lost, `claudefs "
          "server --pair-devices` with the same options puts the empty directory in its place, and "
          "the node {} from the others",
          directories.of(lost), node, name_of(lost), fast ? "journal, Raft log and metadata" : "shards",
          fast ? "learns again what it forgot" : "makes its shards anew")};
}

Result<void> check_pair(const Found& found, const DeviceDirectories& directories, NodeId node) {
  const Superblock& data = *found.data.superblock;
  const Superblock& fast = *found.fast.superblock;
  if (data.partner == fast.device && fast.partner == data.device) return {};
  return fail(
      Errc::wrong_node,
      fmt::format("{} and {} are devices of node {}, but not of the same time: one was replaced since. "
                  "Give the right one, or empty the old one and run `claudefs server --pair-devices` "
                  "with the same options",
                  directories.data, directories.fast, node));
}

// Raft log and journal lie in the data directory.
Error not_split(const DeviceDirectories& directories, NodeId node) {
  return {Errc::not_configured,
          fmt::format(
              "node {} has one device, {}, so far: start it without --fast, or move journal, meta and raft "
              "from there to {} and run `claudefs server --pair-devices` with the same options",
              node, directories.data, directories.fast)};
}

Task<Result<Devices>> open_two(runtime::Env& env, DeviceDirectories directories, Owner owner) {
  const Found found = co_await look_at_both(env, directories, owner);
  const bool data = found.data.superblock.has_value();
  const bool fast = found.fast.superblock.has_value();
  if (data && !found.data.superblock->partner && (fast || !found.data.names.empty()))
    co_return fail(not_split(directories, owner.node));
  co_await check_empty_ones(found, directories);
  if (data && fast) {
    if (!CFS_MUTANT(store_partner_not_checked)) co_await check_pair(found, directories, owner.node);
    co_return Devices{*found.data.superblock, found.fast.superblock};
  }
  if (!data && !fast) {
    const Superblock fresh{.cluster = owner.cluster, .node = owner.node, .device = draw_id(env)};
    co_return co_await give_partner(env, directories, fresh);
  }
  const FoundDirectory& survivor = data ? found.data : found.fast;
  // The first formatting was interrupted: nothing can be lost.
  if (survivor.names.empty() || CFS_MUTANT(store_partner_not_checked)) {
    CFS_PROBE(store_pairing_resumed, "an interrupted formatting of two devices is taken up again");
    co_return co_await give_partner(env, directories, *survivor.superblock);
  }
  co_return fail(missing(directories, data ? DeviceClass::fast : DeviceClass::data, owner.node));
}

// `journal`, `meta` and `raft` came over from the data directory, and nothing else.
bool is_moved(const Found& found) {
  return std::ranges::equal(found.fast.names, kLogs) &&
         std::ranges::none_of(found.data.names, [](const std::string& name) {
           return std::ranges::find(kLogs, name) != std::end(kLogs);
         });
}

// The fast device first: when the second write does not come to pass it names its data device, which names
// nobody, and that is taken up again.
Task<Result<void>> pair_moved(runtime::Env& env, DeviceDirectories directories, Found found) {
  Superblock data = *found.data.superblock;
  Superblock fast = data;
  if (found.fast.superblock) {
    if (found.fast.superblock->partner != data.device) co_return check_pair(found, directories, data.node);
    fast = *found.fast.superblock;
  } else {
    fast.device_class = DeviceClass::fast;
    fast.device = draw_id(env);
    fast.partner = data.device;
    co_await write_superblock(env, directories.fast, fast);
  }
  data.partner = fast.device;
  co_return co_await write_superblock(env, directories.data, data).result();
}
}  // namespace

Task<Result<Devices>> open_devices(runtime::Env& env, DeviceDirectories directories, Owner owner) {
  if (!directories.has_fast()) return open_one(env, std::move(directories), owner);
  return open_two(env, std::move(directories), owner);
}

Task<Result<void>> pair_devices(runtime::Env& env, DeviceDirectories directories, Owner owner) {
  if (!directories.has_fast())
    co_return fail(Errc::not_configured,
                   "--pair-devices is for a node with two devices: give --fast as well");
  const Found found = co_await look_at_both(env, directories, owner);
  const bool data = found.data.superblock.has_value();
  const bool fast = found.fast.superblock.has_value();
  if (data && !found.data.superblock->partner) {
    if (!is_moved(found)) co_return fail(not_split(directories, owner.node));
    co_return co_await pair_moved(env, directories, found).result();
  }
  co_await check_empty_ones(found, directories);
  if (data && fast) {
    co_await check_pair(found, directories, owner.node);
    co_return fail(Errc::not_configured,
                   fmt::format("{} and {} belong together already: start the server without --pair-devices",
                               directories.data, directories.fast));
  }
  if (!data && !fast)
    co_return fail(
        Errc::not_configured,
        fmt::format("{} and {} are both empty: start the server without --pair-devices, and it formats "
                    "them",
                    directories.data, directories.fast));
  CFS_PROBE(store_device_replaced, "a lost device of two is replaced");
  co_await give_partner(env, directories, data ? *found.data.superblock : *found.fast.superblock);
  co_return Result<void>();
}

}  // namespace claudefs::store
