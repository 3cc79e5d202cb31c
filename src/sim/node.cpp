#include "sim/node.h"

#include "sim/detail/sim_disk.h"
#include "sim/detail/sim_executor.h"
#include "sim/detail/sim_network.h"

namespace claudefs::sim {

Node::Node(World& world, std::string name, u64 index)
    : world_(world),
      name_(std::move(name)),
      index_(index),
      random_(world.seed(), "node", index),
      executor_(std::make_unique<SimExecutor>(*this, world.seed())),
      offload_(std::make_unique<SimOffload>(*this, world.seed())),
      disk_(std::make_unique<SimDisk>(*this, world.seed())),
      network_(std::make_unique<SimNetwork>(*this)) {}
Node::~Node() = default;

runtime::Executor& Node::executor() { return *executor_; }
runtime::Random& Node::random() { return random_; }
runtime::Offload& Node::offload() { return *offload_; }
runtime::Network& Node::network() { return *network_; }
runtime::Disk& Node::disk() { return *disk_; }

void Node::crash() {
  CFS_CHECK(up_);
  up_ = false;
  world_.count_fault("crash");
  executor_->crash();
  world_.drop_events_of(*this);
  network_->crash();
  disk_->crash();
}

void Node::restart() {
  CFS_CHECK(!up_);
  up_ = true;
  paused_until_ = world_.now();
}

void Node::jump_clock(runtime::Duration by) {
  world_.count_fault("clock jump");
  executor_->jump_clock(by);
}

bool Node::flip_bit(const std::string& path, u64 byte_offset, unsigned bit) {
  const std::shared_ptr<SimInode> inode = disk_->find(path);
  if (inode == nullptr || byte_offset >= inode->content().size()) return false;
  inode->flip(byte_offset, bit);
  return true;
}
std::vector<std::string> Node::file_names() const { return disk_->files(); }
std::optional<Buffer> Node::file_content(const std::string& path) const {
  const std::shared_ptr<SimInode> inode = disk_->find(path);
  if (inode == nullptr) return std::nullopt;
  Buffer out = Buffer::allocate(inode->content().size());
  inode->content().read(0, out.mutable_span());
  return out;
}
std::shared_ptr<const void> Node::file_identity(const std::string& path) const { return disk_->find(path); }
void Node::damage_file(const std::string& path, u64 offset, ByteSpan with) {
  const std::optional<Buffer> present = file_content(path);
  CFS_CHECK(present && offset + with.size() <= present->size());
  for (u64 i = 0; i < with.size(); ++i)
    for (unsigned bit = 0; bit < 8; ++bit)
      if (((present->span()[offset + i] ^ with[i]) >> bit & std::byte{1}) != std::byte{0})
        flip_bit(path, offset + i, bit);
}
void Node::flip_random_bits(RandomStream& random, unsigned count) {
  const std::vector<std::string> files = disk_->files();
  for (unsigned i = 0; i < count && !files.empty(); ++i) {
    const std::string& path = files[random.between(0, files.size() - 1)];
    const u64 size = disk_->find(path)->content().size();
    if (size == 0) continue;
    flip_bit(path, random.between(0, size - 1), static_cast<unsigned>(random.between(0, 7)));
    world_.count_fault("bit flip");
  }
}
void Node::fail_flushes(unsigned count) { disk_->fail_flushes(count); }
u64 Node::disk_used() const { return disk_->used(); }
DiskImage Node::disk_image() const { return disk_->image(); }
void Node::load_disk(const DiskImage& image) { disk_->load(image); }
void Node::watch_disk(std::function<void()> watcher) { disk_->watch(std::move(watcher)); }
void Node::lie_about_flushes() {
  world_.count_fault("lying disk");
  disk_->lie_about_flushes();
}
void Node::wipe_disk(const std::string& directory) {
  CFS_CHECK(!up_);
  world_.count_fault("disk wiped");
  disk_->wipe(directory);
}

}  // namespace claudefs::sim
