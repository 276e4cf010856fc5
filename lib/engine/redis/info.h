// What INFO and ROLE of a Redis (6.2 to 8) or Valkey (7.2 to 9) tell, as facts.
//
//   MAINSTAY_ASSIGN_OR_RETURN(const Info info, ParseInfo(text));
//   if (info.replication.has_value() && info.replication->role == Role::kReplica) ...
//
// A section that was not asked for (INFO replication) is absent; a line that is not known is passed over, so
// a newer server can be read. A line that is known and makes no sense is an error that names it: half a fact
// about replication would be worse than none.
//
// Units: bytes, seconds, Unix time in seconds, microseconds where the name says so; -1 where the server says
// "none". Offsets are positions in the replication stream. Thread rules: pure functions, plain values.
// Errors: InvalidArgument naming line, value and remedy; ResourceExhausted for a text over kMaxInfoBytes.
//
// Facts that are easily misread (research of the servers' source, 7.0.15):
// - `applied_offset` (slave_repl_offset) is 0 or 1 as soon as a full resync began, although the data may
//   still be there; `offset` (master_repl_offset) then still tells how far they reach.
// - While the data set loads, INFO says role:master and offset 0, whatever the server was before.
// - `replid2` is valid up to `second_offset` only.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_INFO_H_
#define MAINSTAY_LIB_ENGINE_REDIS_INFO_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/engine/redis/reply.h"

namespace mainstay::engine::redis {

inline constexpr size_t kMaxInfoBytes = 4 << 20;
inline constexpr size_t kMaxReplicas = 512;    // more are counted, not kept
inline constexpr size_t kMaxDatabases = 1024;  // more are summed up, not kept
inline constexpr size_t kMaxErrors = 128;      // more are summed up under "other"

enum class Role : uint8_t { kUnknown, kPrimary, kReplica, kSentinel };
const char* ToString(Role role);  // "primary"

struct ServerFacts {
  std::string version;  // "7.0.15"; Valkey's own, not the one that it claims for old clients
  bool valkey = false;
  std::string mode;    // "standalone", "cluster", "sentinel"
  std::string run_id;  // another one after each start
  int64_t process_id = 0;
  int64_t tcp_port = 0;
  int64_t uptime = 0;
  int64_t server_time_usec = 0;  // Unix time; 0: not told
  std::string config_file;       // "" : started without one
};

struct ClientFacts {
  int64_t connected = 0;  // without replicas
  int64_t blocked = 0;
  int64_t max = 0;
};

struct MemoryFacts {
  int64_t used = 0;
  int64_t used_rss = 0;
  int64_t used_peak = 0;
  int64_t max = 0;  // maxmemory; 0: no limit
  std::string policy;
  int64_t not_counted = 0;  // replication buffers and the like, which maxmemory does not count
  int64_t backlog = 0;
};

struct PersistenceFacts {
  bool loading = false;        // answers -LOADING
  bool async_loading = false;  // loads a full resync, serves the old data meanwhile (swapdb)
  int64_t loading_total = 0, loading_loaded = 0, loading_eta = -1;
  int64_t changes_since_save = 0;
  bool bgsave_running = false;
  bool bgsave_ok =
      true;  // the last one; with stop-writes-on-bgsave-error a failure refuses writes (-MISCONF)
  int64_t last_save = 0;
  int64_t bgsave_seconds = -1;  // of the one that runs
  bool aof = false;
  bool aof_rewriting = false;
  bool aof_rewrite_scheduled = false;
  bool aof_rewrite_ok = true;
  bool aof_write_ok = true;  // false: writes are refused (-MISCONF), the disk is full or broken
  int64_t aof_size = 0;
  int64_t aof_pending_fsync = 0;
  int64_t aof_delayed_fsync = 0;
};

struct StatsFacts {
  int64_t connections = 0;
  int64_t commands = 0;
  int64_t ops_per_second = 0;
  int64_t rejected_connections = 0;
  int64_t full_resyncs = 0, partial_resyncs = 0, refused_partial_resyncs = 0;
  int64_t expired_keys = 0, evicted_keys = 0;
  int64_t net_input = 0, net_output = 0, net_repl_input = 0, net_repl_output = 0;
  int64_t fork_usec = 0;  // the latest: how long everything stood still
  int64_t errors = 0;
};

// A replica as its primary sees it. `offset` is what it acknowledged, once a second.
struct ReplicaFacts {
  std::string ip;
  int64_t port = 0;
  std::string state;  // "online", "wait_bgsave", "send_bulk", "send_bulk_and_stream"
  int64_t offset = 0;
  int64_t lag = 0;      // seconds since its last acknowledgement
  std::string channel;  // Valkey 8: "replica", "main-channel", "rdb-channel"; Redis: ""
  bool online() const { return state == "online"; }
};

struct ReplicationFacts {
  Role role = Role::kUnknown;
  std::string replid, replid2;  // 40 digits; replid2 "" when there is none
  int64_t offset = 0;           // master_repl_offset
  int64_t second_offset = -1;   // up to which replid2 is this server's history too
  std::string failover_state;   // "no-failover"
  bool backlog_active = false;
  int64_t backlog_size = 0, backlog_first = 0, backlog_length = 0;
  int64_t good_replicas = -1;  // min_slaves_good_slaves; -1: min-replicas-to-write is off

  // Of a primary:
  int64_t connected_replicas = 0;
  std::vector<ReplicaFacts> replicas;

  // Of a replica:
  std::string primary_host;
  int64_t primary_port = 0;
  bool link_up = false;
  int64_t last_io_seconds = -1;
  int64_t link_down_seconds = -1;
  bool syncing = false;
  int64_t sync_total = -1, sync_read = 0;
  int64_t read_offset = 0;     // received
  int64_t applied_offset = 0;  // executed
  int64_t priority = 100;      // 0: never promoted
  bool read_only = true;
  bool announced = true;

  bool failing_over() const { return !failover_state.empty() && failover_state != "no-failover"; }
};

struct DatabaseFacts {
  int64_t index = 0, keys = 0, expires = 0, avg_ttl_ms = 0;
};

struct Info {
  std::optional<ServerFacts> server;
  std::optional<ClientFacts> clients;
  std::optional<MemoryFacts> memory;
  std::optional<PersistenceFacts> persistence;
  std::optional<StatsFacts> stats;
  std::optional<ReplicationFacts> replication;
  std::optional<bool> cluster_enabled;
  // Of section Keyspace, which names only databases that hold something.
  std::optional<int64_t> keys;  // of all of them
  std::vector<DatabaseFacts> databases;
  std::map<std::string, int64_t> errors;  // errorstat_NOPERM -> {"NOPERM", n}
};

absl::StatusOr<Info> ParseInfo(absl::string_view text);

struct InfoLine {
  absl::string_view section;  // "Replication"; "" before the first
  absl::string_view key, value;
};
// Each `key:value` line in its order. What is no such line is passed over.
absl::Status ForEachInfoLine(absl::string_view text, absl::FunctionRef<void(const InfoLine& line)> each);
// "keys=3,expires=0": the value of one field, nothing when it is not there.
std::optional<absl::string_view> InfoField(absl::string_view fields, absl::string_view name);

// How far the link of a replica is (ROLE), from the worst to the best.
enum class Link : uint8_t { kUnknown, kNone, kConnect, kConnecting, kHandshake, kSync, kConnected };

// ROLE: two microseconds of the server where INFO replication takes two hundred.
struct RoleFacts {
  Role role = Role::kUnknown;
  int64_t offset = 0;  // primary: end of its stream; replica: received, -1 while not connected
  struct Replica {
    std::string ip;
    int64_t port = 0;
    int64_t offset = 0;
  };
  std::vector<Replica> replicas;  // of a primary
  std::string primary_host;       // of a replica
  int64_t primary_port = 0;
  Link link = Link::kUnknown;
};
// FailedPrecondition carries the server's own error (NOAUTH, LOADING, BUSY, ...).
absl::StatusOr<RoleFacts> ParseRole(const Reply& reply);

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_INFO_H_
