#include "agent/sidecar/metrics.h"

#include <utility>

#include "agent/config_queries.h"
#include "agent/sidecar/assemble.h"
#include "lib/base/log.h"
#include "lib/engine/postgres/metrics.h"
#include "lib/engine/redis/metrics.h"

namespace mainstay::agent {
namespace {

engine::postgres::MetricsOptions ToOptions(const Config& config) {
  const PostgresqlConfig& p = config.postgresql;
  engine::postgres::MetricsOptions o;
  o.socket_dir = p.socket_dir;
  o.port = p.port;
  o.role = p.agent_role;
  o.password_file = p.password_file;
  o.server = config.settings.self.db_address;
  o.data_dir = p.data_dir;
  return o;
}

engine::postgres::MetricsSettings ToSettings(const Config& config) {
  const MetricsConfig& m = config.metrics;
  engine::postgres::MetricsSettings s;
  s.collect = m.collect;
  s.omit = m.omit;
  s.databases = m.databases;
  s.slow_interval = m.slow_interval;
  s.query_timeout = m.query_timeout;
  s.row_limit = m.max_family_samples;
  s.queries_file = m.queries;
  if (m.queries.empty()) return s;
  LoadedQueries loaded = LoadQueries(m.queries, m.queries_prefix);
  s.queries_refused = !loaded.ok();
  for (const std::string& problem : loaded.problems) {
    Log(mainstay::LogLevel::kError, "metrics", "the file of own queries is not used", {{"problem", problem}});
  }
  s.queries = std::move(loaded.queries);
  return s;
}

}  // namespace

DatabaseMetrics::DatabaseMetrics(const Config& config) {
  std::shared_ptr<metrics::Collector> collector;
  if (config.engine == EngineKind::kPostgresql) {
    collector = postgres_ = std::make_shared<engine::postgres::PostgresMetrics>(ToOptions(config));
  } else if (config.engine == EngineKind::kRedis) {
    collector = redis_ = std::make_shared<engine::redis::RedisMetrics>(RedisLogin(config));
  } else {
    return;
  }
  scraper_ = std::make_unique<metrics::Scraper>(std::move(collector), metrics::Scraper::Options());
  Configure(config);
}

DatabaseMetrics::~DatabaseMetrics() = default;

void DatabaseMetrics::Configure(const Config& config) {
  if (postgres_ != nullptr) postgres_->Configure(ToSettings(config));
  if (redis_ != nullptr) {
    engine::redis::RedisMetricsSettings settings;
    settings.slow_interval = config.metrics.slow_interval;
    redis_->Configure(settings);
  }
}

}  // namespace mainstay::agent
