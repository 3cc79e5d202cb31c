// Work in flight by key: who asks for what is being fetched already waits for that fetch.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "runtime/scope.h"

namespace claudefs::data {

template <class Key, class Value>
class Flights {
 public:
  explicit Flights(runtime::Scope& scope) : scope_(scope) {}

  // `start` is called at once, or not at all.
  runtime::Task<Result<Value>> get(Key key, std::function<runtime::Task<Result<Value>>()> start) {
    std::shared_ptr<Flight> flight;
    if (const auto it = flights_.find(key); it != flights_.end()) {
      flight = it->second;
    } else {
      flight = std::make_shared<Flight>(scope_.executor());
      flights_[key] = flight;
      scope_.spawn(fly(this, key, flight, start()));
    }
    co_await flight->done.wait();
    co_return *flight->result;
  }

 private:
  struct Flight {
    explicit Flight(runtime::Executor& executor) : done(executor) {}
    runtime::Event done;
    std::optional<Result<Value>> result;
  };
  static runtime::Task<void> fly(Flights* self, Key key, std::shared_ptr<Flight> flight,
                                 runtime::Task<Result<Value>> work) {
    flight->result.emplace(co_await std::move(work).result());
    self->flights_.erase(key);
    flight->done.set();
  }

  runtime::Scope& scope_;
  std::map<Key, std::shared_ptr<Flight>> flights_;
};

}  // namespace claudefs::data
