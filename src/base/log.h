// Structured logs: one line an event, logfmt, "time level module message key=value ...".
//
// Write-only for the code that logs: nothing may depend on it. The sink is set once at start-up
// (app/), or by a test; the default writes to standard error without a time stamp. Secrets, keys and
// file contents are never logged.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace claudefs::log {

enum class Level { debug, info, warn, error };
std::string_view name_of(Level level);

// Called with a finished line body: `module message key=value ...`, without newline. Must not block long.
using Sink = std::function<void(Level, std::string_view)>;
void set_sink(Sink sink);
void set_level(Level level);
bool enabled(Level level);

struct Field {
  std::string_view key;
  std::string value;
};
// kv("node", id), kv("error", error.to_string())
template <class T>
Field kv(std::string_view key, const T& value) {
  return {key, fmt::format("{}", value)};
}

void write(Level level, std::string_view module, std::string_view message,
           std::initializer_list<Field> fields);
inline void debug(std::string_view module, std::string_view message, std::initializer_list<Field> f = {}) {
  if (enabled(Level::debug)) write(Level::debug, module, message, f);
}
inline void info(std::string_view module, std::string_view message, std::initializer_list<Field> f = {}) {
  if (enabled(Level::info)) write(Level::info, module, message, f);
}
inline void warn(std::string_view module, std::string_view message, std::initializer_list<Field> f = {}) {
  write(Level::warn, module, message, f);
}
inline void error(std::string_view module, std::string_view message, std::initializer_list<Field> f = {}) {
  write(Level::error, module, message, f);
}

}  // namespace claudefs::log
