// Databases, slow statements and own queries: the sessions besides the server's own (metrics.h).
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/metrics.h"

namespace mainstay::engine::postgres {
namespace {

constexpr Duration kExtensionsFor = std::chrono::minutes(5);

constexpr char kExtensions[] =
    "SELECT e.extname, quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = "
    "e.extnamespace";

}  // namespace

bool PostgresMetrics::Due(const Job& job, MonoTime now) const {
  if (job.running) return true;  // its answer is waited for
  if (job.query != nullptr) {
    if (job.query->primary_only && standby_) return false;
    if (!Includes(job.query->versions, server_.server_version())) return false;
    return job.query->cache == Duration(0) || now - job.tried >= job.query->cache;
  }
  bool slow = job.collector->pace == CollectorPace::kSlow;
  if (job.collector->scope == CollectorScope::kDatabases) {
    // Sessions are not kept for all of many databases, and a database without tables is not worth a visit.
    const bool nothing = job.ok && (job.families == nullptr || job.families->empty());
    slow = slow || nothing || databases_.size() + 1 > kMaxSessions;
  }
  return !slow || now - job.tried >= settings_.slow_interval;
}

PostgresMetrics::Worker* PostgresMetrics::WorkerFor(const Place& place) {
  const auto known = workers_.find(place);
  if (known == workers_.end() && workers_.size() >= kMaxSessions) {
    auto oldest = workers_.end();
    for (auto it = workers_.begin(); it != workers_.end(); ++it) {
      if (it->second.session->busy()) continue;
      if (oldest == workers_.end() || it->second.used < oldest->second.used) oldest = it;
    }
    if (oldest == workers_.end()) return nullptr;
    workers_.erase(oldest);
  }
  Worker& worker = workers_[place];
  if (worker.session == nullptr) {
    worker.session = std::make_unique<MetricsSession>(Session(place.first), Setup(settings_.query_timeout));
  }
  worker.used = BootClock().Now();
  return &worker;
}

absl::Status PostgresMetrics::LearnExtensions(Worker* worker, MonoTime deadline) {
  const MonoTime now = BootClock().Now();
  if (!worker->extensions_at.is_past() && now - worker->extensions_at < kExtensionsFor)
    return absl::OkStatus();
  MetricsSession::Statement s;
  s.name = "extensions";
  s.sql = kExtensions;
  s.answer = [worker, now](const absl::StatusOr<Rows>& rows, Duration) {
    if (!rows.ok()) return;
    worker->extensions.clear();
    for (int i = 0; i < rows->size(); ++i) worker->extensions[rows->text(i, 0)] = rows->text(i, 1);
    worker->extensions_at = now;
  };
  std::vector<MetricsSession::Statement> one;
  one.push_back(std::move(s));
  MAINSTAY_RETURN_IF_ERROR(worker->session->Send(std::move(one), MetricsSession::Grouping::kTogether));
  return worker->session->Pump(deadline);
}

// Those of the jobs whose predicate, where they have one, returns true.
std::vector<PostgresMetrics::JobPtr> PostgresMetrics::AskPredicates(MetricsSession* session,
                                                                    const std::vector<JobPtr>& jobs,
                                                                    MonoTime deadline) {
  std::vector<JobPtr> out;
  std::vector<MetricsSession::Statement> statements;
  auto yes = std::make_shared<std::vector<JobPtr>>();  // an answer may come after this call
  for (const JobPtr& job : jobs) {
    if (job->query == nullptr || job->query->predicate.empty()) {
      out.push_back(job);
      continue;
    }
    MetricsSession::Statement s;
    s.sql = absl::StrCat("SELECT * FROM (", job->query->predicate, "\n) q LIMIT 1");
    s.answer = [job, yes](const absl::StatusOr<Rows>& rows, Duration) {
      job->ok = rows.ok();
      if (rows.ok() && rows->size() == 1 && rows->truth(0, 0)) {
        yes->push_back(job);
      } else {
        job->families.reset();
      }
    };
    statements.push_back(std::move(s));
  }
  if (statements.empty()) return out;
  absl::Status status = session->Send(std::move(statements), MetricsSession::Grouping::kReadOnly);
  if (status.ok()) status = session->Pump(deadline);
  if (!status.ok()) return {};
  out.insert(out.end(), yes->begin(), yes->end());
  return out;
}

void PostgresMetrics::Visit(const Place& place, const std::vector<JobPtr>& jobs, MonoTime deadline) {
  Worker* worker = WorkerFor(place);
  if (worker == nullptr) return;
  MetricsSession& session = *worker->session;
  const MonoTime now = BootClock().Now();
  if (session.busy() && now - session.busy_since() > settings_.query_timeout + kGiveUpAfter) session.Close();
  absl::Status status = session.Ready(deadline);
  if (status.ok() && session.busy()) status = session.Pump(deadline);
  const bool extensions = std::any_of(jobs.begin(), jobs.end(), [](const JobPtr& job) {
    return job->collector != nullptr && *job->collector->extension != '\0';
  });
  if (status.ok() && extensions) status = LearnExtensions(worker, deadline);
  if (!status.ok()) {
    if (!absl::IsDeadlineExceeded(status)) {
      for (const JobPtr& job : jobs) job->ok = job->running = false;
    }
    return;
  }
  std::vector<MetricsSession::Statement> statements;
  for (const JobPtr& job : AskPredicates(&session, jobs, deadline)) {
    if (!Due(*job, now)) continue;  // answered just now
    std::string schema;
    if (job->collector != nullptr && *job->collector->extension != '\0') {
      const auto it = worker->extensions.find(job->collector->extension);
      job->shown = it != worker->extensions.end();
      if (!job->shown) continue;
      schema = it->second;
    }
    statements.push_back(ToStatement(job, session.server_version(), schema));
  }
  const auto grouping =
      place.second == Kind::kOwn ? MetricsSession::Grouping::kReadOnly : MetricsSession::Grouping::kTogether;
  if (session.Send(std::move(statements), grouping).ok()) (void)session.Pump(deadline);
}

void PostgresMetrics::Others(MonoTime deadline) {
  if (built_for_ != databases_ || other_jobs_.empty()) {
    std::vector<std::string> wanted;
    for (const std::string& database : databases_) {
      const bool listed = settings_.databases.empty() ||
                          std::any_of(settings_.databases.begin(), settings_.databases.end(),
                                      [&](const std::string& p) { return MatchesGlob(p, database); });
      if (listed && wanted.size() < kMaxDatabases) wanted.push_back(database);
    }
    BuildDatabaseJobs(wanted);
  }
  const MonoTime now = BootClock().Now();
  std::map<Place, std::vector<JobPtr>> due;
  for (const JobPtr& job : other_jobs_) {
    if (!Due(*job, now)) continue;
    due[{job->database, job->query != nullptr ? Kind::kOwn : Kind::kTables}].push_back(job);
  }
  // Who waited longest goes first; own queries, which may take any time, go last.
  std::vector<std::pair<Place, std::vector<JobPtr>>> order(due.begin(), due.end());
  const auto waited = [](const std::vector<JobPtr>& jobs) { return jobs.front()->tried; };
  std::stable_sort(order.begin(), order.end(), [&](const auto& a, const auto& b) {
    return std::make_pair(a.first.second, waited(a.second)) <
           std::make_pair(b.first.second, waited(b.second));
  });
  for (const auto& [place, jobs] : order) Visit(place, jobs, deadline);
}

}  // namespace mainstay::engine::postgres
