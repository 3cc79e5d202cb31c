#include "app/config_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
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

[[noreturn]] void refuse(const std::string& path, const toml::source_region& at, const std::string& why) {
  throw CLI::ConfigError(fmt::format("{}, line {}: {}", path, at.begin.line, why),
                         CLI::ExitCodes::ConfigError);
}

void set_option(CLI::App& command, const std::string& path, const std::string& name,
                const toml::node& value) {
  CLI::Option* option = command.get_option_no_throw("--" + name);
  if (option == nullptr || name == "config" || name == "help")
    refuse(path, value.source(),
           fmt::format("there is no option {}; `claudefs {} --help` lists them", name, command.get_name()));
  if (option->count() != 0) return;
  std::vector<std::string> texts;
  if (const auto* list = value.as_array())
    for (const auto& element : *list) texts.push_back(scalar_text(element));
  else
    texts.push_back(scalar_text(value));
  try {
    if (option->get_expected_min() == 0)  // a flag
      option->add_result(option->get_flag_value(name, texts.empty() ? "true" : texts.front()));
    else
      option->add_result(texts);
    option->run_callback();
  } catch (const CLI::ParseError& error) {
    refuse(path, value.source(), error.what());
  }
}

bool is_command(const CLI::App& command, const std::string& name) {
  const auto called_so = [&name](const CLI::App* other) { return other->get_name() == name; };
  return command.get_parent() != nullptr && !command.get_parent()->get_subcommands(called_so).empty();
}
}  // namespace

void apply_config_file(CLI::App& command, const std::string& path) {
  std::ifstream file(path);
  if (!file)
    throw CLI::FileError(fmt::format("configuration file {}: {}", path, std::strerror(errno)),
                         CLI::ExitCodes::FileError);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) refuse(path, parsed.error().source(), std::string(parsed.error().description()));
  for (const auto& [key, value] : parsed.table()) {
    const std::string name(key.str());
    const auto* table = value.as_table();
    if (table == nullptr) {
      set_option(command, path, name, value);
    } else if (name == command.get_name()) {
      for (const auto& [inner, inner_value] : *table)
        set_option(command, path, std::string(inner.str()), inner_value);
    } else if (!is_command(command, name)) {
      refuse(path, value.source(), fmt::format("there is no command {}", name));
    }
  }
}

}  // namespace claudefs::app
