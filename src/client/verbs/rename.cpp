#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<void>> FileSystem::rename(RenameRequest request) {
  if (request.new_name.size() > meta::kNameMax)
    co_return fail(Errc::name_too_long, "a name has at most 255 bytes");
  meta::Rename rename;
  if (request.mode == meta::RenameMode::replace)
    rename.replaced_held_open_by = co_await state_->holder_of(request.new_parent, request.new_name);
  rename.old_name = request.old_name;
  rename.new_name = request.new_name;
  rename.mode = request.mode;
  rename.caller = state_->known_as(std::move(request.caller));
  rename.whiteout = request.whiteout;
  meta::RenameReply reply;
  State::Asked old_place, new_place;
  const auto unknown = [&] {
    if (!state_->leases) return;
    state_->leases->now_unknown(old_place.place, request.old_name);
    state_->leases->now_unknown(new_place.place, request.new_name);
  };
  runtime::Instant old_trusted{}, new_trusted{};
  if (state_->leases) {
    old_trusted = state_->leases->name_given_until(request.old_parent, request.old_name);
    new_trusted = state_->leases->name_given_until(request.new_parent, request.new_name);
  }
  for (int attempt = 1;; ++attempt) {
    old_place = state_->aim(request.old_parent, request.old_name);
    new_place = state_->aim(request.new_parent, request.new_name);
    rename.old_parent = old_place.place;
    rename.new_parent = new_place.place;
    Result<meta::RenameReply> done;
    {
      const Leases::OwnChange from(state_->own(), old_place.place, Leases::Of::names);
      const Leases::OwnChange to(state_->own(), new_place.place, Leases::Of::names);
      unknown();
      done = co_await state_->command(old_place.place.shard(), rename).result();
    }
    if (done) {
      reply = std::move(*done);
      break;
    }
    const bool again = co_await state_->look_again(done.error(), attempt, old_place, new_place);
    if (!again) co_return fail(std::move(done.error()));
  }
  unknown();
  if (state_->leases) {
    state_->leases->touched(reply.moved);
    if (reply.replaced.value != 0) state_->leases->touched(reply.replaced);
    co_await state_->leases->kernel_moved(request.new_parent, request.new_name, old_trusted);
    if (request.mode == meta::RenameMode::exchange)
      co_await state_->leases->kernel_moved(request.old_parent, request.old_name, new_trusted);
  }
  state_->forget_name(request.old_parent, request.old_name);
  if (request.mode == meta::RenameMode::exchange) {
    state_->forget_name(request.new_parent, request.new_name);
    co_return Result<void>();
  }
  state_->remember_name(request.new_parent, request.new_name, reply.moved);
  if (reply.replaced.value != 0) state_->note_nlink(reply.replaced, reply.replaced_nlink);
  co_return Result<void>();
}

}  // namespace claudefs::client
