#include "agent/metrics_docs.h"

#include <map>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agent/face_metrics.h"
#include "lib/base/time.h"
#include "lib/engine/postgres/metrics_table.h"

namespace mainstay::agent {
namespace {

// A view with something in every part that makes a family.
rpc::StatusView Sample() {
  rpc::StatusView v;
  v.lock.record_changed_at = v.database.probed_at = BootClock().Now();
  rpc::MemberView m;
  m.name = "a";
  m.heard_at = BootClock().Now();
  m.lag_bytes = 0;
  v.members.push_back(m);
  return v;
}

metrics::AgentInstruments SampleInstruments() {
  metrics::AgentInstruments out;
  out.ForEachCounter([](metrics::CounterBy& c) { c.Add({}); });
  out.phase_seconds.Observe("replica", Duration::zero());
  out.operation_seconds.Observe("promote", Duration::zero());
  return out;
}

struct Family {
  std::string name, type, help;
  std::set<std::string> labels;
};

void ReadLabels(absl::string_view line, Family* f) {
  const size_t open = line.find('{');
  if (open == absl::string_view::npos) return;
  for (size_t at = open + 1; at < line.size();) {
    const size_t equals = line.find("=\"", at);
    if (equals == absl::string_view::npos) return;
    f->labels.emplace(line.substr(at, equals - at));
    size_t end = equals + 2;
    while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2 : 1;
    if (end + 1 >= line.size() || line[end + 1] != ',') return;
    at = end + 2;
  }
}

std::vector<Family> Read(const std::string& page) {
  std::vector<Family> out;
  for (absl::string_view line : absl::StrSplit(page, '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 3));
    if (words.size() == 4 && words[0] == "#" && words[1] == "HELP") {
      out.push_back({words[2], "", words[3], {}});
    } else if (words.size() == 4 && words[0] == "#" && words[1] == "TYPE") {
      out.back().type = words[3];
    } else if (!line.empty() && !out.empty()) {
      ReadLabels(line, &out.back());
    }
  }
  return out;
}

std::string OwnPage() {
  const metrics::AgentInstruments instruments = SampleInstruments();
  const MetricsPage page({.instruments = &instruments});
  std::string body;
  page.Answer(http::Request(), Sample(), BootClock().Now(), http::Counters(),
              [&](http::Response response) { body = std::move(response.body); });
  metrics::Snapshot snapshot;
  snapshot.collectors.push_back({.name = "c", .scope = "d", .ok = true, .took = {}, .at = BootClock().Now()});
  metrics::Writer w;
  metrics::WriteSnapshot(snapshot, "pg", false, BootClock().Now(), {}, w);
  metrics::CounterBy dropped({"family"});
  dropped.Add({"f"});
  MetricsPage::WriteDropped(dropped, w);
  return body + w.Finish();
}

}  // namespace

std::string MetricsDocs() {
  std::string out = "## Of Mainstay itself\n\n| name | type | labels | help |\n|---|---|---|---|\n";
  for (const Family& f : Read(OwnPage())) {
    std::set<std::string> labels = f.labels;
    if (f.type == "histogram") labels.erase("le");
    if (f.name == "mainstay_certificate_expiry_timestamp_seconds") labels.insert("certificate");
    if (f.name == "mainstay_audit_lines_total" || f.name == "mainstay_database_log_lines_total")
      labels.insert("outcome");
    absl::StrAppend(&out, "| `", f.name, "` | ", f.type, " | ", absl::StrJoin(labels, ", "), " | ", f.help,
                    " |\n");
  }
  return absl::StrCat(out, "\n## Of PostgreSQL\n", engine::postgres::MetricsPage());
}

}  // namespace mainstay::agent
