// `claudefs cluster init`: makes the file that every node and client of a cluster shares.
#include <charconv>

#include <fmt/format.h>

#include "app/cli.h"
#include "app/cluster_access.h"
#include "app/process.h"

namespace claudefs::app {
namespace {

struct Options {
  std::string name = "claudefs";
  std::vector<std::string> nodes;
  std::string out = "cluster.toml";
  unsigned shards = 256;
  unsigned trash_hours = 24;
};

Result<cluster::NodeSpec> parse_node(const std::string& text) {
  cluster::NodeSpec node;
  const std::size_t equals = text.find('=');
  const char* end = text.data() + std::min(equals, text.size());
  const auto [at, error] = std::from_chars(text.data(), end, node.id.value);
  if (equals == std::string::npos || error != std::errc() || at != end || node.id.value == 0)
    return fail(Errc::invalid_argument, fmt::format("--node {}: write ID=HOST:PORT with an ID from 1", text));
  node.address = text.substr(equals + 1);
  return node;
}

Result<void> init(const Options& options) {
  std::vector<cluster::NodeSpec> nodes;
  for (const std::string& text : options.nodes) {
    TRY_ASSIGN(cluster::NodeSpec node, parse_node(text));
    nodes.push_back(std::move(node));
  }
  std::sort(nodes.begin(), nodes.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  if (read_file(options.out))
    return fail(Errc::exists,
                fmt::format("{} exists; a cluster file is made once: choose another --out", options.out));
  TRY_ASSIGN(const cluster::ClusterSpec spec,
             make_cluster(options.name, nodes, static_cast<u16>(options.shards), options.trash_hours));
  TRY_ASSIGN(const cluster::ClusterSpec checked, cluster::parse_spec(cluster::format_spec(spec)));
  TRY(write_file(options.out, cluster::format_spec(checked), 0600));
  fmt::print(
      "{} made. Copy it (it holds the secret: keep it 0600) to every node as {}, then on each:\n"
      "  claudefs server --node ID --data DIRECTORY\n",
      options.out, kClusterFile);
  return {};
}
}  // namespace

void add_cluster(Cli& cli) {
  CLI::App* group = cli.root.add_subcommand("cluster", "make a cluster's file");
  group->require_subcommand(1);
  auto options = std::make_shared<Options>();
  CLI::App* command = group->add_subcommand("init", "make the file that all nodes and clients share");
  command->final_callback([&cli, options] { cli.run = [options] { return init(*options); }; });
  command->add_option("--name", options->name, "the cluster's name")->capture_default_str();
  command->add_option("--node", options->nodes, "ID=HOST:PORT, once a node")->required();
  command->add_option("--shards", options->shards, "metadata shards, fixed for ever")
      ->check(CLI::Range(1, 16384))
      ->capture_default_str();
  command
      ->add_option("--trash-hours", options->trash_hours, "how long what is removed can be restored; 0: not")
      ->check(CLI::Range(0, 87840))
      ->capture_default_str();
  command->add_option("--out", options->out, "where to write it")->capture_default_str();
}

}  // namespace claudefs::app
