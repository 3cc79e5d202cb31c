// The workload's reads and writes of files.
#include <algorithm>

#include <fmt/format.h>

#include "simulator/workload.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;
using meta::FileType;

namespace {

constexpr u64 kWord = 8;
constexpr std::size_t kOpenFilesMost = 4;

u64 round_down(u64 value) { return value / kWord * kWord; }

}  // namespace

u64 Workload::draw_length(Random& random) const {
  if (plan_.large_write_max != 0 && random.chance(60'000))
    return round_down(random.between(64_KiB, plan_.large_write_max));
  const u64 most = u64{16} << random.between(0, 12);  // up to 64 KiB
  return std::max(kWord, round_down(random.between(kWord, most)));
}

// A regular file by a drawn name, made when it is missing and `make_it`.
runtime::Task<Result<InodeId>> Workload::find_file(Client* client, Random* random, bool make_it) {
  Operation op = make(client, Verb::lookup);
  op.inode = some_directory(*random);
  op.name = draw_name(*random);
  const Outcome found = co_await perform(client, op);
  if (found.code == Errc::ok) {
    if (found.type != FileType::regular) co_return fail(Errc::invalid_argument);
    co_return found.inode;
  }
  if (found.code != Errc::not_found || !make_it) co_return fail(found.code);
  Operation create = make(client, Verb::create);
  create.inode = op.inode;
  create.name = op.name;
  create.type = FileType::regular;
  create.mode = 0644;
  const Outcome made = co_await perform(client, create);
  if (made.code != Errc::ok) co_return fail(made.code);
  co_return made.inode;
}

runtime::Task<Result<Workload::OpenFile>> Workload::open(Client* client, InodeId inode, bool writable) {
  OpenFile out;
  out.inode = inode;
  out.writable = writable;
  client::OpenFlags flags;
  flags.write = writable;
  out.handle = co_await client->kernel->open(inode, flags);
  co_return out;
}

runtime::Task<void> Workload::write(Client* client, OpenFile file, u64 number, u64 offset, u64 length) {
  const Process by = process(*client);
  const u64 event = content_.called(file.inode, number, offset, offset + length, by, now());
  note(fmt::format("write   client {} file {:#x} write {} [{}, {})", client->number, file.inode, number,
                   offset, offset + length));
  const Result<void> done =
      co_await client->kernel
          ->write(file.handle, file.inode, offset, ContentOracle::bytes_of(number, offset, length))
          .result();
  if (done) {
    content_.answered(event, now());
    ++report_.operations;
  } else {
    note(fmt::format("write   {} failed: {}", number, done.error().to_string()));
    content_.failed(file.inode, by);
  }
}

runtime::Task<Result<void>> Workload::sync(Client* client, OpenFile file, bool by_flush) {
  const Process by = process(*client);
  const Instant called = now();
  Result<void> done;
  if (by_flush)
    done = co_await client->files().flush(file.handle).result();
  else
    done = co_await client->files().fsync(file.handle).result();
  note(fmt::format("sync    client {} file {:#x}: {}", client->number, file.inode,
                   done ? "ok" : done.error().to_string()));
  note_lost_sessions(*client);
  if (done) {
    content_.synced(file.inode, by, called, now());
    ++report_.operations;
  } else {
    content_.failed(file.inode, by);
  }
  co_return done;
}

// What a session had not committed when it expired is lost; the handles that were open then say so, not later
// ones.
void Workload::note_lost_sessions(const Client& client) {
  if (!client.ready) return;
  const u64 lost = client.mount->files().lease_stats().sessions_lost;
  if (std::exchange(sessions_lost_[process(client)], lost) != lost) content_.lost(process(client));
}

runtime::Task<void> Workload::release(Client* client, OpenFile file) {
  const Process by = process(*client);
  const Instant called = now();
  const Result<void> done = co_await client->files().release(file.handle).result();
  note(fmt::format("close   client {} file {:#x}: {}", client->number, file.inode,
                   done ? "ok" : done.error().to_string()));
  note_lost_sessions(*client);
  if (done)
    content_.synced(file.inode, by, called, now());
  else
    content_.failed(file.inode, by);
}

runtime::Task<void> Workload::write_file(Client* client, Random* random) {
  const Result<InodeId> inode = co_await find_file(client, random, true).result();
  if (!inode) co_return;
  const Result<OpenFile> file = co_await open(client, *inode, true).result();
  if (!file) co_return;
  const u64 writes = random->between(1, 4);
  const bool same_as_others = random->chance(100'000);  // for deduplication
  u64 offset = 0;
  for (u64 i = 0; i < writes; ++i) {
    const u64 length = draw_length(*random);
    if (i == 0 || random->coin()) offset = random->coin() ? 0 : round_down(random->between(0, 128_KiB));
    const u64 number = same_as_others ? random->between(1, 16) : ++last_write_;
    co_await write(client, *file, number, offset, length);
    offset += length;
    if (random->chance(200'000)) (void)co_await sync(client, *file, false).result();
  }
  if (random->chance(100'000))
    co_await make_hole(client, *file, client::AllocateMode::punch_hole,
                       round_down(random->between(0, 64_KiB)), draw_length(*random));
  // Mostly closed, which syncs; sometimes kept open with unsynced bytes.
  std::vector<OpenFile>& kept = open_files_[client->number];
  if (random->chance(250'000) && kept.size() < kOpenFilesMost)
    kept.push_back(*file);
  else
    co_await release(client, *file);
}

// One of a few contents, changed in some places: what the second tier of reduction finds similar.
runtime::Task<void> Workload::write_edition(Client* client, Random* random) {
  const Result<InodeId> inode = co_await find_file(client, random, true).result();
  if (!inode) co_return;
  const Result<OpenFile> file = co_await open(client, *inode, true).result();
  if (!file) co_return;
  const u64 number = random->between(1, 3);
  const u64 length = number * 20_KiB;
  co_await write(client, *file, number, 0, length);
  const u64 edits = random->between(1, 3);
  for (u64 i = 0; i < edits; ++i) {
    const u64 offset = round_down(random->between(0, length - 1_KiB));
    co_await write(client, *file, ++last_write_, offset,
                   std::max(kWord, round_down(random->between(8, 512))));
  }
  co_await release(client, *file);
}

runtime::Task<Result<void>> Workload::read(Client* client, OpenFile file, u64 offset, u64 length) {
  ContentOracle::Read judged;
  judged.file = file.inode;
  judged.offset = offset;
  judged.length = length;
  judged.by = process(*client);
  judged.called = now();
  const Result<Buffer> got = co_await client->kernel->read(file.handle, file.inode, offset, length).result();
  judged.answered = now();
  if (!got) {
    note(fmt::format("read    client {} file {:#x} at {} failed: {}", client->number, file.inode, offset,
                     got.error().to_string()));
    ++report_.reads_failed;
    co_return fail(got.error());
  }
  ++report_.operations;
  note(fmt::format("read    client {} file {:#x} [{}, {}) got {}", client->number, file.inode, offset,
                   offset + length, got->size()));
  if (std::optional<std::string> wrong = content_.judge(judged, *got)) violation(std::move(*wrong));
  co_return Result<void>();
}

runtime::Task<void> Workload::read_file(Client* client, Random* random) {
  const Result<InodeId> inode = co_await find_file(client, random, false).result();
  if (!inode) co_return;
  const Result<OpenFile> file = co_await open(client, *inode, false).result();
  if (!file) co_return;
  const u64 reads = random->between(1, 3);
  for (u64 i = 0; i < reads; ++i) {
    const u64 offset = random->coin() ? 0 : round_down(random->between(0, 128_KiB));
    (void)co_await read(client, *file, offset, draw_length(*random)).result();
  }
  co_await release(client, *file);
}

void Workload::look_around(Client& client, Random random) {
  constexpr int kFiles = 8;
  const std::vector<InodeId> files = content_.known_files();
  for (int i = 0; i < kFiles && !files.empty(); ++i) {
    begin_turn(client);
    client.scope->spawn(look_at(&client, files[random.between(0, files.size() - 1)]));
  }
}

runtime::Task<void> Workload::look_at(Client* client, InodeId inode) {
  const Result<OpenFile> file = co_await open(client, inode, false).result();
  if (file) {
    (void)co_await read(client, *file, 0, 192_KiB).result();
    co_await release(client, *file);
  }
  end_turn(*client);
}

runtime::Task<Result<client::Inode>> Workload::stat(Client* client, InodeId inode) {
  ContentOracle::Read judged;
  judged.file = inode;
  judged.by = process(*client);
  judged.called = now();
  Result<client::Inode> seen = co_await client->kernel->get_attributes(inode).result();
  judged.answered = now();
  if (!seen) co_return seen;
  ++report_.operations;
  note(fmt::format("stat    client {} file {:#x}: {} bytes", client->number, inode, seen->size));
  if (std::optional<std::string> wrong = content_.judge_size(judged, seen->size))
    violation(std::move(*wrong));
  co_return seen;
}

runtime::Task<void> Workload::stat_file(Client* client, Random* random) {
  const Result<InodeId> inode = co_await find_file(client, random, false).result();
  if (inode) (void)co_await stat(client, *inode).result();
}

runtime::Task<void> Workload::truncate(Client* client, InodeId inode, u64 size) {
  const Process by = process(*client);
  const u64 event = content_.called(inode, 0, size, ~u64{0}, by, now());
  const Result<client::Inode> done = co_await client->kernel->truncate(inode, size).result();
  note(fmt::format("truncate client {} file {:#x} to {}: {}", client->number, inode, size,
                   done ? "ok" : done.error().to_string()));
  if (done) {
    content_.stable(event, now());
    ++report_.operations;
  }
}

runtime::Task<void> Workload::make_hole(Client* client, OpenFile file, client::AllocateMode mode, u64 offset,
                                        u64 length) {
  const Process by = process(*client);
  const u64 event = content_.called(file.inode, 0, offset, offset + length, by, now());
  client::AllocateRequest request;
  request.mode = mode;
  request.keep_size = true;
  request.offset = offset;
  request.length = length;
  const Result<void> done = co_await client->kernel->allocate(file.handle, file.inode, request).result();
  note(fmt::format("hole    client {} file {:#x} [{}, {}): {}", client->number, file.inode, offset,
                   offset + length, done ? "ok" : done.error().to_string()));
  if (done)
    content_.answered(event, now());
  else
    content_.failed(file.inode, by);
}

runtime::Task<void> Workload::truncate_file(Client* client, Random* random) {
  const Result<InodeId> inode = co_await find_file(client, random, false).result();
  if (!inode) co_return;
  const u64 size = random->coin() ? 0 : round_down(random->between(0, 128_KiB));
  co_await truncate(client, *inode, size);
}

// Reads, writes, syncs or closes what was left open: its name may be gone.
runtime::Task<void> Workload::use_open_file(Client* client, Random* random) {
  std::vector<OpenFile>& kept = open_files_[client->number];
  if (kept.empty()) co_return;
  const std::size_t at = random->between(0, kept.size() - 1);
  const OpenFile file = kept[at];
  const u64 what = random->between(0, 3);
  const u64 offset = random->coin() ? 0 : round_down(random->between(0, 128_KiB));
  if (what == 0) co_await write(client, file, ++last_write_, offset, draw_length(*random));
  if (what == 1) (void)co_await read(client, file, offset, draw_length(*random)).result();
  if (what == 2) (void)co_await sync(client, file, random->coin()).result();
  if (what == 3 && file.held.use_count() == 2) {  // what is kept and this one
    kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(at));
    co_await release(client, file);
  }
}

}  // namespace claudefs::simulator
