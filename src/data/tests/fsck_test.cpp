// Goal: fsck finds every planted inconsistency, mends what can be mended, and finds nothing while clients
// write, rename and delete. Method: the real operations of names and data over shards in memory; damage to
// their rows.
#include "data/fsck.h"

#include "data/audit.h"
#include "data/tests/service_rig.h"
#include "meta/audit.h"
#include "meta/commands.h"
#include "meta/quota.h"

namespace claudefs::data {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

struct FsckRig : ServiceRig {
  meta::OperationTable table;
  std::map<std::string, InodeId> files;
  std::mt19937_64 random;
  u64 operations = 0;
  bool stop = false;
  bool editions = false;  // what is written is similar to what others write

  explicit FsckRig(u64 seed, runtime::Duration reduce_after = kReduceAfter)
      : ServiceRig(3, seed, kScrubEvery, reduce_after), random(seed) {
    give_key();
    meta::register_namespace(table);
    register_data(table);
    shards.more = &table;
    CFS_CHECK(shards.call(ShardId{0}, meta::Format{}, hlc_of(env.wall_now())));
  }
  Task<Result<void>> create(std::string name) {
    meta::Create op;
    op.parent = meta::kRootInode;
    op.name = name;
    const meta::InodeReply reply = co_await router.call(ShardId{0}, op);
    files[name] = reply.inode.id;
    co_return Result<void>();
  }
  Task<Result<void>> write(std::string name, u64 offset, std::vector<Buffer> chunks) {
    meta::CommitWrite op;
    op.inode = files[name];
    const StoredChunks stored = co_await io->store(chunks);
    for (const StoredChunk& chunk : stored.chunks) {
      op.extents.push_back({offset, chunk.ref.chunk_length, chunk.ref});
      offset += chunk.ref.chunk_length;
    }
    op.valid_until = stored.valid_until;
    co_await router.call(ShardId{0}, std::move(op));
    co_return Result<void>();
  }
  Task<Result<void>> unlink(std::string name) {
    meta::Unlink op;
    op.parent = meta::kRootInode;
    op.name = name;
    const InodeId inode = files[name];
    co_await router.call(ShardId{0}, op);
    files.erase(name);
    co_await router.call(ShardId{0}, meta::PurgeInodes{{inode}});
    co_await router.call(ShardId{0}, meta::PurgeExtents{});
    co_return Result<void>();
  }
  Task<Result<void>> rename(std::string from, std::string to) {
    meta::Rename op;
    op.old_parent = op.new_parent = meta::kRootInode;
    op.old_name = from;
    op.new_name = to;
    op.mode = meta::RenameMode::no_replace;
    co_await router.call(ShardId{0}, op);
    const auto it = files.find(from);
    if (it == files.end()) co_return Result<void>();  // unlinked by another
    files[to] = it->second;
    files.erase(from);
    co_return Result<void>();
  }
  std::string any() {
    auto it = files.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random() % files.size()));
    return it->first;
  }
  // Overwrites that repeat content, so that counts go up and down; names that come and go.
  Task<void> live() {
    while (!stop) {
      ++operations;
      co_await env.executor().sleep(std::chrono::milliseconds(random() % 30));
      const u64 dice = random() % 10;
      if (files.size() < 5 || dice < 2) {
        (void)co_await create(fmt::format("file-{}", random())).result();
      } else if (dice < 3 && files.size() > 20) {
        (void)co_await unlink(any()).result();
      } else if (dice < 4) {
        (void)co_await rename(any(), fmt::format("moved-{}", random())).result();
      } else {
        std::vector<Buffer> chunks = noises(random() % 3 + 1, 4096, random() % 12);
        if (editions) chunks = edited(chunks, random() % 40);
        (void)co_await write(any(), random() % 4 * 4096, std::move(chunks)).result();
      }
    }
  }
  FsckReport check(bool repair = false) {
    FsckOptions how;
    how.repair = repair;
    Result<FsckReport> report = wait(fsck(env, client, router, how, [](const FsckProgress&) {}), 30min);
    EXPECT_TRUE(report) << report.error().to_string();
    return report ? std::move(*report) : FsckReport{};
  }
  void settle_down(int files_wanted) {
    for (int n = 0; n < files_wanted; ++n) {
      const std::string name = fmt::format("file-{}", n);
      CFS_CHECK(wait(create(name)).has_value());
      CFS_CHECK(wait(write(name, 0, noises(3, 5000, static_cast<u64>(n) * 2))).has_value());
    }
    world.run_for(20s);
  }
};
std::string all_of(const FsckReport& report) {
  std::string out;
  for (const FsckFinding& finding : report.findings) out += finding.kind + ": " + finding.text + "\n";
  return out;
}

TEST(Fsck, FindsNothingWhileEverythingChanges) {
  for (u64 seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(seed);
    FsckRig rig(seed);
    rig.settle_down(30);
    runtime::Scope scope(rig.env.executor());
    for (int n = 0; n < 3; ++n) scope.spawn(rig.live());
    u64 chunks = 0;
    for (int run = 0; run < 2; ++run) {
      rig.world.run_for(2s);
      const FsckReport report = rig.check();
      EXPECT_EQ(report.found(), 0u) << all_of(report);
      chunks += report.chunks;
    }
    rig.stop = true;
    rig.world.run_for(5s);
    EXPECT_GT(rig.operations, 200u);
    EXPECT_GT(chunks, 30u);
    const FsckReport still = rig.check();
    EXPECT_EQ(still.found(), 0u) << all_of(still);
    EXPECT_EQ(still.undecided, 0u);
    EXPECT_EQ(still.inodes, rig.files.size() + 1);
    EXPECT_EQ(still.entries, rig.files.size());
  }
}

std::size_t deltas_in(FsckRig& rig) {
  std::size_t count = 0;
  for (u16 n = 0; n < 4; ++n)
    for (const auto& [key, value] : rig.shards.shard(ShardId{n}).rows)
      if (key.starts_with(kChunkPrefix)) count += wire::decode<ChunkRecord>(as_bytes(value))->base ? 1 : 0;
  return count;
}

TEST(Fsck, FindsNothingWhileChunksBecomeDeltasAndGo) {
  for (u64 seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(seed);
    FsckRig rig(seed, 1s);
    rig.editions = true;
    rig.settle_down(10);
    runtime::Scope scope(rig.env.executor());
    scope.spawn(rig.live());
    std::size_t deltas = 0;
    for (int run = 0; run < 2; ++run) {
      rig.world.run_for(10s);
      const FsckReport report = rig.check();
      EXPECT_EQ(report.found(), 0u) << all_of(report);
      deltas += deltas_in(rig);
    }
    EXPECT_GT(deltas, 5u);
    rig.stop = true;
    rig.world.run_for(30s);
    const FsckReport still = rig.check();
    EXPECT_EQ(still.found(), 0u) << all_of(still);
    EXPECT_EQ(still.undecided, 0u);
  }
}

struct Damage {
  std::string kind;
  bool mended;
  std::function<void(FsckRig&)> apply;
};
template <class T>
void edit(FsckRig& rig, std::string_view prefix, std::function<void(T&)> change) {
  for (u16 n = 0; n < 4; ++n) {
    MiniShard& shard = rig.shards.shard(ShardId{n});
    for (auto& [key, value] : shard.rows) {
      if (!key.starts_with(prefix)) continue;
      T record = *wire::decode<T>(as_bytes(value));
      change(record);
      value = std::string(wire::encode(record).text());
      return;
    }
  }
  FAIL() << "no such row";
}
void erase_first(FsckRig& rig, std::string_view prefix, std::size_t skip = 0) {
  for (u16 n = 0; n < 4; ++n) {
    MiniShard& shard = rig.shards.shard(ShardId{n});
    for (auto it = shard.rows.lower_bound(prefix); it != shard.rows.end() && it->first.starts_with(prefix);
         ++it) {
      if (skip-- != 0) continue;
      shard.rows.erase(it);
      return;
    }
  }
  FAIL() << "no such row";
}

TEST(Fsck, FindsAndMendsWhatIsPlanted) {
  const std::vector<Damage> damages = {
      {"references", true,
       [](FsckRig& r) { edit<ChunkRecord>(r, "C", [](ChunkRecord& c) { ++c.references; }); }},
      {"references", true,
       [](FsckRig& r) {
         edit<ChunkRecord>(r, "C", [&](ChunkRecord& c) {
           c.references = 0;
           c.zero_since = Hlc{1};
         });
       }},
      {"lost_chunk", false, [](FsckRig& r) { erase_first(r, "C"); }},
      {"live_bytes", true,
       [](FsckRig& r) { edit<SegmentRecord>(r, "G", [](SegmentRecord& s) { s.live_bytes += 77; }); }},
      {"lost_segment", false, [](FsckRig& r) { erase_first(r, "G"); }},
      {"links", true,
       [](FsckRig& r) {
         edit<meta::Inode>(r, "\x08", [&](meta::Inode& inode) {
           if (inode.type == meta::FileType::directory)
             inode.nlink += 3;
           else
             ++inode.nlink;
         });
       }},
      {"links", true, [](FsckRig& r) { erase_first(r, "\x09", 1); }},  // a dentry: its inode has no name now
      {"entry", true, [](FsckRig& r) { erase_first(r, "\x08", 2); }},  // an inode, not the root
      {"quota", true, [](FsckRig& r) { erase_first(r, "\x17", 1); }},
      {"quota", true,
       [](FsckRig& r) { edit<meta::QuotaUse>(r, "\x17", [](meta::QuotaUse& use) { use.bytes += 512; }); }},
  };
  for (std::size_t n = 0; n < damages.size(); ++n) {
    SCOPED_TRACE(fmt::format("{}: {}", n, damages[n].kind));
    FsckRig rig(100 + n);
    rig.settle_down(8);
    ASSERT_EQ(rig.check().found(), 0u);
    damages[n].apply(rig);
    const FsckReport found = rig.check();
    EXPECT_GE(found.found(), 1u);
    // A planted one can show in more than one way; that kind is among them.
    const bool seen = std::ranges::any_of(found.findings, [&](const FsckFinding& finding) {
      return finding.kind == damages[n].kind || (damages[n].kind == "links" && finding.kind == "directory");
    });
    EXPECT_TRUE(seen) << all_of(found);
    EXPECT_EQ(found.repaired(), 0u);
    const FsckReport mended = rig.check(true);
    for (int turn = 0; turn < 3 && damages[n].mended; ++turn) (void)rig.check(true);
    const FsckReport after = rig.check();
    EXPECT_EQ(after.found() == 0, damages[n].mended) << all_of(after);
  }
}

// The first delta, or base, of all.
void edit_chunk(FsckRig& rig, const std::function<bool(const ChunkRecord&)>& which,
                const std::function<bool(ChunkRecord&)>& change) {
  for (u16 n = 0; n < 4; ++n) {
    auto& rows = rig.shards.shard(ShardId{n}).rows;
    for (auto it = rows.lower_bound(kChunkPrefix); it != rows.end() && it->first.starts_with(kChunkPrefix);
         ++it) {
      ChunkRecord record = *wire::decode<ChunkRecord>(as_bytes(it->second));
      if (!which(record)) continue;
      if (change(record))
        it->second = std::string(wire::encode(record).text());
      else
        rows.erase(it);
      return;
    }
  }
  FAIL() << "no such chunk";
}

TEST(Fsck, FindsAndMendsWhatIsWrongWithDeltas) {
  const auto is_base = [](const ChunkRecord& record) { return record.is_base && record.references > 1; };
  const auto is_delta = [](const ChunkRecord& record) { return record.base.has_value(); };
  struct Case {
    std::string kind;
    bool mended;
    std::function<bool(const ChunkRecord&)> which;
    std::function<bool(ChunkRecord&)> change;  // false: it goes
  };
  const std::vector<Case> cases = {
      {"references", true, is_base, [](ChunkRecord& record) { return --record.references != 0; }},
      {"references", true, is_base, [](ChunkRecord& record) { return ++record.references != 0; }},
      {"lost_chunk", false, is_base, [](ChunkRecord&) { return false; }},
      {"delta_chain", false, is_base,
       [](ChunkRecord& record) {
         record.base = codec::ChunkHash{};
         return true;
       }},
      {"references", true, is_delta,
       [](ChunkRecord& record) {
         record.base.reset();
         return true;
       }},
  };
  for (std::size_t n = 0; n < cases.size(); ++n) {
    SCOPED_TRACE(fmt::format("{}: {}", n, cases[n].kind));
    FsckRig rig(200 + n, 1s);
    for (u64 file = 0; file < 4; ++file) {
      const std::string name = fmt::format("file-{}", file);
      ASSERT_TRUE(rig.wait(rig.create(name)));
      ASSERT_TRUE(rig.wait(rig.write(name, 0, edited(noises(6, 20'000, 1), file * 100))));
    }
    rig.world.run_for(40s);
    ASSERT_GT(deltas_in(rig), 4u);
    ASSERT_EQ(rig.check().found(), 0u);
    edit_chunk(rig, cases[n].which, cases[n].change);
    const FsckReport found = rig.check();
    EXPECT_TRUE(std::ranges::any_of(found.findings, [&](const FsckFinding& finding) {
      return finding.kind == cases[n].kind;
    })) << all_of(found);
    (void)rig.check(true);
    const FsckReport after = rig.check();
    EXPECT_EQ(after.found() == 0, cases[n].mended) << all_of(after);
  }
}

// A directory of shard 0 that is split, by hand: the upper half of its entries is in a fragment in shard 1.
struct HandSplit {
  struct Ranges {  // table `fragments` of docs/formats/metadata.md
    InodeId directory{};
    u64 first = 0, end = 0;
    meta::FragmentMap map;
    static auto fields(auto& self) { return std::tie(self.directory, self.first, self.end, self.map); }
  };
  FsckRig& rig;
  InodeId directory;
  InodeId fragment = InodeId::make(SiteId{}, ShardId{1}, 0x77777);

  HandSplit(FsckRig& at, InodeId of) : rig(at), directory(of) {
    std::vector<std::string> entries = entries_of(directory);
    entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(entries.size() / 2));
    const u64 first = cookie_in(entries.front());
    meta::Inode part = load<meta::Inode>(directory, '\x08');
    part.id = fragment;
    part.parent = directory;
    part.flags = meta::kIsFragment;
    part.nlink = 2;
    part.size = 0;
    store(fragment, '\x08', part);
    edit<meta::Inode>(directory, '\x08', [](meta::Inode& inode) { inode.flags |= meta::kIsSplit; });
    store(directory, '\x1b', Ranges{directory, 0, first, {{first, fragment}}});
    store(fragment, '\x1b', Ranges{directory, first, 0, {}});
    for (const std::string& entry : entries) move(entry, directory, fragment);
  }
  static std::string key(InodeId inode, char table) {
    std::string out(1, table);
    for (int i = 7; i >= 0; --i) out.push_back(static_cast<char>(inode.value >> (8 * i)));
    return out;
  }
  static u64 cookie_in(const std::string& entry) {
    u64 out = 0;
    for (const char byte : entry.substr(9)) out = out << 8 | static_cast<u8>(byte);
    return out;
  }
  auto& rows(InodeId at) { return rig.shards.shard(at.shard()).rows; }
  template <class T>
  T load(InodeId at, char table) {
    return *wire::decode<T>(as_bytes(rows(at).at(key(at, table))));
  }
  template <class T>
  void store(InodeId at, char table, const T& record) {
    rows(at)[key(at, table)] = std::string(wire::encode(record).text());
  }
  template <class T>
  void edit(InodeId at, char table, std::function<void(T&)> change) {
    T record = load<T>(at, table);
    change(record);
    store(at, table, record);
  }
  std::vector<std::string> entries_of(InodeId at) {
    std::vector<std::string> out;
    const std::string prefix = key(at, '\x09');
    for (auto it = rows(at).lower_bound(prefix); it != rows(at).end() && it->first.starts_with(prefix); ++it)
      out.push_back(it->first);
    return out;
  }
  // And both count it. Directories are not moved here.
  void move(const std::string& entry, InodeId from, InodeId to) {
    rows(to)[key(to, '\x09') + entry.substr(9)] = rows(from).at(entry);
    rows(from).erase(entry);
    edit<meta::Inode>(from, '\x08', [](meta::Inode& inode) { --inode.size; });
    edit<meta::Inode>(to, '\x08', [](meta::Inode& inode) { ++inode.size; });
  }
};

TEST(Fsck, FindsWhatIsPlantedInASplitDirectory) {
  struct Case {
    std::string kind;
    bool mended;
    std::function<void(HandSplit&)> apply;
  };
  const std::vector<Case> cases = {
      {"fragment", false,  // an entry of another's range, either way
       [](HandSplit& s) { s.move(s.entries_of(s.directory).back(), s.directory, s.fragment); }},
      {"fragment", false,
       [](HandSplit& s) { s.move(s.entries_of(s.fragment).front(), s.fragment, s.directory); }},
      {"fragment", false, [](HandSplit& s) { s.rows(s.fragment).erase(HandSplit::key(s.fragment, '\x08')); }},
      {"fragment", false,  // the map does not name it
       [](HandSplit& s) {
         s.edit<HandSplit::Ranges>(s.directory, '\x1b', [](HandSplit::Ranges& r) { r.map.clear(); });
       }},
      {"fragment", false,  // of a directory that is not there
       [](HandSplit& s) {
         s.edit<meta::Inode>(s.fragment, '\x08',
                             [](meta::Inode& inode) { inode.parent = InodeId{0x123456}; });
       }},
      {"directory", true,
       [](HandSplit& s) {
         s.edit<meta::Inode>(s.fragment, '\x08', [](meta::Inode& inode) { inode.size += 3; });
       }},
      {"directory", true,
       [](HandSplit& s) {
         s.edit<meta::Inode>(s.directory, '\x08', [](meta::Inode& inode) { inode.nlink += 3; });
       }},
      // Inodes without a name get one in the root, wherever that has it.
      {"links", true,
       [](HandSplit& s) {
         for (const InodeId at : {s.directory, s.fragment})
           for (const std::string& entry : s.entries_of(at)) s.rows(at).erase(entry);
       }},
      {"entry", true,
       [](HandSplit& s) {
         const std::string entry = s.entries_of(s.fragment).front();
         const auto dentry = *wire::decode<meta::Dentry>(as_bytes(s.rows(s.fragment).at(entry)));
         s.rows(dentry.inode).erase(HandSplit::key(dentry.inode, '\x08'));
       }},
  };
  for (std::size_t n = 0; n < cases.size(); ++n) {
    SCOPED_TRACE(fmt::format("{}: {}", n, cases[n].kind));
    FsckRig rig(300 + n);
    rig.settle_down(12);
    HandSplit split(rig, meta::kRootInode);
    const FsckReport sound = rig.check();
    ASSERT_EQ(sound.found(), 0u) << all_of(sound);
    EXPECT_EQ(sound.split_directories, 1u);
    EXPECT_EQ(sound.fragments, 1u);
    EXPECT_EQ(sound.inodes, 13u);
    cases[n].apply(split);
    const FsckReport found = rig.check();
    EXPECT_TRUE(std::ranges::any_of(found.findings, [&](const FsckFinding& finding) {
      return finding.kind == cases[n].kind;
    })) << all_of(found);
    EXPECT_EQ(found.repaired(), 0u);
    for (int turn = 0; turn < 3; ++turn) (void)rig.check(true);
    const FsckReport after = rig.check();
    EXPECT_EQ(after.found() == 0, cases[n].mended) << all_of(after);
  }
}

TEST(Fsck, AFileWithMoreExtentsThanAPageIsReadAsOneMoment) {
  FsckRig rig(7);
  ASSERT_TRUE(rig.wait(rig.create("big")));
  const Result<StoredChunks> stored = rig.wait(rig.io->store(noises(2, 4096, 1)));
  ASSERT_TRUE(stored);
  const u64 extents = 9000;
  meta::CommitWrite op;
  op.inode = rig.files.at("big");
  for (u64 n = 0; n < extents; ++n) op.extents.push_back({n * 8192, 4096, stored->chunks[n % 2].ref});
  op.valid_until = stored->valid_until;
  ASSERT_TRUE(rig.wait(rig.router.call(ShardId{0}, std::move(op))));
  rig.world.run_for(10s);
  runtime::Scope scope(rig.env.executor());
  // Moves a reference from behind the reader to before it, and back: no count changes.
  const auto shuffle = [](FsckRig* r, StoredChunks chunks) -> Task<void> {
    for (u64 turn = 0; !r->stop; ++turn) {
      meta::CommitWrite move;
      move.inode = r->files.at("big");
      const u64 from = turn % 2 == 0 ? 8990 * 8192 : 4096, to = turn % 2 == 0 ? 4096 : 8990 * 8192;
      move.punch.push_back({from, 4096});
      move.extents.push_back({to, 4096, chunks.chunks[0].ref});
      (void)co_await r->router.call(ShardId{0}, std::move(move)).result();
      co_await r->env.executor().sleep(std::chrono::microseconds(700));
    }
  };
  scope.spawn(shuffle(&rig, *stored));
  for (int run = 0; run < 3; ++run) {
    const FsckReport report = rig.check();
    EXPECT_EQ(report.found(), 0u) << all_of(report);
  }
  rig.stop = true;
  rig.world.run_for(1s);
  const FsckReport still = rig.check();
  EXPECT_EQ(still.found(), 0u) << all_of(still);
  EXPECT_EQ(still.undecided, 0u);
  EXPECT_EQ(still.extents, extents);
}

}  // namespace
}  // namespace claudefs::data
