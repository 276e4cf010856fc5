#include "lib/engine/postgres/conf.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "lib/base/json.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {
namespace {

struct Protected {
  const char* name;
  const char* reason;
};
constexpr const char* kRole = "the election decides it";
constexpr const char* kPlace =
    "it is part of the member's configuration (postgresql.port, .socket_dir, .listen_addresses, .data_dir)";
constexpr Protected kProtected[] = {
    {"synchronous_standby_names", kRole},
    {"primary_conninfo", kRole},
    {"primary_slot_name", kRole},
    {"promote_trigger_file", "only the election may promote"},
    {"recovery_target_timeline", "standbys must follow the newest timeline"},
    {"recovery_target", "a standby must not stop before the end of the log"},
    {"recovery_target_lsn", "a standby must not stop before the end of the log"},
    {"recovery_target_name", "a standby must not stop before the end of the log"},
    {"recovery_target_time", "a standby must not stop before the end of the log"},
    {"recovery_target_xid", "a standby must not stop before the end of the log"},
    {"recovery_target_action", "a standby must not stop before the end of the log"},
    {"recovery_min_apply_delay", "a delayed member could not be promoted in time"},
    {"restart_after_crash", "after a crash the election decides between failover and restart in place"},
    {"hot_standby", "probes need connections to a standby"},
    {"wal_log_hints", "pg_rewind needs it"},
    {"full_page_writes", "pg_rewind and crash safety need it"},
    {"fsync", "an acknowledged write must survive a crash"},
    {"wal_receiver_timeout", "failover needs it short"},
    {"wal_sender_timeout", "failover needs it short"},
    {"wal_receiver_status_interval", "lag is measured by it"},
    {"wal_retrieve_retry_interval", "failover needs it short"},
    {"allow_alter_system", "ALTER SYSTEM could override the election"},
    {"port", kPlace},
    {"listen_addresses", kPlace},
    {"unix_socket_directories", kPlace},
    {"unix_socket_permissions", kPlace},
    {"data_directory", kPlace},
    {"hba_file", "pg_hba.conf is written by Mainstay: use postgresql.hba"},
    {"ident_file", "pg_ident.conf is written by Mainstay"},
    {"config_file", "mainstay.conf must be included"},
    {"external_pid_file", "the shim knows the process"},
    {"include", "mainstay.conf holds everything"},
    {"include_dir", "mainstay.conf holds everything"},
    {"include_if_exists", "mainstay.conf holds everything"},
};

// Ours unless the configuration says otherwise; with the least that Mainstay needs.
struct Floor {
  const char* name;
  int64_t least;
  const char* preset;
};
constexpr Floor kFloors[] = {
    {"max_wal_senders", 5, "20"},
    {"max_replication_slots", 4, "20"},
    {"superuser_reserved_connections", 3, "5"},
    {"max_connections", 10, "100"},
    {"max_worker_processes", 1, "8"},
};

bool IsParameterName(absl::string_view name) {
  if (name.empty() || name.size() > 120 || absl::ascii_isdigit(static_cast<unsigned char>(name[0])))
    return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.';
  });
}

std::string RoleJson(const RoleState& r) {
  OrderedJson j;
  j["schema"] = 1;
  j["primary"] = r.primary;
  j["epoch"] = r.epoch;
  j["leader"] = r.leader;
  j["sync"] = r.sync;
  j["k"] = r.names.k;
  j["names"] = r.names.names;
  j["conninfo"] = r.primary_conninfo;
  j["slot"] = r.primary_slot;
  return DumpJson(j);
}

constexpr absl::string_view kRoleMark = "# role: ";

absl::Status Put(std::string* out, absl::string_view name, absl::string_view value) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string quoted, QuoteConf(value));
  absl::StrAppend(out, name, " = ", quoted, "\n");
  return absl::OkStatus();
}

// Standard error goes through the shim to the agent (docs/AUDIT.md); the collector would write files instead.
absl::Status PutLog(std::string* out, absl::string_view prefix) {
  if (prefix.empty()) return absl::OkStatus();
  MAINSTAY_RETURN_IF_ERROR(Put(out, "logging_collector", "off"));
  MAINSTAY_RETURN_IF_ERROR(Put(out, "log_destination", "stderr"));
  return Put(out, "log_line_prefix", prefix);
}

bool IsSimpleRole(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-';
  });
}

}  // namespace

const char* ReasonOfProtected(absl::string_view name) {
  const std::string lower = absl::AsciiStrToLower(name);
  for (const Protected& p : kProtected) {
    if (lower == p.name) return p.reason;
  }
  return nullptr;
}

ConfProblem CheckParameter(absl::string_view name, absl::string_view value) {
  if (!IsParameterName(name)) return {"is no parameter's name", "use letters, digits, _ and ."};
  const std::string lower = absl::AsciiStrToLower(name);
  if (const char* reason = ReasonOfProtected(lower))
    return {absl::StrCat("is kept by Mainstay, because ", reason), "remove it"};
  if (absl::StartsWith(lower, "mainstay.")) return {"is kept by Mainstay", "remove it"};
  if (!QuoteConf(value).ok()) return {"has a line break or a NUL in its value", "remove it"};
  const std::string v = absl::AsciiStrToLower(absl::StripAsciiWhitespace(value));
  if (lower == "wal_level" && v != "replica" && v != "logical")
    return {"makes standbys impossible", "use replica or logical"};
  if (lower == "synchronous_commit" && v != "on" && v != "remote_apply") {
    return {"acknowledges writes that a failover can lose",
            "use on or remote_apply here, and set less per session or role"};
  }
  for (const Floor& f : kFloors) {
    if (lower != f.name) continue;
    int64_t n = 0;
    if (!absl::SimpleAtoi(v, &n) || n < f.least)
      return {"is too small or no number", absl::StrCat("use at least ", f.least)};
  }
  return {};
}

ConfProblem CheckHbaLine(absl::string_view line) {
  if (line.find_first_of(absl::string_view("\n\r\0", 3)) != absl::string_view::npos)
    return {"has a line break or a NUL", "write one entry a line"};
  const std::vector<std::string> words = absl::StrSplit(line, absl::ByAnyChar(" \t,"), absl::SkipEmpty());
  const bool host = !words.empty() && absl::StartsWith(words[0], "host");
  if (host && std::any_of(words.begin(), words.end(), [](std::string w) {
        w.erase(std::remove(w.begin(), w.end(), '"'), w.end());
        return absl::EqualsIgnoreCase(w, "trust");
      })) {
    return {"lets anybody in over the network", "use scram-sha-256"};
  }
  if (!words.empty() && absl::StartsWith(words[0], "include"))
    return {"includes a file that cannot be checked", "list the lines here"};
  return {};
}

std::string CheckParameters(const std::map<std::string, std::string>& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    const ConfProblem problem = CheckParameter(name, value);
    if (problem.what.empty()) continue;
    absl::StrAppend(&out, out.empty() ? "" : "\n", "postgresql.parameters.", Cut(name, 80), " = ",
                    Cut(value, 40), " ", problem.what, "; ", problem.remedy);
  }
  return out;
}

absl::StatusOr<std::string> BuildConf(const ConfInput& input, const RoleState& role) {
  const Options& o = *input.options;
  const Settings& s = *input.settings;
  if (std::string problems = CheckParameters(s.parameters); !problems.empty())
    return absl::InvalidArgumentError(problems);
  std::string out = absl::StrCat(
      "# Written by Mainstay, again and again: put parameters into its configuration "
      "(postgresql.parameters).\n",
      kRoleMark, RoleJson(role), "\n\n# presets that the configuration may change\n");
  const auto preset = [&](absl::string_view name, absl::string_view value) -> absl::Status {
    return Put(&out, name, value);
  };
  for (const Floor& f : kFloors) MAINSTAY_RETURN_IF_ERROR(preset(f.name, f.preset));
  MAINSTAY_RETURN_IF_ERROR(preset("wal_level", "replica"));
  MAINSTAY_RETURN_IF_ERROR(preset("synchronous_commit", "on"));
  MAINSTAY_RETURN_IF_ERROR(preset("wal_keep_size", "256MB"));
  MAINSTAY_RETURN_IF_ERROR(preset("password_encryption", "scram-sha-256"));
  MAINSTAY_RETURN_IF_ERROR(preset("max_slot_wal_keep_size",
                                  absl::StrCat(std::max<uint64_t>(s.slot_wal_cap_bytes >> 20, 1), "MB")));
  MAINSTAY_RETURN_IF_ERROR(preset("tcp_keepalives_idle", "10"));
  MAINSTAY_RETURN_IF_ERROR(preset("tcp_keepalives_interval", "5"));
  MAINSTAY_RETURN_IF_ERROR(preset("tcp_keepalives_count", "3"));
  // After a crash one syncfs instead of an fsync of each file: a restart in place in half the time
  // (docs/POSTGRES.md).
  if (input.version >= 14) MAINSTAY_RETURN_IF_ERROR(preset("recovery_init_sync_method", "syncfs"));
  MAINSTAY_RETURN_IF_ERROR(PutLog(&out, o.log_prefix));
  absl::StrAppend(&out, "\n# from the configuration\n");
  for (const auto& [name, value] : s.parameters)
    MAINSTAY_RETURN_IF_ERROR(Put(&out, absl::AsciiStrToLower(name), value));
  absl::StrAppend(&out, "\n# kept by Mainstay\n");
  const std::pair<const char*, std::string> kept[] = {
      {"listen_addresses", o.listen_addresses},
      {"port", std::to_string(o.port)},
      {"unix_socket_directories", o.socket_dir},
      {"unix_socket_permissions", "0777"},
      {"hot_standby", "on"},
      {"wal_log_hints", "on"},
      {"full_page_writes", "on"},
      {"fsync", "on"},
      {"restart_after_crash", "off"},
      {"recovery_target_timeline", "latest"},
      {"wal_receiver_timeout", "5s"},
      {"wal_sender_timeout", "5s"},
      {"wal_receiver_status_interval", "1s"},
      {"wal_retrieve_retry_interval", "100ms"},
      {"synchronous_standby_names", role.sync},
      {"primary_conninfo", role.primary_conninfo},
      {"primary_slot_name", role.primary_slot},
      {"mainstay.epoch", std::to_string(role.epoch)},
      {"mainstay.leader", role.primary ? o.member : role.leader},
      {"mainstay.member", o.member},
  };
  for (const auto& [name, value] : kept) MAINSTAY_RETURN_IF_ERROR(Put(&out, name, value));
  if (input.version >= 17) MAINSTAY_RETURN_IF_ERROR(Put(&out, "allow_alter_system", "off"));
  return out;
}

absl::StatusOr<RoleState> ParseRole(absl::string_view conf) {
  for (const absl::string_view line : absl::StrSplit(conf, '\n')) {
    if (!absl::StartsWith(line, kRoleMark)) continue;
    MAINSTAY_ASSIGN_OR_RETURN(const Json json, ParseJson(line.substr(kRoleMark.size()), 64 * 1024));
    const JsonView view(&json, "mainstay.conf role");
    RoleState r;
    MAINSTAY_ASSIGN_OR_RETURN(r.primary, view.Bool("primary"));
    MAINSTAY_ASSIGN_OR_RETURN(r.epoch, view.Int("epoch", 0, INT64_MAX));
    MAINSTAY_ASSIGN_OR_RETURN(r.leader, view.String("leader", 64));
    MAINSTAY_ASSIGN_OR_RETURN(r.sync, view.String("sync", 8192));
    MAINSTAY_ASSIGN_OR_RETURN(const int64_t k, view.Int("k", 0, 1000));
    r.names.k = static_cast<int32_t>(k);
    MAINSTAY_ASSIGN_OR_RETURN(r.names.names, view.Strings("names", election::kMaxMembers, 64));
    MAINSTAY_ASSIGN_OR_RETURN(r.primary_conninfo, view.String("conninfo", 8192));
    MAINSTAY_ASSIGN_OR_RETURN(r.primary_slot, view.String("slot", 64));
    return r;
  }
  return absl::NotFoundError("mainstay.conf has no role line: it was not written by Mainstay");
}

absl::StatusOr<std::string> BuildHba(const Options& o, const Settings& s, const std::string& os_user) {
  for (const std::string* role : {&o.superuser, &o.agent_role, &o.replication_role}) {
    if (!IsSimpleRole(*role)) {
      return absl::InvalidArgumentError(
          absl::StrCat("role '", *role, "': want letters, digits, _ and -, at most 63"));
    }
  }
  const std::string own = absl::StrCat(QuoteIdentifier(o.superuser), ",", QuoteIdentifier(o.agent_role));
  const std::string repl = QuoteIdentifier(o.replication_role);
  std::string out =
      "# Written by Mainstay; put lines into its configuration (postgresql.hba). The first line that fits "
      "counts.\n";
  absl::StrAppend(&out, "local all ", own, os_user.empty() ? " scram-sha-256\n" : " peer map=mainstay\n");
  absl::StrAppend(&out, "local replication ", QuoteIdentifier(o.superuser),
                  os_user.empty() ? " scram-sha-256\n" : " peer map=mainstay\n");
  // The superuser and the agent's role never over the network.
  absl::StrAppend(&out, "host all,replication ", own, " all reject\n");
  absl::StrAppend(&out, "host replication ", repl, " all scram-sha-256\nhost postgres ", repl,
                  " all scram-sha-256\n");
  absl::StrAppend(&out, "host all ", repl, " all reject\n");
  for (const std::string& line : s.hba) {
    if (const ConfProblem problem = CheckHbaLine(line); !problem.what.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("postgresql.hba: '", Cut(line, 80), "' ", problem.what, "; ", problem.remedy));
    }
    absl::StrAppend(&out, line, "\n");
  }
  return absl::StrCat(out, "local all all scram-sha-256\nhost all all all scram-sha-256\n");
}

std::string BuildIdent(const Options& o, const std::string& os_user) {
  std::string out = "# Written by Mainstay.\n";
  if (os_user.empty()) return out;
  for (const std::string* role : {&o.superuser, &o.agent_role}) {
    absl::StrAppend(&out, "mainstay ", QuoteIdentifier(os_user), " ", QuoteIdentifier(*role), "\n");
  }
  return out;
}

std::string WithInclude(absl::string_view text) {
  constexpr absl::string_view kInclude = "include 'mainstay.conf'";
  std::string out;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StripAsciiWhitespace(line) == kInclude) continue;
    absl::StrAppend(&out, line, "\n");
  }
  while (absl::EndsWith(out, "\n\n")) out.pop_back();
  if (out == "\n") out.clear();
  return absl::StrCat(out, kInclude, "\n");
}

std::string WithoutProtected(absl::string_view text) {
  std::string out;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view bare = absl::StripLeadingAsciiWhitespace(line);
    size_t n = 0;
    while (n < bare.size() &&
           (absl::ascii_isalnum(static_cast<unsigned char>(bare[n])) || bare[n] == '_' || bare[n] == '.'))
      ++n;
    const std::string name = absl::AsciiStrToLower(bare.substr(0, n));
    if (n > 0 && (ReasonOfProtected(name) != nullptr || absl::StartsWith(name, "mainstay."))) continue;
    absl::StrAppend(&out, line, "\n");
  }
  while (absl::EndsWith(out, "\n\n")) out.pop_back();
  return out == "\n" ? "" : out;
}

}  // namespace mainstay::engine::postgres
