// The client's side of docs/architecture/leases.md: what it holds, for how long it may trust it, and how it
// gives it back.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "client/kernel_caches.h"
#include "meta/lease_operations.h"
#include "runtime/env.h"
#include "runtime/scope.h"
#include "runtime/sync.h"

namespace claudefs::client {

class State;
using cluster::LeaseMode;
using runtime::Task;

struct LeaseCounts {  // totals
  u64 recalls = 0;
  u64 sessions_lost = 0;
  u64 answered_here = 0;  // lookups, attributes and opens without a message
};

class Leases {
 public:
  Leases(State& state, net::Client& rpc, net::MethodTable& pushes);

  // Around each request. `begin` gives the moment that learning from its answer needs.
  Task<Result<void>> attach(ShardId shard);
  bool is_attached(ShardId shard) const { return links_.contains(shard) && links_.at(shard).attached; }
  u64 begin() {
    ++in_flight_;
    return clock_;
  }
  void end(u64 started, const cluster::LeaseGrants& grants);
  u64 clock() const { return clock_; }

  // What is held and may be trusted now.
  LeaseMode held(InodeId inode) const;
  std::optional<runtime::Duration> time_left(InodeId inode) const;
  const meta::Inode* attributes(InodeId inode);  // not of a split directory
  // Of a split directory: together with its fragments, all as they are at this moment. Nothing: not known.
  std::optional<meta::Inode> merged(InodeId directory);
  const meta::Inode* own_attributes(InodeId inode) const;  // and without its fragments
  // The inode behind a name; 0: there is none. Nothing: not known.
  std::optional<InodeId> name(InodeId parent, const std::string& name);
  bool knows_no_capability(InodeId inode) const;
  // It has neither set-id bit: own writes do not change that, own changes of the mode say so before.
  bool knows_no_set_id(InodeId inode) const;
  void mode_changes(InodeId inode);
  // When the shard last heard who has a quota; 0: nobody has one there. As fresh as what is held.
  meta::Hlc limited_at(ShardId shard) const {
    const auto at = links_.find(shard);
    return at == links_.end() ? meta::Hlc{} : at->second.limited;
  }
  // Something, though perhaps not to be trusted now: the leader asks for it back before the inode changes.
  bool is_granted(InodeId inode) const {
    const auto at = entries_.find(inode);
    return at != entries_.end() && at->second.mode != LeaseMode::none;
  }

  // From answers to questions asked at `started`.
  void learn_attributes(u64 started, const meta::Inode& inode);
  void learn_name(u64 started, InodeId parent, const std::string& name, InodeId inode);
  void learn_no_capability(u64 started, InodeId inode);
  void learn_fragments(u64 started, InodeId directory, const meta::FragmentMap& map);

  // A change by this client of an inode, from before it is sent until it is answered: what is learnt of the
  // inode meanwhile may be older than the change. Of the names in a directory the kernel knows it by itself.
  enum class Of : u8 { inode, names };
  class [[nodiscard]] OwnChange {
   public:
    OwnChange(Leases* leases, InodeId inode, Of of = Of::inode);
    OwnChange(const OwnChange&) = delete;
    OwnChange& operator=(const OwnChange&) = delete;
    ~OwnChange();

   private:
    Leases* leases_;
    InodeId inode_;
    Of of_;
  };
  // After its end: what the inode is now, or that the name is.
  void touched(InodeId inode, Of of = Of::inode);
  void now_is(const meta::Inode& inode);
  void now_named(InodeId parent, const std::string& name, InodeId inode);
  void now_unknown(InodeId parent, const std::string& name);

  // A kernel's question for the attributes: a notice that comes before its answer would void it, and so would
  // older attributes in an answer to another question that was under way with it (asked_since).
  class [[nodiscard]] Question {
   public:
    Question(Leases* leases, InodeId inode) : leases_(leases), inode_(inode) {
      if (leases_ == nullptr) return;
      Questions& all = leases_->questions_[inode_];
      ++all.open;
      all.newest = ++leases_->clock_;
    }
    Question(const Question&) = delete;
    Question& operator=(const Question&) = delete;
    ~Question() {
      if (leases_ == nullptr || --leases_->questions_.at(inode_).open != 0) return;
      leases_->questions_.erase(inode_);
      leases_->changed_.notify_all();
    }

   private:
    Leases* leases_;
    InodeId inode_;
  };
  // Has the kernel asked for the attributes since then, and waits? Then it must not get what was asked for
  // before: it believes what comes first and drops what answers questions from before that.
  bool asked_since(InodeId inode, u64 started) const;
  // A write that is answered while the kernel waits for attributes of the file voids them, too: it would go
  // on with the size that it has. Not while a use of the lease is held.
  Task<void> questions_first(InodeId inode);
  // Uses that a recall waits for. They end with the session: what it held then is another's.
  class [[nodiscard]] Use {
   public:
    Use() = default;
    Use(Leases* leases, InodeId inode) : leases_(leases), inode_(inode), era_(leases->era_) {}
    Use(Use&& other) noexcept
        : leases_(std::exchange(other.leases_, nullptr)), inode_(other.inode_), era_(other.era_) {}
    Use& operator=(Use&& other) noexcept {
      if (this != &other) {
        release();
        leases_ = std::exchange(other.leases_, nullptr);
        inode_ = other.inode_;
        era_ = other.era_;
      }
      return *this;
    }
    ~Use() { release(); }
    void release() {
      if (leases_ != nullptr && has_ended()) leases_ = nullptr;
      if (leases_ != nullptr) std::exchange(leases_, nullptr)->unuse(inode_);
    }
    bool has_ended() const { return leases_ != nullptr && leases_->era_ != era_; }

   private:
    Leases* leases_ = nullptr;
    InodeId inode_{};
    u64 era_ = 0;
  };
  // Holding the write lease: only then may changes of content be buffered.
  Task<Result<Use>> use_for_writing(InodeId inode);
  // Waits until a recall under way has ended.
  Task<void> settled(InodeId inode);

  // What the kernel was told, so that it can be told otherwise. What it has of a split directory hangs on the
  // leases of the fragments as well; a name there on that of its fragment alone.
  runtime::Duration give_attributes(InodeId inode);
  // That the name leads to `inode`; 0: that there is none.
  runtime::Duration give_name(InodeId parent, const std::string& name, InodeId inode);
  void give_content(InodeId inode) {
    if (kernel_ != nullptr) kernel_content_.insert(inode);
  }
  // Until when the kernel may trust the name.
  runtime::Instant name_given_until(InodeId parent, const std::string& name);
  // The kernel moves a name with the trust that it has in it. Ends when that can be taken back, or has run
  // out.
  Task<void> kernel_moved(InodeId new_parent, std::string new_name, runtime::Instant trusted_until);
  void set_kernel(KernelCaches* kernel) { kernel_ = kernel; }
  void forget(InodeId inode);  // the kernel does not know it any more

  // The session has expired: nothing is held any more.
  void drop_all();
  Task<void> leave(SessionId session);  // every shard forgets it at once
  Task<void> keep_alive();              // until the file system stops
  void hurry() {
    hurry_ = true;
    tick_.notify_all();
  }
  runtime::Condition& lock_released() { return lock_released_; }
  const LeaseCounts& counts() const { return counts_; }
  void count_answered_here() { ++counts_.answered_here; }
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    LeaseMode mode = LeaseMode::none;
    Term term{};
    u64 sequence = 0;
    u64 last_change = 0;   // by us, on `clock_`
    u32 own_changes = 0;   // under way
    bool crossed = false;  // they crossed each other, or a recall: no answer of them says what is there now
    u32 uses = 0;
    bool leaving = false;    // being recalled: nothing more is given to the kernel
    bool recalling = false;  // and no new uses
    std::optional<meta::Inode> attributes;
    std::optional<meta::FragmentMap> fragments;  // of a split directory
    std::map<std::string, InodeId> names;
    bool no_capability = false;
    bool no_set_id = false;
    void learn(const meta::Inode& inode) {
      attributes = inode;
      no_set_id = (inode.mode & 06000) == 0;
    }
    InodeId fragment_of{};  // what the kernel has of it, it has of that directory; 0: of itself
    runtime::Instant kernel_attributes_until{};
    std::map<std::string, runtime::Instant> kernel_names;
    runtime::Instant kernel_names_until{};  // of those that are not listed
    bool kernel_has_names(runtime::Instant now) const;
  };
  // To one shard's leader.
  struct Link {
    Term term{};
    runtime::Instant valid_until{};
    bool attached = false;
    bool reclaiming = false;
    meta::Hlc limited{};
  };
  struct Recalled {
    Term term{};
    u64 sequence = 0;
    LeaseMode left = LeaseMode::none;
  };
  Entry* find(InodeId inode);
  const Entry* find_valid(InodeId inode) const;
  bool may_learn(const Entry& entry, u64 started) const {
    return entry.own_changes == 0 && entry.last_change <= started;
  }
  void unuse(InodeId inode);
  void trim();
  Task<Result<net::Reply>> on_recall(net::Request request);
  Task<void> obey(meta::Recall recall);
  Task<void> give_back(meta::Recall recall);
  Task<void> make_kernel_forget_names(InodeId place);  // a directory, or a fragment
  Task<void> forget_name(InodeId parent, std::string name);
  Task<void> forget_content(InodeId inode);
  Task<void> forget_content_within(InodeId inode, runtime::Duration limit);
  void forget_attributes(InodeId inode, Entry& entry);
  Task<void> keep_alive_at(NodeId node, std::string address);
  Task<void> reclaim(ShardId shard, Term term, runtime::Instant sent);

  State& state_;
  runtime::Env& env_;
  net::Client& rpc_;
  KernelCaches* kernel_ = nullptr;
  std::set<InodeId> kernel_content_;  // of which it may have pages
  std::set<InodeId> forgetting_;      // it is being told to drop them
  struct Questions {
    u32 open = 0;
    u64 newest = 0;  // when it was asked, on `clock_`
  };
  std::map<InodeId, Questions> questions_;  // of the kernel, not answered yet
  std::map<InodeId, Entry> entries_;
  std::map<ShardId, Link> links_;
  std::map<InodeId, Recalled> recalled_;  // while requests are under way
  std::map<InodeId, runtime::Instant> contended_;
  std::map<InodeId, u32> changing_;  // own changes of inodes without an entry
  std::vector<meta::KeepAlive::Release> released_;
  std::set<NodeId> asking_;
  u64 clock_ = 1;
  u64 in_flight_ = 0;
  bool hurry_ = false;
  LeaseCounts counts_;
  u64 era_ = 0;  // of the session
  runtime::Condition changed_;
  runtime::Condition lock_released_;
  runtime::Condition tick_;
};

}  // namespace claudefs::client
