#include "data/detail/handlers.h"

#include "base/log.h"
#include "data/detail/direct_writer.h"
#include "data/detail/segment_content.h"

namespace claudefs::data {

using namespace std::chrono_literals;
using net::Request;
using net::TypedReply;
using runtime::Task;

namespace {

constexpr std::size_t kKeysMax = 65536;  // in one call
constexpr runtime::Duration kSealWriteTimeout = 10s;
constexpr u32 kShardMax = kSegmentMax + 4096;
constexpr u64 kServersReserve = 64_MiB;

template <class M>
TypedReply<typename M::Reply> reply_of(typename M::Reply message = {}, Buffer payload = {}) {
  return {std::move(message), std::move(payload)};
}

}  // namespace

template <class M>
void Handlers::on(Answer<M> (Handlers::*handler)(M, Request)) {
  methods_.on<M>([this, handler](M message, Request request) {
    return (this->*handler)(std::move(message), std::move(request));
  });
}

Handlers::Handlers(Parts parts)
    : env_(parts.env),
      nodes_(parts.nodes),
      methods_(parts.methods),
      journal_(parts.journal),
      shards_(parts.shards),
      journal_disk_(parts.journal_disk),
      shard_disk_(parts.shard_disk),
      throttle_(parts.throttle),
      self_(parts.self) {
  on<JournalAppend>(&Handlers::journal_append);
  on<JournalRead>(&Handlers::journal_read);
  on<JournalDrop>(&Handlers::journal_drop);
  on<SealFromJournal>(&Handlers::seal_from_journal);
  on<ShardWrite>(&Handlers::shard_write);
  on<ShardRead>(&Handlers::shard_read);
  on<ShardRemove>(&Handlers::shard_remove);
  on<ShardHolds>(&Handlers::shard_holds);
}

Result<void> Handlers::check_disk() const {
  for (const DiskHealth* disk : {&journal_disk_, &shard_disk_})
    if (!disk->sound())
      return fail(Errc::io_error, fmt::format("node {}'s disk is taken out: {}", self_, disk->fault()));
  return {};
}

// The last of the room is for servers: sealing, repair and compaction, which gives room back, need some.
Result<void> Handlers::check_room(const Request& request) const {
  const u64 capacity = shards_.capacity_bytes();
  const u64 reserve = std::min<u64>(capacity / 16, kServersReserve);
  if (request.peer != NodeId{} || shards_.used_bytes() + request.payload.size() + reserve <= capacity)
    return {};
  return fail(Errc::no_space, fmt::format("node {} is full: {} of {} bytes are used and {} set aside", self_,
                                          shards_.used_bytes(), capacity, reserve));
}

void Handlers::note_traffic(const Request& request) {
  if (request.peer == NodeId{}) throttle_.note_foreground();
}

Handlers::Answer<JournalAppend> Handlers::journal_append(JournalAppend message, Request request) {
  const u64 end = u64{message.offset} + request.payload.size();
  if (request.payload.empty() || end > kSegmentMax)
    co_return fail(Errc::invalid_argument, fmt::format("append up to byte {} of a segment", end));
  note_traffic(request);
  co_await check_disk();
  std::vector<Buffer> pieces;
  pieces.push_back(std::move(request.payload));
  Result<void> done = co_await journal_.append(message.segment, message.offset, std::move(pieces)).result();
  if (!done) co_return fail(journal_disk_.note_write(std::move(done.error())));
  co_return reply_of<JournalAppend>();
}

Handlers::Answer<JournalRead> Handlers::journal_read(JournalRead message, Request) {
  if (u64{message.offset} + message.length > kSegmentMax)
    co_return fail(Errc::invalid_argument, "read past the end of a segment");
  Result<Buffer> bytes = co_await journal_.read(message.segment, message.offset, message.length).result();
  if (!bytes) journal_disk_.note_read(bytes.error());
  co_return reply_of<JournalRead>({}, co_await std::move(bytes));
}

Handlers::Answer<JournalDrop> Handlers::journal_drop(JournalDrop message, Request) {
  for (const SegmentId segment : message.segments) co_await journal_.drop(segment);
  co_return reply_of<JournalDrop>();
}

Handlers::Answer<SealFromJournal> Handlers::seal_from_journal(SealFromJournal message, Request) {
  if (message.nodes.size() != std::size_t{message.data_shards} + message.parity_shards)
    co_return fail(Errc::invalid_argument, "the layout and the nodes do not match");
  const store::OpenSegment held = co_await journal_.close(message.segment);
  if (held.length == 0) co_return reply_of<SealFromJournal>();
  if (!held.contiguous)
    co_return fail(Errc::corrupt,
                   fmt::format("node {} lacks part of segment {}: seal it from its other journal", self_,
                               message.segment));
  Result<Buffer> content = co_await journal_.read(message.segment, 0, held.length).result();
  if (!content) journal_disk_.note_read(content.error());
  std::vector<Buffer> pieces;
  pieces.push_back(co_await std::move(content));
  co_await check_segment_content(pieces.front());
  const Layout layout{message.data_shards, message.parity_shards};
  std::vector<Buffer> shards = co_await encode_segment(env_, layout, std::move(pieces));
  ShardTarget target{message.segment, message.generation, std::move(message.nodes)};
  const std::vector<ShardFailure> failures =
      co_await write_shards(env_, nodes_, std::move(target), std::move(shards), kSealWriteTimeout);
  if (!failures.empty())
    co_return fail(Errc::unavailable, fmt::format("write to node {}: {}", failures.front().node,
                                                  failures.front().error.to_string()));
  co_return reply_of<SealFromJournal>({held.length});
}

Handlers::Answer<ShardWrite> Handlers::shard_write(ShardWrite message, Request request) {
  if (request.payload.empty() || request.payload.size() > kShardMax)
    co_return fail(Errc::invalid_argument, fmt::format("a shard of {} bytes", request.payload.size()));
  note_traffic(request);
  co_await check_disk();
  co_await check_room(request);
  std::vector<Buffer> pieces;
  pieces.push_back(std::move(request.payload));
  Result<void> done = co_await shards_.write(message.key, std::move(pieces)).result();
  if (!done) co_return fail(shard_disk_.note_write(std::move(done.error())));
  bad_.erase(message.key);
  co_return reply_of<ShardWrite>();
}

Handlers::Answer<ShardRead> Handlers::shard_read(ShardRead message, Request request) {
  if (u64{message.offset} + message.length > kShardMax)
    co_return fail(Errc::out_of_range, "read past the end of a shard");
  note_traffic(request);
  Result<Buffer> bytes = co_await shards_.read(message.key, message.offset, message.length).result();
  const bool failed = !bytes && bytes.error().code == Errc::io_error;
  const bool damaged = !bytes && bytes.error().code == Errc::corrupt;
  const bool news = (failed || damaged) && note_bad(message.key, bytes.error());
  if (failed || (damaged && news)) shard_disk_.note_read(bytes.error());
  co_return reply_of<ShardRead>({}, co_await std::move(bytes));
}

bool Handlers::note_bad(store::ShardKey key, const Error& error) {
  if (!bad_.insert(key).second) return false;
  log::warn(
      "data", "a shard on this node is damaged; it will be laid out anew",
      {log::kv("segment", key.segment), log::kv("shard", key.index), log::kv("error", error.to_string())});
  return true;
}

Handlers::Answer<ShardRemove> Handlers::shard_remove(ShardRemove message, Request) {
  for (const store::ShardKey key : message.keys) {
    co_await shards_.remove(key);
    bad_.erase(key);
  }
  co_return reply_of<ShardRemove>();
}

Handlers::Answer<ShardHolds> Handlers::shard_holds(ShardHolds message, Request) {
  if (message.keys.size() > kKeysMax) co_return fail(Errc::too_big, "too many keys in one call");
  ShardHoldsReply reply;
  for (const store::ShardKey key : message.keys)
    reply.held.push_back(shards_.contains(key) && !bad_.contains(key) ? 1 : 0);
  co_return reply_of<ShardHolds>(std::move(reply));
}

}  // namespace claudefs::data
