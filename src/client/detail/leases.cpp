// What is held: bookkeeping. The messages are in lease_messages.cpp.
#include "client/detail/leases.h"

#include <algorithm>

#include "base/mutant.h"
#include "client/detail/state.h"

CFS_DEFINE_MUTANT(older_grant_lowers_lease,
                  "client: an answer that another has overtaken makes a lease what it was before that");
CFS_DEFINE_MUTANT(
    crossed_grant_ends_lease,
    "client: an answer that crossed a recall ends the lease before what is buffered is flushed");
CFS_DEFINE_MUTANT(older_answer_overtakes,
                  "client: of two questions of the kernel the older is answered with what was asked first");
CFS_DEFINE_MUTANT(fragment_kept_by_kernel,
                  "client: with the lease of a fragment the kernel's attributes of its directory stay");
CFS_DEFINE_MUTANT(lease_outlives_its_time, "client: a lease is trusted after its time");

namespace claudefs::client {
namespace {

using namespace std::chrono_literals;
constexpr std::size_t kEntriesMax = 200'000;
constexpr std::size_t kNamesMax = 50'000;       // of one directory
constexpr std::size_t kKernelNamesMax = 256;    // of one directory, to be taken back one by one
constexpr runtime::Duration kNameTrusted = 1s;  // by the kernel
constexpr runtime::Duration kQuestionsWithin = 1s;
constexpr runtime::Duration kKernelTakes = 1ms;  // an answer that it got: its thread has to wake up

}  // namespace

Leases::Leases(State& state, net::Client& rpc, net::MethodTable& pushes)
    : state_(state),
      env_(state.env),
      rpc_(rpc),
      changed_(state.env.executor()),
      lock_released_(state.env.executor()),
      tick_(state.env.executor()) {
  pushes.add(meta::Recall::kMethod, [this](net::Request request) { return on_recall(std::move(request)); });
  pushes.add(meta::LockReleased::kMethod, [this](net::Request) -> Task<Result<net::Reply>> {
    lock_released_.notify_all();
    return []() -> Task<Result<net::Reply>> { co_return net::Reply{wire::encode(net::Empty{}), {}}; }();
  });
  pushes.add(meta::LeaderChanged::kMethod, [this](net::Request) -> Task<Result<net::Reply>> {
    hurry();
    return []() -> Task<Result<net::Reply>> { co_return net::Reply{wire::encode(net::Empty{}), {}}; }();
  });
}

Leases::Entry* Leases::find(InodeId inode) {
  const auto at = entries_.find(inode);
  return at == entries_.end() ? nullptr : &at->second;
}

const Leases::Entry* Leases::find_valid(InodeId inode) const {
  const auto at = entries_.find(inode);
  if (at == entries_.end() || at->second.mode == LeaseMode::none || at->second.recalling) return nullptr;
  const auto link = links_.find(inode.shard());
  // What comes from the former leader while the new one is told is not among what it is told.
  if (link == links_.end() || link->second.reclaiming || link->second.term != at->second.term) return nullptr;
  if (env_.now() >= link->second.valid_until && !CFS_MUTANT(lease_outlives_its_time)) return nullptr;
  return &at->second;
}

void Leases::end(u64 started, const cluster::LeaseGrants& grants) {
  --in_flight_;
  for (cluster::LeaseGrant lease : grants.leases) {
    const auto recalled = recalled_.find(lease.inode);
    if (recalled != recalled_.end() &&
        (grants.term < recalled->second.term ||
         (grants.term == recalled->second.term && grants.sequence < recalled->second.sequence))) {
      // What is held goes when what hangs on it has been flushed, not by this.
      const Entry* held = find(lease.inode);
      if (held != nullptr && held->term == grants.term && !CFS_MUTANT(crossed_grant_ends_lease)) continue;
      lease.mode = std::min(lease.mode, recalled->second.left);
      if (lease.mode == LeaseMode::none) continue;
    }
    auto [at, is_new] = entries_.try_emplace(lease.inode);
    Entry& entry = at->second;
    if (entry.term > grants.term) continue;
    const bool is_older = !is_new && entry.term == grants.term && grants.sequence < entry.sequence;
    if (is_older && !CFS_MUTANT(older_grant_lowers_lease)) continue;
    if (is_new) {
      // An answer that crossed a recall may be older than what was recalled for.
      entry.last_change = recalled == recalled_.end() ? started : ++clock_;
      if (const auto own = changing_.find(lease.inode); own != changing_.end()) {
        entry.own_changes = own->second;
        entry.crossed = true;
        changing_.erase(own);
      }
    }
    if (!is_new && entry.term != grants.term) {  // what was known under a lease that is over
      entry.last_change = std::max(entry.last_change, started);
      entry.sequence = 0;
      entry.attributes.reset();
      entry.fragments.reset();
      entry.names.clear();
      entry.no_capability = false;
      entry.no_set_id = false;
    }
    entry.mode = lease.mode;
    entry.term = grants.term;
    entry.sequence = std::max(entry.sequence, grants.sequence);
  }
  if (in_flight_ == 0) recalled_.clear();
  if (entries_.size() > kEntriesMax) trim();
}

// Some that nothing hangs on, from a place that moves on.
void Leases::trim() {
  const InodeId from{env_.random().next()};
  std::size_t left = kEntriesMax / 100;
  for (auto at = entries_.lower_bound(from); left != 0 && entries_.size() > kEntriesMax / 2; --left) {
    if (at == entries_.end()) at = entries_.begin();
    const Entry& entry = at->second;
    const bool idle = entry.uses == 0 && !entry.leaving && entry.own_changes == 0 &&
                      entry.kernel_attributes_until < env_.now() && !entry.kernel_has_names(env_.now()) &&
                      state_.find_file(at->first) == nullptr;
    if (!idle) {
      ++at;
      continue;
    }
    released_.push_back({at->first, entry.term, entry.sequence});
    at = entries_.erase(at);
    if (entries_.empty()) return;
  }
}

LeaseMode Leases::held(InodeId inode) const {
  const Entry* entry = find_valid(inode);
  return entry == nullptr ? LeaseMode::none : entry->mode;
}

std::optional<runtime::Duration> Leases::time_left(InodeId inode) const {
  if (find_valid(inode) == nullptr) return std::nullopt;
  return links_.at(inode.shard()).valid_until - env_.now();
}

const meta::Inode* Leases::own_attributes(InodeId inode) const {
  const Entry* entry = find_valid(inode);
  return entry == nullptr || !entry->attributes || entry->own_changes != 0 ? nullptr : &*entry->attributes;
}

const meta::Inode* Leases::attributes(InodeId inode) {
  const meta::Inode* known = own_attributes(inode);
  return known == nullptr || is_split(*known) ? nullptr : known;
}

std::optional<meta::Inode> Leases::merged(InodeId directory) {
  const meta::Inode* known = own_attributes(directory);
  if (known == nullptr || !is_split(*known) || !find(directory)->fragments) return std::nullopt;
  meta::Inode out = *known;
  for (const meta::Fragment& fragment : *find(directory)->fragments) {
    const meta::Inode* part = own_attributes(fragment.inode);
    if (part == nullptr) return std::nullopt;
    merge_fragment(out, *part);
  }
  return out;
}

std::optional<InodeId> Leases::name(InodeId parent, const std::string& name) {
  const Entry* entry = find_valid(parent);
  if (entry == nullptr || entry->own_changes != 0) return std::nullopt;
  const auto at = entry->names.find(name);
  if (at == entry->names.end()) return std::nullopt;
  return at->second;
}

bool Leases::knows_no_capability(InodeId inode) const {
  const Entry* entry = find_valid(inode);
  return entry != nullptr && entry->no_capability;
}

bool Leases::knows_no_set_id(InodeId inode) const {
  const Entry* entry = find_valid(inode);
  return entry != nullptr && entry->no_set_id;
}

void Leases::mode_changes(InodeId inode) {
  if (Entry* entry = find(inode)) entry->no_set_id = false;
}

void Leases::learn_attributes(u64 started, const meta::Inode& inode) {
  Entry* entry = find(inode.id);
  if (entry != nullptr && may_learn(*entry, started)) entry->learn(inode);
}

void Leases::learn_name(u64 started, InodeId parent, const std::string& name, InodeId inode) {
  Entry* entry = find(parent);
  if (entry == nullptr || !may_learn(*entry, started)) return;
  if (entry->names.size() >= kNamesMax) entry->names.clear();
  entry->names[name] = inode;
}

void Leases::learn_fragments(u64 started, InodeId directory, const meta::FragmentMap& map) {
  Entry* entry = find(directory);
  if (entry != nullptr && may_learn(*entry, started)) entry->fragments = map;
}

void Leases::learn_no_capability(u64 started, InodeId inode) {
  Entry* entry = find(inode);
  if (entry != nullptr && may_learn(*entry, started)) entry->no_capability = true;
}

Leases::OwnChange::OwnChange(Leases* leases, InodeId inode, Of of) : leases_(leases), inode_(inode), of_(of) {
  if (leases_ == nullptr) return;
  ++leases_->clock_;
  if (Entry* entry = leases_->find(inode_))
    entry->crossed = ++entry->own_changes > 1;
  else
    ++leases_->changing_[inode_];
}

Leases::OwnChange::~OwnChange() {
  if (leases_ == nullptr) return;
  ++leases_->clock_;
  if (const auto own = leases_->changing_.find(inode_); own != leases_->changing_.end()) {
    if (--own->second == 0) leases_->changing_.erase(own);
    if (leases_->find(inode_) == nullptr) return;
  } else if (Entry* entry = leases_->find(inode_); entry != nullptr && entry->own_changes != 0) {
    --entry->own_changes;
  }
  leases_->touched(inode_, of_);
}

void Leases::touched(InodeId inode, Of of) {
  ++clock_;
  if (Entry* entry = find(inode)) {
    entry->last_change = clock_;
    // By another way (a rename replaced it): the answer to our change may be older.
    if (entry->own_changes != 0) entry->crossed = true;
    entry->attributes.reset();
    entry->no_capability = false;
    if (of == Of::inode) forget_attributes(inode, *entry);
  }
}

void Leases::now_is(const meta::Inode& inode) {
  Entry* entry = find(inode.id);
  if (entry != nullptr && entry->own_changes == 0 && !entry->crossed) entry->learn(inode);
}

void Leases::now_named(InodeId parent, const std::string& name, InodeId inode) {
  Entry* entry = find(parent);
  if (entry == nullptr) return;
  if (entry->own_changes == 0 && !entry->crossed)
    entry->names[name] = inode;
  else
    entry->names.erase(name);
}

void Leases::now_unknown(InodeId parent, const std::string& name) {
  if (Entry* entry = find(parent)) entry->names.erase(name);
}

bool Leases::asked_since(InodeId inode, u64 started) const {
  const auto open = questions_.find(inode);
  return open != questions_.end() && open->second.newest > started && !CFS_MUTANT(older_answer_overtakes);
}

Task<void> Leases::questions_first(InodeId inode) {
  if (kernel_ == nullptr || !questions_.contains(inode)) co_return;
  const runtime::Instant end = env_.now() + kQuestionsWithin;
  while (questions_.contains(inode) && env_.now() < end) co_await changed_.wait_until(end);
  co_await env_.executor().sleep(kKernelTakes);
}

void Leases::unuse(InodeId inode) {
  if (Entry* entry = find(inode); entry != nullptr && entry->uses != 0 && --entry->uses == 0)
    changed_.notify_all();
}

Task<void> Leases::settled(InodeId inode) {
  for (Entry* entry = find(inode); entry != nullptr && entry->recalling; entry = find(inode))
    co_await changed_.wait();
}

bool Leases::Entry::kernel_has_names(runtime::Instant now) const {
  return kernel_names_until > now ||
         std::ranges::any_of(kernel_names, [&](const auto& known) { return known.second > now; });
}

// As long as all hold that they are made of.
runtime::Duration Leases::give_attributes(InodeId inode) {
  std::vector<InodeId> parts{inode};
  if (const meta::Inode* known = own_attributes(inode); known != nullptr && is_split(*known)) {
    if (!find(inode)->fragments) return runtime::Duration(0);
    for (const meta::Fragment& fragment : *find(inode)->fragments) parts.push_back(fragment.inode);
  }
  runtime::Duration valid = runtime::Duration::max();
  for (const InodeId part : parts) {
    if (own_attributes(part) == nullptr || find(part)->leaving) return runtime::Duration(0);
    valid = std::min(valid, *time_left(part));
  }
  for (const InodeId part : parts) {
    Entry* entry = find(part);
    entry->kernel_attributes_until = env_.now() + valid;
    if (part != inode) entry->fragment_of = inode;
  }
  return valid;
}

runtime::Duration Leases::give_name(InodeId parent, const std::string& name, InodeId inode) {
  const InodeId place = state_.fragments.place_of(parent, name);
  const std::optional<runtime::Duration> left = time_left(place);
  Entry* entry = find(place);
  if (!left || entry->leaving) return runtime::Duration(0);
  // Only what is known here and now: whoever answered may not have the name any more, and what there is not
  // no lease of its own would ask back.
  if (inode == InodeId{} || state_.fragments.is_split(parent)) {
    const auto known = entry->names.find(name);
    if (known == entry->names.end() || known->second != inode) return runtime::Duration(0);
  }
  const runtime::Instant now = env_.now();
  if (const auto contended = contended_.find(place); contended != contended_.end()) {
    if (contended->second > now) return runtime::Duration(0);
    contended_.erase(contended);
  }
  if (place != parent) entry->fragment_of = parent;
  const runtime::Duration valid = std::min(*left, kNameTrusted);
  if (entry->kernel_names.size() >= kKernelNamesMax)
    std::erase_if(entry->kernel_names, [&](const auto& known) { return known.second <= now; });
  if (entry->kernel_names.size() < kKernelNamesMax)
    entry->kernel_names[name] = now + valid;
  else
    entry->kernel_names_until = now + valid;
  return valid;
}

runtime::Instant Leases::name_given_until(InodeId parent, const std::string& name) {
  const Entry* entry = find(state_.fragments.place_of(parent, name));
  if (entry == nullptr) return {};
  const auto at = entry->kernel_names.find(name);
  return at == entry->kernel_names.end() ? entry->kernel_names_until
                                         : std::max(at->second, entry->kernel_names_until);
}

Task<void> Leases::kernel_moved(InodeId new_parent, std::string new_name, runtime::Instant trusted_until) {
  if (trusted_until <= env_.now()) co_return;
  const InodeId place = state_.fragments.place_of(new_parent, new_name);
  Entry* entry = find(place);
  if (find_valid(place) == nullptr || entry->leaving) {
    co_await env_.executor().sleep_until(trusted_until);
    co_return;
  }
  if (place != new_parent) entry->fragment_of = new_parent;
  runtime::Instant& until = entry->kernel_names[std::move(new_name)];
  until = std::max(until, trusted_until);
}

void Leases::forget(InodeId inode) {
  kernel_content_.erase(inode);
  const auto at = entries_.find(inode);
  if (at == entries_.end() || at->second.uses != 0 || at->second.leaving || at->second.own_changes != 0 ||
      at->second.kernel_has_names(env_.now()) || state_.find_file(inode) != nullptr)
    return;
  released_.push_back({inode, at->second.term, at->second.sequence});
  entries_.erase(at);
}

void Leases::drop_all() {
  ++counts_.sessions_lost;
  ++era_;
  links_.clear();
  released_.clear();
  ++clock_;
  for (auto& [inode, entry] : entries_) {
    if (entry.own_changes != 0) changing_[inode] = entry.own_changes;
    if (kernel_ == nullptr) continue;
    forget_attributes(inode, entry);
    const InodeId directory = entry.fragment_of == InodeId{} ? inode : entry.fragment_of;
    for (const auto& [name, until] : entry.kernel_names)
      if (until > env_.now()) state_.scope.spawn(forget_name(directory, name));
  }
  for (const InodeId inode : std::vector(kernel_content_.begin(), kernel_content_.end()))
    state_.scope.spawn(forget_content(inode));
  entries_.clear();
  changed_.notify_all();
  lock_released_.notify_all();
}

// Nothing that the kernel does not have: a notice that crosses its question for the attributes voids the
// answer, and a read would go on with the size known before.
void Leases::forget_attributes(InodeId inode, Entry& entry) {
  if (kernel_ == nullptr || entry.kernel_attributes_until <= env_.now()) return;
  entry.kernel_attributes_until = {};
  if (entry.fragment_of == InodeId{}) return kernel_->forget_attributes(inode);
  // Those of the directory, where they were not asked back already.
  if (CFS_MUTANT(fragment_kept_by_kernel)) return;
  if (Entry* directory = find(entry.fragment_of)) forget_attributes(entry.fragment_of, *directory);
}

Task<void> Leases::forget_content(InodeId inode) {
  while (questions_.contains(inode) || forgetting_.contains(inode)) co_await changed_.wait();
  if (kernel_content_.erase(inode) == 0 || kernel_ == nullptr) co_return;
  forgetting_.insert(inode);
  co_await kernel_->forget_content(inode);
  forgetting_.erase(inode);
  changed_.notify_all();
}

Task<void> Leases::forget_name(InodeId parent, std::string name) {
  if (kernel_ != nullptr) co_await kernel_->forget_name(parent, std::move(name));
}

}  // namespace claudefs::client
