#include "simulator/script.h"

namespace claudefs::simulator {
namespace {

using What = Step::What;

constexpr u64 kLarge = 320_KiB;  // goes direct: docs/data-path.md
constexpr u64 kCommon = 1;       // the content of /b/g

Step on(What what, std::string path, u64 offset = 0, u64 length = 0) {
  return {what, std::move(path), {}, offset, length};
}
Step from_to(What what, std::string from, std::string to) { return {what, std::move(from), std::move(to)}; }
Step put(std::string path, u64 offset, u64 length, u64 content = 0) {
  return {What::write, std::move(path), {}, offset, length, content};
}
Step sync(std::string path) { return on(What::sync, std::move(path)); }

std::vector<NamedScript> make_operations() {
  return {
      {"create", {on(What::create, "a/n")}},
      {"mkdir", {on(What::make_directory, "a/d")}},
      {"rmdir", {on(What::remove_directory, "b/e")}},
      {"symlink", {on(What::symlink, "a/y")}},
      {"link", {from_to(What::link, "a/f", "b/l")}},
      {"unlink", {on(What::unlink, "a/f")}},
      {"unlink large", {on(What::unlink, "b/g")}},
      {"rename", {from_to(What::rename, "a/f", "b/h")}},
      {"rename over", {from_to(What::rename, "a/f", "b/g")}},
      {"exchange", {from_to(What::exchange, "a/f", "b/g")}},
      {"rename directory", {from_to(What::rename, "a", "b/a")}},
      {"chmod", {on(What::set_mode, "a/f")}},
      {"set xattr", {on(What::set_xattr, "a/f")}},
      {"remove xattr", {on(What::remove_xattr, "a/s")}},
      {"write new", {on(What::create, "a/n"), put("a/n", 0, 2_KiB), sync("a/n")}},
      {"write new large", {on(What::create, "a/m"), put("a/m", 0, 400_KiB), sync("a/m")}},
      {"write duplicate", {on(What::create, "a/m"), put("a/m", 0, kLarge, kCommon), sync("a/m")}},
      {"overwrite", {put("a/f", 8_KiB, 8_KiB)}},
      {"overwrite, fsync", {put("a/f", 4_KiB, 16_KiB), sync("a/f")}},
      {"overwrite small, fsync", {put("a/s", 256, 256), sync("a/s")}},
      {"overwrite large, fsync", {put("b/g", 0, kLarge), sync("b/g")}},
      {"append, fsync", {put("a/f", 24_KiB, 16_KiB), sync("a/f")}},
      {"append large", {put("b/g", kLarge, 300_KiB)}},
      {"append large, fsync", {put("b/g", kLarge, 300_KiB), sync("b/g")}},
      {"truncate to nothing", {on(What::truncate, "a/f", 0)}},
      {"truncate", {on(What::truncate, "b/g", 100_KiB)}},
      {"truncate up", {on(What::truncate, "a/s", 8_KiB)}},
      {"punch hole, fsync", {on(What::punch_hole, "b/g", 60_KiB, 100_KiB), sync("b/g")}},
      {"zero range, fsync", {on(What::zero_range, "a/f", 4_KiB, 8_KiB), sync("a/f")}},
      {"reserve", {on(What::reserve, "a/f", 24_KiB, 64_KiB)}},
      {"copy range, fsync", {{What::copy, "b/g", "a/f", 0, 256_KiB}, sync("a/f")}},
      {"fsync", {sync("a/f")}},
      {"close", {on(What::close, "b/g")}},
      {"time passes", {on(What::wait, "")}},
  };
}

}  // namespace

Script setup_script() {
  return {on(What::make_directory, "a"), on(What::make_directory, "b"), on(What::make_directory, "b/e"),
          on(What::create, "a/f"),       put("a/f", 0, 24_KiB),         on(What::close, "a/f"),
          on(What::create, "a/s"),       put("a/s", 0, 1_KiB),          on(What::close, "a/s"),
          on(What::set_xattr, "a/s"),    on(What::create, "b/g"),       put("b/g", 0, kLarge, kCommon),
          on(What::close, "b/g")};
}

const std::vector<NamedScript>& operation_scripts() {
  static const std::vector<NamedScript> all = make_operations();
  return all;
}

}  // namespace claudefs::simulator
