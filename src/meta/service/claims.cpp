#include "meta/service/claims.h"

#include "meta/audit.h"
#include "meta/commands.h"
#include "meta/detail/keys.h"
#include "meta/detail/namespace.h"
#include "meta/lease_operations.h"
#include "meta/quota.h"
#include "meta/session_volume.h"
#include "meta/trash.h"
#include "meta/volumes.h"

namespace claudefs::meta {
namespace {

class Collector {
 public:
  explicit Collector(const ReadContext& state) : state_(state) {}

  void name(InodeId inode) { claims_.named.push_back(inode); }
  void change(InodeId inode) {
    name(inode);
    add(claims_.changes, inode);
  }
  void read(InodeId inode) {
    name(inode);
    add(claims_.reads, inode);
  }
  void read_behind(InodeId parent, const std::string& name) { add(claims_.reads, behind(parent, name)); }
  InodeId behind(InodeId parent, const std::string& name) const {
    if (!is_local(state_, parent) || name.empty()) return {};
    const std::optional<DentrySlot> slot = find_dentry(state_, parent, name);
    return slot ? slot->dentry.inode : InodeId{};
  }
  void change_name(InodeId parent, const std::string& name) {
    change(parent);
    add(claims_.changes, behind(parent, name));
  }
  void part(const Part& part) {
    if (const auto* dentry = std::get_if<ChangeDentry>(&part)) change(dentry->parent);
    if (const auto* links = std::get_if<AdjustLinks>(&part)) change(links->inode);
    if (const auto* removed = std::get_if<RemoveDirInode>(&part)) change(removed->inode);
    if (const auto* moved = std::get_if<SetParent>(&part)) change(moved->inode);
    if (const auto* restored = std::get_if<TakeFromTrash>(&part)) change(restored->inode);
    if (const auto* cut = std::get_if<CutEntries>(&part)) change(cut->from);
    if (const auto* made = std::get_if<MakeFragment>(&part)) change(made->born.inode.id);
    if (const auto* taken = std::get_if<TakeEntries>(&part)) change(taken->into);
    if (const auto* map = std::get_if<SetFragments>(&part)) change(map->directory);
    if (const auto* set = std::get_if<SetDirectory>(&part)) change(set->to.inode.id);
  }
  void cover() { claims_.covered = true; }
  void unknown() { claims_.known = false; }
  void on_behalf_of(SessionId session) { claims_.session = session; }
  Claims take() { return std::move(claims_); }

 private:
  void add(std::vector<InodeId>& to, InodeId inode) {
    claims_.covered = true;
    if (inode != InodeId{} && is_local(state_, inode)) to.push_back(inode);
  }
  const ReadContext& state_;
  Claims claims_;
};

template <class Op, class F>
void with(const Buffer& body, F f) {
  if (const Result<Op> op = wire::decode<Op>(body)) f(*op);
}

}  // namespace

Claims claims_of(const ReadContext& state, u16 kind, const Buffer& body) {
  Collector out(state);
  const auto of_inode = [&](const auto& op) { out.change(op.inode); };
  switch (kind) {
    case Lookup::kKind:
      with<Lookup>(body, [&](const Lookup& op) {
        out.name(op.parent);
        out.read_behind(op.parent, op.name);
      });
      break;
    case GetAttributes::kKind:
      with<GetAttributes>(body, [&](const auto& op) { out.read(op.inode); });
      break;
    case GetExtents::kKind:
      with<GetExtents>(body, [&](const auto& op) { out.read(op.inode); });
      break;
    case GetXattr::kKind:  // an access list says what the mode is
      with<GetXattr>(body, [&](const auto& op) { out.read(op.inode); });
      break;
    case ListXattrs::kKind:
      with<ListXattrs>(body, [&](const auto& op) { out.read(op.inode); });
      break;
    case ReadDirectory::kKind:
      with<ReadDirectory>(body, [&](const auto& op) { out.read(op.directory); });
      break;
    case ReadFragments::kKind:
      with<ReadFragments>(body, [&](const auto& op) { out.read(op.directory); });
      break;
    case GatherFragments::kKind:
      with<GatherFragments>(body, [&](const auto& op) { out.change(op.directory); });
      break;
    case Create::kKind:
      with<Create>(body, [&](const auto& op) { out.change(op.parent); });
      break;
    case MakeDirectory::kKind:
      with<MakeDirectory>(body, [&](const auto& op) { out.change(op.parent); });
      break;
    case Unlink::kKind:
      with<Unlink>(body, [&](const auto& op) { out.change_name(op.parent, op.name); });
      break;
    case RemoveDirectory::kKind:
      with<RemoveDirectory>(body, [&](const auto& op) { out.change_name(op.parent, op.name); });
      break;
    case Rename::kKind:
      with<Rename>(body, [&](const auto& op) {
        out.change_name(op.old_parent, op.old_name);
        out.change_name(op.new_parent, op.new_name);
      });
      break;
    case Link::kKind:
      with<Link>(body, [&](const auto& op) {
        out.change(op.new_parent);
        out.change(op.inode);
      });
      break;
    case RestoreFile::kKind:
      with<RestoreFile>(body, [&](const auto& op) {
        out.change(op.new_parent);
        out.change(op.inode);
      });
      break;
    case SetAttributes::kKind:
      with<SetAttributes>(body, of_inode);
      break;
    case SetXattr::kKind:
      with<SetXattr>(body, of_inode);
      break;
    case RemoveXattr::kKind:
      with<RemoveXattr>(body, of_inode);
      break;
    case CommitWrite::kKind:
      // The same bytes at another place: caches of the content stay right.
      with<CommitWrite>(body, [&](const auto& op) {
        if (!op.keep_data_version || !op.then.empty()) out.change(op.inode);
      });
      break;
    case Prepare::kKind:
      with<Prepare>(body, [&](const auto& op) {
        out.on_behalf_of(op.session);
        for (const Part& part : op.parts) out.part(part);
      });
      break;
    case MakeQuotaDirectory::kKind:
      with<MakeQuotaDirectory>(body, [&](const auto& op) { out.change(op.directory); });
      break;
    case RepairInode::kKind:
      with<RepairInode>(body, of_inode);
      break;
    case RepairDentry::kKind:
      with<RepairDentry>(body, [&](const auto& op) { out.change(op.directory); });
      break;
    case CreateUnnamed::kKind:
      out.cover();  // nobody can have anything of it yet; its maker gets a lease
      with<CreateUnnamed>(body, [&](const auto& op) { out.name(op.parent); });
      break;
    case NoteAccessed::kKind:  // each client shows its own reads; those of others, when it asks the next time
    case CommitTransaction::kKind:  // what Prepare claimed, and its locks have kept from being shown since
    case AbortTransaction::kKind:
    case Resolve::kKind:
    case RewriteContents::kKind:  // the same bytes at another place
    case PurgeInodes::kKind:      // no name, no handle
    case PurgeExtents::kKind:
    case EmptyTrash::kKind:
    case ExpireTrash::kKind:
    case CreateVolume::kKind:  // nobody has the root; who mounts a deleted one is told by KeepAlive
    case DeleteVolume::kKind:
    case SetVolume::kKind:
    case TellVolume::kKind:
    case PurgeVolume::kKind:
    case VolumeGone::kKind:
    case OutboxStatus::kKind:  // not about inodes
    case OutboxAck::kKind:
    case AdmitSession::kKind:
    case OpenSession::kKind:
    case HoldOpen::kKind:
    case AttachSession::kKind:
    case FenceSession::kKind:
    case SetLock::kKind:
    case Format::kKind:
    case Expire::kKind:
    case RecountQuota::kKind:
    case RecordQuota::kKind:
    case GrantQuota::kKind:
    case QuotaMoved::kKind:
    case MarkSoft::kKind:
    case LimitSubject::kKind:
    case QuotaGranted::kKind:
    case ReturnQuota::kKind:
    case ReserveQuota::kKind:
    case Decide::kKind:  // a step of the operation that has claimed
      break;
    default:
      out.unknown();
  }
  return out.take();
}

Result<void> check_volume(const ReadContext& state, SessionId session, const std::vector<InodeId>& named) {
  const VolumeId volume = volume_of(session);
  if (volume == VolumeId{}) return {};
  for (const InodeId id : named) {
    if (!is_local(state, id)) continue;
    const std::optional<Inode> inode = state.load<Inode>(inode_key(id));
    if (inode && inode->volume != volume)
      return fail(Errc::stale, fmt::format("inode {:#x} is in another volume", id));
  }
  return {};
}

std::vector<InodeId> shown_by(u16 kind, const Buffer& body, const Buffer& reply, bool found) {
  std::vector<InodeId> out;
  switch (kind) {
    case Lookup::kKind:
      with<Lookup>(body, [&](const auto& op) { out.push_back(op.parent); });
      if (found)
        with<InodeReply>(reply, [&](const auto& got) {
          if (got.inode.type != FileType::none) out.push_back(got.inode.id);
        });
      break;
    case GetAttributes::kKind:
    case SetAttributes::kKind:
    case Create::kKind:
    case CreateUnnamed::kKind:
      if (found) with<InodeReply>(reply, [&](const auto& got) { out.push_back(got.inode.id); });
      break;
    case ReadFragments::kKind:
      if (found) with<ReadFragments>(body, [&](const auto& op) { out.push_back(op.directory); });
      break;
    case Rename::kKind:
      if (found)
        with<Rename>(body, [&](const auto& op) {
          out.push_back(op.old_parent);
          if (op.new_parent != op.old_parent) out.push_back(op.new_parent);
        });
      break;
    case GetExtents::kKind:
      if (found) with<GetExtentsReply>(reply, [&](const auto& got) { out.push_back(got.inode.id); });
      break;
    case ReadDirectory::kKind:
      if (!found) break;
      with<ReadDirectory>(body, [&](const auto& op) { out.push_back(op.directory); });
      with<ReadDirectoryReply>(reply, [&](const auto& got) {
        for (const auto& entry : got.entries)
          if (entry.inode) out.push_back(entry.inode->id);
      });
      break;
    default:
      break;
  }
  return out;
}

std::vector<InodeId> changed_by(u16 kind, const Buffer& reply) {
  std::vector<InodeId> out;
  if (kind == Unlink::kKind || kind == RemoveDirectory::kKind)
    with<UnlinkReply>(reply, [&](const auto& done) { out.push_back(done.inode); });
  if (kind == Rename::kKind)
    with<RenameReply>(reply, [&](const auto& done) {
      out.push_back(done.moved);
      if (done.replaced != InodeId{}) out.push_back(done.replaced);
    });
  return out;
}

}  // namespace claudefs::meta
