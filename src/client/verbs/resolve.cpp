// A whole path. The id of a directory is a hash of the place where it was made (meta/names.h), so the ids of
// all that are not known are guessed, and every component is looked up at once: one round trip at any depth
// where nothing was renamed. Each answer counts only if those before it led to the directory that was asked;
// a wrong guess costs another round.
#include "base/mutant.h"
#include "base/probe.h"
#include "client/detail/state.h"
#include "meta/names.h"
#include "runtime/scope.h"

namespace claudefs::client {

CFS_DEFINE_MUTANT(client_believes_guessed_path,
                  "client: what was found below a guessed directory counts though the path leads elsewhere");

namespace {

Result<std::vector<std::string>> components_of(std::string_view path) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view name = path.substr(at, end - at);
    at = end + 1;
    if (name.empty()) continue;
    if (name == "." || name == "..")
      return fail(Errc::invalid_argument,
                  fmt::format("'{}' is no name of an entry; write the path without it", name));
    if (name.size() > meta::kNameMax) return fail(Errc::name_too_long, "a name has at most 255 bytes");
    out.emplace_back(name);
  }
  return out;
}

// The components from some one on, looked up below a known directory and what is guessed to follow.
struct Guesses {
  struct Found {
    InodeId place{};  // the directory, or the fragment of it that has the name
    u64 started = 0;
    Result<meta::InodeReply> reply;
  };
  u64 started = 0;
  std::vector<InodeId>
      places;  // where each is looked up; behind them where the last leads, if to a directory
  std::vector<Found> found;
  Result<meta::InodeReply> last;  // the last place itself
};

Task<void> look_up(State* state, Guesses* out, std::size_t index, std::string name, Caller caller) {
  meta::Lookup lookup;
  lookup.parent = out->places[index];
  lookup.name = name;
  lookup.caller = std::move(caller);
  auto found = co_await state->ask_name(std::move(lookup), &meta::Lookup::parent, std::move(name)).result();
  if (found)
    out->found[index] = {found->place, found->started, std::move(found->reply)};
  else
    out->found[index].reply = fail(std::move(found.error()));
}

Task<void> look_at_last(State* state, Guesses* out) {
  const InodeId inode = out->places.back();
  out->last = co_await state->ask(inode.shard(), meta::GetAttributes(inode)).result();
}

Task<void> guess(State* state, Guesses* out, std::vector<std::string> names, Caller caller) {
  out->started = state->clock();
  for (const std::string& name : names)
    out->places.push_back(meta::directory_id(out->places.back(), name, 0, state->router.shard_count()));
  out->found.resize(names.size());
  std::vector<Task<void>> questions;
  for (std::size_t i = 0; i < names.size(); ++i)
    questions.push_back(look_up(state, out, i, names[i], caller));
  questions.push_back(look_at_last(state, out));
  co_await runtime::join_all(state->env.executor(), std::move(questions));
}

}  // namespace

Task<Result<Inode>> FileSystem::resolve(std::string path, Caller caller) {
  State& state = *state_;
  std::vector<std::string> names = co_await components_of(path);
  InodeId at = state.volume.root;
  while (!names.empty()) {
    Guesses guesses;
    guesses.places = {at};
    co_await guess(&state, &guesses, names, state.known_as(caller));
    std::size_t known = 0;
    for (bool goes_on = true; goes_on; ++known) {
      const Guesses::Found& answer = guesses.found[known];
      const Result<meta::InodeReply>& found = answer.reply;
      // A directory that was removed meanwhile has no entries any more.
      if (!found && found.error().code == Errc::stale) co_return fail(Errc::not_found);
      if (!found) co_return fail(found.error());
      const Inode& next = found->inode;
      if (state.leases) state.leases->learn_name(answer.started, answer.place, names[known], next.id);
      const bool is_as_guessed = next.id == guesses.places[known + 1];
      if (known + 1 == names.size()) {
        const bool has_come = is_as_guessed && guesses.last;
        const Inode& last = has_come ? guesses.last->inode : next;
        if (last.type == FileType::none || is_split(last) || state.asked_since(last.id, guesses.started))
          co_return co_await get_attributes(last.id).result();
        co_return state.learn(guesses.started, last);
      }
      at = next.id;
      goes_on = is_as_guessed || CFS_MUTANT(client_believes_guessed_path);
    }
    CFS_PROBE(client_path_guessed_wrong, "a path leads elsewhere than its names say");
    names.erase(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(known));
  }
  co_return co_await get_attributes(at).result();
}

}  // namespace claudefs::client
