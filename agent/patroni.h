// Patroni's view of this member, as pure functions: which status code a health check gets, and what the
// documents /patroni, /cluster, /history, /config and /failsafe hold. Spoken to by load balancers, scripts
// and tools that know Patroni; docs/ENDPOINTS.md lists paths and differences.
//
// Source: Patroni's api.py and utils.py (4.1.5, and its main branch of July 2026 for replication_state).
// Thread rules: pure. Units: bytes, milliseconds since 1970 (unix_ms).
#ifndef MAINSTAY_AGENT_PATRONI_H_
#define MAINSTAY_AGENT_PATRONI_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/config.h"
#include "agent/schedule.h"
#include "lib/base/json.h"
#include "lib/http/server.h"
#include "lib/metrics/metrics.h"
#include "lib/rpc/port.h"

namespace mainstay::agent::patroni {

// The version of Patroni whose interface this is: tools compare it.
inline constexpr char kApiVersion[] = "4.1.5";
// Patroni's maximum_lag_on_failover, which Mainstay does not have: only the default of /readiness?lag=.
inline constexpr uint64_t kReadyLag = 1048576;

// What the configuration says.
struct Options {
  std::string http_address;                    // own, as others dial it: "host:port"
  std::string scheme = "http";                 // or https
  std::map<election::Name, std::string> http;  // of other members, where the configuration tells it
  bool no_load_balance = false;
  std::map<std::string, std::string> labels;
  Duration lease{};     // ttl
  Duration renew{};     // loop_wait
  Duration validity{};  // retry_timeout
  bool failsafe = true;
  election::Durability durability = election::Durability::kGuarded;  // of the file
  int32_t sync_count = 1;
  std::string replication_role;
};
// `listening`: the HTTP server's address with its real port.
Options ToOptions(const Config& config, const std::string& listening);

// All that an answer is made of.
struct Facts {
  const rpc::StatusView& view;
  const Options& options;
  const Schedules& schedules;
  MonoTime now;
  int64_t unix_ms = 0;
};

// ---- judgements ----
bool HoldsLock(const Facts& f);  // the permission runs, or the cluster is paused and its lock out of reach
bool IsPrimary(const Facts& f);  // that, and its database accepts writes
bool IsReplica(const Facts& f);  // its database runs and is a standby
enum class SyncKind : uint8_t { kUnknown, kNone, kSync, kQuorum };
// kSync: every acknowledged write is on it. kQuorum: on enough of its kind. kUnknown: the record is too old.
SyncKind SyncOf(const Facts& f, const election::Name& member);
// "streaming" or "".
std::string ReplicationState(const Facts& f);
// "15.20" -> 150020; 0: not known.
int ServerVersion(const std::string& version);
// A member by its name; null: none.
const rpc::MemberView* Find(const rpc::StatusView& v, const election::Name& name);
// As Patroni's parse_bool: true, "true", "on", "yes", "1", 1, and their opposites; absent: none of them.
std::optional<bool> Truth(const Json& value);
// The durability that people want, as far as this member knows: the primary knows best.
election::Durability Wished(const Facts& f);
// When the lock was last known to answer, in seconds since 1970; 0: never.
int64_t LockSeen(const Facts& f);
// This primary goes on by the promises of the others.
bool FailsafeActive(const Facts& f);
// "16kB", "64MB", "1GB", "1048576", "0x10"; absent: nonsense (Patroni then takes no limit).
std::optional<uint64_t> ParseLag(const std::string& text);

// ---- health checks: 200 or 503 ----
// Of "/primary", "/replica", ...; absent: no such check.
std::optional<int> HealthCode(const std::string& path, const http::Request& request, const Facts& f);
// "" or why it is not ready.
std::string NotReady(const http::Request& request, const Facts& f);

// ---- documents (JSON) ----
std::string StatusDocument(const Facts& f);   // /patroni, and the body of every health check
std::string ClusterDocument(const Facts& f);  // /cluster
std::string HistoryDocument(const Facts& f);  // /history
// Absent: nothing is known of the record (502).
std::optional<std::string> ConfigDocument(const Facts& f);    // /config
std::optional<std::string> FailsafeDocument(const Facts& f);  // /failsafe; also absent when it is off

// Patroni's metrics (patroni_*), for /metrics.
void WriteMetrics(const Facts& f, metrics::Writer& w);

}  // namespace mainstay::agent::patroni

#endif  // MAINSTAY_AGENT_PATRONI_H_
