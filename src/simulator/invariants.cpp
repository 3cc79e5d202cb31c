#include "simulator/invariants.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "data/census.h"
#include "meta/census.h"
#include "sim/run.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;

namespace {

// The replica that leads a shard; nullptr when none does.
const meta::ReadContext* leader_of(Cluster& cluster, ShardId shard) {
  for (const auto& server : cluster.servers()) {
    meta::ShardMachine* machine = cluster.machine(*server, shard);
    if (machine != nullptr && server->node->service().leads(shard)) return &machine->reader();
  }
  return nullptr;
}

// Polls until `holds` gives no objection; the last one when time ran out.
std::optional<std::string> poll(Cluster& cluster, runtime::Duration limit, runtime::Duration every,
                                const std::function<std::optional<std::string>()>& objection) {
  const runtime::Instant end = cluster.world().now() + limit;
  for (;;) {
    std::optional<std::string> why = objection();
    if (!why || cluster.world().now() >= end) return why;
    cluster.world().run_for(every);
  }
}

std::optional<std::string> unquiet(Cluster& cluster) {
  for (u16 number = 0; number < cluster.options().shards; ++number) {
    const ShardId shard{number};
    const meta::ReadContext* state = leader_of(cluster, shard);
    if (state == nullptr) return fmt::format("shard {} has no leader", shard);
    const meta::Census census = meta::take_census(*state);
    if (census.locks != 0 || census.prepared != 0 || census.outbox != 0)
      return fmt::format("shard {}: {} locks, {} prepared transactions, {} undelivered messages", shard,
                         census.locks, census.prepared, census.outbox);
  }
  return std::nullopt;
}

// As their leader knows them: a server that was one, and is not any more, keeps what it had.
std::vector<NodeId> members_of(Cluster& cluster, ShardId shard) {
  for (const auto& server : cluster.servers())
    if (server->serves() && server->node->service().leads(shard))
      return server->node->raft().status(shard).members;
  return {};
}

std::optional<std::string> difference(Cluster& cluster, ShardId shard, bool& unequal) {
  std::map<LogIndex, u64> digests;
  std::size_t replicas = 0;
  for (NodeId member : members_of(cluster, shard)) {
    const meta::ShardMachine* machine = cluster.machine(*cluster.servers()[member.value - 1u], shard);
    if (machine == nullptr) continue;
    ++replicas;
    const u64 digest = meta::take_census(machine->reader()).digest;
    const auto [at, fresh] = digests.emplace(machine->applied(), digest);
    if (fresh || at->second == digest) continue;
    unequal = true;
    return fmt::format("shard {}: two replicas differ after applying entry {}", shard, machine->applied());
  }
  if (replicas < std::min<std::size_t>(3, cluster.servers().size()))
    return fmt::format("shard {} has {} replicas", shard, replicas);
  if (digests.size() != 1) return fmt::format("shard {}: the replicas did not reach the same index", shard);
  return std::nullopt;
}

// Chunks that build on others: each base is there, and whole. Adds to what is counted.
std::optional<std::string> count_bases(const std::map<codec::ChunkHash, codec::ChunkHash>& bases,
                                       std::map<codec::ChunkHash, u64>& counted) {
  for (const auto& [hash, base] : bases) {
    ++counted[base];
    if (bases.contains(base))
      return fmt::format("chunk {} builds on chunk {}, which builds on another itself",
                         hash.to_hex().substr(0, 12), base.to_hex().substr(0, 12));
  }
  return std::nullopt;
}

std::optional<std::string> miscount(Cluster& cluster) {
  std::map<codec::ChunkHash, u64> counted;
  std::map<codec::ChunkHash, u64> recorded;
  std::map<codec::ChunkHash, codec::ChunkHash> bases;
  std::map<SegmentId, u64> placed;
  std::vector<data::SegmentRecord> segments;
  for (u16 number = 0; number < cluster.options().shards; ++number) {
    const meta::ReadContext* state = leader_of(cluster, ShardId{number});
    if (state == nullptr) return fmt::format("shard {} has no leader", number);
    for (const auto& [hash, count] : meta::take_census(*state).references) counted[hash] += count;
    const data::IndexCensus index = data::take_index_census(*state);
    recorded.insert(index.references.begin(), index.references.end());
    bases.insert(index.bases.begin(), index.bases.end());
    for (const auto& [segment, bytes] : index.chunk_bytes) placed[segment] += bytes;
    segments.insert(segments.end(), index.segments.begin(), index.segments.end());
  }
  if (auto wrong = count_bases(bases, counted)) return wrong;
  for (const data::SegmentRecord& segment : segments) {
    const u64 bytes = std::exchange(placed[segment.id], 0);
    if (static_cast<u64>(segment.live_bytes) != bytes)
      return fmt::format("segment {:#x} counts {} live bytes and the index has {} in it", segment.id,
                         segment.live_bytes, bytes);
  }
  for (const auto& [segment, bytes] : placed)
    if (bytes != 0)
      return fmt::format("the index has {} bytes in segment {:#x}, which is gone", bytes, segment);
  for (const auto& [hash, count] : counted)
    if (recorded[hash] != count)
      return fmt::format("chunk {} has {} references and the index counts {}", hash.to_hex().substr(0, 12),
                         count, recorded[hash]);
  for (const auto& [hash, count] : recorded)
    if (count != 0 && !counted.contains(hash))
      return fmt::format("chunk {} has no references and the index counts {}", hash.to_hex().substr(0, 12),
                         count);
  return std::nullopt;
}

// Within one shard, at one moment.
std::optional<std::string> wrong_quota(const meta::ReadContext& state) {
  meta::Census::Quota quota = meta::take_census(state).quota;
  for (const auto& [subject, use] : quota.charged) {
    const meta::QuotaUse recorded = std::exchange(quota.recorded[subject], {});
    if (recorded != use)
      return fmt::format("shard {}: {} is charged {} bytes and {} inodes, and has {} and {}", state.shard(),
                         to_string(subject), recorded.bytes, recorded.inodes, use.bytes, use.inodes);
  }
  for (const auto& [subject, use] : quota.recorded)
    if (!use.is_nothing())
      return fmt::format("shard {}: {} is charged {} bytes and {} inodes, and has none", state.shard(),
                         to_string(subject), use.bytes, use.inodes);
  if (!quota.beyond.empty())
    return fmt::format("shard {}: {} uses more than the shard holds of its limit", state.shard(),
                       to_string(quota.beyond.front()));
  if (quota.reserved != quota.reserves)
    return fmt::format("shard {}: what is reserved of quotas is not what sessions were promised",
                       state.shard());
  return std::nullopt;
}

// What the home of each subject has granted is what all shards hold.
std::optional<std::string> unbalanced_quota(Cluster& cluster) {
  std::map<meta::QuotaSubject, meta::QuotaUse> difference;
  for (u16 number = 0; number < cluster.options().shards; ++number) {
    const meta::ReadContext* state = leader_of(cluster, ShardId{number});
    if (state == nullptr) return fmt::format("shard {} has no leader", number);
    const meta::Census::Quota quota = meta::take_census(*state).quota;
    for (const auto& [subject, use] : quota.granted) difference[subject] += use;
    for (const auto& [subject, use] : quota.allowed) difference[subject] += -use;
  }
  for (const auto& [subject, use] : difference)
    if (!use.is_nothing())
      return fmt::format("{}: {} bytes and {} inodes are granted that no shard holds", to_string(subject),
                         use.bytes, use.inodes);
  return std::nullopt;
}

std::optional<std::string> lost_volume(Cluster& cluster) {
  std::set<VolumeId> used, there;
  for (u16 number = 0; number < cluster.options().shards; ++number) {
    const meta::ReadContext* state = leader_of(cluster, ShardId{number});
    if (state == nullptr) return fmt::format("shard {} has no leader", number);
    const meta::Census census = meta::take_census(*state);
    used.insert(census.volumes.begin(), census.volumes.end());
    for (const meta::Volume& volume : census.records) {
      if (volume.state == meta::VolumeState::deleting)
        return fmt::format("volume '{}' was deleted and is still there", volume.name);
      there.insert(volume.id);
    }
  }
  for (const VolumeId volume : used)
    if (!there.contains(volume))
      return fmt::format("there are inodes of volume {}, which is not there", volume);
  for (const VolumeId volume : there)
    if (!used.contains(volume)) return fmt::format("volume {} has no root", volume);
  return std::nullopt;
}

struct Needed {
  Server* holder = nullptr;
  store::ShardKey key;
};
// Of sealed segments of one shard that somebody refers to.
void list_needed(Cluster& cluster, const meta::ReadContext& state, std::vector<Needed>& out) {
  for (const data::SegmentRecord& segment : data::take_index_census(state).segments) {
    if (segment.state != data::SegmentState::sealed || segment.live_bytes <= 0) continue;
    for (std::size_t place = 0; place < segment.nodes.size(); ++place) {
      Server& holder = *cluster.servers().at(segment.nodes[place].value - 1u);
      out.push_back({&holder, {segment.id, static_cast<u8>(place), segment.generation}});
    }
  }
}

// The shards that must be there. An objection where nobody can say.
std::optional<std::string> list_needed(Cluster& cluster, std::vector<Needed>& out) {
  for (u16 number = 0; number < cluster.options().shards; ++number) {
    const meta::ReadContext* state = leader_of(cluster, ShardId{number});
    if (state == nullptr) return fmt::format("shard {} has no leader", number);
    list_needed(cluster, *state, out);
  }
  for (const Needed& shard : out)
    if (!shard.holder->serves()) return fmt::format("server {} does not serve", shard.holder->number + 1);
  return std::nullopt;
}

std::string text_of(const Needed& shard) {
  return fmt::format("segment {:#x}: its shard {} of generation {} is not at server {}", shard.key.segment,
                     shard.key.index, shard.key.generation, shard.holder->number + 1);
}

std::optional<std::string> missing_shard(Cluster& cluster, bool must_check) {
  std::vector<Needed> needed;
  if (auto why = list_needed(cluster, needed)) return why;
  for (const auto& [holder, key] : needed) {
    if (!holder->node->shards().contains(key)) return text_of({holder, key});
    if (!must_check) continue;
    const auto checked = sim::run(cluster.world(), *holder->machine, holder->node->shards().verify(key));
    if (!checked || !*checked)
      return fmt::format("segment {:#x}: its shard {} of generation {} at server {} does not check",
                         key.segment, key.index, key.generation, holder->number + 1);
  }
  return std::nullopt;
}

std::optional<std::string> unscrubbed(Cluster& cluster) {
  for (const auto& server : cluster.servers())
    if (!server->serves() || server->node->data().scrub({}).running)
      return fmt::format("server {} still reads what it holds", server->number + 1);
  return missing_shard(cluster, true);
}

}  // namespace

void await_quiet(Cluster& cluster, runtime::Duration limit, const Complain& complain) {
  if (const auto why = poll(cluster, limit, 200ms, [&] { return unquiet(cluster); }))
    complain("not quiet long after healing: " + *why);
}

void check_replicas(Cluster& cluster, runtime::Duration limit, const Complain& complain) {
  for (u16 shard = 0; shard < cluster.options().shards; ++shard) {
    bool unequal = false;
    const auto why = poll(cluster, limit, 50ms, [&]() -> std::optional<std::string> {
      if (unequal) return std::nullopt;
      std::optional<std::string> out = difference(cluster, ShardId{shard}, unequal);
      if (unequal) complain(*out);
      return out;
    });
    if (why && !unequal) complain(*why);
  }
}

void check_volumes(Cluster& cluster, runtime::Duration limit, const Complain& complain) {
  if (const auto why = poll(cluster, limit, 500ms, [&] { return lost_volume(cluster); })) complain(*why);
}

void check_references(Cluster& cluster, runtime::Duration limit, const Complain& complain) {
  if (const auto why = poll(cluster, limit, 500ms, [&] { return miscount(cluster); })) complain(*why);
}

void check_quota(Cluster& cluster, const Complain& complain) {
  for (u16 number = 0; number < cluster.options().shards; ++number)
    if (const meta::ReadContext* state = leader_of(cluster, ShardId{number}))
      if (const auto why = wrong_quota(*state)) return complain(*why);
  // Leaders move some of it now and then.
  if (const auto why = poll(cluster, 10s, 50ms, [&] { return unbalanced_quota(cluster); })) complain(*why);
}

void await_redundancy(Cluster& cluster, runtime::Duration limit, const Complain& complain) {
  if (const auto why = poll(cluster, limit, 5s, [&] { return missing_shard(cluster, false); }))
    complain("redundancy did not come back: " + *why);
}

void check_sealed(Cluster& cluster, std::optional<u32> damaged, const Complain& complain) {
  std::vector<Needed> needed;
  for (const auto& server : cluster.servers())
    for (u16 number = 0; number < cluster.options().shards; ++number) {
      // Only who holds the lease has surely applied all that others act on.
      meta::ShardMachine* machine = cluster.machine(*server, ShardId{number});
      if (machine != nullptr && server->node->raft().holds_lease(ShardId{number}))
        list_needed(cluster, machine->reader(), needed);
    }
  for (const Needed& shard : needed)
    if (shard.holder->number != damaged && shard.holder->serves() &&
        !shard.holder->node->shards().contains(shard.key))
      return complain("sealed though incomplete: " + text_of(shard));
}

void damage_at_rest(Cluster& cluster, Server& server, sim::RandomStream& random) {
  std::vector<Needed> needed;
  if (list_needed(cluster, needed)) return;
  std::erase_if(needed, [&](const Needed& shard) { return shard.holder != &server; });
  constexpr u64 kMost = 4;
  const u64 first = needed.empty() ? 0 : random.between(0, needed.size() - 1);
  for (u64 i = 0; i < std::min<u64>(kMost, needed.size()); ++i) {
    const store::ShardKey key = needed[(first + i) % needed.size()].key;
    for (const store::ShardInfo& held : server.node->shards().list()) {
      if (held.key != key) continue;
      // docs/formats/shard.md
      const std::string path =
          fmt::format("data/shards/shards/{:02x}/{:016x}.{:08x}.{:02x}.{:08x}", key.segment.value & 0xff,
                      key.segment.value, key.generation, key.index, held.length);
      const u64 at = random.between(0, 4096 + u64{held.length} - 1);
      CFS_CHECK(server.machine->flip_bit(path, at, static_cast<unsigned>(random.between(0, 7))));
      cluster.world().count_fault("bit flip at rest");
    }
  }
}

void scrub(Cluster& cluster, runtime::Duration limit, const Complain& complain) {
  for (const auto& server : cluster.servers())
    if (server->serves()) server->node->data().scrub({true});
  if (const auto why = poll(cluster, limit, 2s, [&] { return unscrubbed(cluster); }))
    complain("scrubbing did not mend it: " + *why);
}

}  // namespace claudefs::simulator
