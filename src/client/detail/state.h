// What a FileSystem holds: its session, the open files, and the background work on them.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>

#include "client/detail/dirty_set.h"
#include "client/detail/extent_cache.h"
#include "client/detail/fragments.h"
#include "client/detail/leases.h"
#include "client/detail/outage.h"
#include "client/detail/request_sequence.h"
#include "client/file_system.h"
#include "runtime/scope.h"
#include "runtime/sync.h"

namespace claudefs::client {

using runtime::Task;

inline Error lost_with_session() {
  return {Errc::io_error, "the session expired before the write was committed; it is lost"};
}

// A file with open handles, or with bytes that are still to be written back.
struct OpenFile {
  OpenFile(runtime::Executor& executor, Inode inode)
      : attributes(std::move(inode)), flush_lock(executor), reserve_lock(executor) {
    extents.reset(attributes.data_version);
  }
  InodeId id() const { return attributes.id; }
  // `alone`: nobody else can have it open. What was written goes with the last handle.
  bool is_lost_at_close(bool alone) const { return unlinked && !in_trash && (only_ours || alone); }
  bool has_dirty_bytes() const { return !dirty.empty() || !flushing.empty(); }
  bool is_dirty() const { return has_dirty_bytes() || !attribute_changes.empty(); }

  Inode attributes;  // the server's, as last heard
  u32 handles = 0;
  bool has_locks = false;  // that programs have taken through us
  bool unlinked = false;   // no name is left
  bool in_trash = false;   // and it may get one again: what is written counts
  bool told_open = false;  // its shard's leader has heard so in a HoldOpen, and will again
  bool only_ours =
      false;  // made here, under a write lease that nobody has asked back: nobody else has it open
  DirtySet dirty;
  DirtySet flushing;             // being committed; older than `dirty`
  SessionId flushing_session{};  // that wrote it: with another one it is lost, and shown no more
  u64 counted_dirty = 0;         // its share of State::dirty_total
  meta::Time written_at;
  // Where dirty (flushing) bytes begin that were appended: only the shard knows where they really go.
  std::optional<u64> appended_from;
  std::optional<u64> flushing_appended_from;
  // After all of `dirty` and `flushing`, in order: they ride on the commit that a close or a timer brings.
  // Never of the size. A file that cp or tar makes has three of them.
  std::vector<meta::SetAttributes> attribute_changes;
  meta::Time attributes_changed_at;
  ExtentCache extents;
  // Until then it is taken to have no file capability, for which the kernel asks before a write.
  runtime::Instant no_capability_until{};
  runtime::Mutex flush_lock;
  // Of a quota: bytes of `dirty` and `flushing` that the shard will take, at least.
  u64 reserved = 0;
  meta::Hlc reserved_as_of{};  // of the limits: of others nothing is set aside yet
  bool has_reserve = false;    // the shard may still hold some for us
  bool reserve_exact = true;   // and no more than we know: nothing was overwritten
  u64 reserve_ahead = 0;       // beyond what the next write needs
  runtime::Mutex reserve_lock;
  bool write_back_running = false;
  bool write_back_scheduled = false;
  // Write-backs that failed: a handle that has seen fewer has an error to report.
  u64 failures = 0;
  Error failure;
  // Read-ahead.
  u64 next_read = 0;
  u64 read_ahead_until = 0;
  u64 read_ahead_bytes = 0;  // how far beyond next_read
};
using FilePtr = std::shared_ptr<OpenFile>;

struct Handle {
  FilePtr file;
  OpenFlags flags;
  u64 failures_seen = 0;
  std::set<std::pair<u64, bool>> lock_owners;  // that locked through it, with flock or not
  bool locks_lost = false;                     // with the session: what it protected is not safe any more
};
struct DirectoryHandle {
  InodeId inode{};
  InodeId parent{};
  std::vector<DirectoryEntry> page;  // follows `page_after`
  u64 page_after = 0;
  bool page_valid = false;
  bool page_has_attributes = false;
  bool page_is_last = false;
  u64 page_from = 0;  // its range of cookies
  u64 page_to = 0;
  std::optional<Caller> opener;  // until the server has agreed that it may read
};
enum class FlushMode : u8 {
  everything,   // durable when it ends
  keep_stream,  // the tail of a stream that is still written may stay, to be cut with what follows
};

class State {
 public:
  State(FileSystem::Parts parts, Options options);

  // session.cpp
  Task<Result<void>> open_session();
  template <class Op>
  Task<Result<typename Op::Reply>> ask(ShardId shard, Op op);
  // Exactly once. After a fenced session, again under a new one.
  template <class Op>
  Task<Result<typename Op::Reply>> command(ShardId shard, Op op);
  Task<void> watch_outage();
  // The servers say that the volume was deleted: nothing of it is shown or sent any more.
  void end_volume();
  // Nothing of the expired session's is left afterwards: caches, leases, bytes not committed, locks.
  Task<Result<void>> renew_session(SessionId expired);
  // The inode as an answer to a question asked at `started` shows it.
  Inode learn(u64 started, const Inode& inode);
  u64 clock() const { return leases ? leases->clock() : 0; }
  Leases* own() { return leases.get(); }
  // What is buffered may be changed, and what was read is what is there.
  Task<Result<Leases::Use>> use_for_writing(FilePtr file);
  Task<Result<void>> ensure_current(FilePtr file);
  // They say that its policy has another version.
  Task<void> follow_volume();

  // fragments.cpp: names of directories that may be split. Who asks for one aims, and asks again while
  // look_again() says so: then nothing has happened, and the name is somewhere else.
  struct Asked {
    InodeId directory{};
    InodeId place{};  // itself, or a fragment
    u64 cookie = 0;   // of the name
  };
  Asked aim(InodeId directory, const std::string& name) const;
  Task<Result<bool>> look_again(Error error, int attempt, Asked one, Asked other);
  Task<Result<bool>> look_again(Error error, int attempt, Asked one) {
    return look_again(std::move(error), attempt, one, Asked());
  }
  Task<Result<void>> learn_fragments(InodeId directory);
  template <class Reply>
  struct Placed {
    InodeId place{};
    u64 started = 0;  // for learning from the answer
    Result<Reply> reply;
  };
  // A query of a name; `parent` is the operation's field for the directory, which it has.
  template <class Op>
  Task<Result<Placed<typename Op::Reply>>> ask_name(Op op, InodeId Op::* parent, std::string name);
  // A change of one.
  template <class Op>
  Task<Result<Placed<typename Op::Reply>>> change_name(Op op, InodeId Op::* parent, std::string name);

  // open_files.cpp
  FilePtr find_file(InodeId inode) const;
  HandleId add_handle(const Inode& inode, OpenFlags flags);
  Result<Handle*> find_handle(HandleId handle);
  // For content: not through a handle whose locks are gone.
  Result<Handle*> find_usable_handle(HandleId handle);
  Result<FilePtr> file_of(HandleId handle);
  void drop_if_idle(const FilePtr& file);
  // That a file is open its shard's leader knows by our lease, which it recalls before the last name goes, or
  // by HoldOpen. Every so often, and at once.
  Task<void> hold_open();
  Task<void> hold_open_in(ShardId shard);
  std::set<ShardId> shards_of_open_files() const;
  // To be awaited after an open, and before an answer to a recall: says it where no lease does.
  Task<void> tell_open(InodeId inode);
  // Takes what the server says of an inode, and gives it as this client sees it.
  Inode present(const Inode& inode);
  void note(OpenFile& file, const Inode& inode);
  // `inode` is what a change of content by us was answered with; `before` the version known until then.
  void note_own_change(const Inode& inode, u64 before);
  Inode visible(const OpenFile& file) const;
  // Leases::asked_since; without leases attributes may be old anyway.
  bool asked_since(InodeId inode, u64 started) const { return leases && leases->asked_since(inode, started); }
  // What is being committed is of this session, not of one that has ended.
  bool shows_flushing(const OpenFile& file) const;
  // Commits what changed of the file's attributes, before something that the servers judge by them.
  Task<Result<void>> settle_attributes(InodeId inode);
  void recount(OpenFile& file);
  void note_no_capability(OpenFile& file);
  meta::Time time_now() const;
  Caller known_as(Caller caller) const;  // to the servers

  // access_times.cpp: reads that are still to be told to the servers.
  bool access_time_is_due(const Inode& inode) const;
  void note_accessed(const Inode& inode);
  Inode with_access_time(Inode inode) const;
  Task<void> tell_access_times();
  Task<void> tell_access_times_now();

  // names.cpp: which inode a name had when last seen.
  void remember_name(InodeId parent, const std::string& name, InodeId inode);
  void forget_name(InodeId parent, const std::string& name);
  // The session when it has open what the name leads to; 0 when not.
  Task<SessionId> holder_of(InodeId parent, std::string name);
  void note_nlink(InodeId inode, u32 nlink, bool in_trash = false);
  void note_removed_directory(const Inode& inode);

  // write_back.cpp
  Task<Result<void>> flush(FilePtr file, FlushMode mode);
  // Under the file's flush_lock. What fails only for now is tried again while options.patience lasts.
  Task<Result<void>> flush_locked(FilePtr file, FlushMode mode);
  Task<Result<void>> flush_once(FilePtr file, FlushMode mode);
  // Of what began then and failed now: waits before the next try, or says that there shall be none.
  Task<bool> may_try_again(runtime::Instant began, const Error& error);
  Task<Result<void>> wait_for_room(FilePtr file, u64 bytes);
  void write_back_soon(FilePtr file);
  void write_back_now(FilePtr file);
  // Commits it before it ends, and nothing else with it: where nothing is left to reserve, the shard decides.
  Task<Result<void>> write_through(FilePtr file, u64 offset, Buffer data, bool append);
  // The handle's unreported failure, once.
  Result<void> take_failure(HandleId handle);

  // verbs/locks.cpp
  // All of the owner's on the file. Until it is done or the session is over.
  Task<void> release_lock(FilePtr file, u64 owner, bool flock);

  // room.cpp
  // Durable when it ends. Waits while what is in the trash can make room. Errors: those of ChunkIo::store.
  Task<Result<data::StoredChunks>> store(std::vector<Buffer> chunks);
  Task<Result<meta::ShardUsageReply>> usage_of_all();  // `inodes` and `trashed_bytes` of all shards

  // reserve.cpp: what is buffered of files whose owners have quotas is set aside at the shard before.
  // May `bytes` more be buffered now?
  bool is_reserved(const OpenFile& file, u64 bytes);
  // Asks for them. False: there are none to be had.
  Task<Result<bool>> reserve(FilePtr file, u64 bytes);
  // A commit of `bytes` was answered with `after`.
  void use_reserve(OpenFile& file, u64 bytes, const Inode& after);
  // Of a file with nothing to commit.
  Task<void> release_reserve(FilePtr file);
  Task<void> give_back_reserve(FilePtr file);

  // reading.cpp
  Task<Result<void>> load_extents(FilePtr file, u64 offset, u64 end);
  Task<Result<Buffer>> read_chunk(meta::ChunkRef ref);
  void read_ahead(const FilePtr& file, u64 offset, u64 end);

  runtime::Env& env;
  cluster::Router& router;
  ChunkIoFactory make_chunk_io;
  Options options;
  SessionId session{};
  meta::Volume volume;  // before the first session: none
  bool volume_deleted = false;
  bool volume_asked = false;  // follow_volume() is under way
  std::shared_ptr<data::ChunkIo> chunk_io;
  RequestSequence sequence;
  Outage outage;
  Fragments fragments;
  std::map<InodeId, FilePtr> files;
  std::map<HandleId, Handle> handles;
  std::map<HandleId, DirectoryHandle> directories;
  u64 last_handle = 0;
  u64 dirty_total = 0;
  std::map<InodeId, u64> seen_versions;  // of content that the kernel's pages may show
  std::map<std::pair<InodeId, std::string>, InodeId> names;
  std::deque<std::pair<InodeId, std::string>> names_order;
  struct ChunkRead {
    explicit ChunkRead(runtime::Executor& executor) : done(executor) {}
    runtime::Event done;
    Result<Buffer> content;
  };
  std::map<codec::ChunkHash, std::shared_ptr<ChunkRead>> chunk_reads;  // under way
  std::optional<FileSystemUsage> known_usage;
  runtime::Instant usage_at{};
  std::map<InodeId, meta::Time> accessed;  // by reads here, not yet told
  // Removed directories that the kernel still holds, as they were: what stat(".") shows in one.
  std::map<InodeId, Inode> removed_directories;
  // Whose files nobody limits in a shard, as long as its limits are those of `as_of`.
  struct Unlimited {
    meta::Hlc as_of{};
    std::set<std::tuple<VolumeId, u32, u32, InodeId>> owners;
  };
  std::map<ShardId, Unlimited> unlimited;
  runtime::Mutex session_lock;
  std::unique_ptr<Leases> leases;  // none: the cluster is trusted for a second, as its options say
  runtime::Condition room;         // dirty_total fell, or a write-back ended
  runtime::Event stopping;
  runtime::Scope scope;  // last: what runs on it uses the rest

 private:
  Task<void> run_write_back(FilePtr file);
  Task<void> run_write_back_later(FilePtr file);
  Task<Result<void>> write_out(FilePtr file, FlushMode mode);
  Task<Result<void>> flush_attributes(FilePtr file);
  void drop_attribute_changes(OpenFile& file, std::size_t count);
  void refuse_attributes(OpenFile& file, std::size_t count, const Error& why);
  Unlimited& unlimited_in(ShardId shard);
  Task<void> read_chunk_quietly(meta::ChunkRef ref);
  Task<void> fetch_chunk(meta::ChunkRef ref, std::shared_ptr<ChunkRead> read);
  Task<Result<Buffer>> send(ShardId shard, u16 kind, cluster::RequestId id, Buffer body);
  Task<Result<Buffer>> send_watched(ShardId shard, u16 kind, cluster::RequestId id, Buffer body);
  Task<Result<void>> find_volume();
  void drop_what_is_not_committed();
};

template <class Op>
Task<Result<typename Op::Reply>> State::ask(ShardId shard, Op op) {
  const Buffer body = wire::encode(op);
  for (int attempt = 1;; ++attempt) {
    const SessionId used = session;
    Result<Buffer> reply = co_await send_watched(shard, Op::kKind, {}, body).result();
    if (reply) co_return wire::decode<typename Op::Reply>(*reply);
    if (reply.error().code != Errc::fenced || attempt == 2) co_return fail(std::move(reply.error()));
    co_await renew_session(used);
  }
}

template <class Op>
Task<Result<typename Op::Reply>> State::command(ShardId shard, Op op) {
  const Buffer body = wire::encode(op);
  for (int attempt = 1;; ++attempt) {
    const SessionId used = session;
    Result<Buffer> reply;
    {
      RequestSequence::Number number = sequence.next();
      reply = co_await send_watched(shard, Op::kKind, number.id(used), body).result();
    }
    if (reply) co_return wire::decode<typename Op::Reply>(*reply);
    if (reply.error().code != Errc::fenced || attempt == 2) co_return fail(std::move(reply.error()));
    co_await renew_session(used);
    // Bytes that were buffered under the old session's lease: others may have written since. A lock names its
    // session.
    if constexpr (std::is_same_v<Op, meta::CommitWrite>) co_return fail(lost_with_session());
    if constexpr (std::is_same_v<Op, meta::SetLock>) co_return fail(Errc::fenced, "the session has expired");
  }
}

template <class Op>
Task<Result<State::Placed<typename Op::Reply>>> State::ask_name(Op op, InodeId Op::* parent,
                                                                std::string name) {
  const InodeId directory = op.*parent;
  for (int attempt = 1;; ++attempt) {
    const Asked asked = aim(directory, name);
    op.*parent = asked.place;
    Placed<typename Op::Reply> out;
    out.place = asked.place;
    out.started = clock();
    out.reply = co_await ask(asked.place.shard(), op).result();
    if (out.reply) co_return out;
    const bool again = co_await look_again(out.reply.error(), attempt, asked);
    if (!again) co_return out;
  }
}

template <class Op>
Task<Result<State::Placed<typename Op::Reply>>> State::change_name(Op op, InodeId Op::* parent,
                                                                   std::string name) {
  const InodeId directory = op.*parent;
  for (int attempt = 1;; ++attempt) {
    const Asked asked = aim(directory, name);
    op.*parent = asked.place;
    Placed<typename Op::Reply> out;
    out.place = asked.place;
    {
      const Leases::OwnChange change(own(), asked.place, Leases::Of::names);
      out.started = clock();
      if (leases) leases->now_unknown(asked.place, name);
      out.reply = co_await command(asked.place.shard(), op).result();
    }
    if (out.reply) co_return out;
    const bool again = co_await look_again(out.reply.error(), attempt, asked);
    if (!again) co_return fail(std::move(out.reply.error()));
  }
}

// A change by this client of a directory and, where it is split, of all its fragments.
class [[nodiscard]] OwnChanges {
 public:
  OwnChanges(State& state, InodeId directory);

 private:
  std::list<Leases::OwnChange> changes_;
};

}  // namespace claudefs::client
