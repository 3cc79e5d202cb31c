#include "base/log.h"
#include "base/mutant.h"
#include "base/probe.h"
#include "client/detail/flush_plan.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_forgets_failed_write_back,
                  "client: bytes whose write-back failed are forgotten and fsync succeeds");
namespace {

constexpr std::size_t kExtentsPerCommit = 512;
constexpr u64 kInlinePerCommit = 256 << 10;
constexpr u64 kOffloadAbove = 1 << 20;
constexpr u64 kFastStream = 1 << 20;  // written since the last write-back
constexpr int kStoreAttempts = 3;

struct PlanJob {
  std::vector<FlushRun> runs;
  FlushPlan plan;
};

Task<FlushPlan> make_plan(runtime::Env& env, std::vector<FlushRun> runs) {
  u64 total = 0;
  for (const FlushRun& run : runs) total += run.bytes.size();
  if (total < kOffloadAbove) co_return plan_flush(runs);
  // The job owns its input: this frame may be gone when the worker ends.
  auto job = std::make_shared<PlanJob>();
  job->runs = std::move(runs);
  co_await env.offload().run([job] { job->plan = plan_flush(job->runs); });
  co_return std::move(job->plan);
}

std::optional<u64> lower(std::optional<u64> a, std::optional<u64> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

meta::Extent inline_extent(const PlannedExtent& planned) {
  meta::Extent extent;
  extent.offset = planned.offset;
  extent.length = planned.bytes.size();
  extent.content = meta::InlineData{planned.bytes};
  return extent;
}

meta::Extent chunk_extent(const PlannedExtent& planned, const data::StoredChunk& stored) {
  meta::Extent extent;
  extent.offset = planned.offset;
  extent.length = planned.bytes.size();
  extent.content = stored.ref;
  return extent;
}

// A part of a plan that goes into one commit.
std::vector<std::vector<PlannedExtent>> batches_of(std::vector<PlannedExtent> extents) {
  std::vector<std::vector<PlannedExtent>> out;
  u64 inline_bytes = 0;
  for (PlannedExtent& extent : extents) {
    const u64 added = extent.in_metadata ? extent.bytes.size() : 0;
    if (out.empty() || out.back().size() >= kExtentsPerCommit || inline_bytes + added > kInlinePerCommit) {
      out.emplace_back();
      inline_bytes = 0;
    }
    inline_bytes += added;
    out.back().push_back(std::move(extent));
  }
  return out;
}

// Data first, metadata second. Again when the commit came after the chunks' pins had run out.
Task<Result<void>> commit_batch(State& state, FilePtr file, std::vector<PlannedExtent> batch,
                                std::vector<meta::SetAttributes> then) {
  for (int attempt = 1;; ++attempt) {
    std::vector<Buffer> chunks;
    for (const PlannedExtent& planned : batch)
      if (!planned.in_metadata) chunks.push_back(planned.bytes);
    data::StoredChunks stored;
    if (!chunks.empty()) stored = co_await state.store(std::move(chunks));
    meta::CommitWrite commit;
    commit.inode = file->id();
    std::size_t next = 0;
    for (const PlannedExtent& planned : batch)
      commit.extents.push_back(planned.in_metadata ? inline_extent(planned)
                                                   : chunk_extent(planned, stored.chunks[next++]));
    commit.size_at_least = batch.back().offset + batch.back().bytes.size();
    commit.modified = file->written_at;
    commit.then = then;
    if (next != 0) commit.valid_until = stored.valid_until;
    for (const PlannedExtent& planned : batch)
      if (file->flushing_appended_from && planned.offset >= *file->flushing_appended_from)
        commit.appended_from = lower(commit.appended_from, planned.offset);
    if (!state.shows_flushing(*file)) co_return fail(lost_with_session());
    const u64 before = file->attributes.data_version;
    Result<meta::InodeReply> reply;
    {
      const Leases::OwnChange change(state.own(), file->id());
      reply = co_await state.command(file->id().shard(), std::move(commit)).result();
    }
    if (reply) {
      u64 bytes = 0;
      for (const PlannedExtent& planned : batch) bytes += planned.bytes.size();
      state.use_reserve(*file, bytes, reply->inode);
      state.note_own_change(reply->inode, before);
      co_return Result<void>();
    }
    const bool again = reply.error().code == Errc::conflict && next != 0 && attempt < kStoreAttempts;
    if (!again) co_return fail(std::move(reply.error()));
    CFS_PROBE(client_chunks_stored_again, "the pins of a commit's chunks had ended");
  }
}

// Does this failure leave hope that the same bytes can be written later?
bool may_succeed_later(const Error& error) {
  return is_retryable(error.code) || error.code == Errc::timed_out || error.code == Errc::unavailable ||
         error.code == Errc::connection_lost || error.code == Errc::overloaded ||
         error.code == Errc::conflict;
}

// Of the changes of attributes that ride on a write, not of the write; for a quota perhaps of either.
bool is_refusal(Errc code) {
  return code == Errc::access_denied || code == Errc::not_permitted || code == Errc::quota_exceeded;
}

// What was appended is a run of its own.
std::vector<FlushRun> runs_of(const DirtySet& dirty, FlushMode mode, std::optional<u64> appended_from) {
  std::vector<FlushRun> out;
  const auto add = [&](u64 offset, u64 length) {
    const bool goes_on = mode == FlushMode::keep_stream && offset + length == dirty.last_write_end();
    out.push_back({offset, dirty.gather(offset, length), goes_on});
  };
  for (const DirtySet::Run& run : dirty.runs()) {
    const u64 end = run.offset + run.length;
    const bool split = appended_from && run.offset < *appended_from && *appended_from < end;
    if (split) add(run.offset, *appended_from - run.offset);
    const u64 rest = split ? *appended_from : run.offset;
    add(rest, end - rest);
  }
  return out;
}

// A fast stream keeps its tail, so that chunks end where the content says and not where a timer fell. A tail
// alone is written: keeping it for ever would leave writers without room.
FlushMode mode_of(const OpenFile& file) {
  if (!file.attribute_changes.empty()) return FlushMode::everything;
  return file.dirty.bytes() >= kFastStream ? FlushMode::keep_stream : FlushMode::everything;
}

}  // namespace

Task<Result<void>> State::write_out(FilePtr file, FlushMode mode) {
  FlushPlan plan = co_await make_plan(env, runs_of(file->flushing, mode, file->flushing_appended_from));
  if (!shows_flushing(*file)) co_return fail(lost_with_session());
  for (PlannedExtent& kept : plan.kept) {
    // Written again meanwhile? Then the newer bytes win.
    DirtySet tail;
    tail.write(kept.offset, kept.bytes);
    file->flushing.erase(kept.offset, kept.bytes.size());
    file->dirty.absorb_below(std::move(tail));
    if (file->flushing_appended_from && kept.offset >= *file->flushing_appended_from)
      file->appended_from = lower(file->appended_from, kept.offset);
  }
  std::vector<std::vector<PlannedExtent>> batches = batches_of(std::move(plan.extents));
  // Behind all that was written before: not while a part of it stays here.
  const bool carry = plan.kept.empty() && !batches.empty();
  const std::vector<meta::SetAttributes> changes =
      carry ? file->attribute_changes : std::vector<meta::SetAttributes>();
  for (std::vector<PlannedExtent>& batch : batches) {
    const bool rides = &batch == &batches.back() && !changes.empty();
    std::vector<meta::SetAttributes> then;
    if (rides) then = changes;
    Result<void> done = co_await commit_batch(*this, file, batch, std::move(then)).result();
    if (!done && rides && is_refusal(done.error().code)) {
      refuse_attributes(*file, changes.size(), done.error());
      co_return co_await commit_batch(*this, file, std::move(batch), {}).result();
    }
    if (!done) co_return done;
  }
  drop_attribute_changes(*file, changes.size());
  co_return Result<void>();
}

// Nothing was written that could carry them.
Task<Result<void>> State::flush_attributes(FilePtr file) {
  const std::vector<meta::SetAttributes> changes = file->attribute_changes;
  meta::CommitWrite commit;
  commit.inode = file->id();
  commit.keep_data_version = true;
  commit.then = changes;
  Result<meta::InodeReply> reply;
  {
    const Leases::OwnChange change(own(), file->id());
    reply = co_await command(file->id().shard(), std::move(commit)).result();
  }
  if (!reply && may_succeed_later(reply.error())) co_return fail(std::move(reply.error()));
  if (!reply) {
    refuse_attributes(*file, changes.size(), reply.error());
    co_return fail(std::move(reply.error()));
  }
  drop_attribute_changes(*file, changes.size());
  note(*file, reply->inode);
  if (leases) leases->now_is(reply->inode);
  co_return Result<void>();
}

// The caller was told that they were done: the next close or fsync tells that they were not.
void State::refuse_attributes(OpenFile& file, std::size_t count, const Error& why) {
  ++file.failures;
  file.failure = why;
  log::warn("client", "a change of attributes was refused when it was committed",
            {log::kv("inode", file.id()), log::kv("error", why.to_string())});
  drop_attribute_changes(file, count);
}

// Those of a session that is over are gone already (what is there now was changed since), and those of a file
// that was unlinked.
void State::drop_attribute_changes(OpenFile& file, std::size_t count) {
  if (!shows_flushing(file)) return;
  const auto first = file.attribute_changes.begin();
  const std::size_t there = std::min(count, file.attribute_changes.size());
  if (there != 0) file.reserved = 0;  // another may own it now
  file.attribute_changes.erase(first, first + static_cast<std::ptrdiff_t>(there));
}

Task<Result<void>> State::settle_attributes(InodeId inode) {
  const FilePtr file = find_file(inode);
  if (file == nullptr || file->attribute_changes.empty()) co_return Result<void>();
  co_return co_await flush(file, FlushMode::everything).result();
}

Task<bool> State::may_try_again(runtime::Instant began, const Error& error) {
  const bool in_time = env.now() - began + options.retry_after < options.patience;
  if (!may_succeed_later(error) || !in_time || stopping.is_set()) co_return false;
  // Soon at first: a conflict is over in a moment, and a lease that is recalled may wait for this.
  constexpr runtime::Duration kSoon{50'000'000};
  co_await env.executor().sleep(std::min(options.retry_after, std::max(kSoon, env.now() - began)));
  co_return true;
}

Task<Result<void>> State::flush_locked(FilePtr file, FlushMode mode) {
  const runtime::Instant began = env.now();
  const u64 failures = file->failures;
  for (;;) {
    Result<void> done = co_await flush_once(file, mode).result();
    const bool is_over = done || !file->is_dirty() || file->failures != failures;
    if (is_over) co_return done;
    const Error error = done.error();
    const bool again = co_await may_try_again(began, error);
    if (file->failures != failures) co_return fail(file->failure);  // lost with its session meanwhile
    if (again) continue;
    if (!file->dirty.empty()) {
      ++file->failures;
      file->failure = error;
    }
    room.notify_all();
    write_back_soon(file);
    co_return done;
  }
}

Task<Result<void>> State::flush_once(FilePtr file, FlushMode mode) {
  if (file->dirty.empty() && file->attribute_changes.empty()) co_return Result<void>();
  file->flushing_session = session;
  if (file->dirty.empty()) co_return co_await flush_attributes(file).result();
  CFS_CHECK(file->flushing.empty());
  file->flushing = std::exchange(file->dirty, {});
  file->flushing_appended_from = std::exchange(file->appended_from, std::nullopt);
  Result<void> written = co_await write_out(file, mode).result();
  if (written) {
    file->flushing.clear();
    recount(*file);
    co_return written;
  }
  if (CFS_MUTANT(client_forgets_failed_write_back)) {
    file->flushing.clear();
    recount(*file);
    co_return Result<void>();
  }
  const bool keep = may_succeed_later(written.error()) && shows_flushing(*file);
  log::warn("client",
            keep ? "write-back failed, will be tried again" : "write-back failed, written data is lost",
            {log::kv("inode", file->id()), log::kv("bytes", file->flushing.bytes()),
             log::kv("error", written.error().to_string())});
  if (keep) {
    CFS_PROBE(client_write_back_again, "a write-back failed and is tried again");
    file->dirty.absorb_below(std::exchange(file->flushing, {}));
    file->appended_from = lower(file->appended_from, file->flushing_appended_from);
  } else {
    ++file->failures;
    file->failure = written.error();
    file->flushing.clear();
  }
  recount(*file);
  room.notify_all();
  co_return written;
}

Task<Result<void>> State::flush(FilePtr file, FlushMode mode) {
  auto lock = co_await file->flush_lock.lock();
  co_return co_await flush_locked(file, mode).result();
}

Task<Result<void>> State::write_through(FilePtr file, u64 offset, Buffer data, bool append) {
  auto lock = co_await file->flush_lock.lock();
  co_await flush_locked(file, FlushMode::everything);
  CFS_PROBE(client_write_through, "a write waits for its commit: a quota is nearly used up");
  const runtime::Instant began = env.now();
  for (;;) {
    if (append) offset = visible(*file).size;
    file->flushing_session = session;
    file->flushing.write(offset, data);
    file->flushing_appended_from = append ? std::optional<u64>(offset) : std::nullopt;
    file->written_at = time_now();
    recount(*file);
    Result<void> done = co_await write_out(file, FlushMode::everything).result();
    file->flushing.clear();
    file->flushing_appended_from.reset();
    recount(*file);
    bool again = !done;
    if (again) again = co_await may_try_again(began, done.error());
    if (!again) co_return done;
  }
}

void State::write_back_now(FilePtr file) {
  if (file->write_back_running || !scope.accepting()) return;
  file->write_back_running = true;
  scope.spawn(run_write_back(std::move(file)));
}

Task<void> State::run_write_back(FilePtr file) {
  (void)co_await flush(file, mode_of(*file)).result();
  file->write_back_running = false;
  room.notify_all();
  if (file->is_dirty()) write_back_soon(file);
  drop_if_idle(file);
}

void State::write_back_soon(FilePtr file) {
  if (file->write_back_scheduled || !scope.accepting()) return;
  file->write_back_scheduled = true;
  scope.spawn(run_write_back_later(std::move(file)));
}

Task<void> State::run_write_back_later(FilePtr file) {
  const u64 failures = file->failures;
  co_await env.executor().sleep(failures == 0 ? options.write_back_after : options.retry_after);
  file->write_back_scheduled = false;
  (void)co_await flush(file, mode_of(*file)).result();
  if (file->has_reserve) co_await release_reserve(file);
  if (file->is_dirty()) write_back_soon(file);
  drop_if_idle(file);
}

Task<Result<void>> State::wait_for_room(FilePtr file, u64 bytes) {
  const u64 failures = file->failures;
  for (;;) {
    const u64 own = file->dirty.bytes() + file->flushing.bytes();
    // A write longer than the limit passes when nothing else is waiting.
    const bool own_fits = own == 0 || own + bytes <= options.dirty_bytes_per_file;
    const bool total_fits = dirty_total == 0 || dirty_total + bytes <= options.dirty_bytes_total;
    if (own_fits && total_fits) co_return Result<void>();
    if (file->failures != failures) co_return fail(file->failure);
    if (!own_fits) {
      write_back_now(file);
    } else {
      for (const auto& [inode, other] : files)
        if (!other->dirty.empty()) write_back_now(other);
    }
    co_await room.wait();
  }
}

Result<void> State::take_failure(HandleId handle) {
  TRY_ASSIGN(Handle* const found, find_handle(handle));
  if (found->failures_seen == found->file->failures) return {};
  found->failures_seen = found->file->failures;
  return fail(found->file->failure);
}

}  // namespace claudefs::client
