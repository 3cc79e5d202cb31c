#include "simulator/workload.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/probe.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;
using meta::FileType;

namespace {

constexpr std::size_t kInodesMost = 48;
constexpr std::size_t kRecent = 400;

template <class T>
Outcome failure_of(const Result<T>& result) {
  Outcome out;
  out.code = result.error().code;
  return out;
}

Outcome outcome_of(const Result<client::Inode>& result) {
  if (!result) return failure_of(result);
  Outcome out;
  out.inode = result->id;
  out.type = result->type;
  out.mode = result->mode;
  out.nlink = result->nlink;
  if (out.type == FileType::directory) out.size = result->size;
  return out;
}
Outcome outcome_of(const Result<void>& result) { return result ? Outcome() : failure_of(result); }

}  // namespace

Workload::Workload(Cluster& cluster, const Plan& plan, Report& report, const Trace& trace)
    : cluster_(cluster),
      plan_(plan),
      report_(report),
      trace_(trace),
      linearizer_(cluster.options().shards, cluster.options().trash, cluster.root()),
      root_(cluster.root()) {}
Workload::~Workload() = default;

void Workload::note(const std::string& text) {
  std::string line = fmt::format("{:14.6f} {}", static_cast<double>(now().ns) / 1e9, text);
  ++notes_;
  if (trace_) trace_(line);
  recent_.push_back(std::move(line));
  if (recent_.size() > kRecent) recent_.pop_front();
}

void Workload::violation(std::string text) {
  note("VIOLATION " + text);
  if (report_.violations.size() < 20)
    report_.violations.push_back(fmt::format("at {:.6f} s: {}", static_cast<double>(now().ns) / 1e9, text));
}

std::string Workload::oldest_operation() const {
  return under_way_.empty() ? "a file's content" : under_way_.begin()->second.second.to_string();
}

void Workload::run_on(Client& client) {
  for (u32 lane_number = 0; lane_number < plan_.lanes; ++lane_number)
    client.scope->spawn(lane(Lane{&client, lane_number, client.life}));
}

void Workload::client_died(Client& client) {
  for (auto at = under_way_.begin(); at != under_way_.end();) {
    if (at->second.first != client.number) {
      ++at;
      continue;
    }
    linearizer_.lost(at->first);
    ++report_.lost_operations;
    at = under_way_.erase(at);
  }
  open_files_.erase(client.number);
  lost(process(client));
  busy_lanes_ -= lanes_running_[client.number];
  lanes_running_[client.number] = 0;
}

runtime::Task<void> Workload::lane(Lane lane) {
  runtime::Executor& executor = lane.client->machine->executor();
  u32& index = next_index_[{lane.client->number, lane.number}];
  for (;;) {
    const u32 own = index++;
    Random random(plan_.seed, "think", (u64{lane.client->number} << 40) | (u64{lane.number} << 32) | own);
    const u64 octaves = 12;
    const i64 think = plan_.think_max.count() >> random.between(0, octaves);
    co_await executor.sleep(runtime::Duration(static_cast<i64>(random.between(0, static_cast<u64>(think)))));
    while (paused_) co_await executor.sleep(50ms);
    const std::tuple<u32, u32, u32> id{lane.client->number, lane.number, own};
    if (plan_.skip_operations.contains(id)) continue;
    report_.operations_begun.push_back(id);
    ++busy_lanes_;
    ++lanes_running_[lane.client->number];
    co_await one(lane, own);
    --busy_lanes_;
    --lanes_running_[lane.client->number];
  }
}

runtime::Task<void> Workload::one(Lane lane, u32 index) {
  Random random(plan_.seed, "operation", (u64{lane.client->number} << 40) | (u64{lane.number} << 32) | index);
  const u64 kind = random.between(0, 99);
  Client* client = lane.client;
  if (plan_.volumes) {
    Random apart(plan_.seed, "volume", (u64{client->number} << 40) | (u64{lane.number} << 32) | index);
    if (apart.chance(50'000)) co_return co_await use_volume(client, &apart);
  }
  Random apart(plan_.seed, "edition", (u64{client->number} << 40) | (u64{lane.number} << 32) | index);
  if (apart.chance(60'000)) co_return co_await write_edition(client, &apart);
  if (kind < 16)
    co_await write_file(client, &random);
  else if (kind < 20)
    co_await hold_lock(client, &random);
  else if (kind < 24)
    co_await stat_file(client, &random);
  else if (kind < 34)
    co_await read_file(client, &random);
  else if (kind < 38)
    co_await truncate_file(client, &random);
  else if (kind < 44)
    co_await use_open_file(client, &random);
  else
    co_await namespace_operation(client, &random, kind);
}

Operation Workload::make(Client* client, Verb verb) {
  Operation out;
  out.number = ++last_number_;
  out.client = client->number;
  out.verb = verb;
  return out;
}

runtime::Task<void> Workload::namespace_operation(Client* client, Random* random, u64 kind) {
  Operation op = make(client, Verb::lookup);
  op.inode = some_directory(*random);
  op.name = draw_name(*random);
  op.mode = static_cast<u16>(random->between(0, 0777));
  if (kind < 50) {
    op.verb = Verb::lookup;
  } else if (kind < 54) {
    op.verb = Verb::read_directory;
  } else if (kind < 58) {
    op.verb = Verb::get_attributes;
    op.inode = some_inode(*random);
  } else if (kind < 62) {
    op.verb = Verb::create;
    op.type = random->coin() ? FileType::symlink : FileType::fifo;
    if (op.type == FileType::symlink) op.value = fmt::format("target{}", op.number);
    if (op.type == FileType::symlink) op.mode = 0777;
  } else if (kind < 66) {
    op.verb = Verb::make_directory;
  } else if (kind < 69) {
    op.verb = Verb::remove_directory;
  } else if (kind < 75) {
    op.verb = Verb::unlink;
  } else if (kind < 85) {
    op.verb = Verb::rename;
    op.new_parent = random->chance(400'000) ? op.inode : some_directory(*random);
    op.new_name = draw_name(*random);
    const u64 mode = random->between(0, 9);
    op.rename_mode = mode == 0   ? meta::RenameMode::exchange
                     : mode == 1 ? meta::RenameMode::no_replace
                                 : meta::RenameMode::replace;
  } else if (kind < 92) {
    op.verb = kind < 89 ? Verb::link : Verb::restore;
    op.new_parent = op.inode;
    op.new_name = op.name;
    op.name.clear();
    op.inode = some_inode(*random);
  } else {
    op.inode = some_inode(*random);
    op.name = fmt::format("user.{}", random->between(0, 2));
    op.xattr_mode = static_cast<meta::XattrMode>(random->between(0, 2));
    op.value = fmt::format("value{}", op.number);
    constexpr Verb kVerbs[] = {Verb::set_mode,  Verb::set_mode,    Verb::set_xattr,
                               Verb::set_xattr, Verb::set_xattr,   Verb::remove_xattr,
                               Verb::get_xattr, Verb::list_xattrs, Verb::read_link};
    op.verb = kVerbs[random->between(0, std::size(kVerbs) - 1)];
  }
  if (op.verb == Verb::read_directory)
    (void)co_await list(client, std::move(op));
  else
    (void)co_await perform(client, std::move(op));
}

// Page by page: each is one moment of a range.
runtime::Task<Outcome> Workload::list(Client* client, Operation read) {
  Outcome all;
  for (;;) {
    const InodeId directory = read.inode;
    const Outcome page = co_await perform(client, std::move(read));
    if (page.code != Errc::ok) co_return page;
    all.entries.insert(page.entries.begin(), page.entries.end());
    if (page.covers_to >> 63 != 0) co_return all;
    CFS_PROBE(sim_listing_goes_on, "a directory is listed range by range");
    read = make(client, Verb::read_directory);
    read.inode = directory;
    read.after_cookie = page.covers_to - 1;
  }
}

runtime::Task<Outcome> Workload::perform(Client* client, Operation operation) {
  const u64 number = operation.number;
  under_way_[number] = {client->number, operation};
  linearizer_.called(operation);
  note("call    " + operation.to_string());
  Outcome seen = co_await call(client, &operation);
  under_way_.erase(number);
  note(fmt::format("answer  #{} {}", number, seen.to_string()));
  if (seen.code == Errc::quota_exceeded) {
    CFS_PROBE(sim_quota_refused, "an operation on names is refused for a quota");
    if (std::optional<std::string> wrong = linearizer_.refused(number)) violation(std::move(*wrong));
    co_return seen;
  }
  if (!is_definite(seen.code)) {
    linearizer_.lost(number);
    ++report_.lost_operations;
    if (auditing_)
      violation(fmt::format("the audit's {} failed: {}", operation.to_string(), seen.to_string()));
    co_return seen;
  }
  ++report_.operations;
  learn(operation, seen);
  if (plan_.wrong_oracle && ++answers_ == 40) seen.code = seen.code == Errc::ok ? Errc::not_found : Errc::ok;
  if (std::optional<std::string> wrong = linearizer_.answered(number, seen)) violation(std::move(*wrong));
  if (linearizer_.gave_up()) report_.namespace_unjudged = 1;
  co_return seen;
}

void Workload::learn(const Operation& operation, const Outcome& outcome) {
  if (outcome.code == Errc::stale)
    std::erase_if(directories_, [&](InodeId id) { return id == operation.inode && id != root_; });
  if (outcome.code != Errc::ok || outcome.inode == InodeId{}) return;
  if (std::find(inodes_.begin(), inodes_.end(), outcome.inode) == inodes_.end()) {
    inodes_.push_back(outcome.inode);
    if (inodes_.size() > kInodesMost) inodes_.erase(inodes_.begin());
  }
  if (outcome.type != FileType::directory) return;
  if (std::find(directories_.begin(), directories_.end(), outcome.inode) != directories_.end()) return;
  directories_.push_back(outcome.inode);
  if (directories_.size() > plan_.directories_most) directories_.erase(directories_.begin() + 1);
}

runtime::Task<Outcome> Workload::call(Client* client, const Operation* op) {
  client::FileSystem& files = client->files();
  const meta::Caller caller{};
  client::NewNode node;
  node.parent = op->inode;
  node.name = op->name;
  node.type = op->type;
  node.mode = op->mode;
  node.target = op->value;
  switch (op->verb) {
    case Verb::lookup:
      co_return outcome_of(co_await client->kernel->lookup(op->inode, op->name).result());
    case Verb::get_attributes:
      co_return outcome_of(co_await files.get_attributes(op->inode).result());
    case Verb::create:
      co_return outcome_of(co_await files.make_node(node).result());
    case Verb::make_directory:
      co_return outcome_of(co_await files.make_directory(node).result());
    case Verb::unlink:
      co_return outcome_of(co_await files.unlink(op->inode, op->name, caller).result());
    case Verb::remove_directory:
      co_return outcome_of(co_await files.remove_directory(op->inode, op->name, caller).result());
    case Verb::link:
      co_return outcome_of(co_await files.link(op->inode, op->new_parent, op->new_name, caller).result());
    case Verb::restore:
      co_return outcome_of(
          co_await files.restore_file(op->inode, op->new_parent, op->new_name, caller).result());
    case Verb::remove_xattr:
      co_return outcome_of(co_await files.remove_xattr(op->inode, op->name).result());
    case Verb::set_xattr:
      co_return outcome_of(
          co_await files.set_xattr(op->inode, op->name, Buffer::copy_of(op->value), op->xattr_mode).result());
    case Verb::rename: {
      client::RenameRequest request;
      request.old_parent = op->inode;
      request.old_name = op->name;
      request.new_parent = op->new_parent;
      request.new_name = op->new_name;
      request.mode = op->rename_mode;
      co_return outcome_of(co_await files.rename(request).result());
    }
    case Verb::set_mode: {
      client::AttributeChange change;
      change.mode = op->mode;
      // Nothing here judges by the owner but quotas.
      change.uid = op->mode % 5u;
      change.gid = op->mode % 3u;
      Outcome out = outcome_of(co_await files.set_attributes(op->inode, change).result());
      // Of a file that is open for writing it would be told only at the close whether it took effect.
      Result<std::optional<client::Inode>> committed = co_await files.commit_attributes(op->inode).result();
      if (!committed) co_return failure_of(committed);
      if (*committed) out = outcome_of(Result<client::Inode>(std::move(**committed)));
      co_return out;
    }
    case Verb::read_link: {
      const Result<std::string> target = co_await files.read_link(op->inode).result();
      if (!target) co_return failure_of(target);
      Outcome out;
      out.value = *target;
      co_return out;
    }
    case Verb::get_xattr: {
      const Result<Buffer> value = co_await files.get_xattr(op->inode, op->name).result();
      if (!value) co_return failure_of(value);
      Outcome out;
      out.value = std::string(value->text());
      co_return out;
    }
    case Verb::list_xattrs: {
      Result<std::vector<std::string>> names = co_await files.list_xattrs(op->inode).result();
      if (!names) co_return failure_of(names);
      Outcome out;
      out.names = std::move(*names);
      std::sort(out.names.begin(), out.names.end());
      co_return out;
    }
    case Verb::read_directory: {
      const client::HandleId handle = *co_await files.open_directory(op->inode).result();
      const Result<client::DirectoryPage> page =
          co_await files.read_directory(handle, op->after_cookie, false).result();
      files.release_directory(handle);
      if (!page) co_return failure_of(page);
      Outcome out;
      out.covers_from = page->covers_from;
      out.covers_to = page->covers_to;
      for (const client::DirectoryEntry& entry : page->entries)
        out.entries[entry.name] = {entry.inode, entry.type};
      co_return out;
    }
  }
  co_return Outcome();
}

}  // namespace claudefs::simulator
