#include "lib/metrics/metrics.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mainstay::metrics {
namespace {

// OpenMetrics wants the unit said, when the name has one.
void AppendUnit(std::string* out, absl::string_view family) {
  for (const absl::string_view unit : {"seconds", "bytes"}) {
    if (family.size() > unit.size() && absl::EndsWith(family, unit) &&
        family[family.size() - unit.size() - 1] == '_') {
      absl::StrAppend(out, "# UNIT ", family, " ", unit, "\n");
    }
  }
}

}  // namespace

const char* ToString(Type type) {
  switch (type) {
    case Type::kCounter:
      return "counter";
    case Type::kGauge:
      return "gauge";
    case Type::kHistogram:
      return "histogram";
    case Type::kSummary:
      return "summary";
    case Type::kUntyped:
      return "untyped";
  }
  return "untyped";
}

void AppendEscaped(std::string* out, absl::string_view text, bool quote) {
  if (text.find_first_of("\\\n\"") == absl::string_view::npos) {  // nearly always
    out->append(text.data(), text.size());
    return;
  }
  for (char c : text) {
    if (c == '\\') {
      *out += "\\\\";
    } else if (c == '\n') {
      *out += "\\n";
    } else if (c == '"' && quote) {
      *out += "\\\"";
    } else {
      out->push_back(c);
    }
  }
}

void AppendNumber(std::string* out, double v) {
  if (std::isnan(v)) {
    *out += "NaN";
  } else if (std::isinf(v)) {
    *out += v > 0 ? "+Inf" : "-Inf";
  } else {
    char buffer[40];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, v);  // shortest that reads back the same
    out->append(buffer, end.ptr);
  }
}

Format Negotiate(absl::string_view accept) {
  return absl::StrContains(accept, "application/openmetrics-text") ? Format::kOpenMetrics : Format::kText;
}

const char* ContentType(Format format) {
  return format == Format::kOpenMetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                        : "text/plain; version=0.0.4; charset=utf-8";
}

void Writer::Family(absl::string_view name, Type type, absl::string_view help) {
  name_ = std::string(name);
  absl::string_view family = name;
  absl::string_view word = ToString(type);
  const bool open = format_ == Format::kOpenMetrics;
  if (open && type == Type::kUntyped) word = "unknown";
  if (open && type == Type::kCounter && !absl::ConsumeSuffix(&family, "_total")) word = "unknown";
  absl::StrAppend(&out_, "# HELP ", family, " ");
  AppendEscaped(&out_, help, open);
  absl::StrAppend(&out_, "\n# TYPE ", family, " ", word, "\n");
  if (open) AppendUnit(&out_, family);
}

void Writer::SampleWithSuffix(absl::string_view suffix, const Labels& labels, double value) {
  absl::StrAppend(&out_, name_, suffix);
  if (!labels.empty()) {
    char before = '{';
    for (const auto& [key, text] : labels) {
      out_.push_back(before);
      absl::StrAppend(&out_, key, "=\"");
      AppendEscaped(&out_, text, true);
      out_.push_back('"');
      before = ',';
    }
    out_.push_back('}');
  }
  out_.push_back(' ');
  AppendNumber(&out_, value);
  out_.push_back('\n');
}

std::string Writer::Finish() {
  if (format_ == Format::kOpenMetrics) out_ += "# EOF\n";
  return std::exchange(out_, std::string());
}

void CounterBy::Add(const std::vector<std::string>& values, double n) {
  std::vector<std::string> key = values;
  key.resize(names_.size());
  auto it = counts_.find(key);
  if (it == counts_.end() && counts_.size() + 1 >= kMaxSeries) {
    std::fill(key.begin(), key.end(), "other");
    it = counts_.find(key);
  }
  if (it == counts_.end()) it = counts_.emplace(std::move(key), 0).first;
  it->second += n;
}

double CounterBy::Get(const std::vector<std::string>& values) const {
  const auto it = counts_.find(values);
  return it == counts_.end() ? 0 : it->second;
}

void CounterBy::Write(Writer& w, absl::string_view name, absl::string_view help) const {
  w.Family(name, Type::kCounter, help);
  for (const auto& [values, count] : counts_) {
    Labels labels;
    for (size_t i = 0; i < names_.size(); ++i) labels.emplace_back(names_[i], values[i]);
    w.Sample(labels, count);
  }
}

Histogram::Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), buckets_(bounds_.size(), 0) {}

void Histogram::Observe(Duration d) { ObserveValue(std::chrono::duration<double>(d).count()); }

void Histogram::ObserveValue(double v) {
  const auto it = std::lower_bound(bounds_.begin(), bounds_.end(), v);  // le: v == bound is inside
  if (it != bounds_.end()) ++buckets_[static_cast<size_t>(it - bounds_.begin())];
  ++count_;
  sum_ += v;
}

void Histogram::Write(Writer& w, absl::string_view name, absl::string_view help) const {
  w.Family(name, Type::kHistogram, help);
  WriteSamples(w, {});
}

void Histogram::WriteSamples(Writer& w, const Labels& labels) const {
  Labels with = labels;
  with.emplace_back("le", "");
  uint64_t below = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    below += buckets_[i];
    with.back().second.clear();
    AppendNumber(&with.back().second, bounds_[i]);
    w.SampleWithSuffix("_bucket", with, static_cast<double>(below));
  }
  with.back().second = "+Inf";
  w.SampleWithSuffix("_bucket", with, static_cast<double>(count_));
  w.SampleWithSuffix("_sum", labels, sum_);
  w.SampleWithSuffix("_count", labels, static_cast<double>(count_));
}

void HistogramBy::Observe(const std::string& value, Duration d) {
  const bool room = by_.size() < kMaxValues || by_.count(value) > 0;
  by_.try_emplace(room ? value : "other", bounds_).first->second.Observe(d);
}

void HistogramBy::Write(Writer& w, absl::string_view name, absl::string_view help) const {
  w.Family(name, Type::kHistogram, help);
  for (const auto& [value, histogram] : by_) histogram.WriteSamples(w, {{label_, value}});
}

void AgentInstruments::Write(Writer& w) const {
  renew_seconds.Write(w, "mainstay_lease_renew_duration_seconds", "How long a renewal of the lock took.");
  renew_failures.Write(w, "mainstay_lease_renew_failures_total",
                       "Renewals of the lock that were not confirmed.");
  lock_requests.Write(w, "mainstay_api_requests_total", "Requests to the store of the lock.");
  w.Family("mainstay_lease_transitions_total", Type::kCounter, "Times that this member acquired the lock.");
  w.Sample(static_cast<double>(transitions));
  w.Family("mainstay_fence_kills_total", Type::kCounter,
           "Times that the shim killed the database at its deadline.");
  w.Sample(static_cast<double>(fence_kills));
  fence_seconds.Write(w, "mainstay_fence_latency_seconds",
                      "From the fence's deadline until every database process was dead.");
  role_changes.Write(w, "mainstay_role_changes_total", "Changes of this member's role.");
  w.Family("mainstay_last_transition_timestamp_seconds", Type::kGauge,
           "When this member's role changed last; 0: never.");
  w.Sample(static_cast<double>(last_transition_unix_ms) / 1000.0);
  switchover_seconds.Write(w, "mainstay_switchover_duration_seconds",
                           "From the request of a switchover to its end.");
  probe_seconds.Write(w, "mainstay_probe_duration_seconds", "How long a probe of the database took.");
  engine_operations.Write(w, "mainstay_engine_operations_total", "Operations on the database.");
  operation_seconds.Write(w, "mainstay_engine_operation_duration_seconds",
                          "How long operations on the database took that were not superseded.");
  phase_seconds.Write(
      w, "mainstay_phase_duration_seconds",
      "How long the state machine was in a phase, told when it left it: freezing, acquiring and "
      "opening make a failover.");
  decisions.Write(w, "mainstay_decisions_total", "Decisions by row of the state machine's table.");
  peer_calls.Write(w, "mainstay_peer_calls_total", "Calls to the agents of the other members.");
  admin_calls.Write(w, "mainstay_admin_calls_total", "Administrators' calls that this member answered.");
}

}  // namespace mainstay::metrics
