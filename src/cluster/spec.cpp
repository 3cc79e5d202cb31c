#include "cluster/spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace claudefs::cluster {
namespace {

constexpr i64 kFormat = 1;
constexpr std::size_t kSecretDigitsMin = 32;
constexpr i64 kTrashHoursMax = 24 * 3660;  // ten years

// "line 3: cluster.id: ..."
std::unexpected<Error> bad(const toml::node& at, std::string_view key, std::string_view why) {
  return fail(Errc::invalid_argument,
              fmt::format("cluster file: line {}: {}: {}", at.source().begin.line, key, why));
}

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}
u8 digit(char c) { return static_cast<u8>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10); }

Result<const toml::node*> require(const toml::table& table, std::string_view key, std::string_view path) {
  if (const toml::node* node = table.get(key)) return node;
  return bad(table, path, "is missing");
}
Result<std::string> text_at(const toml::table& table, std::string_view key, std::string_view path) {
  TRY_ASSIGN(const toml::node* node, require(table, key, path));
  const auto text = node->value_exact<std::string>();
  if (!text || text->empty()) return bad(*node, path, "must be a text in quotes");
  return *text;
}
Result<i64> number_at(const toml::table& table, std::string_view key, std::string_view path, i64 low,
                      i64 high) {
  TRY_ASSIGN(const toml::node* node, require(table, key, path));
  const auto number = node->value_exact<i64>();
  if (!number || *number < low || *number > high)
    return bad(*node, path, fmt::format("must be a number from {} to {}", low, high));
  return *number;
}
Result<void> only_keys(const toml::table& table, std::initializer_list<std::string_view> known) {
  for (const auto& [key, node] : table)
    if (std::find(known.begin(), known.end(), key.str()) == known.end())
      return bad(node, key.str(), "is not a known key; is it misspelt?");
  return {};
}

Result<NodeSpec> parse_node(const toml::table& table) {
  TRY(only_keys(table, {"id", "address"}));
  TRY_ASSIGN(const i64 id, number_at(table, "id", "node.id", 1, 65535));
  TRY_ASSIGN(std::string address, text_at(table, "address", "node.address"));
  const auto colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size())
    return bad(*table.get("address"), "node.address", "must be host:port");
  return NodeSpec{NodeId{static_cast<u16>(id)}, std::move(address)};
}

Result<void> parse_nodes(const toml::table& root, std::vector<NodeSpec>& out) {
  TRY_ASSIGN(const toml::node* node, require(root, "node", "node"));
  const toml::array* list = node->as_array();
  if (list == nullptr || list->empty()) return bad(*node, "node", "must be a list: [[node]]");
  std::set<NodeId> ids;
  std::set<std::string> addresses;
  for (const toml::node& item : *list) {
    const toml::table* table = item.as_table();
    if (table == nullptr) return bad(item, "node", "must be a table: [[node]]");
    TRY_ASSIGN(NodeSpec spec, parse_node(*table));
    if (!ids.insert(spec.id).second) return bad(item, "node.id", fmt::format("{} comes twice", spec.id));
    if (!addresses.insert(spec.address).second)
      return bad(item, "node.address", fmt::format("{} comes twice", spec.address));
    out.push_back(std::move(spec));
  }
  std::sort(out.begin(), out.end(), [](const NodeSpec& a, const NodeSpec& b) { return a.id < b.id; });
  return {};
}

Result<void> parse_cluster(const toml::table& table, ClusterSpec& out) {
  TRY(only_keys(table, {"id", "name", "secret", "shards", "trash_hours"}));
  TRY_ASSIGN(out.name, text_at(table, "name", "cluster.name"));
  TRY_ASSIGN(const std::string id, text_at(table, "id", "cluster.id"));
  if (id.size() != 2 * out.id.size() || !is_hex(id))
    return bad(*table.get("id"), "cluster.id", "must be 32 hexadecimal digits");
  for (std::size_t i = 0; i < out.id.size(); ++i)
    out.id[i] = static_cast<std::byte>(digit(id[2 * i]) << 4 | digit(id[2 * i + 1]));
  TRY_ASSIGN(out.secret, text_at(table, "secret", "cluster.secret"));
  if (out.secret.size() < kSecretDigitsMin || out.secret.size() % 2 != 0 || !is_hex(out.secret))
    return bad(*table.get("secret"), "cluster.secret",
               fmt::format("must be an even number of hexadecimal digits, at least {}", kSecretDigitsMin));
  TRY_ASSIGN(const i64 shards, number_at(table, "shards", "cluster.shards", 1, 16384));
  out.shards = static_cast<u16>(shards);
  if (table.contains("trash_hours")) {
    TRY_ASSIGN(const i64 hours, number_at(table, "trash_hours", "cluster.trash_hours", 0, kTrashHoursMax));
    out.trash_hours = static_cast<u32>(hours);
  }
  return {};
}

// A TOML basic string.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", static_cast<u8>(c));
    else
      out.push_back(c);
  }
  return out + "\"";
}

u64 mix(u64 x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

namespace {

// Nothing in it is anything else; and the parser's behaviour is undefined on some characters that are not.
Result<void> check_ascii(std::string_view text) {
  const auto strange =
      std::ranges::find_if(text, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
  if (strange == text.end()) return {};
  return fail(Errc::invalid_argument, fmt::format("cluster file: line {}: a character that is not ASCII",
                                                  1 + std::count(text.begin(), strange, '\n')));
}

}  // namespace

Result<ClusterSpec> parse_spec(std::string_view toml) {
  TRY(check_ascii(toml));
  const toml::parse_result parsed = toml::parse(toml);
  if (!parsed)
    return fail(Errc::invalid_argument,
                fmt::format("cluster file: line {}: {}", parsed.error().source().begin.line,
                            parsed.error().description()));
  const toml::table& root = parsed.table();
  TRY_ASSIGN(const i64 format, number_at(root, "format", "format", 1, INT32_MAX));
  if (format != kFormat)
    return fail(Errc::wrong_version,
                fmt::format("cluster file: format {} needs a newer claudefs; upgrade", format));
  TRY(only_keys(root, {"format", "cluster", "node"}));
  TRY_ASSIGN(const toml::node* cluster, require(root, "cluster", "cluster"));
  if (!cluster->is_table()) return bad(*cluster, "cluster", "must be a table: [cluster]");
  ClusterSpec out;
  TRY(parse_cluster(*cluster->as_table(), out));
  TRY(parse_nodes(root, out.nodes));
  return out;
}

std::string format_spec(const ClusterSpec& spec) {
  std::string id;
  for (std::byte b : spec.id) id += fmt::format("{:02x}", static_cast<u8>(b));
  std::string out = fmt::format(
      "# A ClaudeFS cluster. The same file on every node and client. It holds the secret: mode 0600.\n"
      "format = {}\n\n[cluster]\nid = {}\nname = {}\nsecret = {}\nshards = {}\n"
      "trash_hours = {}\n",
      kFormat, quoted(id), quoted(spec.name), quoted(spec.secret), spec.shards, spec.trash_hours);
  for (const NodeSpec& node : spec.nodes)
    out += fmt::format("\n[[node]]\nid = {}\naddress = {}\n", node.id.value, quoted(node.address));
  return out;
}

const NodeSpec* ClusterSpec::find(NodeId node) const {
  for (const NodeSpec& spec : nodes)
    if (spec.id == node) return &spec;
  return nullptr;
}

std::vector<NodeId> replicas_of(const ClusterSpec& spec, ShardId shard) {
  constexpr std::size_t kReplicas = 3;
  std::vector<NodeId> out;
  for (const NodeSpec& node : spec.nodes) out.push_back(node.id);
  const u64 seed = mix(u64{shard.value} + 1);
  std::sort(out.begin(), out.end(), [&](NodeId a, NodeId b) {
    const u64 score_a = mix(seed ^ a.value);
    const u64 score_b = mix(seed ^ b.value);
    return score_a != score_b ? score_a > score_b : a < b;
  });
  out.resize(std::min(out.size(), kReplicas));
  return out;
}

}  // namespace claudefs::cluster
