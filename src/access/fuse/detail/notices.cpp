// Notices to the kernel: what it shall forget.
#include <algorithm>

#include "access/fuse/detail/session.h"
#include "base/mutant.h"
#include "runtime/patient_device.h"

CFS_DEFINE_MUTANT(fuse_directory_in_two_places,
                  "fuse: the kernel is not told that another mount has moved a directory");

namespace claudefs::access::fuse::detail {
namespace {

constexpr runtime::Duration kUnhookWithin = std::chrono::milliseconds(20);
constexpr runtime::Duration kUnhookOnTheWay = std::chrono::milliseconds(100);

template <class T>
Buffer bytes_of(const T& value) {
  return Buffer::copy_of(ByteSpan(reinterpret_cast<const std::byte*>(&value), sizeof(value)));
}

std::vector<Buffer> notice(int code, std::vector<Buffer> body) {
  fuse_out_header header{};
  header.error = code;
  header.len = sizeof(header);
  for (const Buffer& piece : body) header.len += static_cast<u32>(piece.size());
  std::vector<Buffer> packet{bytes_of(header)};
  for (Buffer& piece : body) packet.push_back(std::move(piece));
  return packet;
}

std::vector<Buffer> inode_notice(u64 node, i64 offset) {
  fuse_notify_inval_inode_out out{};
  out.ino = node;
  out.off = offset;
  std::vector<Buffer> body{bytes_of(out)};
  return notice(FUSE_NOTIFY_INVAL_INODE, std::move(body));
}

}  // namespace

Task<void> Session::notify(std::vector<Buffer> packet) {
  // Not found: the kernel does not know the inode or the name.
  (void)co_await device_->write(std::move(packet)).result();
}

// The kernel may wait for a lock that a request holds.
Task<void> Session::notify_patiently(std::vector<Buffer> packet) {
  if (auto* patient = dynamic_cast<runtime::PatientDevice*>(device_.get()))
    (void)co_await patient->write_patiently(std::move(packet)).result();
  else
    (void)co_await device_->write(std::move(packet)).result();
}

// Takes no lock that a request holds: at once, beside the answers.
void Session::forget_attributes(InodeId inode) {
  if (!ended_) scope_.spawn(notify(inode_notice(context_.node_of(inode), -1)));
}

Task<void> Session::forget_content(InodeId inode) {
  if (ended_) co_return;
  co_await notify_patiently(inode_notice(context_.node_of(inode), 0));
}

Task<void> Session::drop_name(Place place, u32 flags) {
  if (ended_) co_return;
  fuse_notify_inval_entry_out out{};
  out.parent = context_.node_of(place.parent);
  out.namelen = static_cast<u32>(place.name.size());
  out.flags = flags;
  place.name.push_back('\0');
  std::vector<Buffer> body{bytes_of(out), Buffer::adopt(std::move(place.name))};
  co_await notify_patiently(notice(FUSE_NOTIFY_INVAL_ENTRY, std::move(body)));
}

// To be asked for again; older kernels drop it.
Task<void> Session::forget_name(InodeId parent, std::string name) {
  return drop_name({parent, std::move(name)}, FUSE_EXPIRE_ONLY);
}

// The kernel moves a directory that it finds under a second name, but a rename holds the lock that this
// takes: it would be ESTALE (d_splice_alias), and a question does not say what it is asked for. To drop the
// old name takes the lock of its parent. If that very rename holds it, ESTALE makes Linux let go and come
// once more, asking for all on its way: those who come wait for the notice to get through.
Task<bool> Session::unhook(InodeId directory, Place now) {
  const std::optional<Place> old = context_.places.of(directory);
  const bool is_elsewhere = old && old->parent != now.parent && !CFS_MUTANT(fuse_directory_in_two_places);
  if (is_elsewhere && !unhooking_.contains(directory)) {
    unhooking_[directory] = {old->parent, now.parent, std::make_shared<runtime::Event>(env_.executor())};
    scope_.spawn(drop_old_place(directory, *old));
  }
  const auto hinders = [&](const auto& one) {
    return one.first == directory || one.second.from == directory || one.second.to == directory;
  };
  const auto under_way = std::ranges::find_if(unhooking_, hinders);
  if (under_way == unhooking_.end()) co_return false;
  const std::shared_ptr<runtime::Event> done = under_way->second.done;
  const bool may_be_locked = under_way->first == directory;
  (void)co_await done->wait_until(env_.now() + (may_be_locked ? kUnhookWithin : kUnhookOnTheWay));
  co_return true;
}

Task<void> Session::drop_old_place(InodeId directory, Place old) {
  co_await drop_name(std::move(old), 0);
  const auto under_way = unhooking_.extract(directory);
  under_way.mapped().done->set();
}

}  // namespace claudefs::access::fuse::detail
