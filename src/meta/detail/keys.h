// Keys of a shard's tables, without the shard's prefix: docs/formats/metadata.md.
#pragma once

#include <string>
#include <string_view>

#include "meta/quota.h"

namespace claudefs::meta {

// Stored: never renumber.
enum class Table : u8 {
  machine = 0x01,
  counter = 0x02,
  session = 0x03,
  outcome = 0x04,
  outbox = 0x05,
  inbound = 0x06,
  inode = 0x08,
  dentry = 0x09,
  extent = 0x0a,
  xattr = 0x0b,
  inline_data = 0x0c,
  orphan = 0x0d,
  purge = 0x0e,
  volume_purge = 0x0f,
  lock = 0x10,
  prepared = 0x11,
  decision = 0x12,
  tombstone = 0x13,
  file_lock = 0x14,
  trash = 0x15,
  trashed = 0x16,
  quota_use = 0x17,
  quota_recount = 0x18,
  quota_limit = 0x19,
  quota_reserve = 0x1a,
  fragments = 0x1b,
  volume = 0x1e,
  volume_here = 0x1f,
};

class Key {
 public:
  explicit Key(Table table) { out_.push_back(static_cast<char>(table)); }
  Key& be16(u16 v) { return big_endian(v, 2); }
  Key& be64(u64 v) { return big_endian(v, 8); }
  Key& text(std::string_view v) {
    out_.append(v);
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  Key& big_endian(u64 v, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out_.push_back(static_cast<char>(v >> (8 * i)));
    return *this;
  }
  std::string out_;
};

// The big-endian number of `bytes` bytes at `at` of a key. The key must be long enough: keys are our own.
inline u64 number_in(std::string_view key, std::size_t at, std::size_t bytes = 8) {
  u64 v = 0;
  for (std::size_t i = 0; i < bytes; ++i) v = v << 8 | static_cast<u8>(key[at + i]);
  return v;
}

inline std::string key_of_table(Table table) { return Key(table).take(); }
inline std::string applied_key() { return Key(Table::machine).text("a").take(); }
inline std::string hlc_key() { return Key(Table::machine).text("h").take(); }
inline std::string usage_key() { return Key(Table::machine).text("u").take(); }
inline std::string lock_count_key() { return Key(Table::machine).text("l").take(); }
inline std::string domain_key_key() { return Key(Table::machine).text("k").take(); }
inline std::string recount_key() { return Key(Table::machine).text("q").take(); }
inline std::string limited_key() { return Key(Table::machine).text("Q").take(); }
inline std::string counter_key(std::string_view name) { return Key(Table::counter).text(name).take(); }
inline std::string session_key(SessionId session) { return Key(Table::session).be64(session.value).take(); }
inline std::string outcomes_key(SessionId session) { return Key(Table::outcome).be64(session.value).take(); }
inline std::string outcome_key(SessionId session, u64 sequence) {
  return Key(Table::outcome).be64(session.value).be64(sequence).take();
}
inline std::string outbox_key(ShardId to) { return Key(Table::outbox).be16(to.value).take(); }
inline std::string outbox_key(ShardId to, u64 number) {
  return Key(Table::outbox).be16(to.value).be64(number).take();
}
inline std::string inbound_key(ShardId from) { return Key(Table::inbound).be16(from.value).take(); }
inline std::string inode_key(InodeId inode) { return Key(Table::inode).be64(inode.value).take(); }
inline std::string dentries_key(InodeId directory) { return Key(Table::dentry).be64(directory.value).take(); }
inline std::string dentry_key(InodeId directory, u64 cookie) {
  return Key(Table::dentry).be64(directory.value).be64(cookie).take();
}
inline std::string extents_key(InodeId inode, u64 generation) {
  return Key(Table::extent).be64(inode.value).be64(generation).take();
}
inline std::string extent_key(InodeId inode, u64 generation, u64 end) {
  return Key(Table::extent).be64(inode.value).be64(generation).be64(end).take();
}
inline std::string xattrs_key(InodeId inode) { return Key(Table::xattr).be64(inode.value).take(); }
inline std::string xattr_key(InodeId inode, std::string_view name) {
  return Key(Table::xattr).be64(inode.value).text(name).take();
}
inline std::string inline_key(InodeId inode) { return Key(Table::inline_data).be64(inode.value).take(); }
inline std::string orphan_key(InodeId inode) { return Key(Table::orphan).be64(inode.value).take(); }
inline std::string purge_key(InodeId inode, u64 generation) {
  return Key(Table::purge).be64(inode.value).be64(generation).take();
}
inline std::string trash_key(Hlc since, InodeId inode) {
  return Key(Table::trash).be64(since.value).be64(inode.value).take();
}
inline std::string trashed_key(InodeId inode) { return Key(Table::trashed).be64(inode.value).take(); }
inline std::string file_locks_key(InodeId inode) { return Key(Table::file_lock).be64(inode.value).take(); }
// `table`: quota_use, quota_recount or quota_limit.
inline std::string quota_key(Table table, const QuotaSubject& subject) {
  return Key(table).be16(static_cast<u16>(subject.kind)).be64(subject.volume.value).be64(subject.id).take();
}
inline QuotaSubject subject_of_quota_key(std::string_view key) {
  return {static_cast<QuotaKind>(number_in(key, 1, 2)), VolumeId{static_cast<u32>(number_in(key, 3))},
          number_in(key, 11)};
}
inline std::string fragments_key(InodeId inode) { return Key(Table::fragments).be64(inode.value).take(); }
inline std::string reserves_key(InodeId inode) { return Key(Table::quota_reserve).be64(inode.value).take(); }
inline std::string reserve_key(InodeId inode, SessionId session) {
  return Key(Table::quota_reserve).be64(inode.value).be64(session.value).take();
}
inline std::string volume_key(VolumeId volume) { return Key(Table::volume).be64(volume.value).take(); }
inline std::string volume_here_key(VolumeId volume) {
  return Key(Table::volume_here).be64(volume.value).take();
}
inline std::string volume_purge_key(VolumeId volume) {
  return Key(Table::volume_purge).be64(volume.value).take();
}
inline std::string txn_key(Table table, TxnId txn) { return Key(table).be64(txn.value).take(); }

}  // namespace claudefs::meta
