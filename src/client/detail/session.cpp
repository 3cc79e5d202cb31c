#include "base/log.h"
#include "client/detail/state.h"

namespace claudefs::client {

State::State(FileSystem::Parts parts, Options given)
    : env(parts.env),
      router(parts.router),
      make_chunk_io(std::move(parts.make_chunk_io)),
      options(std::move(given)),
      outage(parts.env, options.outage_after),
      session_lock(parts.env.executor()),
      room(parts.env.executor()),
      stopping(parts.env.executor()),
      scope(parts.env.executor()) {}

Task<Result<void>> State::open_session() {
  meta::OpenSession open;
  open.client_name = options.client_name;
  open.squash_root = options.squash_root;
  const meta::OpenSessionReply reply = co_await ask(ShardId{0}, std::move(open));
  session = reply.session;
  chunk_io = make_chunk_io(reply.session, reply.domain_key);
  co_return Result<void>();
}

Task<Result<void>> State::renew_session(SessionId expired) {
  auto lock = co_await session_lock.lock();
  if (session != expired) co_return Result<void>();  // somebody else has renewed it
  log::warn("client", "the session has expired; opening a new one", {log::kv("session", expired)});
  co_await open_session();
  co_return Result<void>();
}

Task<void> State::watch_outage() {
  while (!co_await stopping.wait_until(env.now() + runtime::Duration(1'000'000'000))) outage.check();
}

}  // namespace claudefs::client
