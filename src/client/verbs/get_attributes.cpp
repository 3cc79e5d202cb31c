#include "client/detail/state.h"

namespace claudefs::client {

constexpr int kRounds =
    16;  // of questions that overlap; a program that asks for ever must not hold up others

Task<Result<Inode>> FileSystem::get_attributes(InodeId inode) {
  State& state = *state_;
  const Leases::Question question(state.own(), inode);
  for (int round = 1;; ++round) {
    if (state.leases) {
      co_await state.leases->settled(inode);
      if (const Inode* known = state.leases->attributes(inode)) {
        state.leases->count_answered_here();
        co_return state.present(*known);
      }
    }
    meta::GetAttributes get;
    get.inode = inode;
    const u64 started = state.clock();
    const Result<meta::InodeReply> reply = co_await state.ask(inode.shard(), std::move(get)).result();
    if (reply && state.asked_since(inode, started) && round < kRounds) continue;
    if (reply) co_return state.learn(started, reply->inode);
    const auto removed = state.removed_directories.find(inode);
    if (reply.error().code != Errc::stale || removed == state.removed_directories.end())
      co_return fail(reply.error());
    co_return removed->second;
  }
}

bool FileSystem::may_have_set_id(InodeId inode) const {
  const FilePtr file = state_->find_file(inode);
  return file == nullptr || (file->attributes.mode & 06000) != 0;
}

}  // namespace claudefs::client
