#include "agent/sidecar/assemble.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/sidecar/pod_api.h"
#include "lib/audit/pg_stderr.h"
#include "lib/base/result.h"
#include "lib/engine/fake/fake_engine.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/redis/engine.h"
#include "lib/engine/redis/names.h"
#include "lib/engine/redis/passwords.h"
#include "lib/lease/kube_store.h"

#ifndef MAINSTAY_VERSION
#define MAINSTAY_VERSION "0"
#endif

namespace mainstay::agent {
namespace {

engine::postgres::Settings PostgresSettings(const Config& config) {
  const PostgresqlConfig& p = config.postgresql;
  engine::postgres::Settings s;
  s.parameters = p.parameters;
  s.hba = p.hba;
  s.slot_wal_cap_bytes = p.slot_wal_cap_bytes;
  s.clone_rate_bytes = p.clone_rate_bytes;
  s.start_timeout = p.start_timeout;
  s.stop_timeout = p.stop_timeout;
  s.clone_timeout = p.clone_timeout;
  s.users = p.users;
  s.databases = p.databases;
  return s;
}

// One at a time: the engine has one worker.
template <typename DataWork>
std::function<void(const DataWork&)> TellAudit(audit::Log* log) {
  if (log == nullptr) return nullptr;
  return [log, id = std::string()](const DataWork& work) mutable {
    audit::Event event;
    event.action = work.action;
    event.reason = "rejoin";
    event.msg =
        absl::StrCat(work.action == "database.clone" ? "Clone the data " : "Rewind the data ", work.detail);
    if (!work.ended) {
      event.stage = audit::Stage::kStarted;
      id = log->Write(event);
      return;
    }
    event.id = std::exchange(id, "");
    event.took = work.took;
    event.stage = work.status.ok() ? audit::Stage::kCompleted : audit::Stage::kFailed;
    event.outcome = work.status.ok() ? audit::Outcome::kSuccess : audit::Outcome::kFailure;
    if (!work.status.ok()) {
      event.level = "warn";
      event.error =
          audit::Problem{absl::StatusCodeToString(work.status.code()), std::string(work.status.message())};
    }
    log->Write(event);
  };
}

engine::postgres::Options PostgresOptions(const Config& config, audit::Log* log) {
  const PostgresqlConfig& p = config.postgresql;
  engine::postgres::Options o;
  o.member = config.name;
  o.db_address = config.settings.self.db_address;
  o.shim_socket = config.shim_socket;
  o.data_dir = p.data_dir;
  o.bin_dir = p.bin_dir;
  o.socket_dir = p.socket_dir;
  o.port = p.port;
  o.listen_addresses = p.listen_addresses;
  o.password_file = p.password_file;
  o.superuser = p.superuser;
  o.agent_role = p.agent_role;
  o.replication_role = p.replication_role;
  o.initdb = p.initdb;
  if (config.database_log.enabled) o.log_prefix = audit::kPgPrefix;
  o.told = TellAudit<engine::postgres::DataWork>(log);
  o.settings = PostgresSettings(config);
  // A new session costs the database a process: with every other probe is often enough.
  o.login_interval = std::max<Duration>(o.login_interval, config.probe_interval * 2);
  return o;
}

engine::redis::Settings RedisSettings(const Config& config) {
  const RedisConfig& r = config.redis;
  engine::redis::Settings s;
  s.parameters = r.parameters;
  s.users_file = r.users_file;
  s.min_replicas = r.min_replicas;
  s.start_timeout = r.start_timeout;
  s.stop_timeout = r.stop_timeout;
  s.sync_timeout = r.sync_timeout;
  return s;
}

// Sessions of the agent itself are among them.
std::function<void(int64_t, int64_t)> TellCut(audit::Log* log) {
  if (log == nullptr) return nullptr;
  return [log](int64_t normal, int64_t subscribers) {
    audit::Event event;
    event.action = "clients.cut";
    event.outcome = audit::Outcome::kSuccess;
    event.reason = "closed";
    event.msg = absl::StrCat("This server is closed to clients: ", normal, " sessions and ", subscribers,
                             " subscribers were cut");
    log->Write(event);
  };
}

engine::redis::Options RedisOptions(const Config& config, audit::Log* log,
                                    std::shared_ptr<std::atomic<int64_t>> own_kills) {
  const RedisConfig& r = config.redis;
  engine::redis::Options o;
  o.member = config.name;
  o.db_address = config.settings.self.db_address;
  o.shim_socket = config.shim_socket;
  o.data_dir = r.data_dir;
  o.socket = r.socket;
  o.port = r.port;
  o.bind = r.bind;
  o.replication_password_file = r.replication_password_file;
  o.told = TellAudit<engine::redis::DataWork>(log);
  o.cut = TellCut(log);
  o.own_kills = std::move(own_kills);
  o.settings = RedisSettings(config);
  return o;
}

// An engine with settings that can be changed while it runs.
template <typename E, typename MakeSettings>
BuiltEngine Built(std::unique_ptr<E> engine, MakeSettings settings) {
  BuiltEngine built;
  built.configure = [raw = engine.get(), settings](const Config& next) {
    return raw->Configure(settings(next));
  };
  built.engine = std::move(engine);
  return built;
}

}  // namespace

engine::redis::MetricsLogin RedisLogin(const Config& config) {
  engine::redis::Options beside;  // its password lies beside the data
  beside.data_dir = config.redis.data_dir;
  return {.socket = config.redis.socket,
          .user = engine::redis::kAgentUser,
          .password = [path = engine::redis::AgentPasswordPath(beside)] {
            return engine::redis::LoadPassword(path);
          }};
}

absl::StatusOr<BuiltEngine> BuildEngine(const Config& config, audit::Log* log) {
  switch (config.engine) {
    case EngineKind::kRedis: {
      auto own_kills = std::make_shared<std::atomic<int64_t>>(0);
      MAINSTAY_ASSIGN_OR_RETURN(auto redis,
                                engine::redis::RedisEngine::Create(RedisOptions(config, log, own_kills)));
      BuiltEngine built = Built(std::move(redis), RedisSettings);
      built.own_kills = std::move(own_kills);
      return built;
    }
    case EngineKind::kPostgresql: {
      MAINSTAY_ASSIGN_OR_RETURN(auto postgres,
                                engine::postgres::PostgresEngine::Create(PostgresOptions(config, log)));
      return Built(std::move(postgres), PostgresSettings);
    }
    case EngineKind::kRabbitmq:
      return absl::InternalError("RabbitMQ has an agent of its own (agent/rabbit)");
    case EngineKind::kFake:
      break;
  }
  BuiltEngine built;
  built.engine = std::make_unique<engine::FakeEngine>(std::make_shared<engine::FakeWorld>(), config.name,
                                                      config.settings.self.db_address);
  built.configure = [](const Config&) { return absl::OkStatus(); };
  return built;
}

absl::StatusOr<std::unique_ptr<kube::Client>> BuildKubeClient(const Config& config) {
  MAINSTAY_ASSIGN_OR_RETURN(kube::ClusterConfig cluster, kube::LoadConfig(config.kubernetes.kubeconfig));
  if (!config.kubernetes.ns.empty()) cluster.ns = config.kubernetes.ns;
  kube::Client::Options options;
  options.user_agent = "mainstay-agent/" MAINSTAY_VERSION;
  return kube::Client::Create(std::move(cluster), std::move(options));
}

absl::StatusOr<std::unique_ptr<lease::Store>> BuildKubeStore(const Config& config, kube::Client* client) {
  lease::KubeStoreOptions options;
  options.kind = config.lock == LockKind::kLease ? lease::KubeStoreOptions::Kind::kLease
                                                 : lease::KubeStoreOptions::Kind::kConfigMap;
  options.ns = client->config().ns;
  options.name = config.kubernetes.lock_name;
  options.labels["app.kubernetes.io/instance"] = config.cluster;
  return lease::OpenKubeStore(client, std::move(options));
}

std::unique_ptr<LabelPublisher> BuildLabelPublisher(const Config& config, kube::Client* client) {
  const KubernetesConfig& k = config.kubernetes;
  LabelPublisher::Options options;
  options.self = k.pod;
  options.events = k.events;
  return std::make_unique<LabelPublisher>(
      std::make_unique<KubePodApi>(
          client,
          KubePodApi::Options{
              .ns = client->config().ns, .pod = k.pod, .uid = config.uid, .role_label = k.role_label}),
      std::move(options));
}

EngineDeadlines BuildDeadlines(const Config& config) {
  using std::chrono::seconds;
  const PostgresqlConfig& p = config.postgresql;
  const election::Settings& s = config.settings;
  EngineDeadlines d;
  d.probe = config.probe_timeout;
  if (config.engine == EngineKind::kPostgresql) {
    d.found = p.start_timeout;
    d.follow = p.clone_timeout + p.start_timeout;
    d.reopen = p.start_timeout;
    d.stop = p.stop_timeout + s.fence;  // clean, then killed
  } else if (config.engine == EngineKind::kRedis) {
    d.found = seconds(30);
    d.follow = config.redis.sync_timeout + config.redis.start_timeout;
    d.reopen = config.redis.start_timeout;
    d.stop = config.redis.stop_timeout + s.fence;
  }
  d.freeze = s.freeze_wait;
  d.promote = std::max<Duration>(seconds(10), s.lease);
  d.set_sync = std::max<Duration>(seconds(2), s.renew);
  d.kill = s.fence;
  // A checkpoint before a switchover shortens the stop; one that takes longer than this is not waited for.
  d.checkpoint = s.handover / 2;
  return d;
}

std::map<election::Name, std::string> ConfiguredPeers(const Config& config) {
  std::map<election::Name, std::string> out;
  for (const ExpectedMember& m : config.members) out[m.name] = m.peer;
  return out;
}

DriverOptions BuildDriverOptions(const Config& config, const std::string& incarnation) {
  auto settings = std::make_shared<election::Settings>(config.settings);
  settings->identity = config.name + "_" + (config.uid.empty() ? "local" : config.uid) + "_" + incarnation;
  DriverOptions o;
  o.settings = std::move(settings);
  o.heartbeat = config.heartbeat;
  o.configured = ConfiguredPeers(config);
  o.engine.deadlines = BuildDeadlines(config);
  o.engine.probe_interval = config.probe_interval;
  o.engine.health.interval = config.probe_interval;
  o.engine.health.hung_after = config.hung_after;
  o.engine_name = ToString(config.engine);
  o.version = MAINSTAY_VERSION;
  return o;
}

}  // namespace mainstay::agent
