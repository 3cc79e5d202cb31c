#include "app/config_file.h"

#include <sstream>

#include <fmt/format.h>

#define TOML_EXCEPTIONS 0  // as everywhere in this program: the library's types differ otherwise
#include <toml++/toml.h>

namespace claudefs::app {
namespace {

std::string scalar_text(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  std::ostringstream out;
  node.visit([&](const auto& value) { out << value; });
  return out.str();
}

void collect(const toml::table& table, const std::vector<std::string>& parents,
             std::vector<CLI::ConfigItem>& out) {
  for (const auto& [key, node] : table) {
    if (const auto* inner = node.as_table()) {
      std::vector<std::string> path = parents;
      path.emplace_back(key.str());
      collect(*inner, path, out);
      continue;
    }
    CLI::ConfigItem item;
    item.parents = parents;
    item.name = std::string(key.str());
    if (const auto* list = node.as_array()) {
      for (const auto& element : *list) item.inputs.push_back(scalar_text(element));
    } else {
      item.inputs.push_back(scalar_text(node));
    }
    out.push_back(std::move(item));
  }
}

class TomlConfig final : public CLI::Config {
 public:
  std::string to_config(const CLI::App*, bool, bool, std::string) const override { return {}; }
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    const std::string text(std::istreambuf_iterator<char>(input), {});
    std::vector<CLI::ConfigItem> items;
    const toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
      const toml::parse_error& error = parsed.error();
      throw CLI::ConfigError(
          fmt::format("configuration file, line {}, column {}: {}", error.source().begin.line,
                      error.source().begin.column, error.description()),
          CLI::ExitCodes::ConfigError);
    }
    collect(parsed.table(), {}, items);
    return items;
  }
};
}  // namespace

std::shared_ptr<CLI::Config> toml_config() { return std::make_shared<TomlConfig>(); }

}  // namespace claudefs::app
