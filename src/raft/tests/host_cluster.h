// Three simulated nodes with real hosts, logs and RPC over the simulated network and disks, and a toy state
// machine that remembers every command.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/rpc.h"
#include "raft/host.h"
#include "runtime/scope.h"
#include "sim/run.h"

namespace claudefs::raft::testing {

struct Picture {
  std::vector<std::string> values;
  LogIndex applied{};
  Term term{};
};

// `disk` survives crashes and is written every few entries, as a store with lazy flushes would be.
class ToyMachine final : public StateMachine {
 public:
  explicit ToyMachine(Picture& disk) : disk_(disk), now_(disk) {}
  std::vector<Buffer> apply(const std::vector<Committed>& entries) override;
  LogIndex applied() const override { return now_.applied; }
  Term applied_term() const override { return now_.term; }
  LogIndex durable() const override { return disk_.applied; }
  Result<std::unique_ptr<SnapshotSource>> snapshot() override;
  Result<void> begin_install() override;
  Result<void> install(const Buffer& piece) override;
  runtime::Task<Result<void>> finish_install(LogIndex index, Term term) override;
  void on_leadership(bool leader, Term) override { leads_ = leader; }
  const Picture& picture() const { return now_; }
  bool leads() const { return leads_; }
  int installs() const { return installs_; }
  int begun() const { return begun_; }
  int refuses = 0;  // so many pieces are taken for damaged

 private:
  Picture& disk_;
  Picture now_;
  std::string arriving_;
  bool leads_ = false;
  int installs_ = 0, begun_ = 0;
};

class HostCluster {
 public:
  static constexpr int kGroups = 8;
  explicit HostCluster(u64 seed, sim::FaultOptions faults = {}, int nodes = 3);
  ~HostCluster();

  struct Member {
    sim::Node* node = nullptr;
    std::map<ShardId, Picture> disks;
    net::MethodTable methods;
    std::unique_ptr<net::Server> server;
    std::unique_ptr<net::Client> client;
    std::map<ShardId, std::unique_ptr<ToyMachine>> machines;
    std::unique_ptr<Host> host;
    std::unique_ptr<runtime::Scope> scope;  // of the workload
    u64 next_value = 1;
  };
  sim::World& world() { return world_; }
  Member& member(int i) { return members_[static_cast<std::size_t>(i)]; }
  // The first members of all groups; the others host what they are added to.
  int founders = 3;
  void boot(int i);
  void crash(int i);
  void change_in_background(int i, ShardId group, std::vector<NodeId> voters);
  // While it is down: some bits in one of its log's files.
  void damage_log(int i, sim::RandomStream& random);
  // Crashes, and its disk is replaced by an empty one.
  void lose_disk(int i);
  // The files of its log and its machines' disks, while it is down; and back.
  struct Image {
    std::map<std::string, Buffer> files;
    std::map<ShardId, Picture> disks;
  };
  Image image_of(int i);
  void restore(int i, const Image& image);
  bool is_up(int i) { return member(i).host != nullptr; }
  // The member that leads and says so; -1: none.
  int leader_of(ShardId group);
  bool all_led();
  // Proposes and reads on every node that runs, until stop_workload.
  void start_workload(int i, std::size_t value_bytes = 8);
  void stop_workload() { working_ = false; }
  // So many commands at the same moment: how many are under way now, and how many
  // were told at once that it is overloaded.
  struct Told {
    int under_way = 0, overloaded = 0;
    bool operator==(const Told&) const = default;
  };
  Told propose_at_once(int i, ShardId group, int count, std::size_t bytes);
  // Tries again whenever it is told to wait.
  runtime::Task<void> write_patiently(int i, ShardId group, int count);
  std::size_t patient() const { return patient_; }  // commands of those that are done
  // All members of all groups have the same values, among them each acknowledged one, once.
  bool converged();
  // Runs until it holds, looking now and then (a look is dear); false when `limit` passed first.
  bool reach(bool (HostCluster::*holds)(), runtime::Duration limit);
  std::string violation() const { return violation_; }
  std::size_t acknowledged() const;
  HostOptions options;

 private:
  static runtime::Task<void> change(Host* host, ShardId group, std::vector<NodeId> voters);
  static runtime::Task<void> tell(Host* host, ShardId group, Buffer command, std::shared_ptr<Told> told);
  runtime::Task<void> write_for_ever(int i, std::size_t value_bytes);
  runtime::Task<void> read_for_ever(int i);

  const int nodes_;
  sim::World world_;
  Result<void> host_group(int i, ShardId group, bool founded);

  std::vector<Member> members_;
  std::map<ShardId, std::vector<std::string>> acknowledged_;
  std::map<ShardId, LogIndex> floor_;  // applied at the leader when it last acknowledged
  std::string violation_;
  bool working_ = true;
  std::size_t patient_ = 0;
};

}  // namespace claudefs::raft::testing
