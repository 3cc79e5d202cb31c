// The file system as a library: POSIX verbs as coroutines over inode ids and handles.
//
// One FileSystem a mount or gateway, on one executor. It keeps a session with the cluster, buffers writes
// (data first, then one CommitWrite), caches extents, and keeps what is open alive after an unlink.
// With leases (docs/architecture/leases.md) a write that returned is seen by every later read of any client.
// Without, consistency is close-to-open between clients. Through one FileSystem every read sees every earlier
// write.
//
// Errors are those of meta/operations.h. While the cluster is unreachable an operation waits as long as the
// router does (one log line when that begins and one when it ends), then fails with timed_out.
// A write that could not be written back is reported once to every handle, at its next fsync, flush or close.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/kernel_caches.h"
#include "client/types.h"
#include "cluster/shard_call.h"
#include "data/chunk_io.h"
#include "meta/trash.h"
#include "meta/volumes.h"
#include "runtime/env.h"

namespace claudefs::client {

class State;

// When a read changes the access time: when it is not newer than the last change or a day old, always, or
// never.
enum class AccessTimes : u8 { relative, strict, none };

struct Options {
  u64 dirty_bytes_per_file = 16_MiB;  // buffered writes; more: the writer waits
  u64 dirty_bytes_total = 64_MiB;
  u64 flush_run_bytes = 8_MiB;  // a run this long is written back at once
  runtime::Duration write_back_after{1'000'000'000};
  runtime::Duration retry_after{2'000'000'000};  // after a write-back or read that may succeed later
  // How long fsync, close, read and a write that waits for room try again while the cluster cannot.
  runtime::Duration patience{60'000'000'000};
  runtime::Duration hold_interval{10'000'000'000};
  runtime::Duration outage_after{3'000'000'000};  // an answer later than this is an outage worth a log line
  u64 read_ahead_bytes = 8_MiB;                   // of a file that is read in order
  std::string client_name = "claudefs";           // for people, on the server
  bool squash_root = false;                       // root is nobody to the servers
  std::string volume = meta::kDefaultVolumeName;  // empty: bound to none, as administration is
  bool keep_removed = true;  // what is removed here goes to the trash, if the cluster has one
  AccessTimes access_times = AccessTimes::relative;
  runtime::Duration access_times_after{5'000'000'000};  // how often they are told to the servers
};

// Makes the door to the chunks once the session is open.
using ChunkIoFactory =
    std::function<std::shared_ptr<data::ChunkIo>(SessionId session, codec::DomainKey domain_key)>;
// The production factory. `env`, `client` and `router` must outlive what it makes.
inline ChunkIoFactory chunk_io_over(runtime::Env& env, net::Client& client, cluster::Router& router,
                                    data::ChunkIo::Options options = {}) {
  return [&env, &client, &router, options](SessionId session, codec::DomainKey key) {
    return std::shared_ptr<data::ChunkIo>(
        data::ChunkIo::create(data::ChunkIo::Parts{env, client, router, session, key}, options));
  };
}

class FileSystem {
 public:
  template <class T>
  using Task = runtime::Task<T>;

  struct Parts {
    runtime::Env& env;        // outlives it
    cluster::Router& router;  // outlives it
    ChunkIoFactory make_chunk_io;
    // Both given: leases are used. `pushes` is the table that `rpc` was created with. Both outlive it.
    net::Client* rpc = nullptr;
    net::MethodTable* pushes = nullptr;
  };
  static std::unique_ptr<FileSystem> create(Parts parts, Options options = {});
  ~FileSystem();
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  // Opens the session and starts background work: before any other verb. Errors: the router's; not_found,
  // with the volumes that there are.
  Task<Result<void>> start();
  // Writes back what is dirty and ends background work. Errors: the first write-back that failed.
  Task<Result<void>> stop();
  void set_patience(runtime::Duration patience);  // also of what waits now

  // Names.
  Task<Result<Inode>> lookup(InodeId parent, std::string name, Caller caller = {});
  // What a path below the root names, in one round trip at any depth where no directory of it was renamed.
  // Symbolic links are not followed. Errors: lookup's; invalid_argument for "." and "..".
  Task<Result<Inode>> resolve(std::string path, Caller caller = {});
  Task<Result<Opened>> create_file(NewNode node, OpenFlags flags);  // exists when the name is taken
  Task<Result<Opened>> create_unnamed(NewNode node, OpenFlags flags, bool linkable);  // O_TMPFILE
  Task<Result<Inode>> make_node(NewNode node);  // any type but directory
  Task<Result<Inode>> make_directory(NewNode node);
  Task<Result<void>> unlink(InodeId parent, std::string name, Caller caller);
  Task<Result<void>> remove_directory(InodeId parent, std::string name, Caller caller);
  Task<Result<void>> rename(RenameRequest request);
  Task<Result<Inode>> link(InodeId inode, InodeId new_parent, std::string new_name, Caller caller);
  Task<Result<std::string>> read_link(InodeId inode);
  // A file in the trash gets a name again. not_found: it is not there (any more).
  Task<Result<Inode>> restore_file(InodeId inode, InodeId new_parent, std::string new_name, Caller caller);

  // A shard's part of the trash, page by page; client/trash.h makes paths of it.
  u16 shard_count() const;
  Task<Result<meta::ListTrashReply>> list_trash(ShardId shard, meta::TrashPlace after, Caller caller);
  Task<Result<meta::EmptyTrashReply>> empty_trash(ShardId shard, meta::TrashPlace after, meta::Hlc before,
                                                  Caller caller);

  // Volumes. Who can connect may do all of it. Errors: meta/volumes.h.
  Task<Result<std::vector<meta::Volume>>> list_volumes();
  Task<Result<meta::Volume>> create_volume(std::string name, meta::PolicyChange policy = {});
  Task<Result<meta::Volume>> set_volume(std::string name, meta::PolicyChange policy);
  Task<Result<meta::Volume>> delete_volume(std::string name, bool purge);
  // The one that this is bound to; bound to none, id 0 and the root of the default volume. Once it is deleted
  // every verb is answered stale.
  const meta::Volume& volume() const;

  // Attributes.
  Task<Result<Inode>> get_attributes(InodeId inode);
  Task<Result<Inode>> set_attributes(InodeId inode, AttributeChange change);
  Task<Result<Buffer>> get_xattr(InodeId inode, std::string name, Caller caller = {});  // no_data: not set
  Task<Result<std::vector<std::string>>> list_xattrs(InodeId inode, Caller caller = {});
  Task<Result<void>> set_xattr(InodeId inode, std::string name, Buffer value, meta::XattrMode mode,
                               Caller caller = {});
  Task<Result<void>> remove_xattr(InodeId inode, std::string name, Caller caller = {});
  // Of the cluster, or of the tightest quota of the volume and the directories that `where` is in.
  Task<Result<FileSystemUsage>> usage(InodeId where = meta::kRootInode);

  // Files. A handle is valid from open until release; an unknown one is Errc::stale.
  Task<Result<Opened>> open(InodeId inode, OpenFlags flags);
  Task<Result<ReadResult>> read(HandleId handle, u64 offset, u64 length);
  // Buffers `data` (shared, not copied); complete when it is buffered, not when it is durable.
  // With `append` (O_APPEND) at the end of the file, wherever that is when the data is committed.
  Task<Result<void>> write(HandleId handle, u64 offset, Buffer data, bool append = false);
  Task<Result<void>> flush(HandleId handle);  // at every close(2) of a descriptor
  Task<Result<void>> fsync(HandleId handle);
  Task<Result<void>> release(
      HandleId handle);  // the last use of a handle: what was called with it has ended; never leaves it open
  Task<Result<void>> allocate(HandleId handle, AllocateRequest request);
  Task<Result<u64>> seek(HandleId handle, u64 offset, SeekTarget target);  // no_data (ENXIO) past the end
  // By reference to the same chunks: no content moves. Gives the bytes copied.
  Task<Result<u64>> copy_range(CopyRequest request);
  // Of a file that is open here for writing: what set_attributes() left for its next commit is durable when
  // this ends. Gives the attributes after it; nothing when nothing was left.
  Task<Result<std::optional<Inode>>> commit_attributes(InodeId inode);
  Task<Result<void>> sync_all();  // syncfs

  // Directories.
  // Whether `caller` may read it is asked with the first read.
  Task<Result<HandleId>> open_directory(InodeId directory, Caller caller = {});
  // Entries after `after_cookie` (0: from the start), without "." and "..".
  Task<Result<DirectoryPage>> read_directory(HandleId handle, u64 after_cookie, bool with_attributes);
  void release_directory(HandleId handle);

  // Locks of fcntl, OFD and flock, over all clients. `owner` is the protocol's.
  Task<Result<std::optional<Lock>>> test_lock(HandleId handle, Lock lock);  // what is in the way
  // False when another holder is in the way.
  Task<Result<bool>> set_lock(HandleId handle, Lock lock);
  Task<Result<LockOutcome>> wait_for_lock(HandleId handle, Lock lock, LockWait& wait);
  Task<Result<void>> unlock(HandleId handle, Lock lock);
  // All of the owner's on this file, at a close: of fcntl.
  Task<Result<void>> unlock_all(HandleId handle, u64 owner);

  // What a kernel may keep, and who makes it forget. None: nothing may be kept longer than the options say.
  void set_kernel(KernelCaches* kernel);
  // For how long from now; noted, so that it can be taken back.
  runtime::Duration give_attributes(InodeId inode);
  // That it leads to `inode`; 0: that there is no such name.
  runtime::Duration give_name(InodeId parent, const std::string& name, InodeId inode);
  // Inode::flags, as long as a lease says that nobody else has changed them.
  std::optional<u32> flags_under_lease(InodeId inode) const;
  LeaseStats lease_stats() const;

  // The kernel or a protocol no longer knows the inode: caches of it may go.
  void forget(InodeId inode);
  // False only when it is known that the inode has no set-user-id or set-group-id bit.
  Task<Result<bool>> may_have_set_id(InodeId inode);

  const Options& options() const;
  u64 dirty_bytes() const;
  std::size_t open_files() const;

 private:
  explicit FileSystem(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace claudefs::client
