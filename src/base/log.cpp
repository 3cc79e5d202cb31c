#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <utility>

namespace claudefs::log {
namespace {
std::atomic<Level> g_level{Level::info};
Sink& sink() {
  static Sink instance = [](Level level, std::string_view line) {
    const std::string_view name = name_of(level);
    std::fprintf(stderr, "%.*s %.*s\n", static_cast<int>(name.size()), name.data(),
                 static_cast<int>(line.size()), line.data());
  };
  return instance;
}
bool needs_quotes(std::string_view value) {
  return value.empty() || value.find_first_of(" =\"\n\t\\") != std::string_view::npos;
}
void append_value(std::string& out, std::string_view value) {
  if (!needs_quotes(value)) {
    out.append(value);
    return;
  }
  out.push_back('"');
  for (char c : value) {
    if (c == '\n') {
      out.append("\\n");
      continue;
    }
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}
}  // namespace

std::string_view name_of(Level level) {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info";
    case Level::warn:
      return "warn";
    case Level::error:
      return "error";
  }
  return "?";
}
void set_sink(Sink s) { sink() = std::move(s); }
void set_level(Level level) { g_level.store(level, std::memory_order_relaxed); }
bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view module, std::string_view message,
           std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  std::string line = fmt::format("{} ", module);
  append_value(line, message);
  for (const Field& field : fields) {
    line.append(" ").append(field.key).append("=");
    append_value(line, field.value);
  }
  sink()(level, line);
}
}  // namespace claudefs::log
