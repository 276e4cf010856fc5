// The agent's configuration: one struct, read once, checked whole. Precedence: flags, environment, file,
// profile, defaults.
//
//   ConfigSource source{.file = "/etc/mainstay.yaml", .flags = {{"listen.http", "127.0.0.1:8008"}}};
//   LoadedConfig loaded = LoadConfig(source, environ);      // all problems at once in loaded.problems
//   ... SIGHUP: LoadedConfig next = LoadConfig(source, environ);
//               ConfigChange change = Compare(loaded.config, next.config);  // reloadable ones take effect,
//               the rest needs a restart
//
// The schema is proto/mainstay/v1/config.proto. Environment: MAINSTAY_<PATH>, dots as underscores:
// MAINSTAY_LISTEN_HTTP. Errors: data, never exceptions. Thread rules: plain values.
#ifndef MAINSTAY_AGENT_CONFIG_H_
#define MAINSTAY_AGENT_CONFIG_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/base/log.h"
#include "lib/base/time.h"
#include "lib/election/settings.h"
#include "lib/engine/postgres/options.h"

namespace mainstay::v1 {
class AgentConfig;
}

namespace mainstay::agent {

enum class EngineKind : uint8_t { kPostgresql, kFake, kRedis, kRabbitmq };
const char* ToString(EngineKind kind);  // "postgresql", as the configuration writes it
enum class LockKind : uint8_t { kFile, kConfigMap, kLease };

struct ExpectedMember {
  election::Name name;
  std::string peer;  // host:port or unix:/path
  std::string http;  // host:port, "" : not told
  std::string node;  // RabbitMQ: "rabbit@b", filled in
  friend bool operator==(const ExpectedMember&, const ExpectedMember&) = default;
};

struct KubernetesConfig {
  std::string ns;          // "" : of the service account (or the kubeconfig's context)
  std::string lock_name;   // filled in
  std::string kubeconfig;  // "" : in-cluster
  std::string pod;         // filled in
  std::string role_label;
  bool events = true;
  friend bool operator==(const KubernetesConfig&, const KubernetesConfig&) = default;
};

// Files in PEM. All three or none.
struct TlsConfig {
  std::string ca;
  std::string cert;
  std::string key;
  std::string peer_name;  // filled in, also without TLS
  bool enabled() const { return !cert.empty(); }
  friend bool operator==(const TlsConfig&, const TlsConfig&) = default;
};

// Patroni's endpoints, and who may change something by HTTP.
struct HttpConfig {
  bool patroni = true;
  bool patroni_metrics = false;
  std::string user;           // "" : no basic authentication
  std::string password_file;  // of the user
  bool tls = false;
  std::vector<std::string> allow;
  std::string advertised;  // host:port, "" : to be derived
  bool no_load_balance = false;
  std::map<std::string, std::string> labels;
  friend bool operator==(const HttpConfig&, const HttpConfig&) = default;
};

// What is told of the database on /metrics.
struct MetricsConfig {
  std::vector<std::string> collect, omit;
  std::vector<std::string> databases;  // empty: all
  std::string queries;                 // file, "" : none
  std::string queries_prefix;
  Duration slow_interval{};
  Duration query_timeout{};
  uint32_t max_samples = 0;
  uint32_t max_family_samples = 0;
  friend bool operator==(const MetricsConfig&, const MetricsConfig&) = default;
};

// The database's log on standard output.
struct DatabaseLogConfig {
  bool enabled = true;
  LogLevel level = LogLevel::kInfo;  // least
  int32_t rate = 0;                  // lines a second, 0: no limit
  int32_t burst = 0;
  friend bool operator==(const DatabaseLogConfig&, const DatabaseLogConfig&) = default;
};

using UserConfig = engine::postgres::UserSpec;
using DatabaseConfig = engine::postgres::DatabaseSpec;

struct PostgresqlConfig {
  std::string data_dir;
  std::string bin_dir;
  std::string socket_dir;
  uint16_t port = 0;
  std::string listen_addresses;
  std::string password_file;
  std::map<std::string, std::string> parameters;
  std::vector<std::string> hba;
  uint64_t slot_wal_cap_bytes = 0;
  std::string superuser;
  std::string agent_role;
  std::string replication_role;
  std::vector<std::string> initdb;
  uint64_t clone_rate_bytes = 0;  // per second; 0: no limit
  Duration start_timeout{};
  Duration stop_timeout{};
  Duration clone_timeout{};
  std::vector<UserConfig> users;
  std::vector<DatabaseConfig> databases;
};

struct RedisConfig {
  std::string data_dir;
  std::string bin_dir;
  std::string socket;
  uint16_t port = 0;
  std::string bind;
  std::string replication_password_file;
  std::string users_file;  // "" : none
  std::map<std::string, std::string> parameters;
  int32_t min_replicas = 0;
  Duration start_timeout{};
  Duration stop_timeout{};
  Duration sync_timeout{};
  std::string sentinel_listen;  // "" : none
  std::vector<std::string> sentinel_names;
  std::string sentinel_password_file;  // "" : none
};

struct RabbitmqConfig {
  std::string data_dir;
  std::string node;
  std::string bind;
  uint16_t port = 0;
  uint16_t dist_port = 0;  // 0: epmd is asked
  uint16_t epmd_port = 0;
  uint16_t prometheus_port = 0;
  std::string cookie_file;
  std::map<std::string, std::string> parameters;
  std::vector<std::string> plugins;
  std::string probe_user_file;  // "" : no probe
  std::string probe_password_file;
  std::string probe_vhost;
  std::string audit_vhost;
  bool audit_events = false;
  Duration probe_interval{};
  Duration start_timeout{};
  Duration stop_timeout{};
};

struct Config {
  std::string cluster;
  election::Name name;
  std::string uid;  // may be empty: the driver makes one up
  EngineKind engine = EngineKind::kPostgresql;

  // Timing, takeover, durability, failsafe, cluster, self (name, addresses, tags), expected. `identity` is
  // left empty: the driver sets it to "<name>_<uid>_<nonce>".
  election::Settings settings;
  Duration heartbeat{};  // between reports to the other members
  LockKind lock = LockKind::kFile;
  std::string lock_path;        // of kFile: directory of the store
  KubernetesConfig kubernetes;  // of the other two
  TlsConfig tls;
  HttpConfig http;
  MetricsConfig metrics;

  std::vector<ExpectedMember> members;  // without this one
  std::string listen_grpc;
  std::string listen_http;
  std::string listen_admin;  // "" : none
  std::string shim_socket;
  std::string state_dir;  // "" : beside the data
  PostgresqlConfig postgresql;
  RedisConfig redis;
  RabbitmqConfig rabbitmq;

  Duration probe_interval{};
  Duration probe_timeout{};
  Duration hung_after{};

  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kJson;
  bool audit_enabled = true;
  bool audit_reads = false;
  DatabaseLogConfig database_log;

  // As read, with defaults filled in; for Compare and `config print`.
  std::shared_ptr<const v1::AgentConfig> message;
};

struct ConfigProblem {
  int line = 0;        // in the file; 0: not from the file
  std::string origin;  // "mainstay.yaml", "environment MAINSTAY_LISTEN_HTTP", "flag --set listen.http"
  std::string path;    // "election.lease"
  std::string value;
  std::string message;           // what is wrong
  std::string remedy;            // what to do
  std::string ToString() const;  // "mainstay.yaml:12: election.lease = 10: has no unit; write 10s"
};

struct ConfigSource {
  std::string file;                                        // "" : none
  std::vector<std::pair<std::string, std::string>> flags;  // path, value; later ones win
};

struct LoadedConfig {
  Config config;                        // complete only when there are no problems
  std::vector<ConfigProblem> problems;  // in order of lines
  std::map<std::string, std::string>
      origin;  // path of each set leaf -> "file:12", "env MAINSTAY_X", "flag", "profile", "default"
  std::vector<std::string> warnings;  // sentences; nothing is refused because of them
  bool ok() const { return problems.empty(); }
  std::string Problems() const;  // all, one a line
};

// `environment` is a null-terminated array of "NAME=value" (::environ); null: none.
LoadedConfig LoadConfig(const ConfigSource& source, const char* const* environment);
// The same from text; `name` is how problems call it.
LoadedConfig LoadConfigText(const std::string& text, const std::string& name, const ConfigSource& source,
                            const char* const* environment);

struct ConfigChange {
  struct Item {
    std::string path;
    std::string before;
    std::string after;
    bool reloadable = false;
  };
  std::vector<Item> items;
  bool empty() const { return items.empty(); }
  bool needs_restart() const;
  std::string ToString() const;  // one line an item
};
ConfigChange Compare(const Config& before, const Config& after);
// `before` with the reloadable fields of `after`: what is in force after a reload.
Config ApplyReload(const Config& before, const Config& after);

// YAML of the whole configuration; with the origin of each value as a comment when given.
std::string PrintConfig(const Config& config, const std::map<std::string, std::string>* origin);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_CONFIG_H_
