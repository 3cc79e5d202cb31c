// Figures for Prometheus: collected when asked for, served as text over HTTP at /metrics.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/env.h"

namespace claudefs::admin {

enum class MetricKind : u8 { gauge, counter };

// What one scrape collects. Names are claudefs_..., units in the name's end (_bytes, _seconds, _total).
class MetricSet {
 public:
  using Labels = std::map<std::string, std::string>;
  void add(MetricKind kind, const std::string& name, const std::string& help, double value,
           Labels labels = {});
  // The text exposition format, version 0.0.4.
  std::string to_text() const;

 private:
  struct Sample {
    Labels labels;
    double value;
  };
  struct Family {
    MetricKind kind;
    std::string help;
    std::vector<Sample> samples;
  };
  std::map<std::string, Family> families_;
};

// Adds what every process has: build version, resident memory, CPU seconds spent.
void add_process_metrics(MetricSet& set, const std::string& role, u64 resident_bytes, double cpu_seconds);

// Answers GET /metrics (and /healthz with "ok"); everything else is 404. No writes, no secrets.
class MetricsServer {
 public:
  static Result<std::unique_ptr<MetricsServer>> start(runtime::Env& env, std::string address,
                                                      std::function<void(MetricSet&)> collect);
  virtual ~MetricsServer() = default;
  virtual std::string address() const = 0;
  virtual runtime::Task<void> stop() = 0;
};

}  // namespace claudefs::admin
