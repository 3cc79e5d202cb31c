// `claudefs volume`: trees with a root of their own in one cluster. docs/volumes.md.
#include <charconv>
#include <cstdio>
#include <nlohmann/json.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/text.h"

namespace claudefs::app {
namespace {

constexpr const char* kPolicyHelp = "compression=off|lz4|zstd[:LEVEL], trash=on|off|HOURSh|DAYSd";

struct Options {
  std::string file = kClusterFile;
  std::string name;
  std::vector<std::string> policy;  // KEY=VALUE
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

std::string text_of(const codec::Compression& how) {
  if (how.by == codec::Compressor::none) return "off";
  return how.by == codec::Compressor::lz4 ? "lz4" : fmt::format("zstd:{}", how.level);
}

// off, lz4, zstd or zstd:LEVEL. Whether there is such a level the servers say.
std::optional<codec::Compression> compression_of(std::string_view text) {
  if (text == "off") return codec::Compression{codec::Compressor::none};
  if (text == "lz4") return codec::Compression{};
  if (text == "zstd") text = "zstd:3";
  constexpr std::string_view kZstd = "zstd:";
  if (!text.starts_with(kZstd)) return std::nullopt;
  text.remove_prefix(kZstd.size());
  u8 level = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), level);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return codec::Compression{codec::Compressor::zstd, level};
}

std::string trash_text(u32 hours) {
  if (hours == 0) return "off";
  if (hours == meta::kTrashOfCluster) return "on";
  return hours % 24 == 0 ? fmt::format("{}d", hours / 24) : fmt::format("{}h", hours);
}

// on, off, or a number of hours (h) or days (d). Whether that is too long the servers say.
std::optional<u32> trash_of(std::string_view text) {
  if (text == "on") return meta::kTrashOfCluster;
  if (text == "off") return 0;
  u32 count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (error != std::errc() || count == 0 || count > meta::kTrashHoursMost || (unit != "h" && unit != "d"))
    return std::nullopt;
  return unit == "d" ? count * 24 : count;
}

Result<meta::PolicyChange> policy_of(const std::vector<std::string>& words) {
  meta::PolicyChange out;
  for (const std::string& word : words) {
    const std::size_t equals = std::min(word.find('='), word.size());
    const std::string key = word.substr(0, equals);
    const std::string value = equals < word.size() ? word.substr(equals + 1) : "";
    if (key == "trash" && trash_of(value)) {
      out.trash_hours = trash_of(value);
    } else if (key == "compression" && compression_of(value)) {
      out.compression = compression_of(value);
    } else {
      return fail(Errc::invalid_argument,
                  fmt::format("'{}' is no policy; there are compression=off|lz4|zstd[:1-{}] and "
                              "trash=on|off|HOURSh|DAYSd, of {} days at most",
                              word, codec::kZstdLevelMost, meta::kTrashHoursMost / 24));
    }
  }
  return out;
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
          {"compression", text_of(volume.policy.compression)},
          {"trash", trash_text(volume.policy.trash_hours)},
          {"state", volume.state == meta::VolumeState::active ? "active" : "deleting"},
          {"shards_to_go", volume.holding.size()}};
}

runtime::Task<Result<void>> list(client::FileSystem& files, Options options) {
  nlohmann::json all = nlohmann::json::array();
  std::vector<std::vector<std::string>> rows = {
      {"name", "id", "root", "created (UTC)", "compression", "trash", "state"}};
  for (const meta::Volume& volume : co_await files.list_volumes()) {
    all.push_back(to_json(volume));
    rows.push_back({volume.name, std::to_string(volume.id.value), fmt::format("{:x}", volume.root),
                    fmt::format("{:%F %T}", fmt::gmtime(static_cast<std::time_t>(volume.created.seconds))),
                    text_of(volume.policy.compression), trash_text(volume.policy.trash_hours),
                    state_of(volume)});
  }
  std::fputs((options.json ? all.dump(2) + "\n" : format_table(rows)).c_str(), stdout);
  co_return Result<void>();
}

runtime::Task<Result<void>> create(client::FileSystem& files, Options options) {
  const meta::PolicyChange policy = co_await policy_of(options.policy);
  const meta::Volume volume = co_await files.create_volume(options.name, policy);
  fmt::print("volume '{}' is there; `claudefs mount HOST:PORT/{} DIRECTORY` mounts it\n", volume.name,
             volume.name);
  co_return Result<void>();
}

runtime::Task<Result<void>> set(client::FileSystem& files, Options options) {
  const meta::PolicyChange policy = co_await policy_of(options.policy);
  const meta::Volume volume = co_await files.set_volume(options.name, policy);
  fmt::print(
      "volume '{}': compression={} trash={}; mounts follow within seconds, what is stored stays as it is\n",
      volume.name, text_of(volume.policy.compression), trash_text(volume.policy.trash_hours));
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
  CLI::App* group = cli.root.add_subcommand("volume", "list, make, change or delete volumes");
  group->require_subcommand(1);
  CLI::App* verb = add_verb(cli, group, options, "list", "all volumes", list);
  verb->add_flag("--json", options->json, "for scripts");
  verb = add_verb(cli, group, options, "create", "make a volume: a tree of its own, to be mounted by name",
                  create);
  verb->add_option("name", options->name, "1 to 63 of a-z, 0-9, '.', '_' and '-'")->required();
  verb->add_option("policy", options->policy, kPolicyHelp);
  verb = add_verb(cli, group, options, "set", "change how a volume is kept, while it is used", set);
  verb->add_option("name", options->name, "which")->required();
  verb->add_option("policy", options->policy, kPolicyHelp)->required();
  verb = add_verb(cli, group, options, "delete", "delete a volume that is empty", remove);
  verb->add_option("name", options->name, "which")->required();
  verb->add_flag("--purge", options->purge, "with all that is in it");
}

}  // namespace claudefs::app
