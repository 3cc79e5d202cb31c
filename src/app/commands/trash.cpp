// `claudefs trash`: what was removed, and how it comes back. docs/trash.md.
#include "client/trash.h"

#include <unistd.h>

#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/mount_table.h"
#include "app/text.h"
#include "meta/hlc.h"

namespace claudefs::app {
using namespace std::chrono_literals;
namespace {

constexpr int kLeftWrong = 3;  // exit code: some could not be restored

struct Options {
  std::string file = kClusterFile;
  std::string path = "/";
  std::string volume;
  std::string to;
  std::string id;
  double older_than = 0;  // hours
  bool recursive = false;
  bool json = false;
};
using Shared = std::shared_ptr<Options>;
using Work = std::function<runtime::Task<Result<void>>(runtime::Env&, client::Trash&)>;

meta::Caller own_identity() {
  meta::Caller out{::geteuid(), ::getegid(), {}};
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(0, ::getgroups(0, nullptr))));
  if (const int count = ::getgroups(static_cast<int>(groups.size()), groups.data()); count > 0)
    out.groups.assign(groups.begin(), groups.begin() + count);
  return out;
}

// A path below a mount of this machine, which says the volume too, or from the root of the volume.
Result<std::string> path_of(const std::string& text, std::string& volume) {
  if (text.starts_with('?')) return text;  // as `trash list` shows what has lost its place
  if (const std::optional<MountedPath> mounted = path_in_mount(absolute_path(text))) {
    if (volume.empty()) volume = mounted->volume;
    if (volume == mounted->volume) return mounted->path;
    return fail(Errc::invalid_argument,
                fmt::format("{} is in the volume '{}', not in '{}'", text, mounted->volume, volume));
  }
  if (text.starts_with('/')) return text;
  return fail(
      Errc::invalid_argument,
      fmt::format("{} is in no ClaudeFS mount; give a path in one, or from the volume's root with /", text));
}

Result<InodeId> id_of(const std::string& text) {
  if (text.empty()) return InodeId{};
  char* end = nullptr;
  const InodeId id{std::strtoull(text.c_str(), &end, 16)};
  if (*end == '\0' && id != InodeId{}) return id;
  return fail(Errc::invalid_argument,
              fmt::format("--id {}: give the id that `claudefs trash list` shows", text));
}

runtime::Task<Result<void>> with_trash(runtime::Env& env, client::FileSystem& files, Work work) {
  client::Trash trash(files, own_identity());
  co_return co_await work(env, trash).result();
}

Result<void> run_on_trash(const Options& options, Work work) {
  client::Options files;
  files.client_name = "claudefs trash";
  if (!options.volume.empty()) files.volume = options.volume;
  return run_on_files(options.file, files, [work](runtime::Env& env, client::FileSystem& at) {
    return with_trash(env, at, work);
  });
}

bool is_at_or_below(const std::string& path, const std::string& top) {
  return top == "/" || path == top || path.starts_with(top + "/");
}
i64 seconds_of(meta::Hlc removed) { return meta::time_of(removed).seconds; }

nlohmann::json to_json(const client::Trashed& entry) {
  return {{"path", entry.path},
          {"path_known", entry.path_known},
          {"id", fmt::format("{:x}", entry.inode)},
          {"directory", entry.is_directory()},
          {"bytes", entry.is_directory() ? 0 : entry.attributes.size},
          {"uid", entry.attributes.uid},
          {"gid", entry.attributes.gid},
          {"mode", entry.attributes.mode},
          {"removed", seconds_of(entry.removed)}};
}

runtime::Task<Result<void>> list(client::Trash& trash, Options options) {
  co_await trash.load();
  nlohmann::json all = nlohmann::json::array();
  std::vector<std::vector<std::string>> rows = {{"removed (UTC)", "size", "owner", "id", "path"}};
  for (const client::Trashed& entry : trash.entries()) {
    if (!is_at_or_below(entry.path, options.path)) continue;
    if (options.json) {
      all.push_back(to_json(entry));
      continue;
    }
    rows.push_back({fmt::format("{:%F %T}", fmt::gmtime(static_cast<std::time_t>(seconds_of(entry.removed)))),
                    entry.is_directory() ? "-" : format_size(entry.attributes.size),
                    std::to_string(entry.attributes.uid), fmt::format("{:x}", entry.inode),
                    entry.path + (entry.is_directory() ? "/" : "")});
  }
  const auto replace = nlohmann::json::error_handler_t::replace;  // names need not be UTF-8
  std::string text = options.json ? all.dump(2, ' ', false, replace) + "\n" : format_table(rows);
  if (!options.json && rows.size() == 1) text = "nothing\n";
  std::fputs(text.c_str(), stdout);
  co_return Result<void>();
}

runtime::Task<Result<void>> restore(client::Trash& trash, Options options, InodeId id, int& exit_code) {
  co_await trash.load();
  const client::Restored done = co_await trash.restore(options.path, id, options.recursive, options.to);
  for (const std::string& failure : done.failures) fmt::print(stderr, "claudefs: {}\n", failure);
  if (!done.failures.empty()) exit_code = kLeftWrong;
  fmt::print("restored {} files and {} directories\n", done.files, done.directories);
  co_return Result<void>();
}

runtime::Task<Result<void>> empty(runtime::Env& env, client::Trash& trash, double older_than) {
  const u64 milliseconds = static_cast<u64>(older_than * 3'600'000);
  // Of now, by whatever clock: the stamps of shards may be ahead of ours.
  const meta::Hlc before =
      milliseconds == 0 ? meta::Hlc{~u64{0}} : meta::hlc_before(meta::hlc_of(env.wall_now()), milliseconds);
  const meta::EmptyTrashReply done = co_await trash.empty(before);
  fmt::print("emptied {} files, {}; their space is free within a minute\n", done.files,
             format_size(done.bytes));
  co_return Result<void>();
}

Result<void> run_list(Options options) {
  TRY_ASSIGN(options.path, path_of(options.path, options.volume));
  return run_on_trash(options,
                      [options](runtime::Env&, client::Trash& trash) { return list(trash, options); });
}

Result<void> run_restore(Options options, Cli& cli) {
  TRY_ASSIGN(options.path, path_of(options.path, options.volume));
  if (!options.to.empty()) {
    TRY_ASSIGN(options.to, path_of(options.to, options.volume));
  }
  TRY_ASSIGN(const InodeId id, id_of(options.id));
  return run_on_trash(options, [options, id, &cli](runtime::Env&, client::Trash& trash) {
    return restore(trash, options, id, cli.exit_code);
  });
}

Result<void> run_empty(const Options& options) {
  return run_on_trash(options, [options](runtime::Env& env, client::Trash& trash) {
    return empty(env, trash, options.older_than);
  });
}

CLI::App* add_verb(Cli& cli, CLI::App* group, const Shared& options, const char* name, const char* help,
                   Run run) {
  CLI::App* verb = group->add_subcommand(name, help);
  verb->final_callback([&cli, run = std::move(run)] { cli.run = run; });
  add_option(verb, "cluster", options->file, "the cluster's file")->capture_default_str();
  verb->add_option("--volume", options->volume,
                   "the volume (default: that of the mount in which the path is, else 'default')");
  return verb;
}

}  // namespace

void add_trash(Cli& cli) {
  const Shared options = std::make_shared<Options>();
  CLI::App* group = cli.root.add_subcommand("trash", "show, restore or empty what was removed");
  group->require_subcommand(1);
  CLI::App* verb = add_verb(cli, group, options, "list", "what was removed and can be restored",
                            [options] { return run_list(*options); });
  verb->add_option("path", options->path, "only what was there or below");
  verb->add_flag("--json", options->json, "for scripts");
  verb = add_verb(cli, group, options, "restore", "bring back what was at a path",
                  [options, &cli] { return run_restore(*options, cli); });
  verb->add_option("path", options->path, "where it was, as `list` shows it or in a mount")->required();
  verb->add_flag("-r,--recursive", options->recursive, "and all that was below it");
  verb->add_option("--to", options->to, "another path for it");
  verb->add_option("--id", options->id, "of several that were there, this one");
  verb = add_verb(cli, group, options, "empty", "remove for good what is in the trash",
                  [options] { return run_empty(*options); });
  verb->add_option("--older-than", options->older_than, "only what was removed so many hours ago")
      ->check(CLI::NonNegativeNumber);
}

}  // namespace claudefs::app
