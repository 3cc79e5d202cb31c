// `claudefs bench DIR`: measures a directory, ours or any other.
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/bench_run.h"
#include "app/cli.h"
#include "app/text.h"

namespace claudefs::app {
namespace {
struct Options {
  BenchOptions bench;
  std::string big = "1GiB";
  std::string small = "128KiB";
  bool json = false;
};

Result<void> run(Options options) {
  options.bench.directory = absolute_path(options.bench.directory);
  TRY_ASSIGN(options.bench.big_bytes, parse_size(options.big));
  TRY_ASSIGN(options.bench.small_bytes, parse_size(options.small));
  const bool terminal = ::isatty(2) != 0;
  TRY_ASSIGN(const std::vector<BenchRow> rows, run_bench(options.bench, [terminal](const std::string& step) {
               if (terminal) fmt::print(stderr, "\r\033[K{}...", step);
             }));
  if (terminal) fmt::print(stderr, "\r\033[K");
  if (options.json) {
    nlohmann::json out = {{"directory", options.bench.directory},
                          {"threads", options.bench.threads},
                          {"rows", nlohmann::json::array()}};
    for (const BenchRow& row : rows)
      out["rows"].push_back({{"what", row.what},
                             {"unit", row.unit},
                             {"one", row.one},
                             {"many", row.many},
                             {"one_p50_ms", row.one_p50_ms},
                             {"one_p99_ms", row.one_p99_ms}});
    fmt::print("{}\n", out.dump(2));
    return {};
  }
  std::vector<std::vector<std::string>> table = {
      {"", "1 thread", fmt::format("{} threads", options.bench.threads), "unit", "p50 ms", "p99 ms"}};
  for (const BenchRow& row : rows)
    table.push_back({row.what, format_rate(row.one), format_rate(row.many), row.unit,
                     fmt::format("{:.3f}", row.one_p50_ms), fmt::format("{:.3f}", row.one_p99_ms)});
  fmt::print("{}", format_table(table));
  return {};
}
}  // namespace

void add_bench(Cli& cli) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(cli, "bench", "measure big and small files and metadata in a directory",
                                  [options] { return run(*options); });
  command->add_option("directory", options->bench.directory, "where; any file system")->required();
  add_option(command, "threads", options->bench.threads, "of the parallel column")
      ->check(CLI::Range(2, 256))
      ->capture_default_str();
  add_option(command, "big-size", options->big, "the big file, all threads together")->capture_default_str();
  add_option(command, "small-size", options->small, "a small file")->capture_default_str();
  add_option(command, "small-files", options->bench.small_files, "small files a thread")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  add_option(command, "files", options->bench.files, "empty files a thread")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_flag("--json", options->json, "for scripts");
}

}  // namespace claudefs::app
