// `claudefs quota`: what volumes, users and groups use, and what they may. docs/quotas.md.
#include "client/quota.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/mount_table.h"
#include "app/text.h"
#include "base/log.h"
#include "meta/hlc.h"
#include "meta/volumes.h"

namespace claudefs::app {
using namespace std::chrono_literals;
namespace {

constexpr runtime::Duration kMountsHear = 1s;

struct Options {
  std::string file = kClusterFile;
  std::string volume;  // empty: the directory's, else the default one
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

// A subject whose volume only the cluster knows by its name.
struct Named {
  QuotaSubject subject;
  std::string volume;
};

// A mount shows inodes under their own numbers.
Result<Named> directory_of(const std::string& path, const std::string& volume) {
  struct stat found{};
  const std::optional<MountedPath> mounted = path_in_mount(absolute_path(path));
  if (!mounted)
    return fail(Errc::invalid_argument, fmt::format("{} is in no ClaudeFS mount of this machine", path));
  if (!volume.empty() && volume != mounted->volume)
    return fail(Errc::invalid_argument,
                fmt::format("{} is in volume '{}': leave --volume out", path, mounted->volume));
  if (::stat(path.c_str(), &found) != 0)
    return fail(errc_of_errno(errno), fmt::format("{}: {}", path, std::strerror(errno)));
  return Named{{QuotaKind::directory, {}, found.st_ino}, mounted->volume};
}

Result<Named> subject_of(const Options& options) {
  if (!options.directory.empty()) return directory_of(options.directory, options.volume);
  Named out{{}, options.volume.empty() ? meta::kDefaultVolumeName : options.volume};
  if (!options.user.empty()) {
    TRY_ASSIGN(const u64 id, id_of<passwd>(options.user, "user", ::getpwnam,
                                           [](const passwd& e) -> u32 { return e.pw_uid; }));
    out.subject = {QuotaKind::user, {}, id};
  } else if (!options.group.empty()) {
    TRY_ASSIGN(const u64 id, id_of<struct group>(options.group, "group", ::getgrnam,
                                                 [](const struct group& e) -> u32 { return e.gr_gid; }));
    out.subject = {QuotaKind::group, {}, id};
  }
  return out;
}

using VolumeNames = std::map<VolumeId, std::string>;

runtime::Task<Result<VolumeNames>> volume_names(cluster::Router& router) {
  VolumeNames out;
  const meta::ListVolumesReply all = co_await router.call(ShardId{0}, meta::ListVolumes());
  for (const meta::Volume& volume : all.volumes) out[volume.id] = volume.name;
  co_return out;
}

std::string name_in(const VolumeNames& names, VolumeId volume) {
  const auto at = names.find(volume);
  return at == names.end() ? fmt::format("deleted {}", volume) : at->second;
}

std::string_view kind_name(QuotaKind kind) {
  constexpr std::string_view kNames[] = {"unknown", "volume", "user", "group", "directory"};
  const auto number = static_cast<std::size_t>(kind);
  return kNames[number < std::size(kNames) ? number : 0];
}

// As this machine knows it; of a volume nothing.
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
      return "";
  }
}

i64 second_of(meta::Hlc since, u64 grace_seconds) {
  return since == meta::Hlc{} ? 0 : meta::time_of(since).seconds + static_cast<i64>(grace_seconds);
}

nlohmann::json to_json(const QuotaSubject& subject, const QuotaLine& line, const VolumeNames& names) {
  const meta::QuotaLimits& limits = line.limits;
  return {{"kind", kind_name(subject.kind)},
          {"volume", subject.volume.value},
          {"volume_name", name_in(names, subject.volume)},
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

std::string to_text(const QuotaTable& table, const VolumeNames& names) {
  std::vector<std::vector<std::string>> rows = {
      {"volume", "quota of", "", "used", "soft", "limit", "inodes", "soft", "limit", "grace ends (UTC)"}};
  for (const auto& [subject, line] : table)
    rows.push_back({name_in(names, subject.volume), std::string(kind_name(subject.kind)), name_of(subject),
                    format_size(static_cast<u64>(std::max<i64>(0, line.use.bytes))),
                    size_or_dash(line.limits.soft.bytes), size_or_dash(line.limits.hard.bytes),
                    std::to_string(line.use.inodes), number_or_dash(line.limits.soft.inodes),
                    number_or_dash(line.limits.hard.inodes), grace_of(line)});
  return format_table(rows);
}

runtime::Task<Result<void>> print(cluster::Router& router, QuotaTable table, bool json) {
  const VolumeNames names = co_await volume_names(router);
  nlohmann::json all = nlohmann::json::array();
  for (const auto& [subject, line] : table) all.push_back(to_json(subject, line, names));
  std::fputs((json ? all.dump(2) + "\n" : to_text(table, names)).c_str(), stdout);
  co_return Result<void>();
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
  QuotaTable table = co_await client::read_quotas(router);
  co_return co_await print(router, std::move(table), options.json).result();
}

runtime::Task<Result<QuotaSubject>> found(cluster::Router& router, Named named) {
  const meta::Volume volume = co_await router.call(ShardId{0}, meta::FindVolume(named.volume));
  named.subject.volume = volume.id;
  co_return named.subject;
}

runtime::Task<Result<void>> show(cluster::Router& router, Options options, Named named) {
  const QuotaSubject subject = co_await found(router, named);
  QuotaTable table = co_await client::read_quotas(router);
  QuotaTable one;
  one[subject] = table[subject];
  co_return co_await print(router, std::move(one), options.json).result();
}

runtime::Task<Result<void>> set(runtime::Env& env, cluster::Router& router, Options options, Named named) {
  const QuotaSubject subject = co_await found(router, named);
  QuotaTable table = co_await client::read_quotas(router);
  const meta::QuotaLimits limits = co_await changed(table[subject].limits, options);
  co_await client::set_quota(router, subject, limits);
  co_await env.executor().sleep(kMountsHear);
  co_return Result<void>();
}

runtime::Task<Result<void>> clear(cluster::Router& router, Named named) {
  const QuotaSubject subject = co_await found(router, named);
  co_return co_await client::set_quota(router, subject, meta::QuotaLimits()).result();
}

Result<void> run_set(const Options& options) {
  if (options.bytes.empty() && options.soft_bytes.empty() && !options.inodes && !options.soft_inodes &&
      !options.grace_days)
    return fail(Errc::invalid_argument,
                "say what the limit is: --bytes, --inodes, --soft-bytes, --soft-inodes");
  TRY_ASSIGN(const Named subject, subject_of(options));
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
  verb->add_option("--volume", options->volume, "of this volume, or of users and groups in it (default)");
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
    TRY_ASSIGN(const Named subject, subject_of(o));
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
        TRY_ASSIGN(const Named subject, subject_of(o));
        return run_with(o,
                        [subject](runtime::Env&, cluster::Router& router) { return clear(router, subject); });
      });
  add_subject(verb, options);
}

}  // namespace claudefs::app
