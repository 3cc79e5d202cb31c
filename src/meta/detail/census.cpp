#include "meta/census.h"

#include "meta/detail/keys.h"
#include "meta/detail/quota.h"
#include "meta/detail/records.h"
#include "meta/detail/volumes.h"

namespace claudefs::meta {
namespace {

u64 mix_into(u64 digest, std::string_view text) {
  for (const char c : text) digest = (digest ^ static_cast<u8>(c)) * 0x100000001b3ull;  // FNV-1a
  return (digest ^ text.size()) * 0x100000001b3ull;
}

void count(Census::Quota& quota, const QuotaSubject& subject, const QuotaRecord& record) {
  if (!record.use.is_nothing()) quota.recorded[subject] = record.use;
  if (!record.allowed.is_nothing()) quota.allowed[subject] = record.allowed;
  if (record.reserved != 0) quota.reserved[subject] = record.reserved;
  if (!lack_of(record, {}).is_nothing()) quota.beyond.push_back(subject);
}

void count(const ReadContext& shard, Census& census, std::string_view key, std::string_view value) {
  switch (static_cast<Table>(static_cast<u8>(key.front()))) {
    case Table::lock:
      ++census.locks;
      break;
    case Table::prepared:
      ++census.prepared;
      break;
    case Table::outbox:
      ++census.outbox;
      break;
    case Table::inode: {
      const Result<Inode> inode = wire::decode<Inode>(as_bytes(value));
      CFS_CHECK(inode.has_value());
      census.volumes.insert(inode->volume);
      if (is_fragment(*inode)) {
        ++census.fragments;
        break;
      }
      ++census.inodes;
      const Charge charge = charge_of(*inode);
      for (const QuotaSubject& subject : subjects_of(shard, charge))
        census.quota.charged[subject] += charge.use;
      break;
    }
    case Table::quota_use: {
      const Result<QuotaRecord> record = wire::decode<QuotaRecord>(as_bytes(value));
      CFS_CHECK(record.has_value());
      count(census.quota, subject_of_quota_key(key), *record);
      break;
    }
    case Table::quota_limit: {
      const Result<QuotaLimitRecord> record = wire::decode<QuotaLimitRecord>(as_bytes(value));
      CFS_CHECK(record.has_value());
      if (!record->granted.is_nothing()) census.quota.granted[subject_of_quota_key(key)] = record->granted;
      break;
    }
    case Table::quota_reserve: {
      const Result<ReserveRecord> record = wire::decode<ReserveRecord>(as_bytes(value));
      CFS_CHECK(record.has_value());
      if (record->bytes == 0) break;
      for (const QuotaSubject& subject : record->subjects) census.quota.reserves[subject] += record->bytes;
      break;
    }
    case Table::trash: {
      const Result<TrashRecord> record = wire::decode<TrashRecord>(as_bytes(value));
      CFS_CHECK(record.has_value());
      if (record->directory) census.volumes.insert(record->directory->volume);
      break;
    }
    case Table::dentry:
      ++census.entries;
      break;
    case Table::extent: {
      const Result<Extent> extent = wire::decode<Extent>(as_bytes(value));
      CFS_CHECK(extent.has_value());
      if (const auto* chunk = std::get_if<ChunkRef>(&extent->content)) ++census.references[chunk->hash];
      break;
    }
    default:
      break;
  }
}

}  // namespace

Census take_census(const ReadContext& shard) {
  Census census;
  census.digest = 0xcbf29ce484222325ull;
  shard.scan({}, {}, [&](std::string_view key, std::string_view value) {
    census.digest = mix_into(mix_into(census.digest, key), value);
    if (!key.empty()) count(shard, census, key, value);
    return true;
  });
  if (shard.shard() == ShardId{0}) census.records = list_volumes(shard);
  return census;
}

}  // namespace claudefs::meta
