#include "meta/detail/locks.h"

#include "meta/detail/keys.h"
#include "meta/detail/records.h"
#include "meta/names.h"

namespace claudefs::meta {
namespace {

std::string number(u64 v) {
  std::string out;
  for (int i = 7; i >= 0; --i) out.push_back(static_cast<char>(v >> (8 * i)));
  return out;
}
std::string lock_key(std::string_view object) { return Key(Table::lock).text(object).take(); }
std::string lock_key(std::string_view object, TxnId txn) {
  return Key(Table::lock).text(object).be64(txn.value).take();
}

void count(ApplyContext& context, i64 change) {
  NumberRecord record = context.load<NumberRecord>(lock_count_key()).value_or(NumberRecord{});
  record.value += static_cast<u64>(change);
  if (record.value == 0)
    context.remove(lock_count_key());
  else
    context.store(lock_count_key(), record);
}

}  // namespace

std::string inode_lock(InodeId inode) { return "i" + number(inode.value); }
std::string dentry_lock(InodeId parent, std::string_view name) {
  return "d" + number(parent.value) + number(hash_of_name(name));
}
std::string rename_lock() { return "r"; }

Result<void> check_free(const ReadContext& context, std::string_view object, bool alone) {
  if (!context.get(lock_count_key())) return {};
  bool held = false;
  const std::string prefix = lock_key(object);
  context.scan(prefix, prefix, [&](std::string_view, std::string_view mode) {
    held = alone || mode == "1";
    return !held;
  });
  if (held) return fail(Errc::busy, "a transaction over several shards is changing it");
  return {};
}

void take_lock(ApplyContext& context, const std::string& object, TxnId txn, bool exclusive) {
  const std::string key = lock_key(object, txn);
  const std::optional<std::string> before = context.get(key);
  if (!before) count(context, 1);
  context.put(key, exclusive || before == "1" ? "1" : "0");
}

void release_lock(ApplyContext& context, const std::string& object, TxnId txn) {
  std::string key = lock_key(object, txn);
  if (!context.get(key)) return;  // two parts of a transaction may share an object
  context.remove(std::move(key));
  count(context, -1);
}

}  // namespace claudefs::meta
