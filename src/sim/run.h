// For tests: runs one task on a node and gives its value; empty when `limit` of virtual time passed first.
//
//   Result<u64> size = run(world, node, count_files(node)).value();
#pragma once

#include <optional>
#include <variant>

#include "runtime/scope.h"
#include "sim/node.h"

namespace claudefs::sim {

namespace detail {
template <class T>
runtime::Task<void> keep_value(runtime::Task<T> task, std::optional<T>& out) {
  out.emplace(co_await std::move(task));
}
inline runtime::Task<void> keep_value(runtime::Task<void> task, std::optional<std::monostate>& out) {
  co_await std::move(task);
  out.emplace();
}
}  // namespace detail

template <class T>
auto run(World& world, Node& node, runtime::Task<T> task, runtime::Duration limit = std::chrono::minutes(5)) {
  std::optional<std::conditional_t<std::is_void_v<T>, std::monostate, T>> out;
  runtime::Scope scope(node.executor());
  scope.spawn(detail::keep_value(std::move(task), out));
  world.run_until([&] { return out.has_value(); }, limit);
  return out;
}

}  // namespace claudefs::sim
