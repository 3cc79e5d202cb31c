// `claudefs volume`: trees with a root of their own in one cluster. docs/volumes.md.
#include <cstdio>
#include <nlohmann/json.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/text.h"

namespace claudefs::app {
namespace {

struct Options {
  std::string file = kClusterFile;
  std::string name;
  bool purge = false;
  bool json = false;
};
using Shared = std::shared_ptr<Options>;
using Work = runtime::Task<Result<void>> (*)(client::FileSystem& files, Options options);

Result<void> run(const Options& options, Work work) {
  client::Options files;
  files.client_name = "claudefs volume";
  files.volume.clear();
  return run_on_files(options.file, files,
                      [options, work](runtime::Env&, client::FileSystem& at) { return work(at, options); });
}

std::string state_of(const meta::Volume& volume) {
  if (volume.state == meta::VolumeState::active) return "active";
  return fmt::format("deleting, {} shards to go", volume.holding.size());
}

nlohmann::json to_json(const meta::Volume& volume) {
  return {{"name", volume.name},
          {"id", volume.id.value},
          {"root", fmt::format("{:x}", volume.root)},
          {"created", volume.created.seconds},
          {"state", volume.state == meta::VolumeState::active ? "active" : "deleting"},
          {"shards_to_go", volume.holding.size()}};
}

runtime::Task<Result<void>> list(client::FileSystem& files, Options options) {
  nlohmann::json all = nlohmann::json::array();
  std::vector<std::vector<std::string>> rows = {{"name", "id", "root", "created (UTC)", "state"}};
  for (const meta::Volume& volume : co_await files.list_volumes()) {
    all.push_back(to_json(volume));
    rows.push_back({volume.name, std::to_string(volume.id.value), fmt::format("{:x}", volume.root),
                    fmt::format("{:%F %T}", fmt::gmtime(static_cast<std::time_t>(volume.created.seconds))),
                    state_of(volume)});
  }
  std::fputs((options.json ? all.dump(2) + "\n" : format_table(rows)).c_str(), stdout);
  co_return Result<void>();
}

runtime::Task<Result<void>> create(client::FileSystem& files, Options options) {
  const meta::Volume volume = co_await files.create_volume(options.name);
  fmt::print("volume '{}' is there; `claudefs mount HOST:PORT/{} DIRECTORY` mounts it\n", volume.name,
             volume.name);
  co_return Result<void>();
}

runtime::Task<Result<void>> remove(client::FileSystem& files, Options options) {
  const meta::Volume volume = co_await files.delete_volume(options.name, options.purge);
  fmt::print(
      "volume '{}' is deleted; what was in it goes in the background, `claudefs volume list` shows how "
      "far that is\n",
      volume.name);
  co_return Result<void>();
}

CLI::App* add_verb(Cli& cli, CLI::App* group, const Shared& options, const char* name, const char* help,
                   Work work) {
  CLI::App* verb = group->add_subcommand(name, help);
  verb->final_callback([&cli, options, work] { cli.run = [options, work] { return run(*options, work); }; });
  add_option(verb, "cluster", options->file, "the cluster's file")->capture_default_str();
  return verb;
}

}  // namespace

void add_volume(Cli& cli) {
  const Shared options = std::make_shared<Options>();
  CLI::App* group = cli.root.add_subcommand("volume", "list, make or delete volumes");
  group->require_subcommand(1);
  CLI::App* verb = add_verb(cli, group, options, "list", "all volumes", list);
  verb->add_flag("--json", options->json, "for scripts");
  verb = add_verb(cli, group, options, "create", "make a volume: a tree of its own, to be mounted by name",
                  create);
  verb->add_option("name", options->name, "1 to 63 of a-z, 0-9, '.', '_' and '-'")->required();
  verb = add_verb(cli, group, options, "delete", "delete a volume that is empty", remove);
  verb->add_option("name", options->name, "which")->required();
  verb->add_flag("--purge", options->purge, "with all that is in it");
}

}  // namespace claudefs::app
