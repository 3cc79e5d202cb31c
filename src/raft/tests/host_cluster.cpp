#include "host_cluster.h"

#include <set>

#include <fmt/format.h>

namespace claudefs::raft::testing {

using namespace runtime;

std::vector<Buffer> ToyMachine::apply(const std::vector<Committed>& entries) {
  std::vector<Buffer> replies;
  for (const Committed& entry : entries) {
    CFS_CHECK(entry.index.value == now_.applied.value + 1);
    now_.values.emplace_back(entry.command.text());
    now_.applied = entry.index;
    now_.term = entry.term;
    replies.push_back(Buffer::copy_of("did " + std::string(entry.command.text())));
  }
  if (now_.applied.value >= disk_.applied.value + 20) {
    disk_.values.insert(disk_.values.end(),
                        now_.values.begin() + static_cast<std::ptrdiff_t>(disk_.values.size()),
                        now_.values.end());
    disk_.applied = now_.applied;
    disk_.term = now_.term;
  }
  return replies;
}

namespace {
class ToySource final : public SnapshotSource {
 public:
  explicit ToySource(const Picture& picture) : index_(picture.applied) {
    for (const std::string& value : picture.values) text_ += value + "\n";
  }
  LogIndex index() const override { return index_; }
  Result<Buffer> next() override {
    const std::string piece = text_.substr(at_, 1000);
    at_ += piece.size();
    return Buffer::copy_of(piece);
  }

 private:
  LogIndex index_;
  std::string text_;
  std::size_t at_ = 0;
};
}  // namespace

Result<std::unique_ptr<SnapshotSource>> ToyMachine::snapshot() { return std::make_unique<ToySource>(now_); }

Result<void> ToyMachine::begin_install() {
  now_ = disk_ = Picture{};
  arriving_.clear();
  ++begun_;
  return {};
}
Result<void> ToyMachine::install(const Buffer& piece) {
  if (refuses > 0 && refuses-- > 0) return fail(Errc::corrupt, "a damaged piece");
  arriving_ += piece.text();
  return {};
}
Task<Result<void>> ToyMachine::finish_install(LogIndex index, Term term) {
  for (std::size_t at = 0; at < arriving_.size();) {
    const std::size_t end = arriving_.find('\n', at);
    now_.values.push_back(arriving_.substr(at, end - at));
    at = end + 1;
  }
  if (now_.values.size() != index.value) co_return fail(Errc::corrupt, "a snapshot with a hole");
  now_.applied = index;
  now_.term = term;
  disk_ = now_;
  ++installs_;
  co_return Result<void>{};
}

HostCluster::HostCluster(u64 seed, sim::FaultOptions faults, int nodes)
    : nodes_(nodes), world_(seed, faults), members_(static_cast<std::size_t>(nodes)) {
  options.log_directory = "raft";
  options.proposal_bytes_max = 4_KiB;
  options.log_file_bytes = 4_MiB;
  options.groups = kGroups;
  for (int i = 0; i < nodes_; ++i) {
    member(i).node = &world_.add_node(fmt::format("n{}", i + 1));
    options.nodes.push_back(NodeId{static_cast<u16>(i + 1)});
  }
}

HostCluster::~HostCluster() {
  for (int i = 0; i < nodes_; ++i)
    if (is_up(i)) crash(i);
}

void HostCluster::boot(int i) {
  Member& m = member(i);
  net::Identity identity;
  identity.node = NodeId{static_cast<u16>(i + 1)};
  identity.secret = "secret";
  m.client = net::Client::create(*m.node, identity);
  HostOptions mine = options;
  mine.self = identity.node;
  mine.adopt = [this, i](ShardId group) { return host_group(i, group, false); };
  auto opened = sim::run(world_, *m.node, Host::open(*m.node, *m.client, m.methods, mine, [](NodeId node) {
                           return fmt::format("n{}:7000", node.value);
                         }));
  if (!opened || !*opened) {
    violation_ = "a host did not open: " + (opened ? opened->error().to_string() : "too slow");
    return;
  }
  m.host = std::move(**opened);
  for (u16 g = 0; i < founders && g < kGroups; ++g)
    if (!host_group(i, ShardId{g}, true)) violation_ = "a group was refused";
  for (ShardId group : m.host->groups_in_log())
    if (!m.machines.contains(group) && !host_group(i, group, false)) violation_ = "a group was refused";
  m.host->start();
  auto server = net::Server::start(*m.node, fmt::format("n{}:7000", i + 1), identity, m.methods);
  if (!server) {
    violation_ = server.error().to_string();
    return;
  }
  m.server = std::move(*server);
  m.scope = std::make_unique<Scope>(m.node->executor());
}

Result<void> HostCluster::host_group(int i, ShardId group, bool founded) {
  Member& m = member(i);
  std::vector<NodeId> all;
  for (int j = 1; founded && j <= founders; ++j) all.push_back(NodeId{static_cast<u16>(j)});
  m.machines[group] = std::make_unique<ToyMachine>(m.disks[group]);
  return m.host->add_group(group, all, *m.machines[group]);
}

void HostCluster::crash(int i) {
  Member& m = member(i);
  m.node->crash();
  m.scope.reset();
  m.server.reset();
  m.host.reset();
  m.client.reset();
  m.machines.clear();
  m.methods = net::MethodTable{};
  m.node->restart();
}

Task<void> HostCluster::change(Host* host, ShardId group, std::vector<NodeId> voters) {
  (void)co_await host->change_members(group, std::move(voters), {}, 5s).result();
}
void HostCluster::change_in_background(int i, ShardId group, std::vector<NodeId> voters) {
  member(i).scope->spawn(change(member(i).host.get(), group, std::move(voters)));
}

void HostCluster::damage_log(int i, sim::RandomStream& random) {
  const Image image = image_of(i);
  std::vector<std::string> names;
  for (const auto& [name, content] : image.files)
    if (content.size() > 20'000) names.push_back(name);
  if (names.empty()) return;
  const std::string& name = names[random.between(0, names.size() - 1)];
  const u64 at = random.between(1'000, image.files.at(name).size() - 1);
  member(i).node->flip_bit(options.log_directory + "/" + name, at, 3);
}

void HostCluster::lose_disk(int i) {
  Member& m = member(i);
  m.node->crash();
  m.scope.reset();
  m.server.reset();
  m.host.reset();
  m.client.reset();
  m.machines.clear();
  m.methods = net::MethodTable{};
  m.node->wipe_disk();
  m.disks.clear();
  m.node->restart();
}

namespace {
Task<Result<std::map<std::string, Buffer>>> read_files(Env& env, std::string directory) {
  std::map<std::string, Buffer> files;
  const std::vector<std::string> names = co_await env.disk().list(directory);
  for (const std::string& name : names) {
    std::unique_ptr<File> file = co_await env.disk().open(directory + "/" + name, OpenMode::read_only);
    const u64 size = co_await file->size();
    Buffer content = Buffer::allocate(size);
    co_await file->read_at(0, content.mutable_span());
    files[name] = std::move(content);
  }
  co_return std::move(files);
}
Task<Result<void>> write_files(Env& env, std::string directory, const std::map<std::string, Buffer>* files) {
  co_await env.disk().make_directory(directory);
  for (const auto& [name, content] : *files) {
    std::unique_ptr<File> file = co_await env.disk().open(directory + "/" + name, OpenMode::create);
    std::vector<Buffer> pieces;
    pieces.push_back(content);
    co_await file->write_at(0, std::move(pieces));
    co_await file->flush();
  }
  co_await env.disk().sync_directory(directory);
  co_return Result<void>{};
}
}  // namespace

HostCluster::Image HostCluster::image_of(int i) {
  Image image;
  auto files = sim::run(world_, *member(i).node, read_files(*member(i).node, options.log_directory));
  if (!files || !*files) {
    violation_ = "the files of a node cannot be read";
    return image;
  }
  image.files = std::move(**files);
  image.disks = member(i).disks;
  return image;
}

void HostCluster::restore(int i, const Image& image) {
  Member& m = member(i);
  m.node->crash();
  m.node->wipe_disk();
  m.node->restart();
  m.disks = image.disks;
  auto done = sim::run(world_, *m.node, write_files(*m.node, options.log_directory, &image.files));
  if (!done || !*done) violation_ = "the files of a node cannot be written";
}

int HostCluster::leader_of(ShardId group) {
  for (int i = 0; i < nodes_; ++i)
    if (is_up(i) && member(i).host->status(group).leader) return i;
  return -1;
}

bool HostCluster::all_led() {
  for (u16 g = 0; g < kGroups; ++g)
    if (leader_of(ShardId{g}) < 0) return false;
  return true;
}

void HostCluster::start_workload(int i, std::size_t value_bytes) {
  member(i).scope->spawn(write_for_ever(i, value_bytes));
  member(i).scope->spawn(read_for_ever(i));
}

Task<void> HostCluster::write_for_ever(int i, std::size_t value_bytes) {
  Member& m = member(i);
  while (working_) {
    for (u16 g = 0; g < kGroups && working_; ++g) {
      const ShardId group{g};
      if (!m.host->status(group).leader) continue;
      std::string value = fmt::format("n{}-{}", i + 1, m.next_value++);
      value.resize(std::max(value.size(), value_bytes), '.');
      Result<Buffer> reply = co_await m.host->propose(group, Buffer::copy_of(value));
      if (!reply) continue;
      if (reply->text() != "did " + value) violation_ = "a proposal got the answer of another";
      acknowledged_[group].push_back(value);
      floor_[group] = std::max(floor_[group], m.host->status(group).applied);
    }
    co_await m.node->executor().sleep(10ms);
  }
}

Task<void> HostCluster::tell(Host* host, ShardId group, Buffer command, std::shared_ptr<Told> told) {
  ++told->under_way;
  const Result<Buffer> reply = co_await host->propose(group, std::move(command));
  --told->under_way;
  told->overloaded += !reply && reply.error().code == Errc::overloaded;
}

HostCluster::Told HostCluster::propose_at_once(int i, ShardId group, int count, std::size_t bytes) {
  const auto told = std::make_shared<Told>();
  for (int n = 0; n < count; ++n) {
    std::string value = fmt::format("flood{}", member(i).next_value++);
    value.resize(bytes, '.');
    member(i).scope->spawn(tell(member(i).host.get(), group, Buffer::copy_of(value), told));
  }
  return *told;
}

Task<void> HostCluster::write_patiently(int i, ShardId group, int count) {
  for (int n = 0; n < count;) {
    const std::string value = fmt::format("patient-{}", member(i).next_value++);
    const Result<Buffer> reply = co_await member(i).host->propose(group, Buffer::copy_of(value));
    if (reply) {
      ++n;
      ++patient_;
      acknowledged_[group].push_back(value);
    } else if (reply.error().code == Errc::overloaded) {
      co_await member(i).node->executor().sleep(5ms);
    } else {
      violation_ = "a patient client failed: " + reply.error().to_string();
      co_return;
    }
  }
}

// Nothing that was acknowledged before a barrier may be missing after it.
Task<void> HostCluster::read_for_ever(int i) {
  Member& m = member(i);
  while (working_) {
    for (u16 g = 0; g < kGroups && working_; ++g) {
      const ShardId group{g};
      const std::size_t known = acknowledged_[group].size();
      const std::string last = known == 0 ? "" : acknowledged_[group].back();
      Result<void> barrier = co_await m.host->read_barrier(group);
      if (!barrier || known == 0) continue;
      const auto& values = m.machines[group]->picture().values;
      if (std::find(values.rbegin(), values.rend(), last) == values.rend())
        violation_ = "a read misses an acknowledged write";
    }
    co_await m.node->executor().sleep(20ms);
  }
}

bool HostCluster::converged() {
  for (u16 g = 0; g < kGroups; ++g) {
    const ShardId group{g};
    const int leader = leader_of(group);
    if (leader < 0) return false;
    const std::vector<std::string>& values = member(leader).machines[group]->picture().values;
    for (NodeId node : member(leader).host->status(group).members) {
      const int i = node.value - 1;
      if (!is_up(i) || !member(i).machines.contains(group)) return false;
      if (member(i).machines[group]->picture().values != values) return false;
    }
    std::map<std::string, int> count;
    for (const std::string& value : values) ++count[value];
    for (const std::string& value : acknowledged_[group])
      if (count[value] != 1) return false;
  }
  return true;
}

bool HostCluster::reach(bool (HostCluster::*holds)(), runtime::Duration limit) {
  const Instant end = world_.now() + limit;
  while (world_.now() < end) {
    if ((this->*holds)()) return true;
    world_.run_for(5ms);
  }
  return (this->*holds)();
}

std::size_t HostCluster::acknowledged() const {
  std::size_t sum = 0;
  for (const auto& [group, values] : acknowledged_) sum += values.size();
  return sum;
}

}  // namespace claudefs::raft::testing
