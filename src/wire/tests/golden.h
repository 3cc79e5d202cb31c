// What is stored and sent today stays readable: a struct whose encoding changes cannot pass unseen.
//
// Each struct has lines `name hex` in a file below tests/golden, the oldest first: a sample of it, in which
// each field has a value of its own, encoded. Today's sample must be the last of them, and all must decode. A
// struct may grow at its end (docs/formats/envelope.md): then CLAUDEFS_WRITE_GOLDEN=1 adds a line, and the
// older one stays. Any other difference is a mistake, or a new version.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "wire/codec.h"

namespace claudefs::wire {

class Sampler {
 public:
  // `alternative`: which of those that a variant may be.
  explicit Sampler(std::size_t alternative) : alternative_(alternative) {}
  template <class T>
  void fill(T& v) {
    if constexpr (StrongId<T>) {
      fill(v.value);
    } else if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>) {
      v = static_cast<T>(1);
    } else if constexpr (std::is_integral_v<T>) {
      v = static_cast<T>(sizeof(T) == 1 ? next() % 100 : next() * 37);
    } else if constexpr (std::is_same_v<T, std::string>) {
      v = "text " + std::to_string(next());
    } else if constexpr (std::is_same_v<T, Buffer>) {
      v = Buffer::copy_of("bytes " + std::to_string(next()));
    } else if constexpr (detail::is_byte_array<T>) {
      for (std::byte& byte : v) byte = static_cast<std::byte>(next());
    } else if constexpr (detail::is_vector<T>) {
      fill_items(v);
    } else if constexpr (detail::is_map<T>) {
      std::pair<typename T::key_type, typename T::mapped_type> item;
      fill(item.first);
      fill(item.second);
      v.insert(std::move(item));
    } else if constexpr (detail::is_optional<T>) {
      fill(v.emplace());
    } else if constexpr (detail::is_variant<T>) {
      fill_one(v);
    } else {
      std::apply([this](auto&... field) { (fill(field), ...); }, T::fields(v));
    }
  }

 private:
  u64 next() { return ++last_; }
  // Two of them; of variants one of each alternative.
  template <class T>
  void fill_items(std::vector<T>& items) {
    if constexpr (detail::is_variant<T>)
      fill_alternatives(items);
    else
      for (int i = 0; i < 2; ++i) fill(items.emplace_back());
  }
  template <std::size_t I = 0, class T>
  void fill_alternatives(std::vector<T>& items) {
    if constexpr (I < std::variant_size_v<T>) {
      fill(items.emplace_back().template emplace<I>());
      fill_alternatives<I + 1>(items);
    }
  }
  template <std::size_t I = 0, class T>
  void fill_one(T& v) {
    if constexpr (I + 1 < std::variant_size_v<T>)
      if (alternative_ > I) return fill_one<I + 1>(v);
    fill(v.template emplace<I>());
  }

  const std::size_t alternative_;
  u64 last_ = 0;
};

class GoldenLines {
 public:
  explicit GoldenLines(const std::string& name) : path_(std::string(CLAUDEFS_GOLDEN_DIR) + "/" + name) {
    std::ifstream in(path_);
    std::string struct_name, hex;
    while (in >> struct_name >> hex) lines_[struct_name].push_back(hex);
  }
  template <class T>
  void check(const std::string& name, std::size_t alternative = 0) {
    T sample;
    Sampler(alternative).fill(sample);
    const Buffer now = encode(sample);
    const std::string hex = hex_of(now.text());
    std::vector<std::string>& known = lines_[name];
    if (std::getenv("CLAUDEFS_WRITE_GOLDEN") != nullptr && (known.empty() || known.back() != hex)) {
      known.push_back(hex);
      std::ofstream(path_, std::ios::app) << name << ' ' << hex << '\n';
    }
    ASSERT_FALSE(known.empty()) << name << " has no line in " << path_;
    EXPECT_EQ(known.back(), hex) << name << " is encoded in another way than before; see wire/tests/golden.h";
    for (const std::string& line : known) {
      const Buffer bytes = Buffer::adopt(bytes_of(line));
      const Result<T> decoded = decode<T>(bytes);
      ASSERT_TRUE(decoded.has_value()) << name << ": an older one is not readable any more: " << line;
      if (line == known.back()) EXPECT_EQ(hex_of(encode(*decoded).text()), hex) << name;
    }
  }
  // An operation or a message, and what answers it.
  template <class T>
  void check_with_reply(const std::string& name) {
    check<T>(name);
    check<typename T::Reply>(name + "::Reply");
  }

 private:
  static std::string hex_of(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) {
      constexpr std::string_view kDigits = "0123456789abcdef";
      out += kDigits[static_cast<u8>(c) >> 4];
      out += kDigits[static_cast<u8>(c) & 15];
    }
    return out;
  }
  static std::string bytes_of(const std::string& hex) {
    std::string out;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
      out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
    return out;
  }

  const std::string path_;
  std::map<std::string, std::vector<std::string>> lines_;
};

}  // namespace claudefs::wire
