// The message as a struct: names for units, defaults that follow from other settings.
#include "absl/strings/str_cat.h"
#include "agent/config_check.h"
#include "lib/rpc/address.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent {
namespace {

LogLevel ToLevel(v1::Log::Level level) {
  switch (level) {
    case v1::Log::LEVEL_DEBUG:
      return LogLevel::kDebug;
    case v1::Log::LEVEL_WARN:
      return LogLevel::kWarn;
    case v1::Log::LEVEL_ERROR:
      return LogLevel::kError;
    default:
      return LogLevel::kInfo;
  }
}

election::Durability ToDurability(v1::Durability d) {
  switch (d) {
    case v1::DURABILITY_ASYNC:
      return election::Durability::kAsync;
    case v1::DURABILITY_STRICT:
      return election::Durability::kStrict;
    default:
      return election::Durability::kGuarded;
  }
}

election::Settings ToSettings(const v1::AgentConfig& m) {
  election::Settings s;
  const auto& e = m.election();
  s.cluster = m.cluster();
  s.self.name = m.name();
  s.self.peer_address =
      m.advertise().peer().empty() ? m.listen().grpc() : rpc::BracketIpv6(m.advertise().peer());
  s.self.db_address = rpc::BracketIpv6(m.advertise().database());
  if (s.self.db_address.empty()) s.self.db_address = absl::StrCat("127.0.0.1:", DatabasePort(m));
  s.volatile_data = m.engine() == v1::AgentConfig::ENGINE_REDIS;
  s.self.priority = m.tags().priority();
  s.self.no_failover = m.tags().no_failover();
  for (const auto& member : m.members()) {
    if (member.name() != m.name()) s.expected.push_back(member.name());
  }
  s.lease = ToDuration(e.lease());
  s.validity = ToDuration(e.validity());
  s.fence = ToDuration(e.fence());
  s.renew = ToDuration(e.renew());
  s.suspicion = ToDuration(e.suspicion());
  s.freeze_wait = ToDuration(e.freeze_wait());
  s.sync_patience = ToDuration(e.sync_patience());
  s.handover = ToDuration(e.handover());
  s.durability = ToDurability(m.durability());
  s.sync_count = m.sync_count();
  s.takeover =
      e.takeover() == v1::Election::TAKEOVER_LEASE ? election::Takeover::kLease : election::Takeover::kQuorum;
  s.failsafe = e.failsafe();
  return s;
}

LockKind ToLock(v1::Election::Lock lock) {
  switch (lock) {
    case v1::Election::LOCK_CONFIGMAP:
      return LockKind::kConfigMap;
    case v1::Election::LOCK_LEASE:
      return LockKind::kLease;
    default:
      return LockKind::kFile;
  }
}

KubernetesConfig ToKubernetes(const v1::AgentConfig& m) {
  const auto& k = m.kubernetes();
  KubernetesConfig out;
  out.ns = k.namespace_();
  out.lock_name = k.lock_name().empty() ? absl::StrCat(m.cluster(), "-mainstay") : k.lock_name();
  out.kubeconfig = k.kubeconfig();
  out.pod = k.pod().empty() ? m.name() : k.pod();
  out.role_label = k.role_label();
  out.events = k.events();
  return out;
}

TlsConfig ToTls(const v1::AgentConfig& m) {
  const auto& t = m.tls();
  return {t.ca(), t.cert(), t.key(),
          t.peer_name().empty() ? absl::StrCat("agent.", m.cluster(), ".mainstay") : t.peer_name()};
}

HttpConfig ToHttp(const v1::AgentConfig& m) {
  const auto& h = m.http();
  HttpConfig out;
  // Nothing of Patroni's fits where there is no primary.
  out.patroni = (!h.has_patroni() || h.patroni()) && m.engine() != v1::AgentConfig::ENGINE_RABBITMQ;
  out.patroni_metrics = h.patroni_metrics();
  out.user = h.user();
  out.password_file = h.password_file();
  out.tls = h.tls();
  out.allow = {h.allow().begin(), h.allow().end()};
  out.advertised = rpc::BracketIpv6(m.advertise().http());
  out.no_load_balance = m.tags().no_load_balance();
  out.labels = {m.tags().labels().begin(), m.tags().labels().end()};
  return out;
}

UserConfig ToUser(const v1::PostgresqlUser& u) {
  UserConfig out;
  out.name = u.name();
  out.password_file = u.password_file();
  out.login = !u.has_login() || u.login();
  out.superuser = u.superuser();
  out.createdb = u.createdb();
  out.createrole = u.createrole();
  out.replication = u.replication();
  out.inherit = !u.has_inherit() || u.inherit();
  out.connection_limit = u.has_connection_limit() ? u.connection_limit() : -1;
  out.member_of = {u.member_of().begin(), u.member_of().end()};
  return out;
}

DatabaseConfig ToDatabase(const v1::PostgresqlDatabase& d) {
  return {d.name(), d.owner(), {d.extensions().begin(), d.extensions().end()}, d.encoding(), d.locale()};
}

PostgresqlConfig ToPostgresql(const v1::Postgresql& p) {
  PostgresqlConfig out;
  out.data_dir = p.data_dir();
  out.bin_dir = p.bin_dir();
  out.socket_dir = p.socket_dir();
  out.port = static_cast<uint16_t>(p.port());
  out.listen_addresses = p.listen_addresses();
  out.password_file = p.password_file();
  out.parameters = {p.parameters().begin(), p.parameters().end()};
  out.hba = {p.hba().begin(), p.hba().end()};
  out.slot_wal_cap_bytes = p.slot_wal_cap();
  out.superuser = p.superuser();
  out.agent_role = p.agent_role();
  out.replication_role = p.replication_role();
  out.initdb = {p.initdb().begin(), p.initdb().end()};
  out.clone_rate_bytes = p.clone_rate();
  out.start_timeout = ToDuration(p.start_timeout());
  out.stop_timeout = ToDuration(p.stop_timeout());
  out.clone_timeout = ToDuration(p.clone_timeout());
  for (const auto& user : p.users()) out.users.push_back(ToUser(user));
  for (const auto& database : p.databases()) out.databases.push_back(ToDatabase(database));
  return out;
}

RedisConfig ToRedis(const v1::Redis& r) {
  RedisConfig out;
  out.data_dir = r.data_dir();
  out.bin_dir = r.bin_dir();
  out.socket = r.socket();
  out.port = static_cast<uint16_t>(r.port());
  out.bind = r.bind();
  out.replication_password_file = r.replication_password_file();
  out.users_file = r.users_file();
  out.parameters = {r.parameters().begin(), r.parameters().end()};
  out.min_replicas = r.min_replicas();
  out.start_timeout = ToDuration(r.start_timeout());
  out.stop_timeout = ToDuration(r.stop_timeout());
  out.sync_timeout = ToDuration(r.sync_timeout());
  out.sentinel_listen = r.sentinel_listen();
  out.sentinel_names = {r.sentinel_names().begin(), r.sentinel_names().end()};
  out.sentinel_password_file = r.sentinel_password_file();
  return out;
}

RabbitmqConfig ToRabbitmq(const v1::Rabbitmq& r) {
  RabbitmqConfig out;
  out.data_dir = r.data_dir();
  out.node = r.node();
  out.bind = r.bind();
  out.port = static_cast<uint16_t>(r.port());
  out.dist_port = static_cast<uint16_t>(r.dist_port());
  out.epmd_port = static_cast<uint16_t>(r.epmd_port());
  out.prometheus_port = static_cast<uint16_t>(r.prometheus_port());
  out.cookie_file = r.cookie_file();
  out.parameters = {r.parameters().begin(), r.parameters().end()};
  out.plugins = {r.plugins().begin(), r.plugins().end()};
  out.probe_user_file = r.probe_user_file();
  out.probe_password_file = r.probe_password_file();
  out.probe_vhost = r.probe_vhost();
  out.audit_vhost = r.audit_vhost();
  out.audit_events = r.audit_events() && !r.probe_user_file().empty();
  if (out.audit_events) out.plugins.emplace_back("rabbitmq_event_exchange");
  out.probe_interval = ToDuration(r.probe_interval());
  out.start_timeout = ToDuration(r.start_timeout());
  out.stop_timeout = ToDuration(r.stop_timeout());
  return out;
}

// "rabbit@" and the host of "host:port".
std::string NodeOf(const v1::ExpectedMember& member) {
  if (!member.node().empty()) return member.node();
  const std::string& peer = member.peer();
  return absl::StrCat("rabbit@", peer.substr(0, peer.rfind(':')));
}

EngineKind ToEngine(v1::AgentConfig::Engine engine) {
  switch (engine) {
    case v1::AgentConfig::ENGINE_FAKE:
      return EngineKind::kFake;
    case v1::AgentConfig::ENGINE_REDIS:
      return EngineKind::kRedis;
    case v1::AgentConfig::ENGINE_RABBITMQ:
      return EngineKind::kRabbitmq;
    default:
      return EngineKind::kPostgresql;
  }
}

}  // namespace

const char* ToString(EngineKind kind) {
  switch (kind) {
    case EngineKind::kPostgresql:
      return "postgresql";
    case EngineKind::kFake:
      return "fake";
    case EngineKind::kRedis:
      return "redis";
    case EngineKind::kRabbitmq:
      return "rabbitmq";
  }
  return "?";
}

Config ConvertConfig(std::shared_ptr<const v1::AgentConfig> message) {
  const v1::AgentConfig& m = *message;
  Config c;
  c.cluster = m.cluster();
  c.name = m.name();
  c.uid = m.uid();
  c.engine = ToEngine(m.engine());
  c.settings = ToSettings(m);
  c.heartbeat = ToDuration(m.election().heartbeat());
  c.lock = ToLock(m.election().lock());
  c.lock_path = m.election().path();
  c.kubernetes = ToKubernetes(m);
  c.tls = ToTls(m);
  c.http = ToHttp(m);
  c.metrics = ConvertMetrics(m.metrics());
  for (const auto& member : m.members()) {
    if (member.name() != m.name())
      c.members.push_back({member.name(), member.peer(), member.http(),
                           c.engine == EngineKind::kRabbitmq ? NodeOf(member) : ""});
  }
  c.listen_grpc = m.listen().grpc();
  c.listen_http = m.listen().http();
  c.listen_admin = m.listen().admin();
  c.shim_socket = m.shim().socket();
  c.state_dir = m.state_dir();
  c.postgresql = ToPostgresql(m.postgresql());
  c.redis = ToRedis(m.redis());
  c.rabbitmq = ToRabbitmq(m.rabbitmq());
  c.probe_interval = ToDuration(m.probe().interval());
  c.probe_timeout = ToDuration(m.probe().timeout());
  c.hung_after = ToDuration(m.probe().hung_after());
  c.log_level = ToLevel(m.log().level());
  c.log_format = m.log().format() == v1::Log::FORMAT_TEXT ? LogFormat::kText : LogFormat::kJson;
  c.audit_enabled = m.audit().enabled();
  c.audit_reads = m.audit().probes();
  c.database_log = {m.audit().database_log(), ToLevel(m.audit().database_log_level()),
                    m.audit().database_log_rate(), m.audit().database_log_burst()};
  c.message = std::move(message);
  return c;
}

}  // namespace mainstay::agent
