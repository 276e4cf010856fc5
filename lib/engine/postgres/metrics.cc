#include "lib/engine/postgres/metrics.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"

namespace mainstay::engine::postgres {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// The database whose catalogs all have; what is there once is asked in it.
constexpr char kMaintenance[] = "postgres";
// Of the server's own statements: they take milliseconds, longer is a server in trouble.
constexpr Duration kServerTimeout = seconds(5);
// Prometheus forgets a series without samples after as long.
constexpr Duration kForgetAfter = minutes(5);

int64_t Millis(Duration d) { return std::chrono::duration_cast<milliseconds>(d).count(); }

int HiddenColumn(const MetricCollector& collector, int major, const std::string& name) {
  const auto columns = ColumnsFor(collector, major);
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i]->use == MetricUse::kHidden && name == columns[i]->name) return static_cast<int>(i);
  }
  return -1;
}

metrics::Family& Own(OwnMetric metric, metrics::FamilyList* out) {
  const OwnMetricText& text = TextOf(metric);
  const bool counter = text.use == MetricUse::kCounter;
  return out->Begin(text.name, counter ? metrics::Type::kCounter : metrics::Type::kGauge, text.help);
}

// Disk of the data, and of the log where it has a volume of its own.
void AddDisks(const std::string& data_dir, metrics::FamilyList* out) {
  if (data_dir.empty()) return;
  for (const auto& [volume, path] : {std::pair<const char*, std::string>{"data", data_dir},
                                     std::pair<const char*, std::string>{"wal", data_dir + "/pg_wal"}}) {
    struct statvfs st = {};
    if (statvfs(path.c_str(), &st) != 0) continue;
    metrics::LabelText labels;
    labels.Add("volume", volume);
    const double block = static_cast<double>(st.f_frsize);
    Own(OwnMetric::kDiskSize, out).AddNumber(labels, static_cast<double>(st.f_blocks) * block);
    Own(OwnMetric::kDiskAvailable, out).AddNumber(labels, static_cast<double>(st.f_bavail) * block);
  }
}

}  // namespace

PostgresMetrics::PostgresMetrics(MetricsOptions options)
    : options_(std::move(options)),
      next_(MetricsSettings()),
      server_(Session(kMaintenance), Setup(kServerTimeout)) {}

PostgresMetrics::~PostgresMetrics() = default;

void PostgresMetrics::Configure(MetricsSettings settings) {
  const std::lock_guard<std::mutex> lock(mutex_);
  next_ = std::move(settings);
}

ConnectOptions PostgresMetrics::Session(const std::string& database) const {
  return {
      {"host", options_.socket_dir},
      {"port", std::to_string(options_.port)},
      {"dbname", database},
      {"user", options_.role},
      {"passfile", options_.password_file},
      {"application_name", "mainstay_metrics"},
      {"sslmode", "disable"},
      {"gssencmode", "disable"},
      {"client_encoding", "UTF8"},
      // In the startup packet: stronger than ALTER ROLE or ALTER DATABASE ... SET.
      {"options", "-c search_path=pg_catalog,pg_temp -c DateStyle=ISO -c IntervalStyle=postgres"},
  };
}

// By SET, not in the startup packet: so pg_settings still knows what everybody else gets.
std::string PostgresMetrics::Setup(Duration timeout) const {
  return absl::StrCat("SET statement_timeout = ", Millis(timeout),
                      "; SET lock_timeout = 200; SET default_transaction_read_only = on; SET jit = off");
}

bool PostgresMetrics::Enabled(const MetricCollector& collector) const {
  const std::string name = collector.name;
  const auto in = [&](const std::vector<std::string>& list) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  return !in(settings_.omit) && (collector.preset || in(settings_.collect));
}

void PostgresMetrics::TakeSettings() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!next_.has_value()) return;
    settings_ = *std::exchange(next_, std::nullopt);
  }
  server_.Close();  // what is prepared may say something else now
  workers_.clear();
  other_jobs_.clear();
  built_for_.clear();
  BuildServerJobs();
}

void PostgresMetrics::BuildServerJobs() {
  server_jobs_.clear();
  for (const MetricCollector& c : MetricCollectors()) {
    if (c.scope != CollectorScope::kServer || c.pace == CollectorPace::kSlow) continue;
    const std::string name = c.name;
    const bool needed = name == "server" || name == "database";  // tell the collector itself something
    if (!needed && !Enabled(c)) continue;
    auto job = std::make_shared<Job>();
    job->collector = &c;
    job->shown = Enabled(c);
    server_jobs_.push_back(std::move(job));
  }
}

std::vector<std::string> PostgresMetrics::TargetsOf(const UserQuery& query) const {
  if (query.databases.empty()) return {kMaintenance};
  std::vector<std::string> out;
  for (const std::string& database : databases_) {
    const bool wanted =
        std::any_of(query.databases.begin(), query.databases.end(),
                    [&](const std::string& pattern) { return MatchesGlob(pattern, database); });
    if (wanted && out.size() < kMaxDatabases) out.push_back(database);
  }
  return out;
}

// Jobs that are wanted further on keep their values.
void PostgresMetrics::BuildDatabaseJobs(const std::vector<std::string>& databases) {
  std::vector<JobPtr> next;
  const auto add = [&](const MetricCollector* collector, const UserQuery* query,
                       const std::string& database) {
    for (const JobPtr& job : other_jobs_) {
      if (job->collector == collector && job->query == query && job->database == database) {
        next.push_back(job);
        return;
      }
    }
    auto job = std::make_shared<Job>();
    job->collector = collector;
    job->query = query;
    job->database = database;
    next.push_back(std::move(job));
  };
  for (const MetricCollector& c : MetricCollectors()) {
    if (!Enabled(c)) continue;
    if (c.scope == CollectorScope::kServer) {
      if (c.pace == CollectorPace::kSlow) add(&c, nullptr, kMaintenance);
      continue;
    }
    for (const std::string& database : databases) add(&c, nullptr, database);
  }
  for (const UserQuery& query : settings_.queries) {
    for (const std::string& database : TargetsOf(query)) add(nullptr, &query, database);
  }
  other_jobs_ = std::move(next);
  built_for_ = databases_;
}

// ---- one statement ----

MetricsSession::Statement PostgresMetrics::ToStatement(const JobPtr& job, int version,
                                                       const std::string& schema) {
  job->running = true;
  job->tried = BootClock().Now();
  MetricsSession::Statement s;
  if (job->query != nullptr) {
    s.sql = absl::StrCat("SELECT * FROM (", job->query->sql, "\n) q LIMIT ", settings_.row_limit + 1);
  } else {
    s.name = job->collector->name;
    s.sql = StatementFor(*job->collector, version / 10000, schema, settings_.row_limit + 1);
  }
  s.answer = [this, job](const absl::StatusOr<Rows>& rows, Duration took) { Answered(job, rows, took); };
  return s;
}

void PostgresMetrics::Answered(const JobPtr& job, const absl::StatusOr<Rows>& rows, Duration took) {
  job->running = false;
  job->ok = rows.ok();
  job->took = took;
  const std::string name = job->query != nullptr ? job->query->name : job->collector->name;
  if (!rows.ok()) {
    failed_ = true;
    static LogLimiter limiter(minutes(1));
    if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held)) {
      Log(LogLevel::kWarn, "metrics", "a query of the metrics failed",
          {{"collector", name}, {"database", job->database}, {"error", rows.status()}, {"held_back", held}});
    }
    return;
  }
  job->at = job->tried;
  std::vector<metrics::Family> families;
  if (job->query != nullptr) {
    // Where a query runs in several databases, they must be told apart.
    const bool several = !job->query->databases.empty();
    families = ToFamilies(*job->query, *rows, several ? job->database : "", &job->ok);
  } else {
    ServerAnswered(job, *rows);
    if (job->shown) {
      const int major = server_.server_version() / 10000;
      families = ToFamilies(*job->collector, ColumnsFor(*job->collector, major), *rows, options_.server);
    }
  }
  job->families = std::make_shared<const std::vector<metrics::Family>>(std::move(families));
}

void PostgresMetrics::ServerAnswered(const JobPtr& job, const Rows& rows) {
  const std::string name = job->collector->name;
  const int major = server_.server_version() / 10000;
  if (name == "server" && rows.size() == 1) {
    standby_ = rows.truth(0, HiddenColumn(*job->collector, major, "standby"));
    change_key_ =
        absl::StrCat(rows.text(0, HiddenColumn(*job->collector, major, "conf_load")), "/", standby_);
  }
  if (name == "database") {
    const int usable = HiddenColumn(*job->collector, major, "usable");
    databases_.clear();
    for (int i = 0; i < rows.size(); ++i) {
      if (rows.truth(i, usable)) databases_.push_back(rows.text(i, 0));
    }
    std::sort(databases_.begin(), databases_.end());
  }
}

// ---- the server ----

bool PostgresMetrics::Server(MonoTime deadline, std::string* problem) {
  const MonoTime began = BootClock().Now();
  if (server_.busy() && began - server_.busy_since() > kServerTimeout + kGiveUpAfter) server_.Close();
  absl::Status status = server_.Ready(deadline);
  if (status.ok() && server_.busy()) status = server_.Pump(deadline);  // of an earlier scrape
  // Twice when the parameters changed: the first round tells that.
  for (int round = 0; status.ok() && round < 2; ++round) {
    std::vector<MetricsSession::Statement> statements;
    for (const JobPtr& job : server_jobs_) {
      const bool change = job->collector->pace == CollectorPace::kChange;
      const bool due = job->generation != server_.generation() || (change ? round == 1 : round == 0);
      if (!due) continue;
      job->generation = server_.generation();
      statements.push_back(ToStatement(job, server_.server_version(), ""));
    }
    if (statements.empty()) break;
    status = server_.Send(std::move(statements), MetricsSession::Grouping::kTogether);
    if (status.ok()) status = server_.Pump(deadline);
    if (change_key_ == changed_at_key_ || changed_at_key_.empty()) {
      changed_at_key_ = change_key_;
      break;
    }
    changed_at_key_ = change_key_;
  }
  if (!status.ok()) *problem = std::string(status.message());
  const JobPtr& first = server_jobs_.front();
  return first->ok && !first->running && first->at >= began;
}

// ---- a collection ----

metrics::FamiliesPtr PostgresMetrics::OwnFamilies(Duration took) const {
  metrics::FamilyList out;
  const metrics::LabelText none;
  Own(OwnMetric::kDuration, &out).AddNumber(none, std::chrono::duration<double>(took).count());
  Own(OwnMetric::kError, &out).AddNumber(none, failed_ ? 1 : 0);
  Own(OwnMetric::kScrapes, &out).AddNumber(none, static_cast<double>(scrapes_));
  if (!settings_.queries_file.empty()) {
    metrics::LabelText file;
    file.Add("filename", settings_.queries_file);
    Own(OwnMetric::kQueriesError, &out).AddNumber(file, settings_.queries_refused ? 1 : 0);
  }
  AddDisks(options_.data_dir, &out);
  return std::make_shared<const std::vector<metrics::Family>>(out.Take());
}

// Values of a server that is long gone tell nothing any more.
void PostgresMetrics::Forget(MonoTime now) {
  if (now - up_at_ < kForgetAfter) return;
  for (const auto* jobs : {&server_jobs_, &other_jobs_}) {
    for (const JobPtr& job : *jobs) {
      job->families.reset();
      job->at = MonoTime();
    }
  }
}

metrics::SnapshotPtr PostgresMetrics::Publish(MonoTime began, bool up, std::string problem) {
  auto out = std::make_shared<metrics::Snapshot>();
  out->up = up;
  out->problem = std::move(problem);
  out->began = began;
  out->took = BootClock().Now() - began;
  for (const auto* jobs : {&server_jobs_, &other_jobs_}) {
    for (const JobPtr& job : *jobs) {
      if (!job->shown) continue;
      if (job->families != nullptr) out->families.push_back(job->families);
      const bool of_server = job->collector != nullptr && job->collector->scope == CollectorScope::kServer;
      out->collectors.push_back({job->query != nullptr ? job->query->name : job->collector->name,
                                 of_server ? "" : job->database, up && job->ok, job->took, job->at});
    }
  }
  out->families.push_back(OwnFamilies(out->took));
  return out;
}

metrics::SnapshotPtr PostgresMetrics::Collect(MonoTime deadline) {
  const MonoTime began = BootClock().Now();
  TakeSettings();
  ++scrapes_;
  failed_ = false;
  std::string problem;
  const bool up = Server(deadline, &problem);
  if (up) {
    up_at_ = began;
    Others(deadline);
  } else {
    failed_ = true;
    Forget(began);
  }
  return Publish(began, up, std::move(problem));
}

void PostgresMetrics::Rest() {
  server_.Close();
  workers_.clear();
  BuildServerJobs();
  other_jobs_.clear();
  built_for_.clear();
  changed_at_key_.clear();
}

}  // namespace mainstay::engine::postgres
