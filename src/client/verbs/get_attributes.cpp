#include "base/mutant.h"
#include "base/probe.h"
#include "client/detail/state.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_believes_old_set_id,
                  "client: a write leaves set-id bits that another client has set meanwhile");

constexpr int kRounds =
    16;  // of questions that overlap; a program that asks for ever must not hold up others

namespace {

Task<void> ask_fragment(State* state, InodeId fragment, Result<meta::InodeReply>* out) {
  if (state->leases)
    if (const Inode* known = state->leases->attributes(fragment)) {
      *out = meta::InodeReply{*known};
      co_return;
    }
  const u64 started = state->clock();
  *out = co_await state->ask(fragment.shard(), meta::GetAttributes(fragment)).result();
  if (*out && state->leases) state->leases->learn_attributes(started, (*out)->inode);
}

// Of a split directory: all its fragments, at once. Nothing: some have changed meanwhile, or are gone; ask
// again. When others change it without a pause, or there are no leases: what each said.
Task<Result<std::optional<Inode>>> ask_fragments(State& state, InodeId directory, int round) {
  if (round > 2) co_await state.env.executor().sleep(round * std::chrono::milliseconds(2));
  meta::ReadFragments::Reply all;
  {
    const u64 started = state.clock();
    all = co_await state.ask(directory.shard(), meta::ReadFragments(directory));
    if (state.leases) state.leases->learn_attributes(started, all.inode);
    if (state.leases) state.leases->learn_fragments(started, directory, all.fragments);
    state.fragments.learn(directory, all.fragments);
  }
  std::vector<Result<meta::InodeReply>> replies(all.fragments.size());
  std::vector<Task<void>> questions;
  for (std::size_t i = 0; i < replies.size(); ++i)
    questions.push_back(ask_fragment(&state, all.fragments[i].inode, &replies[i]));
  co_await runtime::join_all(state.env.executor(), std::move(questions));
  if (state.leases && round < kRounds) {
    if (all.fragments.empty()) co_return std::optional<Inode>();
    std::optional<Inode> merged = state.leases->merged(directory);
    if (!merged)
      CFS_PROBE(client_split_directory_asked_again, "a split directory changes while it is asked for");
    co_return merged;
  }
  for (const Result<meta::InodeReply>& reply : replies) {
    if (!reply && reply.error().code == Errc::stale && round < 2 * kRounds) co_return std::optional<Inode>();
    if (!reply) co_return fail(reply.error());
    merge_fragment(all.inode, reply->inode);
  }
  co_return std::optional<Inode>(std::move(all.inode));
}

}  // namespace

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
      if (const std::optional<Inode> known = state.leases->merged(inode)) {
        state.leases->count_answered_here();
        co_return state.present(*known);
      }
    }
    meta::GetAttributes get;
    get.inode = inode;
    const u64 started = state.clock();
    const Result<meta::InodeReply> reply = co_await state.ask(inode.shard(), std::move(get)).result();
    if (reply && state.asked_since(inode, started) && round < kRounds) continue;
    if (reply && is_split(reply->inode)) {
      if (state.leases) state.leases->learn_attributes(started, reply->inode);
      const std::optional<Inode> merged = co_await ask_fragments(state, inode, round);
      if (merged) co_return state.present(*merged);
      continue;
    }
    if (reply) co_return state.learn(started, reply->inode);
    const auto removed = state.removed_directories.find(inode);
    if (reply.error().code != Errc::stale || removed == state.removed_directories.end())
      co_return fail(reply.error());
    co_return removed->second;
  }
}

Task<Result<bool>> FileSystem::may_have_set_id(InodeId inode) {
  State& state = *state_;
  const FilePtr file = state.find_file(inode);
  if (file == nullptr) co_return true;
  if (!state.leases || CFS_MUTANT(client_believes_old_set_id)) co_return (file->attributes.mode & 06000) != 0;
  if (state.leases->knows_no_set_id(inode)) co_return false;
  // Who asks is about to write: then it is known.
  const Leases::Use use = co_await state.use_for_writing(file);
  co_return !state.leases->knows_no_set_id(inode);
}

}  // namespace claudefs::client
