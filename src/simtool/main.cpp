// claudefs-sim: whole clusters in simulation, by seed. docs/simulator.md.
#include <cstdio>
#include <cstdlib>

#include <time.h>
#include <unistd.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/heap.h"
#include "base/log.h"
#include "simtool/commands.h"
#include "simtool/system_calls.h"

// A run lasts a second or two and its servers start and die all the time: what they free is kept, in large
// pages.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0,narenas:1";
}

int main(int argc, char** argv) {
  using namespace claudefs;
  keep_large_extents();
  simtool::forbid_system_calls();
  CLI::App app{
      "Runs whole ClaudeFS clusters - servers, clients, disks, network - in simulation: production code in "
      "one thread, "
      "on a virtual clock, with faults drawn from a seed, judged by a model file system. The same seed is "
      "the same run.",
      "claudefs-sim"};
  app.require_subcommand(1);
  app.footer(
      "Examples:\n  claudefs-sim run --seeds 100            seeds 1 to 100\n  claudefs-sim run --seed 42 "
      "--trace      "
      "what happened in seed 42\n  claudefs-sim run --seed 42 --shrink     the least that still fails\n  "
      "claudefs-sim "
      "mutants kill --all         does the net catch fish?\nExit status: 0 all well, 1 a violation (or a "
      "mutant that "
      "lives), 2 wrong usage.");

  simtool::RunOptions run_options;
  CLI::App* run = app.add_subcommand("run", "Run seeds and judge them");
  CLI::Option* one = run->add_option("--seed", run_options.seed, "One seed, in this process");
  run->add_option("--seeds", run_options.seeds, "How many seeds")->excludes(one);
  run->add_option("--from", run_options.from, "The first of them (default 1)");
  run->add_option("--minutes", run_options.minutes, "Run seeds for so long")->excludes(one);
  run->add_option("--jobs", run_options.jobs, "Processes at once (default: one a core)");
  run->add_flag("--dense", run_options.dense, "Clients hardly pause: many operations a simulated second");
  run->add_flag("--trace", run_options.trace, "Print every operation and fault")->needs(one);
  run->add_flag("--logs", run_options.logs, "Print what the servers and clients log, too")->needs(one);
  run->add_flag("--shrink", run_options.shrink, "Leave out operations and faults while it still fails")
      ->needs(one);
  run->add_option("--skip", run_options.skip, "What to leave out, as --shrink prints it")->needs(one);
  run->add_flag("--canary", run_options.canary, "Give the oracle one wrong answer: every seed must fail");
  run->add_option("--mutant", run_options.mutant, "Switch this seeded bug on");
  run->add_flag("--json", run_options.json, "Print the summary as JSON");

  simtool::CrashOptions crash_options;
  CLI::App* crashes = app.add_subcommand(
      "crashes", "Lose power at every write to a disk around a few operations, and judge what is left");
  crashes->add_option("--ops", crash_options.ops, "Operations of each workload (default 1)")
      ->check(CLI::Range(1, 3));
  crashes->add_option("--servers", crash_options.servers, "Servers of the cluster (default 1)")
      ->check(CLI::Range(1, 3));
  crashes->add_option("--sample", crash_options.sample, "So many workloads of all that there are, drawn");
  crashes->add_option("--from", crash_options.from, "The seed of the sample (default 1)");
  crashes->add_option("--minutes", crash_options.minutes, "Begin no workload after so long");
  crashes->add_option("--jobs", crash_options.jobs, "Processes at once (default: one a core)");
  crashes->add_flag("--list", crash_options.list, "Name the operations");
  CLI::Option* workload = crashes->add_option("--workload", crash_options.workload,
                                              "One workload: its operations' numbers, as 3,17; - for none");
  crashes->add_option("--state", crash_options.state, "One crash state of it, with a trace")->needs(workload);
  crashes->add_flag("--logs", crash_options.logs, "Print what servers and clients log, too")->needs(workload);
  crashes->add_option("--mutant", crash_options.mutant, "Switch this seeded bug on");
  crashes->add_flag("--json", crash_options.json, "Print the summary as JSON");

  simtool::DamageOptions damage_options;
  CLI::App* damage = app.add_subcommand(
      "damage", "Damage block after block on the disks of three servers; each must be found and mended");
  damage->add_option("--count", damage_options.count, "How many (default 200)");
  damage->add_option("--each", damage_options.each,
                     "So many on one cluster, one after the other (default 40)");
  damage->add_option("--from", damage_options.from, "The first cluster's seed (default 1)");
  CLI::Option* drill = damage->add_option("--seed", damage_options.seed, "One cluster, with a trace");
  damage->add_option("--jobs", damage_options.jobs, "Processes at once (default: one a core)");
  damage->add_flag("--logs", damage_options.logs, "Print what servers and clients log, too")->needs(drill);
  damage->add_option("--mutant", damage_options.mutant, "Switch this seeded bug on");
  damage->add_flag("--json", damage_options.json, "Print the table as JSON");

  CLI::App* mutants = app.add_subcommand("mutants", "The seeded bugs of this build");
  mutants->require_subcommand(1);
  CLI::App* list = mutants->add_subcommand("list", "Name them");
  simtool::KillOptions kill_options;
  CLI::App* kill =
      mutants->add_subcommand("kill", "Run seeds with a bug switched on until the oracles notice it");
  kill->add_option("name", kill_options.names, "Which; or --all");
  kill->add_flag("--all", kill_options.all, "Each of them");
  kill->add_option("--minutes", kill_options.minutes, "Processor minutes for each (default 2)");
  kill->add_option("--jobs", kill_options.jobs, "Processes at once (default: one a core)");
  kill->add_option("--from", kill_options.from, "The first seed (default 1)");
  kill->add_flag("--json", kill_options.json, "Print the table as JSON");

  simtool::ProbeOptions probe_options;
  CLI::App* probes =
      app.add_subcommand("probes", "Run seeds and say which rare branches were reached, which never");
  probes->add_option("--seeds", probe_options.seeds, "How many seeds (default 100)");
  probes->add_option("--jobs", probe_options.jobs, "Processes at once (default: one a core)");
  probes->add_flag("--json", probe_options.json, "Print them as JSON");

  CLI11_PARSE(app, argc, argv);
  log::set_level(log::Level::error);
  log::set_sink([](log::Level, std::string_view) {});
  if (run->parsed()) return simtool::run_command(run_options);
  if (crashes->parsed()) return simtool::crash_command(crash_options);
  if (damage->parsed()) return simtool::damage_command(damage_options);
  if (list->parsed()) return simtool::list_mutants();
  if (kill->parsed()) return simtool::kill_mutants(kill_options);
  return simtool::show_probes(probe_options);
}
