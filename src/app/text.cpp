#include "app/text.h"

#include <cctype>
#include <charconv>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

namespace claudefs::app {

Result<u64> parse_size(std::string_view text) {
  const auto bad = [&] {
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is no size; write bytes, or a number with K, M, G or T: 10GiB", text));
  };
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return bad();
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  u64 factor = 1;
  if (!unit.empty()) {
    const std::size_t power = std::string_view("kmgtp").find(
        static_cast<char>(std::tolower(static_cast<unsigned char>(unit.front()))));
    if (power == std::string_view::npos) {
      if (unit != "B" && unit != "b") return bad();
    } else {
      factor = u64{1} << (10 * (power + 1));
      unit.remove_prefix(1);
      if (!unit.empty() && unit != "iB" && unit != "B" && unit != "i" && unit != "b" && unit != "ib")
        return bad();
    }
  }
  const double bytes = number * static_cast<double>(factor);
  if (bytes >= 9e18) return bad();
  return static_cast<u64>(std::llround(bytes));
}

std::string format_size(u64 bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, kUnits[unit]);
}

std::string format_rate(double per_second) {
  std::string digits = fmt::format("{:.0f}", per_second);
  for (std::ptrdiff_t at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string format_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += i == 0 ? fmt::format("{:<{}}", row[i], widths[i]) : fmt::format("  {:>{}}", row[i], widths[i]);
    out += line + "\n";
  }
  return out;
}

Result<MountSource> parse_mount_source(std::string_view text) {
  MountSource source;
  const std::size_t slash = text.find('/');
  source.address = std::string(text.substr(0, slash));
  if (slash != std::string_view::npos && slash + 1 < text.size())
    source.volume = std::string(text.substr(slash + 1));
  const std::size_t colon = source.address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == source.address.size())
    return fail(Errc::invalid_argument,
                fmt::format("'{}' is no address; write HOST:PORT or HOST:PORT/VOLUME", text));
  return source;
}

std::string absolute_path(const std::string& path) {
  std::error_code error;
  std::filesystem::path p = std::filesystem::absolute(path, error).lexically_normal();
  std::string out = p.string();
  while (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

}  // namespace claudefs::app
