#include "lib/engine/postgres/metrics_table.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "lib/engine/postgres/metrics_parts.h"

namespace mainstay::engine::postgres {
namespace {

// "8kB" -> 8 * 1024 and "bytes"; "min" -> 60 and "seconds".
bool ParseUnit(absl::string_view unit, double* factor, const char** base) {
  size_t digits = 0;
  while (digits < unit.size() && absl::ascii_isdigit(static_cast<unsigned char>(unit[digits]))) ++digits;
  double times = 1;
  if (digits > 0 && (digits > 9 || !absl::SimpleAtod(unit.substr(0, digits), &times))) return false;
  static constexpr struct {
    const char* name;
    double factor;
    const char* base;
  } kUnits[] = {
      {"us", 1e-6, "seconds"},     {"ms", 1e-3, "seconds"},        {"s", 1, "seconds"},
      {"min", 60, "seconds"},      {"h", 3600, "seconds"},         {"d", 86400, "seconds"},
      {"B", 1, "bytes"},           {"kB", 1024, "bytes"},          {"MB", 1048576, "bytes"},
      {"GB", 1073741824, "bytes"}, {"TB", 1099511627776, "bytes"},
  };
  for (const auto& u : kUnits) {
    if (unit.substr(digits) == u.name) {
      *factor = times * u.factor;
      *base = u.base;
      return true;
    }
  }
  return false;
}

const char* PaceText(CollectorPace pace) {
  switch (pace) {
    case CollectorPace::kScrape:
      return "each scrape";
    case CollectorPace::kChange:
      return "when it changed";
    case CollectorPace::kSlow:
      return "metrics.slow_interval";
  }
  return "";
}

const char* TypeText(MetricUse use) {
  switch (use) {
    case MetricUse::kGauge:
      return "gauge";
    case MetricUse::kCounter:
      return "counter";
    case MetricUse::kUntyped:
      return "untyped";
    case MetricUse::kLabel:
    case MetricUse::kHidden:
      return "";
  }
  return "";
}

std::string Versions(const MetricColumn& c) {
  if (c.from <= kFirstMajor && c.until == kLastMajor) return "";
  if (c.until == kLastMajor) return absl::StrCat(c.from, "-");
  return c.from == c.until ? absl::StrCat(c.from) : absl::StrCat(c.from, "-", c.until);
}

void PrintCollector(const MetricCollector& c, std::string* out) {
  std::vector<std::string> labels;
  for (const MetricColumn& column : c.columns) {
    if (column.use == MetricUse::kLabel) labels.emplace_back(column.name);
  }
  if (c.server_label) labels.emplace_back("server");
  absl::StrAppend(out, "\n### ", c.name, "\n\n", c.about, ". Collected: ", PaceText(c.pace),
                  c.scope == CollectorScope::kDatabases ? ", in each database" : "",
                  c.preset ? "" : "; off unless `metrics.collect` names it",
                  *c.extension == '\0' ? "" : absl::StrCat("; needs the extension ", c.extension),
                  ". Labels: ", labels.empty() ? "none" : absl::StrJoin(labels, ", "), ".\n");
  if (std::string(c.name) == "settings") {
    absl::StrAppend(out,
                    "\n`pg_settings_<name>[_seconds|_bytes]`, gauge: every parameter that is a number or a "
                    "truth, in base "
                    "units; -1 stays -1.\n");
    return;
  }
  absl::StrAppend(out, "\n| name | type | versions | help |\n|---|---|---|---|\n");
  for (size_t i = 0; i < c.columns.size(); ++i) {
    const MetricColumn& column = c.columns[i];
    if (column.use == MetricUse::kLabel || column.use == MetricUse::kHidden) continue;
    // The same name again is the same family of another version.
    const bool again = i > 0 && std::string(c.columns[i - 1].name) == column.name;
    const bool more = i + 1 < c.columns.size() && std::string(c.columns[i + 1].name) == column.name;
    if (again) continue;
    absl::StrAppend(out, "| `", column.name, "` | ", TypeText(column.use), " | ",
                    more ? "" : Versions(column), " | ", column.help, " |\n");
  }
}

}  // namespace

const std::vector<MetricCollector>& MetricCollectors() {
  static const std::vector<MetricCollector> all = [] {
    std::vector<MetricCollector> out = ServerCollectors();
    for (MetricCollector& c : DatabaseCollectors()) out.push_back(std::move(c));
    for (MetricCollector& c : TableCollectors()) out.push_back(std::move(c));
    return out;
  }();
  return all;
}

const MetricCollector* FindMetricCollector(const std::string& name) {
  for (const MetricCollector& c : MetricCollectors()) {
    if (name == c.name) return &c;
  }
  return nullptr;
}

std::vector<const MetricColumn*> ColumnsFor(const MetricCollector& collector, int major) {
  std::vector<const MetricColumn*> out;
  for (const MetricColumn& c : collector.columns) {
    if (c.from <= major && major <= c.until) out.push_back(&c);
  }
  return out;
}

std::string StatementFor(const MetricCollector& collector, int major, const std::string& schema,
                         uint32_t limit) {
  const auto columns = ColumnsFor(collector, major);
  const auto expression = [](std::string* out, const MetricColumn* c) { *out += c->expression; };
  const bool newer = major >= 17 && *collector.source_since17 != '\0';
  std::string sql = absl::StrCat("SELECT ", absl::StrJoin(columns, ", ", expression), " FROM ",
                                 newer ? collector.source_since17 : collector.source);
  if (*collector.tail != '\0') absl::StrAppend(&sql, " ", collector.tail);
  if (collector.limited) absl::StrAppend(&sql, " LIMIT ", limit);
  return absl::StrReplaceAll(sql, {{"{ext}", schema}});
}

bool ToSettingMetric(const std::string& name, const std::string& setting, const std::string& unit,
                     const std::string& type, SettingMetric* out) {
  out->name = absl::StrCat("pg_settings_", name);
  // What Prometheus allows in a name; parameters have dots, hyphens, and capitals (DateStyle).
  for (char& c : out->name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  out->help = absl::StrCat("Server Parameter: ", name);
  if (type == "bool") {
    out->value = setting == "on" ? "1" : "0";
    return true;
  }
  double value = 0;
  if (!absl::SimpleAtod(setting, &value)) return false;
  out->value = setting;
  if (unit.empty()) return true;
  double factor = 1;
  const char* base = nullptr;
  if (!ParseUnit(unit, &factor, &base)) return false;
  absl::StrAppend(&out->name, "_", base);
  absl::StrAppend(&out->help, " [Units converted to ", base, ".]");
  if (value == -1) return true;
  value *= factor;
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value);  // the shortest that reads back the same
  out->value.assign(text, end.ptr);
  return true;
}

namespace {

constexpr OwnMetricText kOwn[] = {
    {"pg_exporter_last_scrape_duration_seconds", MetricUse::kGauge, "",
     "Duration of the last scrape of metrics from PostgreSQL."},
    {"pg_exporter_last_scrape_error", MetricUse::kGauge, "",
     "Whether the last scrape of metrics from PostgreSQL resulted in an error (1 for error, 0 for success)."},
    {"pg_exporter_scrapes_total", MetricUse::kCounter, "",
     "Total number of times PostgreSQL was scraped for metrics."},
    {"pg_exporter_user_queries_load_error", MetricUse::kGauge, "filename",
     "Whether the user queries file was loaded and parsed successfully (1 for error, 0 for success)."},
    {"mainstay_disk_size_bytes", MetricUse::kGauge, "volume",
     "Size of the volume that holds the data, or the log."},
    {"mainstay_disk_available_bytes", MetricUse::kGauge, "volume",
     "What is left of the volume that holds the data, or the log."},
};

}  // namespace

const OwnMetricText& TextOf(OwnMetric metric) { return kOwn[static_cast<size_t>(metric)]; }

const std::vector<Deviation>& Deviations() {
  static const std::vector<Deviation> all = {
      {"go_*", "absent", "of the Go runtime: there is none"},
      {"promhttp_*", "absent", "of the exporter's HTTP server; here mainstay_http_*"},
      {"postgres_exporter_*", "absent", "the exporter's build; here mainstay_build_info"},
      {"process_*", "absent", "of another process"},
      {"pg_exporter_user_queries_load_error", "absent",
       "only when there is a file of queries; the label hashsum is left out"},
      {"pg_stat_replication_*", "labels",
       "slot_name is the name of the slot; the exporter puts the process id of the walsender there"},
      {"pg_stat_replication_reply_time", "absent",
       "not a column of later exporters; a clock of another machine"},
      {"pg_scrape_collector_*", "labels", "other collectors; those of a database have the label datname"},
      {"pg_exporter_*", "value", "of another collection"},
      {"pg_stat_progress_vacuum_max_dead_tuples", "absent",
       "PostgreSQL 17 and later have a limit in bytes: pg_stat_progress_vacuum_max_dead_tuple_bytes"},
      {"pg_stat_activity_*", "value", "the session that asks is not counted, as in later exporters"},
      {"pg_locks_count", "value", "the locks of the session that asks are not counted"},
      {"pg_settings_extra_float_digits", "value", "the exporter sets it for its own session"},
      {"pg_settings_tcp_keepalives_*", "value", "of the session: here it comes over a unix socket"},
      {"pg_settings_tcp_user_timeout_seconds", "value", "of the session: here it comes over a unix socket"},
      {"*", "null",
       "what the server has no value of (NULL) is NaN in Debian's exporter and left out here, as in later "
       "ones"},
  };
  return all;
}

std::string MetricsPage() {
  std::string out = "\n### Of the collection itself\n\n| name | type | labels | help |\n|---|---|---|---|\n";
  for (const OwnMetricText& own : kOwn) {
    absl::StrAppend(&out, "| `", own.name, "` | ", TypeText(own.use), " | ", own.labels, " | ", own.help,
                    " |\n");
  }
  for (const MetricCollector& c : MetricCollectors()) PrintCollector(c, &out);
  absl::StrAppend(&out,
                  "\n## Where these differ from postgres_exporter's, on purpose\n\n| family | what | why "
                  "|\n|---|---|---|\n");
  for (const Deviation& d : Deviations()) {
    absl::StrAppend(&out, "| `", d.family, "` | ", d.what, " | ", d.why, " |\n");
  }
  return out;
}

}  // namespace mainstay::engine::postgres
