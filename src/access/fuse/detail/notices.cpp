// Notices to the kernel: what it shall forget.
#include "access/fuse/detail/session.h"
#include "runtime/patient_device.h"

namespace claudefs::access::fuse::detail {
namespace {

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

Task<void> Session::forget_name(InodeId parent, std::string name) {
  if (ended_) co_return;
  fuse_notify_inval_entry_out out{};
  out.parent = context_.node_of(parent);
  out.namelen = static_cast<u32>(name.size());
  out.flags = FUSE_EXPIRE_ONLY;  // to be asked for again; older kernels drop it
  name.push_back('\0');
  std::vector<Buffer> body{bytes_of(out), Buffer::adopt(std::move(name))};
  co_await notify_patiently(notice(FUSE_NOTIFY_INVAL_ENTRY, std::move(body)));
}

}  // namespace claudefs::access::fuse::detail
