#include "admin/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

namespace claudefs::admin {

void MetricSet::add(MetricKind kind, const std::string& name, const std::string& help, double value,
                    Labels labels) {
  Family& family = families_.try_emplace(name, Family{kind, help, {}}).first->second;
  family.samples.push_back({std::move(labels), value});
}

std::string MetricSet::to_text() const {
  std::vector<prometheus::MetricFamily> out;
  for (const auto& [name, family] : families_) {
    prometheus::MetricFamily converted;
    converted.name = name;
    converted.help = family.help;
    const bool counter = family.kind == MetricKind::counter;
    converted.type = counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
    for (const Sample& sample : family.samples) {
      prometheus::ClientMetric metric;
      for (const auto& [key, value] : sample.labels) metric.label.push_back({key, value});
      (counter ? metric.counter.value : metric.gauge.value) = sample.value;
      converted.metric.push_back(std::move(metric));
    }
    out.push_back(std::move(converted));
  }
  return prometheus::TextSerializer().Serialize(out);
}

void add_process_metrics(MetricSet& set, const std::string& role, u64 resident_bytes, double cpu_seconds) {
  set.add(MetricKind::gauge, "claudefs_build_info", "Version and role of this process; always 1.", 1,
          {{"version", CLAUDEFS_VERSION}, {"role", role}});
  set.add(MetricKind::gauge, "process_resident_memory_bytes", "Resident memory.",
          static_cast<double>(resident_bytes));
  set.add(MetricKind::counter, "process_cpu_seconds_total", "User and system CPU time spent.", cpu_seconds);
}

}  // namespace claudefs::admin
