// Opening, and snapshots: the shard's keys in pieces.
#include "base/crc32c.h"
#include "base/log.h"
#include "base/probe.h"
#include "meta/detail/keys.h"
#include "meta/detail/machine.h"

namespace claudefs::meta {
namespace {

constexpr u32 kPieceMagic = 0x50534643;  // "CFSP"
constexpr std::size_t kPieceBytes = 1 << 20;

struct Piece {
  struct Entry {
    std::string key;
    std::string value;
    static auto fields(auto& self) { return std::tie(self.key, self.value); }
  };
  std::vector<Entry> entries;
  static auto fields(auto& self) { return std::tie(self.entries); }
};

class Source final : public raft::SnapshotSource {
 public:
  Source(const StoredState& stored, LogIndex index)
      : prefix_(stored.prefix()), index_(index), it_(stored.iterate()) {
    it_->seek(prefix_, store::end_of_prefix(prefix_));
  }
  LogIndex index() const override { return index_; }
  Result<Buffer> next() override {
    Piece piece;
    const std::string own = applied_key();
    for (std::size_t bytes = 0; bytes < kPieceBytes && it_->valid(); it_->next()) {
      const std::string_view key = it_->key().substr(prefix_.size());
      if (key == own) continue;
      piece.entries.push_back({std::string(key), std::string(it_->value())});
      bytes += key.size() + it_->value().size() + 8;
    }
    if (piece.entries.empty()) return Buffer();
    const Buffer body = wire::encode(piece);
    wire::Writer out;
    out.fixed32(kPieceMagic);
    out.fixed32(crc32c(body));
    out.raw(body);
    return std::move(out).finish();
  }

 private:
  std::string prefix_;
  LogIndex index_;
  std::unique_ptr<store::KvIterator> it_;
};

}  // namespace

std::unique_ptr<raft::SnapshotSource> make_snapshot_source(const StoredState& stored, LogIndex index) {
  return std::make_unique<Source>(stored, index);
}

Result<store::KvBatch> decode_snapshot_piece(ShardId shard, const Buffer& bytes) {
  wire::Reader in(bytes);
  const u32 magic = in.fixed32();
  const u32 checksum = in.fixed32();
  if (!in.ok() || magic != kPieceMagic || crc32c(bytes.slice(8)) != checksum)
    return fail(Errc::corrupt,
                fmt::format("a piece of a snapshot of shard {} was damaged on its way", shard));
  TRY_ASSIGN(Piece piece, wire::decode<Piece>(bytes.slice(8)));
  store::KvBatch batch;
  for (Piece::Entry& entry : piece.entries)
    batch.put(shard_prefix(shard) + entry.key, std::move(entry.value));
  return batch;
}

Result<std::unique_ptr<ShardMachine>> ShardMachine::open(store::Kv& kv, const OperationTable& table,
                                                         ShardId shard, u16 shard_count) {
  auto machine = std::make_unique<Machine>(kv, table, shard, shard_count);
  TRY(machine->load());
  return std::unique_ptr<ShardMachine>(std::move(machine));
}

Result<void> Machine::load() {
  applied_ = {};
  hlc_ = {};
  TRY_ASSIGN(const auto applied, kv_.get(stored_.prefix() + applied_key()));
  // Without it, what is there is the rest of an installation that was cut off.
  if (!applied) {
    CFS_PROBE(meta_shard_without_state, "a shard begins empty: fresh, or its installation was cut off");
    return drop_state();
  }
  TRY_ASSIGN(applied_, wire::decode<AppliedRecord>(as_bytes(*applied)));
  TRY_ASSIGN(const auto hlc, kv_.get(stored_.prefix() + hlc_key()));
  if (hlc) {
    TRY_ASSIGN(const HlcRecord record, wire::decode<HlcRecord>(as_bytes(*hlc)));
    hlc_ = record.hlc;
  }
  durable_ = applied_.index;
  return {};
}

Result<void> Machine::drop_state() {
  applied_ = {};
  durable_ = {};
  hlc_ = {};
  store::KvBatch batch;
  batch.remove_range(stored_.prefix(), shard_prefix(ShardId{static_cast<u16>(stored_.shard().value + 1)}));
  return kv_.write(batch);
}

Result<std::unique_ptr<raft::SnapshotSource>> Machine::snapshot() {
  return make_snapshot_source(stored_, applied_.index);
}

Result<void> Machine::begin_install() { return drop_state(); }

Result<void> Machine::install(const Buffer& piece) {
  TRY_ASSIGN(const store::KvBatch batch, decode_snapshot_piece(stored_.shard(), piece));
  return kv_.write(batch);
}

runtime::Task<Result<void>> Machine::finish_install(LogIndex index, Term term) {
  const AppliedRecord record{index, term};
  store::KvBatch batch;
  batch.put(stored_.prefix() + applied_key(), std::string(wire::encode(record).text()));
  co_await kv_.write(batch);
  co_await kv_.flush();
  co_await load();
  co_return Result<void>{};
}

}  // namespace claudefs::meta
