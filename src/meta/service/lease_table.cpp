#include "meta/service/lease_table.h"

#include <algorithm>

namespace claudefs::meta {

std::vector<SessionId> LeaseTable::in_the_way(InodeId inode, SessionId session, bool changes) const {
  std::vector<SessionId> out;
  const auto at = entries_.find(inode);
  if (at == entries_.end()) return out;
  for (const auto& [holder, lease] : at->second.holders)
    if (holder != session && (changes || lease.mode == LeaseMode::write)) out.push_back(holder);
  return out;
}

LeaseMode LeaseTable::mode_of(InodeId inode, SessionId session) const {
  const auto at = entries_.find(inode);
  if (at == entries_.end()) return LeaseMode::none;
  const auto holder = at->second.holders.find(session);
  return holder == at->second.holders.end() ? LeaseMode::none : holder->second.mode;
}

void LeaseTable::begin_change(InodeId inode, SessionId session) { ++entries_[inode].changes[session]; }

void LeaseTable::end_change(InodeId inode, SessionId session) {
  const auto at = entries_.find(inode);
  if (at == entries_.end()) return;
  const auto change = at->second.changes.find(session);
  if (change != at->second.changes.end() && --change->second == 0) at->second.changes.erase(change);
  if (at->second.empty()) entries_.erase(at);
}

bool LeaseTable::changed_by_others(InodeId inode, SessionId session) const {
  const auto at = entries_.find(inode);
  if (at == entries_.end()) return false;
  return std::ranges::any_of(at->second.changes, [&](const auto& change) { return change.first != session; });
}

LeaseMode LeaseTable::grant(InodeId inode, SessionId session, LeaseMode wanted, u64 sequence) {
  if (is_recalled(inode, session) || changed_by_others(inode, session)) return LeaseMode::none;
  if (!in_the_way(inode, session, false).empty()) return LeaseMode::none;
  if (wanted == LeaseMode::write && !in_the_way(inode, session, true).empty()) wanted = LeaseMode::read;
  auto [holder, is_new] = entries_[inode].holders.try_emplace(session);
  if (is_new) ++leases_;
  holder->second.mode = std::max(holder->second.mode, wanted);
  holder->second.sequence = sequence;
  return holder->second.mode;
}

void LeaseTable::restore(InodeId inode, SessionId session, LeaseMode mode, u64 sequence) {
  auto [holder, is_new] = entries_[inode].holders.try_emplace(session);
  if (is_new) ++leases_;
  holder->second = {std::max(holder->second.mode, mode), sequence};
}

void LeaseTable::erase(std::map<InodeId, Entry>::iterator at, SessionId session) {
  leases_ -= at->second.holders.erase(session);
  if (at->second.empty()) entries_.erase(at);
}

void LeaseTable::reduce(InodeId inode, SessionId session, LeaseMode to) {
  const auto at = entries_.find(inode);
  if (at == entries_.end()) return;
  const auto holder = at->second.holders.find(session);
  if (holder == at->second.holders.end()) return;
  if (to == LeaseMode::none) return erase(at, session);
  holder->second.mode = std::min(holder->second.mode, to);
}

void LeaseTable::release(InodeId inode, SessionId session, u64 sequence) {
  const auto at = entries_.find(inode);
  if (at == entries_.end()) return;
  const auto holder = at->second.holders.find(session);
  if (holder != at->second.holders.end() && holder->second.sequence <= sequence) erase(at, session);
}

void LeaseTable::drop_session(SessionId session) {
  for (auto at = entries_.begin(); at != entries_.end();) erase(at++, session);
}

}  // namespace claudefs::meta
