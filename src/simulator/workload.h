// What the clients do: weighted POSIX operations over few names, each answer given to the oracles. An
// operation is a function of (seed, client, lane, index) and of what is there when it runs, so leaving one
// out does not change what the others draw.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>

#include "simulator/cluster.h"
#include "simulator/content_oracle.h"
#include "simulator/linearizer.h"
#include "simulator/lock_oracle.h"
#include "simulator/run.h"
#include "simulator/script.h"

namespace claudefs::simulator {

class Workload {
 public:
  Workload(Cluster& cluster, const Plan& plan, Report& report, const Trace& trace);
  ~Workload();

  // Lanes run on the client's scope until pause(); call for a client that became ready.
  void run_on(Client& client);
  void pause() { paused_ = true; }
  void resume() { paused_ = false; }
  // The client's process died: what it had under way is lost.
  void client_died(Client& client);
  bool idle() const { return busy_lanes_ == 0; }
  std::string oldest_operation() const;

  // Two clients pass a fresh file to and fro; `strike` is called once in the midst of it, with the
  // one whose write was just answered, from outside all machines.
  void hand_over(Client& one, Client& other, sim::RandomStream random,
                 std::function<void(InodeId, Client&)> strike);

  // One step after the other, each judged; files stay open until a step closes them.
  runtime::Task<void> perform_script(Client* client, Script script);
  // All that the oracles know now; `version()` changes when that does.
  struct Knowledge {
    Linearizer linearizer;
    ContentOracle content;
    std::vector<u64> under_way;
    u64 last_number = 0, last_write = 0;
  };
  Knowledge knowledge() const;
  u64 version() const { return notes_; }
  // For another world: goes on from there, `died` and what was under way being lost.
  void adopt(const Knowledge& known, Process died);
  // Reads some files through the client, all at once.
  void look_around(Client& client, sim::RandomStream random);

  // Nothing lost can still happen.
  void settle() { linearizer_.settle(); }
  // At the end: who died or lost a session is known.
  void judge_suspicions();
  // Walks the whole tree through a client and judges all that it sees.
  runtime::Task<void> audit(Client* client);
  void violation(std::string text);
  void note(const std::string& text);
  Linearizer& linearizer() { return linearizer_; }

 private:
  struct OpenFile {
    client::HandleId handle;
    InodeId inode{};
    bool writable = false;
    std::shared_ptr<void> held =
        std::make_shared<int>();  // by whoever uses it: a kernel closes it behind them
  };
  struct Lane {
    Client* client;
    u32 number;
    u64 life;
  };
  using Random = sim::RandomStream;
  template <class T>
  using Task = runtime::Task<T>;

  Task<void> lane(Lane lane);
  Task<void> one(Lane lane, u32 index);
  Task<void> namespace_operation(Client* client, Random* random, u64 kind);

  // Calls one verb, and gives its answer to the linearizer.
  Task<Outcome> perform(Client* client, Operation operation);
  // All of a directory, page by page; each is one operation of the history.
  Task<Outcome> list(Client* client, Operation read);
  Task<Outcome> call(Client* client, const Operation* operation);
  Operation make(Client* client, Verb verb);
  void learn(const Operation& operation, const Outcome& outcome);

  // Content.
  Task<void> write_file(Client* client, Random* random);
  Task<void> write_edition(Client* client, Random* random);
  Task<void> read_file(Client* client, Random* random);
  Task<void> truncate_file(Client* client, Random* random);
  Task<void> use_open_file(Client* client, Random* random);
  Task<Result<InodeId>> find_file(Client* client, Random* random, bool make_it);
  Task<Result<OpenFile>> open(Client* client, InodeId inode, bool writable);
  Task<void> write(Client* client, OpenFile file, u64 number, u64 offset, u64 length);
  Task<Result<void>> sync(Client* client, OpenFile file, bool by_flush);
  Task<void> release(Client* client, OpenFile file);
  Task<Result<void>> read(Client* client, OpenFile file, u64 offset, u64 length);
  Task<void> truncate(Client* client, InodeId inode, u64 size);
  Task<void> make_hole(Client* client, OpenFile file, client::AllocateMode mode, u64 offset, u64 length);
  Task<void> stat_file(Client* client, Random* random);
  Task<void> look_at(Client* client, InodeId inode);
  Task<Result<client::Inode>> stat(Client* client, InodeId inode);
  u64 draw_length(Random& random) const;

  // Scripts.
  Task<void> perform_step(Client* client, Step step);
  Task<void> change_content(Client* client, Step step);
  Task<InodeId> find(Client* client, std::string path);
  Task<Result<OpenFile>> opened(Client* client, std::string path);
  Task<void> copy(Client* client, OpenFile from, OpenFile to, u64 offset, u64 length);

  // Hand-over.
  struct Handover;
  void give_turn(std::shared_ptr<Handover> shared, unsigned side, bool only_looks, runtime::Duration delay);
  void begin_turn(const Client& client);
  void end_turn(const Client& client);
  Task<Result<void>> open_shared(std::shared_ptr<Handover> shared, unsigned side);
  Task<void> turn(std::shared_ptr<Handover> shared, unsigned side);
  Task<void> look(std::shared_ptr<Handover> shared, unsigned side);
  Task<void> read_and_write(std::shared_ptr<Handover> shared, unsigned side);

  // Volumes beside the one that is mounted: each is one lane's, from its making to its end.
  enum class VolumeFate : u8 { there, gone, unsure };
  Task<void> use_volume(Client* client, Random* random);
  Task<Result<void>> fill_volume(Client* client, client::FileSystem* files, Random* random);
  Task<void> try_to_cross(Client* client, client::FileSystem* files, InodeId theirs);
  Task<void> end_volume(Client* client, std::string name, Random* random);
  Task<void> audit_volumes(Client* client);

  // Locks.
  Task<void> hold_lock(Client* client, Random* random);
  void lost(Process by);
  void note_lost_sessions(const Client& client);

  Task<void> audit_entry(Client* client, InodeId directory, std::string name, std::deque<InodeId>* next);
  Task<void> audit_content(Client* client, InodeId inode, u64 size);

  Instant now() const { return cluster_.world().now(); }
  Process process(const Client& client) const { return {client.number, client.life}; }
  std::string draw_name(Random& random) const {
    return std::string(1, static_cast<char>('a' + random.between(0, plan_.names - 1)));
  }
  InodeId some_directory(Random& random) const {
    return directories_[random.between(0, directories_.size() - 1)];
  }
  InodeId some_inode(Random& random) const { return inodes_[random.between(0, inodes_.size() - 1)]; }

  Cluster& cluster_;
  const Plan& plan_;
  Report& report_;
  const Trace& trace_;
  Linearizer linearizer_;
  ContentOracle content_;
  LockOracle locks_;
  const InodeId root_;
  std::vector<InodeId> directories_{root_};
  std::vector<InodeId> inodes_{root_};               // some that were met, directories too
  std::map<u32, std::vector<OpenFile>> open_files_;  // by client
  std::map<u64, std::pair<u32, Operation>> under_way_;
  std::map<std::pair<u32, u32>, u32> next_index_;  // by client and lane: survives the client's crashes
  std::map<u32, u32> lanes_running_;               // by client
  std::deque<std::string> recent_;
  std::map<Process, u64> sessions_lost_;  // as far as the oracle knows
  u64 last_number_ = 0;
  u64 last_lock_ = 0;
  u64 last_volume_ = 0;
  std::map<std::string, VolumeFate> volumes_;  // that lanes made
  u64 last_write_ = 16;                        // lower ones are shared by many files
  u64 answers_ = 0;
  u64 notes_ = 0;
  u32 busy_lanes_ = 0;
  bool paused_ = false;
  bool auditing_ = false;
};

}  // namespace claudefs::simulator
