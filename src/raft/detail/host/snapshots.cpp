// A state machine's picture, streamed piece by piece to a follower whose next entries are gone here.
#include <fmt/format.h>

#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "raft/detail/host/host_impl.h"

namespace claudefs::raft {

CFS_DEFINE_MUTANT(raft_host_snapshot_pieces_lost, "raft: pieces of a snapshot are thrown away");

namespace {
constexpr std::size_t kStreamsMax = 4;  // of this node, as a sender
constexpr runtime::Duration kPieceTimeout{10'000'000'000};
constexpr runtime::Duration kResumeFor{15'000'000'000};  // without a sign of the follower
constexpr runtime::Duration kBetweenTries{200'000'000};
}  // namespace

CFS_DEFINE_MUTANT(raft_host_snapshot_half,
                  "raft: a piece of a snapshot that got lost counts as delivered, and the rest is installed");

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
  piece.start = LogStart{source->index(), *at, core.configuration_at(source->index())};
  while (true) {
    Buffer content = co_await source->next();
    piece.last = content.empty();
    const std::size_t size = content.size();
    const bool wanted = co_await send_piece(group, peer, piece, std::move(content));
    if (!wanted || piece.last) break;
    piece.offset += size;
  }
  co_return piece.start.index;
}

// Until it arrived; false: the peer has what the snapshot would bring. Broken connections and refused pieces
// are tried again: the follower keeps what it has.
runtime::Task<Result<bool>> HostImpl::send_piece(Group* group, NodeId peer, SnapshotPiece piece,
                                                 Buffer content) {
  const u64 end = piece.offset + content.size();
  runtime::Instant give_up = env_.now() + kResumeFor;
  while (true) {
    if (stopping_ || !group->core.is_leader() || group->core.term() != piece.term)
      co_return fail(Errc::not_leader, "leadership was lost");
    auto reply = co_await net::call(client_, address_of_(peer), piece, kPieceTimeout, content).result();
    if (reply) {
      const SnapshotReply& said = reply->message;
      if (said.have) co_return false;
      if (said.accepted || (!piece.last && said.next_offset >= end)) co_return true;
      // Of an older stream of this leader, or finished just now.
      if (said.next_offset != piece.offset) co_return fail(Errc::conflict, "the follower lost what it had");
      CFS_PROBE(raft_host_snapshot_piece_again, "a piece of a snapshot is refused and sent again");
      if (piece.offset != 0) give_up = env_.now() + kResumeFor;
    } else if (CFS_MUTANT(raft_host_snapshot_half) && !piece.last) {
      co_return true;
    }
    if (env_.now() >= give_up) {
      if (!reply) co_return fail(std::move(reply.error()));
      co_return fail(Errc::conflict, "the follower refused a piece");
    }
    co_await env_.executor().sleep(kBetweenTries);
  }
}

runtime::Task<Result<net::TypedReply<SnapshotReply>>> HostImpl::on_snapshot(SnapshotPiece piece,
                                                                            net::Request request) {
  Group* group = find(piece.group);
  if (group == nullptr || !takes_part_ || failed_ || stopping_)
    co_return fail(Errc::unavailable, fmt::format("group {} is not hosted here", piece.group));
  if (request.peer.value != 0 && request.peer != piece.from)
    co_return fail(Errc::access_denied, "a snapshot in another node's name");
  net::TypedReply<SnapshotReply> reply;
  reply.message = co_await install_piece(group, std::move(piece), std::move(request.payload));
  mark(*group);
  co_return std::move(reply);
}

// The old state goes. One stream at a time: a newer one replaces what an older one brought.
Result<void> HostImpl::begin_install(Group& group, const SnapshotPiece& piece) {
  group.install.reset();
  CFS_PROBE(raft_host_snapshot_begins, "the state of a replica is replaced by a snapshot");
  group.core.snapshot_begins();
  TRY(group.machine.begin_install());
  group.install = Group::Install{piece.from, piece.term, piece.start.index, 0};
  return {};
}

runtime::Task<Result<SnapshotReply>> HostImpl::install_piece(Group* group, SnapshotPiece piece,
                                                             Buffer content) {
  Core& core = group->core;
  SnapshotReply reply;
  if (!core.snapshot_heard(piece.from, piece.term, env_.now())) co_return reply;
  reply.have = !core.needs_snapshot() && piece.start.index <= core.applied_index();
  if (reply.have) co_return reply;
  // What the log begins after is committed: a leader that has not applied that much yet comes again.
  if (piece.start.index < core.log().start()) {
    CFS_PROBE(raft_host_snapshot_too_old, "a snapshot that ends before the log begins is refused");
    co_return reply;
  }
  auto& install = group->install;
  const auto is_of_it = [&] {
    return install && install->from == piece.from && install->term == piece.term &&
           install->index == piece.start.index;
  };
  if (install && install->finishing) {
    CFS_PROBE(raft_host_snapshot_late_piece, "a piece comes while its snapshot is being made durable");
    if (is_of_it()) reply.next_offset = install->next_offset;
    co_return reply;
  }
  if (piece.offset == 0 && !is_of_it()) co_await begin_install(*group, piece);
  if (!is_of_it()) co_return reply;
  reply.next_offset = install->next_offset;
  const bool next = install->next_offset == piece.offset || CFS_MUTANT(raft_host_snapshot_half);
  if (!next) co_return reply;
  if (!piece.last) {
    if (!CFS_MUTANT(raft_host_snapshot_pieces_lost)) co_await group->machine.install(content);
    install->next_offset += content.size();
    reply.next_offset = install->next_offset;
  } else {
    install->finishing = true;
    const Result<void> finished =
        co_await group->machine.finish_install(piece.start.index, piece.start.term).result();
    install.reset();
    if (!finished) co_return fail(finished.error());
    core.snapshot_installed(piece.start, env_.now());
    wake_applied(*group);
  }
  reply.accepted = true;
  co_return reply;
}

}  // namespace claudefs::raft
