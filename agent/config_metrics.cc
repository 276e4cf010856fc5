// The section metrics of the configuration.
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/config_check.h"
#include "agent/config_schema.h"
#include "lib/engine/postgres/metrics_table.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

void CheckCollectors(const std::string& path, const google::protobuf::RepeatedPtrField<std::string>& names,
                     const AddProblem& add) {
  std::vector<std::string> known;
  for (const auto& c : engine::postgres::MetricCollectors()) known.emplace_back(c.name);
  for (const std::string& name : names) {
    if (engine::postgres::FindMetricCollector(name) != nullptr) continue;
    const std::string near = schema::Nearest(name, known);
    add(path, name, "is no collector",
        near.empty() ? absl::StrCat("use one of ", absl::StrJoin(known, ", "))
                     : absl::StrCat("did you mean ", near));
  }
}

bool IsPrefix(const std::string& s) {
  for (size_t i = 0; i < s.size(); ++i) {
    const unsigned char c = static_cast<unsigned char>(s[i]);
    if (!absl::ascii_isalpha(c) && c != '_' && (i == 0 || !absl::ascii_isdigit(c))) return false;
  }
  return s.size() <= 40;
}

}  // namespace

void CheckMetrics(const v1::Metrics& m, const AddProblem& add) {
  CheckCollectors("metrics.collect", m.collect(), add);
  CheckCollectors("metrics.omit", m.omit(), add);
  if (!m.queries().empty()) CheckAbsolute("metrics.queries", m.queries(), "the file of own queries", add);
  if (!IsPrefix(m.queries_prefix())) {
    add("metrics.queries_prefix", m.queries_prefix(), "cannot begin a metric's name",
        "use letters, digits and _, at most 40, and no digit first");
  }
  if (m.has_slow_interval())
    CheckBounded("metrics.slow_interval", m.slow_interval(), Duration(0), hours(24), add);
  if (m.has_query_timeout()) {
    CheckBounded("metrics.query_timeout", m.query_timeout(), milliseconds(100), minutes(10), add);
  }
  if (m.max_samples() < 0 || m.max_samples() > 30'000) {
    add("metrics.max_samples", absl::StrCat(m.max_samples()), "is out of bounds", "use 1 to 30000");
  }
  if (m.max_family_samples() < 0 || m.max_family_samples() > 10'000) {
    add("metrics.max_family_samples", absl::StrCat(m.max_family_samples()), "is out of bounds",
        "use 1 to 10000");
  }
}

MetricsConfig ConvertMetrics(const v1::Metrics& m) {
  MetricsConfig out;
  out.collect = {m.collect().begin(), m.collect().end()};
  out.omit = {m.omit().begin(), m.omit().end()};
  out.databases = {m.databases().begin(), m.databases().end()};
  out.queries = m.queries();
  out.queries_prefix = m.queries_prefix();
  out.slow_interval = ToDuration(m.slow_interval());
  out.query_timeout = ToDuration(m.query_timeout());
  out.max_samples = static_cast<uint32_t>(m.max_samples());
  out.max_family_samples = static_cast<uint32_t>(m.max_family_samples());
  return out;
}

}  // namespace mainstay::agent
