#include "access/fuse/detail/session.h"

#include <cerrno>

#include "access/fuse/detail/negotiate.h"
#include "base/log.h"

namespace claudefs::access::fuse {
namespace detail {
namespace {

constexpr std::size_t kHeaderRoom = 4096;
// A packet below this is copied out of the read buffer, which is then used again; a longer one keeps the
// buffer. Either way what a write hands on pins no more memory than it fills.
constexpr std::size_t kCopyBelow = 256 << 10;

bool may_be_interrupted(u32 opcode) {
  switch (opcode) {
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
      return false;
    default:
      return true;
  }
}

}  // namespace

Session::Session(runtime::Env& env, std::unique_ptr<runtime::PacketDevice> device,
                 client::FileSystem& file_system, SessionOptions options)
    : env_(env),
      device_(std::move(device)),
      context_{env, file_system, options, {}, CallerCache(env, options.groups_of, options.groups_valid),
               {},  {}},
      changed_(env.executor()),
      scope_(env.executor()) {
  file_system.set_kernel(this);
}

SessionStats Session::stats() const {
  SessionStats out = stats_;
  out.known_inodes = context_.lookups.size();
  return out;
}

void Session::close() { end({}); }

void Session::end(Result<void> why) {
  if (std::exchange(ended_, true)) return;
  why_ = std::move(why);
  device_->close();
  changed_.notify_all();
}

Task<Result<void>> Session::run() {
  readers_left_ = context_.options.readers;
  for (unsigned i = 0; i < context_.options.readers; ++i) scope_.spawn(read_requests());
  while (readers_left_ != 0) co_await changed_.wait();
  const runtime::Instant deadline = env_.now() + context_.options.drain_after_unmount;
  while (!pending_.empty())
    if (!co_await changed_.wait_until(deadline)) break;
  if (!pending_.empty())
    log::warn("fuse", "requests still wait for the cluster after the unmount; they are dropped",
              {log::kv("requests", pending_.size())});
  co_await Result<void>(why_);
  co_return Result<void>();
}

Task<void> Session::read_requests() {
  const std::size_t room =
      std::max<std::size_t>(context_.options.io_bytes_max + kHeaderRoom, FUSE_MIN_READ_BUFFER);
  Buffer block = Buffer::allocate(room, 4096);
  while (!ended_) {
    Result<std::size_t> got = co_await device_->read(block.mutable_span());
    if (!got) {
      end(got.error().code == Errc::connection_lost ? Result<void>() : Result<void>(fail(got.error())));
      break;
    }
    if (*got < kCopyBelow) {
      take(Buffer::copy_of(block.span().first(*got)));
    } else {
      Buffer packet = block.slice(0, *got);
      block = Buffer::allocate(room, 4096);
      take(std::move(packet));
    }
  }
  --readers_left_;
  changed_.notify_all();
}

void Session::take(Buffer packet) {
  ++stats_.requests;
  fuse_in_header header{};
  Result<Request> request = parse_request(packet, header);
  if (!request) {
    ++stats_.malformed;
    log::warn("fuse", "malformed request from the kernel",
              {log::kv("opcode", header.opcode), log::kv("error", request.error().to_string())});
    if (header.unique != 0) scope_.spawn(answer_error(header.unique, EINVAL));
    return;
  }
  switch (request->opcode()) {
    case FUSE_INIT:
      return scope_.spawn(initialise(std::move(*request)));
    case FUSE_INTERRUPT:
      return scope_.spawn(interrupt(std::move(*request)));
    case FUSE_DESTROY:
      return scope_.spawn(answer_error(header.unique, 0));
    default:
      request->inode = context_.inode_of(header.nodeid);
      return scope_.spawn(serve(std::move(*request)));
  }
}

Task<void> Session::initialise(Request request) {
  const Result<fuse_init_out> agreed = negotiate(request.as<fuse_init_in>(), context_.options);
  if (!agreed) {
    log::error("fuse", agreed.error().text);
    co_await answer_error(request.header.unique, EPROTO);
    co_return end(fail(agreed.error()));
  }
  Reply reply = Reply::of(*agreed);
  co_await send(request.header.unique, 0, std::move(reply.pieces));
}

Task<void> Session::serve(Request request) {
  Pending pending{env_.now(), ++serial_, may_be_interrupted(request.opcode())};
  const u64 unique = request.header.unique;
  struct Registration {
    Session& session;
    u64 unique;
    ~Registration() {
      session.pending_.erase(unique);
      session.changed_.notify_all();
    }
  } registration{*this, unique};
  pending_[unique] = &pending;
  Result<Reply> outcome = co_await dispatch(request).result();
  // What a listing brings the kernel moves by itself: it does not rename meanwhile.
  if (outcome && request.opcode() == FUSE_LOOKUP && !outcome->directories.empty()) {
    const auto [directory, place] = outcome->directories.front();
    const bool took_time = co_await unhook(directory, place);
    if (took_time) outcome = co_await dispatch(request).result();  // what may be trusted now
  }
  if (pending.answered) {
    if (outcome) co_await discard(std::move(*outcome));
    co_return;
  }
  pending.answered = true;  // an interrupt comes too late from here on
  co_await answer(std::move(request), std::move(outcome));
}

Task<Result<Reply>> Session::dispatch(Request request) {
  const Handler handler = find_handler(request.opcode());
  if (handler == nullptr) co_return Reply::with_error(ENOSYS);
  const fuse_in_header header = request.header;
  if (header.uid == 0) co_return co_await handler(context_, std::move(request));
  Result<Reply> outcome = co_await handler(context_, request).result();
  const bool refused = !outcome && (outcome.error().code == Errc::access_denied ||
                                    outcome.error().code == Errc::not_permitted);
  // The caller may have joined a group since we asked for its groups.
  if (refused && context_.callers.forget(header.pid, header.uid, header.gid))
    outcome = co_await handler(context_, std::move(request)).result();
  co_return outcome;
}

Task<void> Session::answer(Request request, Result<Reply> outcome) {
  const u64 unique = request.header.unique;
  if (!outcome) {
    const Errc code = outcome.error().code;
    if (code != Errc::not_found && code != Errc::no_data) ++stats_.failed;
    const int error = errno_of(code);
    if (error == EIO)
      log::warn("fuse", "request failed",
                {log::kv("request", request.shape != nullptr ? request.shape->name : "unknown"),
                 log::kv("inode", request.inode), log::kv("error", outcome.error().to_string())});
    co_await answer_error(unique, error != 0 ? error : EIO);
    co_return;
  }
  if (outcome->silent) co_return;
  if (outcome->error != 0) {
    co_await answer_error(unique, outcome->error);
    co_return;
  }
  // Counted before the answer is out: the kernel may forget as soon as it has it.
  for (const InodeId inode : outcome->looked_up) context_.lookups.add(inode);
  for (const auto& [directory, place] : outcome->directories) context_.places.note(directory, place);
  for (const auto& [inode, flags] : outcome->flags)
    context_.lookups.note_flags(inode, flags, env_.now() + context_.options.attributes_valid);
  if (co_await send(unique, 0, std::move(outcome->pieces))) co_return;
  for (const InodeId inode : outcome->looked_up) context_.lookups.forget(inode, 1);
  co_await discard(std::move(*outcome));
}

Task<void> Session::discard(Reply reply) {
  if (reply.opened_file.value != 0) (void)co_await context_.fs.release(reply.opened_file);
  if (reply.opened_directory.value != 0) context_.fs.release_directory(reply.opened_directory);
}

Task<void> Session::interrupt(Request request) {
  const u64 target = request.as<fuse_interrupt_in>().unique;
  auto found = pending_.find(target);
  if (found == pending_.end()) {
    // Either answered already, and then the kernel drops this, or not read yet, and then it asks again.
    co_await answer_error(request.header.unique, EAGAIN);
    co_return;
  }
  if (const auto waiting = context_.lock_waits.find(target); waiting != context_.lock_waits.end()) {
    waiting->second->cancel();  // it answers by itself, and holds no lock when it says EINTR
    co_return;
  }
  if (!found->second->interruptible) co_return;
  const u64 serial = found->second->serial;
  const runtime::Instant due = found->second->started + context_.options.interrupt_after;
  if (env_.now() < due) co_await env_.executor().sleep_until(due);
  found = pending_.find(target);
  if (ended_ || found == pending_.end() || found->second->serial != serial || found->second->answered)
    co_return;
  found->second->answered = true;
  ++stats_.interrupted;
  co_await answer_error(target, EINTR);
}

Task<void> Session::answer_error(u64 unique, int error) { co_await send(unique, -error, {}); }

Task<bool> Session::send(u64 unique, int error, std::vector<Buffer> pieces) {
  fuse_out_header header{};
  header.unique = unique;
  header.error = error;
  std::size_t total = sizeof(header);
  for (const Buffer& piece : pieces) total += piece.size();
  header.len = static_cast<u32>(total);
  std::vector<Buffer> packet;
  packet.reserve(pieces.size() + 1);
  packet.push_back(Buffer::copy_of(ByteSpan(reinterpret_cast<const std::byte*>(&header), sizeof(header))));
  for (Buffer& piece : pieces)
    if (!piece.empty()) packet.push_back(std::move(piece));
  Result<void> sent = co_await device_->write(std::move(packet));
  if (sent) co_return true;
  // Not found: the caller was killed meanwhile and the kernel has dropped the request.
  if (sent.error().code != Errc::not_found && sent.error().code != Errc::connection_lost)
    log::warn("fuse", "the kernel refused an answer", {log::kv("error", sent.error().to_string())});
  co_return false;
}

}  // namespace detail

std::unique_ptr<FuseSession> FuseSession::create(runtime::Env& env,
                                                 std::unique_ptr<runtime::PacketDevice> device,
                                                 client::FileSystem& file_system, SessionOptions options) {
  return std::make_unique<detail::Session>(env, std::move(device), file_system, options);
}

}  // namespace claudefs::access::fuse
