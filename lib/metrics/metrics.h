// Metrics in Prometheus' text format: a Writer that appends families built at each scrape, and the few
// instruments that must remember.
//
//   Writer w;
//   w.Family("mainstay_role", Type::kGauge, "Role of this member; 1 for the current one.");
//   w.Sample({{"role", "primary"}}, 1);
//   renew_seconds.Write(w, "mainstay_lease_renew_duration_seconds", "How long a renewal of the lock took.");
//
// Units: seconds, bytes. Thread rules: none inside; the agent uses them on the loop only.
#ifndef MAINSTAY_LIB_METRICS_METRICS_H_
#define MAINSTAY_LIB_METRICS_METRICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/base/time.h"

namespace mainstay::metrics {

enum class Type : uint8_t { kCounter, kGauge, kHistogram, kSummary, kUntyped };
using Labels = std::vector<std::pair<std::string, std::string>>;

enum class Format : uint8_t { kText, kOpenMetrics };
// By the Accept header of a scrape.
Format Negotiate(absl::string_view accept);
const char* ContentType(Format format);

// HELP escapes backslash and newline, label values the quote as well; OpenMetrics escapes the quote in both.
void AppendEscaped(std::string* out, absl::string_view text, bool quote);
// The shortest text that reads back the same; NaN, +Inf, -Inf.
void AppendNumber(std::string* out, double v);
const char* ToString(Type type);  // "counter"

// In OpenMetrics a counter's samples must end in "_total". One that has another name (PostgreSQL's exporters
// have many) is of type unknown there, so that a series has the same name in both formats.
class Writer {
 public:
  explicit Writer(Format format = Format::kText) : format_(format) {}
  // Begins a family; its samples follow. A family may be begun once.
  void Family(absl::string_view name, Type type, absl::string_view help);
  void Sample(const Labels& labels, double value) { SampleWithSuffix("", labels, value); }
  void Sample(double value) { SampleWithSuffix("", {}, value); }
  // "_bucket", "_sum", "_count" of a histogram.
  void SampleWithSuffix(absl::string_view suffix, const Labels& labels, double value);
  // Lines of samples that are text already (collector.h); of the family that was begun last.
  void Raw(absl::string_view lines) { out_.append(lines.data(), lines.size()); }
  // The whole answer; the writer is empty afterwards.
  std::string Finish();
  Format format() const { return format_; }

 private:
  Format format_;
  std::string name_;
  std::string out_;
};

// Counts by label values; at most kMaxSeries distinct ones (more are counted under the values "other").
class CounterBy {
 public:
  static constexpr size_t kMaxSeries = 128;
  explicit CounterBy(std::vector<std::string> names) : names_(std::move(names)) {}
  void Add(const std::vector<std::string>& values, double n = 1);
  double Get(const std::vector<std::string>& values) const;
  void Write(Writer& w, absl::string_view name, absl::string_view help) const;

 private:
  std::vector<std::string> names_;
  std::map<std::vector<std::string>, double> counts_;
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);  // ascending, without +Inf
  void Observe(Duration d);
  void ObserveValue(double v);
  uint64_t count() const { return count_; }
  double sum() const { return sum_; }
  void Write(Writer& w, absl::string_view name, absl::string_view help) const;
  void WriteSamples(Writer& w, const Labels& labels) const;  // family begun by the caller

 private:
  std::vector<double> bounds_;
  std::vector<uint64_t> buckets_;
  uint64_t count_ = 0;
  double sum_ = 0;
};

// One histogram for each value of a label; at most kMaxValues (more are observed under "other").
class HistogramBy {
 public:
  static constexpr size_t kMaxValues = 32;
  HistogramBy(std::string label, std::vector<double> bounds)
      : label_(std::move(label)), bounds_(std::move(bounds)) {}
  void Observe(const std::string& value, Duration d);
  void Write(Writer& w, absl::string_view name, absl::string_view help) const;

 private:
  std::string label_;
  std::vector<double> bounds_;
  std::map<std::string, Histogram> by_;
};

// What the agent counts itself (research: kubernetes.md 5.4). The driver calls the methods, agent/faces
// prints them. Loop only.
struct AgentInstruments {
  Histogram renew_seconds{{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5}};
  CounterBy renew_failures{{"reason"}};          // conflict | notfound | unknown | unreadable
  CounterBy lock_requests{{"verb", "outcome"}};  // read | create | update
  uint64_t transitions = 0;                      // times that this member acquired the lock
  uint64_t fence_kills = 0;                      // kills at the deadline that the shim told of
  Histogram fence_seconds{{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 2}};
  CounterBy role_changes{{"from", "to", "reason"}};
  int64_t last_transition_unix_ms = 0;
  Histogram switchover_seconds{{0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10}};
  Histogram probe_seconds{{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5}};
  CounterBy engine_operations{{"operation", "outcome"}};
  // What a failover is made of: how long the state machine was in each phase, and each operation took.
  HistogramBy phase_seconds{"phase", {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}};
  HistogramBy operation_seconds{"operation", {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}};
  CounterBy decisions{{"row"}};
  CounterBy peer_calls{{"call", "outcome"}};  // report | freeze | promise; ok | unavailable | timeout | error
  CounterBy admin_calls{{"verb", "status"}};

  void Write(Writer& w) const;
  // For the page that lists all families with their labels.
  template <typename Visit>
  void ForEachCounter(Visit visit) {
    for (CounterBy* c : {&renew_failures, &lock_requests, &role_changes, &engine_operations, &decisions,
                         &peer_calls, &admin_calls}) {
      visit(*c);
    }
  }
};

}  // namespace mainstay::metrics

#endif  // MAINSTAY_LIB_METRICS_METRICS_H_
