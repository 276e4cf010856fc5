// PostgreSQL's metrics: runs the collectors of metrics_table.h and the queries of people (metrics_queries.h)
// over sessions of its own, with the agent's least-rights role. The election's reserved session is never
// used.
//
//   auto collector = std::make_shared<PostgresMetrics>(options);
//   collector->Configure(settings);
//   metrics::Scraper scraper(collector, {});
//
// What makes a scrape cheap: one round trip for all statements of the server, prepared once; parameters are
// read again only when they can have changed; what walks the disk is asked once in slow_interval. What keeps
// it from hanging: every wait ends by the deadline; a statement that goes on longer is waited for with the
// next scrape, its last values are shown meanwhile with their age.
//
// Sessions: one for the server, at most kMaxSessions others (databases, slow statements, own queries); opened
// by the first scrape, closed by Rest. application_name is mainstay_metrics.
//
// Thread rules: Collect and Rest on one thread; Configure from any.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lib/engine/postgres/metrics_queries.h"
#include "lib/engine/postgres/metrics_session.h"
#include "lib/engine/postgres/metrics_table.h"
#include "lib/metrics/collector.h"

namespace mainstay::engine::postgres {

struct MetricsOptions {
  std::string socket_dir;
  uint16_t port = 5432;
  std::string role;           // the agent's
  std::string password_file;  // pgpass
  std::string server;         // of the label `server`: host:port
  std::string data_dir;       // whose disk is shown
};

// Can be changed while it runs.
struct MetricsSettings {
  std::vector<std::string> collect, omit;  // besides and from what is on by default
  std::vector<std::string> databases;      // patterns; empty: all
  Duration slow_interval = std::chrono::minutes(2);
  Duration query_timeout = std::chrono::seconds(10);
  uint32_t row_limit = 1000;  // of collectors with a row for each table or index, and of own queries
  std::vector<UserQuery> queries;
  std::string queries_file;      // "" : none
  bool queries_refused = false;  // the file could not be used
};

class PostgresMetrics : public metrics::Collector {
 public:
  static constexpr size_t kMaxSessions = 3;
  static constexpr size_t kMaxDatabases = 32;

  explicit PostgresMetrics(MetricsOptions options);
  ~PostgresMetrics() override;

  void Configure(MetricsSettings settings);

  metrics::SnapshotPtr Collect(MonoTime deadline) override;
  void Rest() override;
  const char* prefix() const override { return "pg"; }

 private:
  // A session without an answer for this much longer than its statements may take is given up.
  static constexpr Duration kGiveUpAfter = std::chrono::seconds(5);

  // One statement in one database, and what it told last.
  struct Job {
    const MetricCollector* collector = nullptr;  // null: an own query
    const UserQuery* query = nullptr;
    std::string database;  // of the session it runs in
    bool shown = true;     // else it runs for what it tells the others
    bool running = false;
    bool ok = false;
    MonoTime tried;           // when it was last sent
    MonoTime at;              // of the values
    uint64_t generation = 0;  // of the session that it ran in last
    Duration took{};
    metrics::FamiliesPtr families;
  };
  // A database's session, or the one for slow statements, or for own queries.
  struct Worker {
    std::unique_ptr<MetricsSession> session;
    MonoTime used;
    std::map<std::string, std::string> extensions;  // name -> schema, quoted
    MonoTime extensions_at;
  };
  using JobPtr = std::shared_ptr<Job>;
  // Who shares a session: (database, kind).
  enum class Kind : uint8_t { kTables, kSlow, kOwn };
  using Place = std::pair<std::string, Kind>;

  void TakeSettings();
  void BuildServerJobs();
  void BuildDatabaseJobs(const std::vector<std::string>& databases);
  std::vector<std::string> TargetsOf(const UserQuery& query) const;
  ConnectOptions Session(const std::string& database) const;
  std::string Setup(Duration timeout) const;

  bool Server(MonoTime deadline, std::string* problem);
  void ServerAnswered(const JobPtr& job, const Rows& rows);
  void Others(MonoTime deadline);
  void Visit(const Place& place, const std::vector<JobPtr>& jobs, MonoTime deadline);
  Worker* WorkerFor(const Place& place);
  absl::Status LearnExtensions(Worker* worker, MonoTime deadline);
  static std::vector<JobPtr> AskPredicates(MetricsSession* session, const std::vector<JobPtr>& jobs,
                                           MonoTime deadline);
  bool Due(const Job& job, MonoTime now) const;
  MetricsSession::Statement ToStatement(const JobPtr& job, int version, const std::string& schema);
  void Answered(const JobPtr& job, const absl::StatusOr<Rows>& rows, Duration took);
  bool Enabled(const MetricCollector& collector) const;
  void Forget(MonoTime now);
  metrics::FamiliesPtr OwnFamilies(Duration took) const;
  metrics::SnapshotPtr Publish(MonoTime began, bool up, std::string problem);

  const MetricsOptions options_;
  std::mutex mutex_;
  std::optional<MetricsSettings> next_;  // under mutex_

  MetricsSettings settings_;
  MetricsSession server_;
  std::map<Place, Worker> workers_;
  std::vector<JobPtr> server_jobs_;
  std::vector<JobPtr> other_jobs_;
  std::vector<std::string> databases_;  // that take connections
  std::vector<std::string> built_for_;  // the databases that other_jobs_ were made for
  std::string change_key_, changed_at_key_;
  bool standby_ = false;
  MonoTime up_at_;
  uint64_t scrapes_ = 0;
  bool failed_ = false;  // a collector, in this collection
};

// Rows of a collector's statement as families (metrics_rows.cc). `server`: value of the label, "" : none.
std::vector<metrics::Family> ToFamilies(const MetricCollector& collector,
                                        const std::vector<const MetricColumn*>& columns, const Rows& rows,
                                        const std::string& server);
// The same of an own query; `database`: of the label datname, "" : none. False in *ok when a value was no
// number.
std::vector<metrics::Family> ToFamilies(const UserQuery& query, const Rows& rows, const std::string& database,
                                        bool* ok);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_METRICS_H_
