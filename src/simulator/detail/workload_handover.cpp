// A fresh file that two clients have open all the time: by turns each reads what the other has just written
// and writes something itself, at once. In the midst of it something happens to the server that leads it, or
// to the one that wrote last.
#include <fmt/format.h>

#include "simulator/workload.h"

namespace claudefs::simulator {

using namespace std::chrono_literals;
using meta::FileType;

namespace {

constexpr u64 kWord = 8;
constexpr u64 kRegion = 12_KiB;  // three pages

runtime::Duration draw_pause(sim::RandomStream& random) {
  if (random.coin()) return 0ns;
  return random.between_times(0ns, 20us * (i64{1} << random.between(0, 10)));
}

}  // namespace

struct Workload::Handover {
  Random random;
  std::function<void(InodeId, Client&)> strike;
  u64 turns, strike_at;  // counted down
  struct Side {
    Client* client;
    u64 life;
    std::optional<OpenFile> file;
    u64 looks = 0;  // under way: a kernel closes no file that is being read
  } sides[2];
  InodeId directory{}, inode{};
  std::string name;
  bool over = false;
};

void Workload::hand_over(Client& one, Client& other, Random random,
                         std::function<void(InodeId, Client&)> strike) {
  auto shared = std::make_shared<Handover>(Handover{
      random, std::move(strike), 0, 0, {{&one, one.life, {}}, {&other, other.life, {}}}, {}, {}, {}, false});
  shared->strike_at = shared->random.between(10, 40);
  shared->turns = shared->strike_at + shared->random.between(2, 12);
  shared->directory = some_directory(shared->random);
  shared->name = fmt::format("shared{}", last_number_);
  give_turn(std::move(shared), 0, false, 0ns);
}

// From outside all machines: a turn is an operation of its client.
void Workload::give_turn(std::shared_ptr<Handover> shared, unsigned side, bool only_looks,
                         runtime::Duration delay) {
  cluster_.world().after(delay, [this, shared = std::move(shared), side, only_looks] {
    const Handover::Side& whose = shared->sides[side];
    if (!whose.client->ready || whose.client->life != whose.life) return;
    begin_turn(*whose.client);
    whose.client->scope->spawn(only_looks ? look(shared, side) : turn(shared, side));
  });
}

void Workload::begin_turn(const Client& client) {
  ++busy_lanes_;
  ++lanes_running_[client.number];
}
void Workload::end_turn(const Client& client) {
  --busy_lanes_;
  --lanes_running_[client.number];
}

runtime::Task<Result<void>> Workload::open_shared(std::shared_ptr<Handover> shared, unsigned side) {
  Handover::Side& own = shared->sides[side];
  if (own.file) co_return Result<void>();
  if (shared->inode == InodeId{}) {
    Operation create = make(own.client, Verb::create);
    create.inode = shared->directory;
    create.name = shared->name;
    create.type = FileType::regular;
    create.mode = 0644;
    const Outcome made = co_await perform(own.client, create);
    if (made.code != Errc::ok) co_return fail(made.code);
    shared->inode = made.inode;
  }
  own.file = co_await open(own.client, shared->inode, true);
  co_return Result<void>();
}

runtime::Task<void> Workload::look(std::shared_ptr<Handover> shared, unsigned side) {
  Handover::Side& own = shared->sides[side];
  if (own.file) {
    ++own.looks;
    (void)co_await read(own.client, *own.file, 0, kRegion).result();
    if (--own.looks == 0 && shared->over && own.file)
      co_await release(own.client, *std::exchange(own.file, std::nullopt));
  }
  end_turn(*own.client);
}

runtime::Task<void> Workload::turn(std::shared_ptr<Handover> shared, unsigned side) {
  Handover::Side& own = shared->sides[side];
  bool goes_on = !shared->over;
  if (goes_on) goes_on = (co_await open_shared(shared, side).result()).has_value();
  if (goes_on) {
    co_await read_and_write(shared, side);
    if (--shared->turns == shared->strike_at)
      cluster_.world().after(0ns, [shared, client = own.client] { shared->strike(shared->inode, *client); });
    shared->over = shared->turns == 0 || paused_;
  } else {
    shared->over = true;
  }
  if (shared->over && own.file && own.looks == 0)
    co_await release(own.client, *std::exchange(own.file, std::nullopt));
  if (!shared->over || shared->sides[1 - side].file)
    give_turn(shared, 1 - side, false, draw_pause(shared->random));
  end_turn(*own.client);
}

runtime::Task<void> Workload::read_and_write(std::shared_ptr<Handover> shared, unsigned side) {
  const Handover::Side own = shared->sides[side];
  Random& random = shared->random;
  (void)co_await read(own.client, *own.file, 0, kRegion).result();
  // The other one looks while this is being written, too.
  if (random.chance(300'000)) give_turn(shared, 1 - side, true, draw_pause(random));
  const u64 offset = random.between(0, kRegion / 2 / kWord) * kWord;
  const u64 length = random.between(1, kRegion / 2 / kWord) * kWord;
  if (random.chance(800'000)) co_await write(own.client, *own.file, ++last_write_, offset, length);
}

}  // namespace claudefs::simulator
