#include "lib/engine/redis/info.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"

namespace mainstay::engine::redis {
namespace {

constexpr char kRemedy[] = "; is this Redis 6.2 to 8 or Valkey 7.2 to 9?";

absl::Status Odd(absl::string_view key, absl::string_view value) {
  return absl::InvalidArgumentError(
      absl::StrCat("INFO: '", Cut(key, 60), "' has the odd value '", Cut(value, 60), "'", kRemedy));
}

absl::Status Missing(absl::string_view key) {
  return absl::InvalidArgumentError(absl::StrCat("INFO: '", key, "' is missing", kRemedy));
}

// What a line's value is read as; the place in the section's facts that it goes to.
template <typename Facts>
struct Place {
  const char* key;
  int64_t Facts::*number = nullptr;
  bool Facts::*flag = nullptr;  // 0, 1
  bool Facts::*good = nullptr;  // "ok", or else
  std::string Facts::*text = nullptr;
};
template <typename Facts>
constexpr Place<Facts> Number(const char* key, int64_t Facts::*at) {
  return {.key = key, .number = at};
}
template <typename Facts>
constexpr Place<Facts> Flag(const char* key, bool Facts::*at) {
  return {.key = key, .flag = at};
}
template <typename Facts>
constexpr Place<Facts> Good(const char* key, bool Facts::*at) {
  return {.key = key, .good = at};
}
template <typename Facts>
constexpr Place<Facts> Text(const char* key, std::string Facts::*at) {
  return {.key = key, .text = at};
}

constexpr Place<ServerFacts> kServer[] = {
    Text("redis_mode", &ServerFacts::mode),
    Text("run_id", &ServerFacts::run_id),
    Number("process_id", &ServerFacts::process_id),
    Number("tcp_port", &ServerFacts::tcp_port),
    Number("uptime_in_seconds", &ServerFacts::uptime),
    Number("server_time_usec", &ServerFacts::server_time_usec),
    Text("config_file", &ServerFacts::config_file),
};
constexpr Place<ClientFacts> kClients[] = {
    Number("connected_clients", &ClientFacts::connected),
    Number("blocked_clients", &ClientFacts::blocked),
    Number("maxclients", &ClientFacts::max),
};
constexpr Place<MemoryFacts> kMemory[] = {
    Number("used_memory", &MemoryFacts::used),
    Number("used_memory_rss", &MemoryFacts::used_rss),
    Number("used_memory_peak", &MemoryFacts::used_peak),
    Number("maxmemory", &MemoryFacts::max),
    Text("maxmemory_policy", &MemoryFacts::policy),
    Number("mem_not_counted_for_evict", &MemoryFacts::not_counted),
    Number("mem_replication_backlog", &MemoryFacts::backlog),
};
constexpr Place<PersistenceFacts> kPersistence[] = {
    Flag("loading", &PersistenceFacts::loading),
    Flag("async_loading", &PersistenceFacts::async_loading),
    Number("loading_total_bytes", &PersistenceFacts::loading_total),
    Number("loading_loaded_bytes", &PersistenceFacts::loading_loaded),
    Number("loading_eta_seconds", &PersistenceFacts::loading_eta),
    Number("rdb_changes_since_last_save", &PersistenceFacts::changes_since_save),
    Flag("rdb_bgsave_in_progress", &PersistenceFacts::bgsave_running),
    Good("rdb_last_bgsave_status", &PersistenceFacts::bgsave_ok),
    Number("rdb_last_save_time", &PersistenceFacts::last_save),
    Number("rdb_current_bgsave_time_sec", &PersistenceFacts::bgsave_seconds),
    Flag("aof_enabled", &PersistenceFacts::aof),
    Flag("aof_rewrite_in_progress", &PersistenceFacts::aof_rewriting),
    Flag("aof_rewrite_scheduled", &PersistenceFacts::aof_rewrite_scheduled),
    Good("aof_last_bgrewrite_status", &PersistenceFacts::aof_rewrite_ok),
    Good("aof_last_write_status", &PersistenceFacts::aof_write_ok),
    Number("aof_current_size", &PersistenceFacts::aof_size),
    Number("aof_pending_bio_fsync", &PersistenceFacts::aof_pending_fsync),
    Number("aof_delayed_fsync", &PersistenceFacts::aof_delayed_fsync),
};
constexpr Place<StatsFacts> kStats[] = {
    Number("total_connections_received", &StatsFacts::connections),
    Number("total_commands_processed", &StatsFacts::commands),
    Number("instantaneous_ops_per_sec", &StatsFacts::ops_per_second),
    Number("rejected_connections", &StatsFacts::rejected_connections),
    Number("sync_full", &StatsFacts::full_resyncs),
    Number("sync_partial_ok", &StatsFacts::partial_resyncs),
    Number("sync_partial_err", &StatsFacts::refused_partial_resyncs),
    Number("expired_keys", &StatsFacts::expired_keys),
    Number("evicted_keys", &StatsFacts::evicted_keys),
    Number("total_net_input_bytes", &StatsFacts::net_input),
    Number("total_net_output_bytes", &StatsFacts::net_output),
    Number("total_net_repl_input_bytes", &StatsFacts::net_repl_input),
    Number("total_net_repl_output_bytes", &StatsFacts::net_repl_output),
    Number("latest_fork_usec", &StatsFacts::fork_usec),
    Number("total_error_replies", &StatsFacts::errors),
};
constexpr Place<ReplicationFacts> kReplication[] = {
    Text("master_replid", &ReplicationFacts::replid),
    Text("master_replid2", &ReplicationFacts::replid2),
    Number("master_repl_offset", &ReplicationFacts::offset),
    Number("second_repl_offset", &ReplicationFacts::second_offset),
    Text("master_failover_state", &ReplicationFacts::failover_state),
    Flag("repl_backlog_active", &ReplicationFacts::backlog_active),
    Number("repl_backlog_size", &ReplicationFacts::backlog_size),
    Number("repl_backlog_first_byte_offset", &ReplicationFacts::backlog_first),
    Number("repl_backlog_histlen", &ReplicationFacts::backlog_length),
    Number("min_slaves_good_slaves", &ReplicationFacts::good_replicas),
    Number("connected_slaves", &ReplicationFacts::connected_replicas),
    Text("master_host", &ReplicationFacts::primary_host),
    Number("master_port", &ReplicationFacts::primary_port),
    Number("master_last_io_seconds_ago", &ReplicationFacts::last_io_seconds),
    Number("master_link_down_since_seconds", &ReplicationFacts::link_down_seconds),
    Flag("master_sync_in_progress", &ReplicationFacts::syncing),
    Number("master_sync_total_bytes", &ReplicationFacts::sync_total),
    Number("master_sync_read_bytes", &ReplicationFacts::sync_read),
    Number("slave_read_repl_offset", &ReplicationFacts::read_offset),
    Number("slave_repl_offset", &ReplicationFacts::applied_offset),
    Number("slave_priority", &ReplicationFacts::priority),
    Flag("slave_read_only", &ReplicationFacts::read_only),
    Flag("replica_announced", &ReplicationFacts::announced),
};

bool ReadFlag(absl::string_view value, bool* out) {
  *out = value == "1";
  return value == "0" || value == "1";
}

template <typename Facts, size_t n>
absl::Status Read(const InfoLine& line, const Place<Facts> (&places)[n], Facts* out) {
  const auto* const place =
      std::find_if(std::begin(places), std::end(places), [&](const auto& p) { return line.key == p.key; });
  if (place == std::end(places)) return absl::OkStatus();
  bool good = true;
  if (place->number != nullptr) good = absl::SimpleAtoi(line.value, &(out->*place->number));
  if (place->flag != nullptr) good = ReadFlag(line.value, &(out->*place->flag));
  if (place->good != nullptr) out->*place->good = line.value == "ok";
  if (place->text != nullptr) out->*place->text = std::string(line.value);
  return good ? absl::OkStatus() : Odd(line.key, line.value);
}

// "slave0", "db12": the number after `prefix`.
std::optional<int64_t> Numbered(absl::string_view key, absl::string_view prefix) {
  int64_t n = 0;
  if (!absl::StartsWith(key, prefix) || key.size() == prefix.size() || key.size() > prefix.size() + 9 ||
      !absl::ascii_isdigit(static_cast<unsigned char>(key[prefix.size()])) ||
      !absl::SimpleAtoi(key.substr(prefix.size()), &n)) {
    return std::nullopt;
  }
  return n;
}

bool NumberField(absl::string_view fields, absl::string_view name, int64_t* out) {
  const auto value = InfoField(fields, name);
  return value.has_value() && absl::SimpleAtoi(*value, out);
}

absl::Status ReadReplica(const InfoLine& line, ReplicationFacts* out) {
  if (out->replicas.size() >= kMaxReplicas) return absl::OkStatus();
  ReplicaFacts replica;
  const auto ip = InfoField(line.value, "ip");
  const auto state = InfoField(line.value, "state");
  const bool good = ip.has_value() && state.has_value() && NumberField(line.value, "port", &replica.port) &&
                    NumberField(line.value, "offset", &replica.offset) &&
                    NumberField(line.value, "lag", &replica.lag);
  if (!good) return Odd(line.key, line.value);
  replica.ip = std::string(*ip);
  replica.state = std::string(*state);
  if (const auto channel = InfoField(line.value, "type"); channel.has_value())
    replica.channel = std::string(*channel);
  out->replicas.push_back(std::move(replica));
  return absl::OkStatus();
}

absl::Status ReadReplication(const InfoLine& line, ReplicationFacts* out) {
  if (line.key == "role") {
    out->role = line.value == "master"  ? Role::kPrimary
                : line.value == "slave" ? Role::kReplica
                                        : Role::kUnknown;
    return out->role == Role::kUnknown ? Odd(line.key, line.value) : absl::OkStatus();
  }
  if (line.key == "master_link_status") {
    out->link_up = line.value == "up";
    return out->link_up || line.value == "down" ? absl::OkStatus() : Odd(line.key, line.value);
  }
  if (Numbered(line.key, "slave").has_value()) return ReadReplica(line, out);
  return Read(line, kReplication, out);
}

absl::Status ReadServer(const InfoLine& line, ServerFacts* out) {
  if (line.key == "valkey_version") out->valkey = true;
  if (line.key == "valkey_version" || (line.key == "redis_version" && !out->valkey)) {
    out->version = std::string(line.value);
    return absl::OkStatus();
  }
  if (line.key == "server_mode") out->mode = std::string(line.value);  // Valkey, beside redis_mode
  return Read(line, kServer, out);
}

absl::Status ReadKeyspace(const InfoLine& line, Info* out) {
  const auto index = Numbered(line.key, "db");
  if (!index.has_value()) return absl::OkStatus();
  DatabaseFacts db;
  db.index = *index;
  if (!NumberField(line.value, "keys", &db.keys) || !NumberField(line.value, "expires", &db.expires) ||
      db.keys < 0) {
    return Odd(line.key, line.value);
  }
  NumberField(line.value, "avg_ttl", &db.avg_ttl_ms);
  if (int64_t sum = 0; !__builtin_add_overflow(out->keys.value_or(0), db.keys, &sum)) out->keys = sum;
  if (out->databases.size() < kMaxDatabases) out->databases.push_back(db);
  return absl::OkStatus();
}

absl::Status ReadError(const InfoLine& line, Info* out) {
  constexpr absl::string_view kPrefix = "errorstat_";
  if (!absl::StartsWith(line.key, kPrefix)) return absl::OkStatus();
  int64_t n = 0;
  if (!NumberField(line.value, "count", &n)) return Odd(line.key, line.value);
  std::string name(line.key.substr(kPrefix.size()));
  if (out->errors.size() >= kMaxErrors && out->errors.count(name) == 0) name = "other";
  int64_t& at = out->errors[name];
  if (__builtin_add_overflow(at, n, &at)) return Odd(line.key, line.value);
  return absl::OkStatus();
}

// Sections that have facts come into being with their headline: an empty keyspace is one too.
void BeginSection(absl::string_view name, Info* out) {
  if (name == "Server") out->server.emplace();
  if (name == "Clients") out->clients.emplace();
  if (name == "Memory") out->memory.emplace();
  if (name == "Persistence") out->persistence.emplace();
  if (name == "Stats") out->stats.emplace();
  if (name == "Replication") out->replication.emplace();
  if (name == "Keyspace") out->keys = 0;
}

absl::Status ReadLine(const InfoLine& line, Info* out) {
  const absl::string_view s = line.section;
  if (s == "Server") return ReadServer(line, &*out->server);
  if (s == "Clients") return Read(line, kClients, &*out->clients);
  if (s == "Memory") return Read(line, kMemory, &*out->memory);
  if (s == "Persistence") return Read(line, kPersistence, &*out->persistence);
  if (s == "Stats") return Read(line, kStats, &*out->stats);
  if (s == "Replication") return ReadReplication(line, &*out->replication);
  if (s == "Keyspace") return ReadKeyspace(line, out);
  if (s == "Errorstats") return ReadError(line, out);
  if (s == "Cluster" && line.key == "cluster_enabled") {
    bool on = false;
    if (!ReadFlag(line.value, &on)) return Odd(line.key, line.value);
    out->cluster_enabled = on;
  }
  return absl::OkStatus();
}

bool IsReplid(absl::string_view text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isxdigit(static_cast<unsigned char>(c));
         });
}

// The facts that decisions are made of must be there.
absl::Status CheckReplication(ReplicationFacts* r) {
  if (r->role == Role::kUnknown) return Missing("role");
  if (r->replid.empty()) return Missing("master_replid");
  if (!IsReplid(r->replid)) return Odd("master_replid", r->replid);
  if (!r->replid2.empty() && !IsReplid(r->replid2)) return Odd("master_replid2", r->replid2);
  if (r->replid2.find_first_not_of('0') == std::string::npos) r->replid2.clear();
  if (r->offset < 0) return Odd("master_repl_offset", std::to_string(r->offset));
  if (r->role == Role::kReplica && r->primary_host.empty()) return Missing("master_host");
  return absl::OkStatus();
}

// Calls `section` for each headline, `each` for each line with a value.
void Walk(absl::string_view text, absl::FunctionRef<void(absl::string_view)> section,
          absl::FunctionRef<void(const InfoLine&)> each) {
  absl::string_view name;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const absl::string_view line = absl::StripTrailingAsciiWhitespace(text.substr(0, end));
    text.remove_prefix(end == absl::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    if (line[0] == '#') {
      name = absl::StripAsciiWhitespace(line.substr(1));
      section(name);
    } else if (const size_t colon = line.find(':'); colon != absl::string_view::npos && colon > 0) {
      each({name, line.substr(0, colon), line.substr(colon + 1)});
    }
  }
}

absl::Status CheckSize(absl::string_view text) {
  if (text.size() <= kMaxInfoBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("INFO: ", text.size(), " bytes, at most ", kMaxInfoBytes, " are read; ask for sections"));
}

}  // namespace

const char* ToString(Role role) {
  switch (role) {
    case Role::kUnknown:
      return "unknown";
    case Role::kPrimary:
      return "primary";
    case Role::kReplica:
      return "replica";
    case Role::kSentinel:
      return "sentinel";
  }
  return "?";
}

std::optional<absl::string_view> InfoField(absl::string_view fields, absl::string_view name) {
  while (!fields.empty()) {
    const size_t end = fields.find(',');
    const absl::string_view field = fields.substr(0, end);
    if (field.size() > name.size() && field[name.size()] == '=' && absl::StartsWith(field, name))
      return field.substr(name.size() + 1);
    fields.remove_prefix(end == absl::string_view::npos ? fields.size() : end + 1);
  }
  return std::nullopt;
}

absl::Status ForEachInfoLine(absl::string_view text, absl::FunctionRef<void(const InfoLine& line)> each) {
  MAINSTAY_RETURN_IF_ERROR(CheckSize(text));
  Walk(
      text, [](absl::string_view) {}, each);
  return absl::OkStatus();
}

absl::StatusOr<Info> ParseInfo(absl::string_view text) {
  MAINSTAY_RETURN_IF_ERROR(CheckSize(text));
  Info out;
  absl::Status status;
  Walk(
      text, [&](absl::string_view name) { BeginSection(name, &out); },
      [&](const InfoLine& line) {
        if (status.ok()) status = ReadLine(line, &out);
      });
  MAINSTAY_RETURN_IF_ERROR(status);
  if (out.replication.has_value()) MAINSTAY_RETURN_IF_ERROR(CheckReplication(&*out.replication));
  return out;
}

}  // namespace mainstay::engine::redis
