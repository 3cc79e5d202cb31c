// Mark and sweep: what extents refer to, against what the chunk index counts.
#include <algorithm>
#include <set>

#include "data/detail/fsck_run.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

constexpr int kPasses = 4;
constexpr int kSplitAttempts = 5;

struct Mark {
  u64 count = 0;
  InodeId inode{};                        // one that refers to it
  std::optional<codec::ChunkHash> delta;  // or a chunk whose stored form builds on it
};
struct Pass {
  std::unordered_map<codec::ChunkHash, Mark> marks;
  std::set<codec::ChunkHash> unsure;   // of files that were written while their extents were read
  std::set<codec::ChunkHash> wanted;   // only these; empty: all
  std::set<codec::ChunkHash> changed;  // while the pass went on: the next one's
  struct Wrong {
    AuditChunksReply::Row row;
    u64 marked = 0;
  };
  std::vector<Wrong> wrong;
  std::map<codec::ChunkHash, Mark> absent;              // from the index
  std::map<codec::ChunkHash, codec::ChunkHash> chains;  // deltas against what is a delta itself

  bool concerns(const codec::ChunkHash& hash) const { return wanted.empty() || wanted.contains(hash); }
  void mark(InodeId inode, const codec::ChunkHash& hash) {
    if (!concerns(hash)) return;
    Mark& mark = marks[hash];
    ++mark.count;
    mark.inode = inode;
  }
  void mark(const codec::ChunkHash& delta, const codec::ChunkHash& base) {
    if (!concerns(base)) return;
    Mark& mark = marks[base];
    ++mark.count;
    mark.delta = delta;
  }
};

// A file with more extents than a page: as one moment, or not at all.
struct Gathered {
  InodeId inode{};
  u64 data_version = 0;
  std::string from;
  std::vector<codec::ChunkHash> hashes;
  int attempts = 0;
};

Task<Result<void>> finish(FsckRun& run, Pass& pass, Gathered& file, std::string& cursor) {
  const auto now = co_await run.router.call(file.inode.shard(), meta::GetAttributes{file.inode}).result();
  const bool same = now && now->inode.data_version == file.data_version;
  if (!same && ++file.attempts < kSplitAttempts && now) {
    cursor = file.from;
    file.hashes.clear();
    file.inode = InodeId{};
    co_return Result<void>();
  }
  for (const codec::ChunkHash& hash : file.hashes) {
    pass.mark(file.inode, hash);
    if (!same && pass.concerns(hash)) pass.unsure.insert(hash);
  }
  file = Gathered{};
  co_return Result<void>();
}

Task<Result<void>> mark_shard(FsckRun& run, Pass& pass, ShardId shard, bool count) {
  std::string cursor;
  Gathered file;
  for (;;) {
    meta::AuditExtents ask;
    ask.from = cursor;
    const std::string from = cursor;
    const meta::AuditExtentsReply page = co_await run.router.call(shard, std::move(ask));
    if (count) run.report.extents += page.rows.size();
    cursor = page.next;
    const bool goes_on = file.inode != InodeId{} && page.split == file.inode;
    std::size_t rows_of_file = 0;
    while (file.inode != InodeId{} && rows_of_file < page.rows.size() &&
           page.rows[rows_of_file].inode == file.inode)
      file.hashes.push_back(page.rows[rows_of_file++].hash);
    if (file.inode != InodeId{} && !goes_on) {
      co_await finish(run, pass, file, cursor);
      if (file.attempts != 0) continue;  // from its beginning again
    }
    if (page.split != InodeId{} && !goes_on) {
      file.inode = page.split;
      file.data_version = page.data_version;
      file.from = from;
      for (std::size_t i = rows_of_file; i < page.rows.size(); ++i) file.hashes.push_back(page.rows[i].hash);
    } else if (page.split == InodeId{}) {
      for (std::size_t i = rows_of_file; i < page.rows.size(); ++i)
        pass.mark(page.rows[i].inode, page.rows[i].hash);
    }
    if (page.end) co_return Result<void>();
  }
}

// What builds on another chunk refers to it. Read before messages are waited for, like extents.
Task<Result<void>> mark_bases(FsckRun& run, Pass& pass, ShardId shard) {
  AuditChunks ask;
  ask.deltas_only = true;
  for (bool end = false; !end;) {
    const AuditChunksReply page = co_await run.router.call(shard, ask);
    end = page.end;
    ask.after = page.last;
    ask.from_start = false;
    for (const AuditChunksReply::Row& row : page.rows)
      if (row.base) pass.mark(row.hash, *row.base);
  }
  co_return Result<void>();
}

// Judges what has not changed since `start`, when marking began.
Task<Result<void>> judge_shard(FsckRun& run, Pass& pass, ShardId shard, Hlc start, bool count) {
  std::set<codec::ChunkHash> seen;
  AuditChunks ask;
  for (bool end = false; !end;) {
    const AuditChunksReply page = co_await run.router.call(shard, ask);
    end = page.end || page.rows.empty();
    if (!page.rows.empty()) ask.after = page.rows.back().hash;
    ask.from_start = false;
    if (count) run.report.chunks += page.rows.size();
    for (const AuditChunksReply::Row& row : page.rows) {
      if (!pass.concerns(row.hash)) continue;
      const auto at = pass.marks.find(row.hash);
      const u64 marked = at == pass.marks.end() ? 0 : at->second.count;
      if (at != pass.marks.end()) at->second.count = 0;  // seen
      if (at != pass.marks.end() && at->second.delta && row.base) pass.chains[*at->second.delta] = row.hash;
      if (row.changed > start || pass.unsure.contains(row.hash))
        pass.changed.insert(row.hash);
      else if (row.references != marked || !row.listed_rightly)
        pass.wrong.push_back({row, marked});
    }
  }
  co_return Result<void>();
}

Task<Result<void>> one_pass(FsckRun& run, Pass& pass, int number) {
  const bool first = number == 0;
  co_await run.settle();
  const FsckRun::Stamps start = co_await run.stamp();
  for (u16 shard = 0; shard < run.shards(); ++shard) {
    run.progress(
        {fmt::format("references, pass {}: reading extents of shard", number + 1), shard, run.shards()});
    co_await mark_shard(run, pass, ShardId{shard}, first);
    co_await mark_bases(run, pass, ShardId{shard});
  }
  co_await run.settle();
  for (u16 shard = 0; shard < run.shards(); ++shard) {
    run.progress(
        {fmt::format("references, pass {}: comparing index of shard", number + 1), shard, run.shards()});
    co_await judge_shard(run, pass, ShardId{shard}, start[shard], first);
  }
  // Order does not matter: they go into a sorted map.
  for (const auto& [hash, mark] : pass.marks)
    if (mark.count != 0) pass.absent[hash] = mark;
  co_return Result<void>();
}

Task<Result<ChunkPlace>> find(FsckRun& run, codec::ChunkHash hash) {
  FindChunks ask;
  ask.hashes.push_back(hash);
  const ChunkPlaces places =
      co_await run.router.call(meta::shard_of_chunk(hash, run.shards()), std::move(ask));
  if (places.places.size() != 1) co_return fail(Errc::corrupt, "the chunk index gave no answer");
  co_return places.places.front();
}

// The file still refers to it after everything has arrived, did so all the time, and the index knows nothing.
Task<Result<bool>> is_lost(FsckRun& run, codec::ChunkHash hash, InodeId inode) {
  std::optional<u64> version;
  for (int turn = 0; turn < 2; ++turn) {
    meta::GetExtents ask;
    ask.inode = inode;
    ask.length = meta::kFileSizeMax;
    bool refers = false;
    for (bool more = true; more;) {
      const auto page = co_await run.router.call(inode.shard(), ask).result();
      if (!page) co_return page.error().code == Errc::stale ? Result<bool>(false) : fail(page.error());
      if (version && *version != page->inode.data_version) co_return false;
      version = page->inode.data_version;
      for (const meta::Extent& extent : page->extents)
        if (const auto* ref = std::get_if<meta::ChunkRef>(&extent.content)) refers |= ref->hash == hash;
      more = page->truncated && !page->extents.empty();
      if (more) ask.offset = page->extents.back().offset + page->extents.back().length;
    }
    if (!refers) co_return false;
    if (turn == 1) break;
    co_await run.settle();
    const ChunkPlace place = co_await find(run, hash);
    if (place.found) co_return false;
  }
  co_return true;
}

// The chunk is still stored as a delta after everything has arrived, and the index does not know its base.
Task<Result<bool>> lacks_base(FsckRun& run, codec::ChunkHash delta, codec::ChunkHash base) {
  co_await run.settle();
  const ChunkPlace missing = co_await find(run, base);
  const ChunkPlace still = co_await find(run, delta);
  co_return !missing.found && still.found && still.base == base;
}

Task<Result<void>> report(FsckRun& run, const Pass& pass) {
  for (const Pass::Wrong& wrong : pass.wrong) {
    bool repaired = false;
    if (run.options.repair) {
      const RepairChunk op{wrong.row.hash, wrong.row.changed, wrong.marked};
      repaired = (co_await run.router.call(meta::shard_of_chunk(wrong.row.hash, run.shards()), op).result())
                     .has_value();
    }
    run.found(
        "references",
        fmt::format(
            "chunk {} counts {} references, {} extents and deltas refer to it{}", wrong.row.hash.to_hex(),
            wrong.row.references, wrong.marked,
            wrong.row.listed_rightly ? "" : "; it is listed wrongly among chunks to reclaim or by place"),
        repaired);
  }
  for (const auto& [delta, base] : pass.chains)
    run.found("delta_chain",
              fmt::format("chunk {} is stored as a delta against chunk {}, which is one itself: "
                          "it cannot be read; restore the files that it is in from elsewhere",
                          delta.to_hex(), base.to_hex()));
  for (const auto& [hash, mark] : pass.absent) {
    bool lost = false;
    if (mark.inode != InodeId{}) lost = co_await is_lost(run, hash, mark.inode);
    if (lost)
      run.found("lost_chunk", fmt::format("inode {:#x} refers to chunk {}, which the index does not know: "
                                          "restore the file from elsewhere",
                                          mark.inode.value, hash.to_hex()));
    lost = false;
    if (mark.delta) lost = co_await lacks_base(run, *mark.delta, hash);
    if (lost)
      run.found("lost_chunk",
                fmt::format("chunk {} is stored as a delta against chunk {}, which the index does not know: "
                            "restore the files that it is in from elsewhere",
                            mark.delta->to_hex(), hash.to_hex()));
  }
  co_return Result<void>();
}

}  // namespace

Task<Result<void>> check_references(FsckRun& run) {
  std::set<codec::ChunkHash> wanted;
  for (int number = 0; number < kPasses; ++number) {
    Pass pass;
    pass.wanted = std::move(wanted);
    co_await one_pass(run, pass, number);
    co_await report(run, pass);
    wanted = std::move(pass.changed);
    if (wanted.empty()) co_return Result<void>();
  }
  run.report.undecided += wanted.size();
  co_return Result<void>();
}

}  // namespace claudefs::data
