// `claudefs quota`: what volumes, users and groups use, and what they may. docs/quotas.md.
#include "client/quota.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/mount_table.h"
#include "app/text.h"
#include "base/log.h"
#include "meta/hlc.h"

namespace claudefs::app {
using namespace std::chrono_literals;
namespace {

constexpr runtime::Duration kMountsHear = 1s;

struct Options {
  std::string file = kClusterFile;
  std::string volume = "default";
  std::string user, group, directory;
  std::string bytes, soft_bytes;
  std::optional<i64> inodes, soft_inodes;
  std::optional<double> grace_days;
  bool json = false;
};
using Shared = std::shared_ptr<Options>;
using client::QuotaLine;
using client::QuotaTable;
using meta::QuotaKind;
using meta::QuotaSubject;

Result<VolumeId> volume_of(const std::string& name) {
  if (name == "default") return VolumeId{1};
  char* end = nullptr;
  const unsigned long number = std::strtoul(name.c_str(), &end, 10);
  if (end != name.c_str() && *end == '\0' && number != 0) return VolumeId{static_cast<u32>(number)};
  return fail(Errc::invalid_argument, fmt::format("there is no volume {}; the first one is `default`", name));
}

template <class Entry>
Result<u64> id_of(const std::string& text, const char* what, Entry* (*find)(const char*),
                  u32 (*id)(const Entry&)) {
  if (const Entry* entry = find(text.c_str())) return id(*entry);
  char* end = nullptr;
  const unsigned long number = std::strtoul(text.c_str(), &end, 10);
  if (end != text.c_str() && *end == '\0' && number <= UINT32_MAX) return number;
  return fail(Errc::invalid_argument,
              fmt::format("this machine knows no {} {}; give the number", what, text));
}

// A mount shows inodes under their own numbers.
Result<InodeId> directory_of(const std::string& path) {
  struct stat found{};
  if (!path_in_mount(absolute_path(path)))
    return fail(Errc::invalid_argument, fmt::format("{} is in no ClaudeFS mount of this machine", path));
  if (::stat(path.c_str(), &found) != 0)
    return fail(errc_of_errno(errno), fmt::format("{}: {}", path, std::strerror(errno)));
  return InodeId{found.st_ino};
}

Result<QuotaSubject> subject_of(const Options& options) {
  TRY_ASSIGN(const VolumeId volume, volume_of(options.volume));
  if (!options.user.empty()) {
    TRY_ASSIGN(const u64 id, id_of<passwd>(options.user, "user", ::getpwnam,
                                           [](const passwd& e) -> u32 { return e.pw_uid; }));
    return QuotaSubject{QuotaKind::user, volume, id};
  }
  if (!options.group.empty()) {
    TRY_ASSIGN(const u64 id, id_of<struct group>(options.group, "group", ::getgrnam,
                                                 [](const struct group& e) -> u32 { return e.gr_gid; }));
    return QuotaSubject{QuotaKind::group, volume, id};
  }
  if (!options.directory.empty()) {
    TRY_ASSIGN(const InodeId inode, directory_of(options.directory));
    return QuotaSubject{QuotaKind::directory, volume, inode.value};
  }
  return QuotaSubject{QuotaKind::volume, volume, 0};
}

std::string_view kind_name(QuotaKind kind) {
  constexpr std::string_view kNames[] = {"unknown", "volume", "user", "group", "directory"};
  const auto number = static_cast<std::size_t>(kind);
  return kNames[number < std::size(kNames) ? number : 0];
}

// As this machine knows it.
std::string name_of(const QuotaSubject& subject) {
  const auto id = static_cast<u32>(subject.id);
  switch (subject.kind) {
    case QuotaKind::user:
      if (const passwd* user = ::getpwuid(id)) return fmt::format("{} ({})", user->pw_name, id);
      return std::to_string(id);
    case QuotaKind::group:
      if (const struct group* found = ::getgrgid(id)) return fmt::format("{} ({})", found->gr_name, id);
      return std::to_string(id);
    case QuotaKind::directory:
      return fmt::format("{:x}", subject.id);
    default:
      return std::to_string(subject.volume.value);
  }
}

i64 second_of(meta::Hlc since, u64 grace_seconds) {
  return since == meta::Hlc{} ? 0 : meta::time_of(since).seconds + static_cast<i64>(grace_seconds);
}

nlohmann::json to_json(const QuotaSubject& subject, const QuotaLine& line) {
  const meta::QuotaLimits& limits = line.limits;
  return {{"kind", kind_name(subject.kind)},
          {"volume", subject.volume.value},
          {"id", subject.id},
          {"bytes", line.use.bytes},
          {"inodes", line.use.inodes},
          {"limit_bytes", limits.hard.bytes},
          {"limit_inodes", limits.hard.inodes},
          {"soft_bytes", limits.soft.bytes},
          {"soft_inodes", limits.soft.inodes},
          {"bytes_grace_ends", second_of(line.bytes_over_since, limits.grace_seconds)},
          {"inodes_grace_ends", second_of(line.inodes_over_since, limits.grace_seconds)}};
}

std::string size_or_dash(i64 bytes) { return bytes == 0 ? "-" : format_size(static_cast<u64>(bytes)); }
std::string number_or_dash(i64 number) { return number == 0 ? "-" : std::to_string(number); }

std::string grace_of(const QuotaLine& line) {
  const auto end = [&](meta::Hlc since) { return second_of(since, line.limits.grace_seconds); };
  const i64 bytes = end(line.bytes_over_since), inodes = end(line.inodes_over_since);
  const i64 first = bytes == 0 || (inodes != 0 && inodes < bytes) ? inodes : bytes;
  return first == 0 ? "" : fmt::format("{:%F %H:%M}", fmt::gmtime(static_cast<std::time_t>(first)));
}

std::string to_text(const QuotaTable& table) {
  std::vector<std::vector<std::string>> rows = {
      {"volume", "quota of", "", "used", "soft", "limit", "inodes", "soft", "limit", "grace ends (UTC)"}};
  for (const auto& [subject, line] : table)
    rows.push_back({std::to_string(subject.volume.value), std::string(kind_name(subject.kind)),
                    name_of(subject), format_size(static_cast<u64>(std::max<i64>(0, line.use.bytes))),
                    size_or_dash(line.limits.soft.bytes), size_or_dash(line.limits.hard.bytes),
                    std::to_string(line.use.inodes), number_or_dash(line.limits.soft.inodes),
                    number_or_dash(line.limits.hard.inodes), grace_of(line)});
  return format_table(rows);
}

void print(const QuotaTable& table, bool json) {
  if (!json) return (void)std::fputs(to_text(table).c_str(), stdout);
  nlohmann::json all = nlohmann::json::array();
  for (const auto& [subject, line] : table) all.push_back(to_json(subject, line));
  std::fputs((all.dump(2) + "\n").c_str(), stdout);
}

// What is not said stays as it is.
Result<meta::QuotaLimits> changed(meta::QuotaLimits limits, const Options& options) {
  const auto size = [](const std::string& text, i64& out) -> Result<void> {
    if (text.empty()) return {};
    TRY_ASSIGN(const u64 bytes, parse_size(text));
    out = static_cast<i64>(std::min<u64>(bytes, INT64_MAX));
    return {};
  };
  TRY(size(options.bytes, limits.hard.bytes));
  TRY(size(options.soft_bytes, limits.soft.bytes));
  limits.hard.inodes = options.inodes.value_or(limits.hard.inodes);
  limits.soft.inodes = options.soft_inodes.value_or(limits.soft.inodes);
  if (options.grace_days) limits.grace_seconds = static_cast<u64>(*options.grace_days * 86400);
  const auto is_above = [](i64 soft, i64 hard) { return hard != 0 && soft > hard; };
  if (is_above(limits.soft.bytes, limits.hard.bytes) || is_above(limits.soft.inodes, limits.hard.inodes))
    return fail(Errc::invalid_argument, "a soft limit above the hard one would never be met; lower it");
  return limits;
}

using Work = std::function<runtime::Task<Result<void>>(runtime::Env&, cluster::Router&)>;

runtime::Task<Result<void>> with_cluster(runtime::Reactor& reactor, cluster::ClusterSpec spec, Work work) {
  const ClusterClient cluster = connect_cluster(reactor.env(), spec, {}, 30s);
  Result<void> done = co_await work(reactor.env(), *cluster.router).result();
  co_await cluster.rpc->stop();
  co_return done;
}

Result<void> run_with(const Options& options, Work work) {
  log::set_level(log::Level::error);
  TRY_ASSIGN(const cluster::ClusterSpec spec, load_cluster_file(options.file));
  return run_on_reactor([&](runtime::Reactor& reactor) { return with_cluster(reactor, spec, work); });
}

runtime::Task<Result<void>> report(cluster::Router& router, Options options) {
  const QuotaTable table = co_await client::read_quotas(router);
  print(table, options.json);
  co_return Result<void>();
}

runtime::Task<Result<void>> show(cluster::Router& router, Options options, QuotaSubject subject) {
  QuotaTable table = co_await client::read_quotas(router);
  QuotaTable one;
  one[subject] = table[subject];
  print(one, options.json);
  co_return Result<void>();
}

runtime::Task<Result<void>> set(runtime::Env& env, cluster::Router& router, Options options,
                                QuotaSubject subject) {
  QuotaTable table = co_await client::read_quotas(router);
  const meta::QuotaLimits limits = co_await changed(table[subject].limits, options);
  co_await client::set_quota(router, subject, limits);
  co_await env.executor().sleep(kMountsHear);
  co_return Result<void>();
}

runtime::Task<Result<void>> clear(cluster::Router& router, QuotaSubject subject) {
  return client::set_quota(router, subject, meta::QuotaLimits());
}

Result<void> run_set(const Options& options) {
  if (options.bytes.empty() && options.soft_bytes.empty() && !options.inodes && !options.soft_inodes &&
      !options.grace_days)
    return fail(Errc::invalid_argument,
                "say what the limit is: --bytes, --inodes, --soft-bytes, --soft-inodes");
  TRY_ASSIGN(const QuotaSubject subject, subject_of(options));
  return run_with(options, [options, subject](runtime::Env& env, cluster::Router& router) {
    return set(env, router, options, subject);
  });
}

CLI::App* add_verb(Cli& cli, CLI::App* group, const Shared& options, const char* name, const char* help,
                   std::function<Result<void>(const Options&)> run) {
  CLI::App* verb = group->add_subcommand(name, help);
  verb->final_callback(
      [&cli, options, run = std::move(run)] { cli.run = [options, run] { return run(*options); }; });
  add_option(verb, "cluster", options->file, "the cluster's file")->capture_default_str();
  return verb;
}

void add_subject(CLI::App* verb, const Shared& options) {
  verb->add_option("--volume", options->volume, "of this volume, or of users and groups in it")
      ->capture_default_str();
  CLI::Option* user = verb->add_option("--user", options->user, "of this user: name or number");
  verb->add_option("--group", options->group, "of this group: name or number")->excludes(user);
  verb->add_option("--directory", options->directory, "of all that is in this directory: a path in a mount");
}

}  // namespace

void add_quota(Cli& cli) {
  const Shared options = std::make_shared<Options>();
  CLI::App* group = cli.root.add_subcommand("quota", "limit and show what volumes, users and groups use");
  group->require_subcommand(1);
  CLI::App* verb =
      add_verb(cli, group, options, "report", "what everybody uses and may", [](const Options& o) {
        return run_with(o, [o](runtime::Env&, cluster::Router& router) { return report(router, o); });
      });
  verb->add_flag("--json", options->json, "for scripts");
  verb = add_verb(cli, group, options, "show", "what one uses and may", [](const Options& o) -> Result<void> {
    TRY_ASSIGN(const QuotaSubject subject, subject_of(o));
    return run_with(
        o, [o, subject](runtime::Env&, cluster::Router& router) { return show(router, o, subject); });
  });
  add_subject(verb, options);
  verb->add_flag("--json", options->json, "for scripts");
  verb = add_verb(cli, group, options, "set", "limit what one may use; 0 takes a limit away", run_set);
  add_subject(verb, options);
  verb->add_option("--bytes", options->bytes, "at most, such as 10GiB");
  verb->add_option("--inodes", options->inodes, "at most so many files, directories, links...")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--soft-bytes", options->soft_bytes, "may be passed for the grace");
  verb->add_option("--soft-inodes", options->soft_inodes, "may be passed for the grace")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--grace-days", options->grace_days, "how long a soft limit may be passed (7)")
      ->check(CLI::NonNegativeNumber);
  verb = add_verb(
      cli, group, options, "clear", "take all limits of one away", [](const Options& o) -> Result<void> {
        TRY_ASSIGN(const QuotaSubject subject, subject_of(o));
        return run_with(o,
                        [subject](runtime::Env&, cluster::Router& router) { return clear(router, subject); });
      });
  add_subject(verb, options);
}

}  // namespace claudefs::app
