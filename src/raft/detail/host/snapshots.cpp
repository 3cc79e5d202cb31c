// A state machine's picture, streamed piece by piece to a follower whose next entries are gone here.
#include <fmt/format.h>

#include "base/log.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

namespace {
constexpr std::size_t kStreamsMax = 4;  // of this node, as a sender
constexpr runtime::Duration kPieceTimeout{10'000'000'000};
}  // namespace

runtime::Task<void> HostImpl::stream_snapshot(Group* group, NodeId peer) {
  std::optional<LogIndex> sent;
  if (streams_ < kStreamsMax) {
    ++streams_;
    Result<LogIndex> result = co_await send_snapshot(group, peer).result();
    --streams_;
    if (result) sent = *result;
    const std::string how = result ? "installed" : result.error().to_string();
    log::info("raft", "snapshot sent",
              {log::kv("group", group->id), log::kv("to", peer), log::kv("result", how)});
  }
  group->core.snapshot_sent(peer, sent);
  mark(*group);
}

runtime::Task<Result<LogIndex>> HostImpl::send_snapshot(Group* group, NodeId peer) {
  Core& core = group->core;
  SnapshotPiece piece;
  piece.group = group->id;
  piece.from = options_.self;
  piece.term = core.term();
  std::unique_ptr<SnapshotSource> source = co_await group->machine.snapshot();
  const std::optional<Term> at = core.log().term_at(source->index());
  if (!at) co_return fail(Errc::conflict, "the snapshot is older than the log");
  piece.start = LogStart{source->index(), *at, core.configuration()};
  while (true) {
    Buffer content = co_await source->next();
    piece.last = content.empty();
    const std::size_t size = content.size();
    auto reply = co_await net::call(client_, address_of_(peer), piece, kPieceTimeout, std::move(content));
    if (reply.message.have) break;
    if (!reply.message.accepted) co_return fail(Errc::conflict, "the follower refused a piece");
    if (piece.last) break;
    if (stopping_ || !core.is_leader() || core.term() != piece.term)
      co_return fail(Errc::not_leader, "leadership was lost");
    piece.offset += size;
  }
  co_return piece.start.index;
}

runtime::Task<Result<net::TypedReply<SnapshotReply>>> HostImpl::on_snapshot(SnapshotPiece piece,
                                                                            net::Request request) {
  Group* group = find(piece.group);
  if (group == nullptr || !takes_part_ || failed_ || stopping_)
    co_return fail(Errc::unavailable, fmt::format("group {} is not hosted here", piece.group));
  if (request.peer.value != 0 && request.peer != piece.from)
    co_return fail(Errc::access_denied, "a snapshot in another node's name");
  net::TypedReply<SnapshotReply> reply;
  reply.message = co_await install_piece(*group, piece, request.payload);
  mark(*group);
  co_return std::move(reply);
}

Result<SnapshotReply> HostImpl::install_piece(Group& group, const SnapshotPiece& piece,
                                              const Buffer& content) {
  Core& core = group.core;
  const runtime::Instant now = env_.now();
  SnapshotReply reply;
  if (!core.snapshot_heard(piece.from, piece.term, now)) return reply;
  auto& install = group.install;
  if (piece.offset == 0) {
    reply.have = !core.needs_snapshot() && piece.start.index <= core.applied_index();
    if (reply.have) return reply;
    core.snapshot_begins();
    TRY(group.machine.begin_install());
    install = Group::Install{piece.from, piece.term, piece.start.index, 0};
  }
  const bool expected = install && install->from == piece.from && install->term == piece.term &&
                        install->index == piece.start.index && install->next_offset == piece.offset;
  if (!expected) return reply;
  if (!piece.last) {
    TRY(group.machine.install(content));
    install->next_offset += content.size();
  } else {
    install.reset();
    TRY(group.machine.finish_install(piece.start.index, piece.start.term));
    core.snapshot_installed(piece.start, now);
    wake_applied(group);
  }
  reply.accepted = true;
  return reply;
}

}  // namespace claudefs::raft
