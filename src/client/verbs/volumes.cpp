#include "client/detail/state.h"

namespace claudefs::client {

Task<Result<std::vector<meta::Volume>>> FileSystem::list_volumes() {
  meta::ListVolumesReply reply = co_await state_->ask(ShardId{0}, meta::ListVolumes());
  co_return std::move(reply.volumes);
}

Task<Result<meta::Volume>> FileSystem::create_volume(std::string name, meta::PolicyChange policy) {
  co_return co_await state_->command(ShardId{0}, meta::CreateVolume(std::move(name), policy)).result();
}

Task<Result<meta::Volume>> FileSystem::set_volume(std::string name, meta::PolicyChange policy) {
  co_return co_await state_->command(ShardId{0}, meta::SetVolume(std::move(name), policy)).result();
}

Task<Result<meta::Volume>> FileSystem::delete_volume(std::string name, bool purge) {
  co_return co_await state_->command(ShardId{0}, meta::DeleteVolume(std::move(name), purge)).result();
}

const meta::Volume& FileSystem::volume() const { return state_->volume; }

}  // namespace claudefs::client
