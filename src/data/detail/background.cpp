#include "data/detail/background.h"

#include "data/detail/hlc.h"

namespace claudefs::data {

void NodeWatch::observe(const cluster::ClusterMap& map, runtime::Instant now) {
  std::map<NodeId, std::optional<runtime::Instant>> seen;
  for (const cluster::NodeView& node : map.nodes) {
    const auto before = down_since_.find(node.id);
    const bool was_down = before != down_since_.end() && before->second.has_value();
    if (node.state != cluster::NodeState::up)
      seen[node.id] = was_down ? *before->second : now;
    else
      seen[node.id] = std::nullopt;
    if (node.state != cluster::NodeState::up) {
      incarnations_.erase(node.id);
      continue;
    }
    const auto [known, fresh] = incarnations_.try_emplace(node.id, node.stats.incarnation);
    if (was_down || fresh || known->second != node.stats.incarnation) ++returns_;
    known->second = node.stats.incarnation;
    if (node.stats.disk_fault.empty())
      faulty_.erase(node.id);
    else
      faulty_.insert(node.id);
  }
  down_since_ = std::move(seen);
}

bool NodeWatch::gone(NodeId node, runtime::Instant now) const {
  if (down_since_.empty()) return false;  // nothing is known yet
  const auto it = down_since_.find(node);
  if (it == down_since_.end()) return true;
  return it->second.has_value() && now - *it->second > kRestartTime;
}

Hlc Background::wall() const { return hlc_of(env.wall_now()); }

u32 Background::next_generation(u32 generation) const {
  return generation + static_cast<u32>(env.random().between(1, 1u << 16));
}

std::vector<SegmentRecord> segments_after(const meta::ReadContext& state, SegmentId from, std::size_t count) {
  std::vector<SegmentRecord> out;
  state.scan(kSegmentPrefix, segment_key(SegmentId{from.value + 1}),
             [&](std::string_view, std::string_view value) {
               Result<SegmentRecord> record = wire::decode<SegmentRecord>(as_bytes(value));
               if (record) out.push_back(std::move(*record));
               return out.size() < count;
             });
  return out;
}

}  // namespace claudefs::data
