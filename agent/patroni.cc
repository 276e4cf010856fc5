// Judgements and status codes.
#include "agent/patroni.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/rpc/address.h"

namespace mainstay::agent::patroni {
namespace {

using election::DbState;
using election::Role;

// Where the leader's log ends, as far as this member knows; 0: not known.
uint64_t LeaderEnd(const rpc::StatusView& v) {
  const rpc::MemberView* leader = v.leader.empty() ? nullptr : Find(v, v.leader);
  return leader != nullptr ? leader->offset : 0;
}

bool Lagging(const Facts& f, uint64_t at, std::optional<uint64_t> limit) {
  if (!limit) return false;
  const uint64_t end = LeaderEnd(f.view);
  return end > at && end - at > *limit;
}

bool ReplicaServes(const http::Request& request, const Facts& f) {
  if (!IsReplica(f) || f.options.no_load_balance) return false;
  if (const auto wanted = request.Param("replication_state");
      wanted && !wanted->empty() && *wanted != ReplicationState(f)) {
    return false;
  }
  const auto lag = request.Param("lag");
  return !Lagging(f, f.view.database.replay_offset, lag ? ParseLag(*lag) : std::nullopt);
}

// Patroni's own tags can be asked for, too.
std::optional<std::string> Tag(const Facts& f, const std::string& name) {
  if (name == "noloadbalance" && f.options.no_load_balance) return "true";
  const rpc::MemberView* self = Find(f.view, f.view.member);
  if (name == "nofailover" && self != nullptr && self->no_failover) return "true";
  if (name == "failover_priority" && self != nullptr && self->priority != 100)
    return absl::StrCat(self->priority);
  const auto it = f.options.labels.find(name);
  if (it == f.options.labels.end()) return std::nullopt;
  return it->second;
}

bool TagsMatch(const http::Request& request, const Facts& f) {
  for (const auto& [key, value] : request.query) {
    absl::string_view name = key;
    if (!absl::ConsumePrefix(&name, "tag_")) continue;
    if (value.empty()) continue;  // as Patroni, which does not see those
    if (Tag(f, std::string(name)) != value) return false;
  }
  return true;
}

enum class Check : uint8_t {
  kPrimary,
  kStandbyLeader,
  kLeader,
  kReplica,
  kReadOnly,
  kSync,
  kQuorum,
  kAsync,
  kReadOnlySync,
  kReadOnlyQuorum,
  kHealth
};
constexpr std::pair<const char*, Check> kChecks[] = {
    {"/", Check::kPrimary},
    {"/primary", Check::kPrimary},
    {"/master", Check::kPrimary},
    {"/read-write", Check::kPrimary},
    {"/leader", Check::kLeader},
    {"/standby-leader", Check::kStandbyLeader},
    {"/standby_leader", Check::kStandbyLeader},
    {"/replica", Check::kReplica},
    {"/read-only", Check::kReadOnly},
    {"/sync", Check::kSync},
    {"/synchronous", Check::kSync},
    {"/quorum", Check::kQuorum},
    {"/async", Check::kAsync},
    {"/asynchronous", Check::kAsync},
    {"/read-only-sync", Check::kReadOnlySync},
    {"/read-only-synchronous", Check::kReadOnlySync},
    {"/read-only-quorum", Check::kReadOnlyQuorum},
    {"/health", Check::kHealth},
};

bool Holds(Check check, const http::Request& request, const Facts& f) {
  const auto serves_as = [&](SyncKind kind) {
    return SyncOf(f, f.view.member) == kind && ReplicaServes(request, f);
  };
  switch (check) {
    case Check::kPrimary:
    case Check::kLeader:
      return IsPrimary(f);
    case Check::kStandbyLeader:
      return false;  // Mainstay has no standby clusters
    case Check::kHealth:
      return f.view.database.state == DbState::kRunning;
    case Check::kReplica:
      return ReplicaServes(request, f);
    case Check::kReadOnly:
      return IsPrimary(f) || ReplicaServes(request, f);
    case Check::kSync:
      return serves_as(SyncKind::kSync);
    case Check::kQuorum:
      return serves_as(SyncKind::kQuorum);
    case Check::kAsync:
      return serves_as(SyncKind::kNone);
    case Check::kReadOnlySync:
      return SyncOf(f, f.view.member) != SyncKind::kUnknown && (IsPrimary(f) || serves_as(SyncKind::kSync));
    case Check::kReadOnlyQuorum:
      return SyncOf(f, f.view.member) != SyncKind::kUnknown && (IsPrimary(f) || serves_as(SyncKind::kQuorum));
  }
  return false;
}

bool IgnoresTags(Check check) {
  return check == Check::kPrimary || check == Check::kLeader || check == Check::kStandbyLeader;
}

std::string PortOf(const std::string& address) { return address.substr(address.rfind(':') + 1); }
std::string HostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

}  // namespace

const rpc::MemberView* Find(const rpc::StatusView& v, const election::Name& name) {
  for (const rpc::MemberView& m : v.members) {
    if (m.name == name) return &m;
  }
  return nullptr;
}

std::optional<bool> Truth(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  std::string text;
  if (value.is_number_integer()) text = std::to_string(value.get<int64_t>());
  if (value.is_string()) text = absl::AsciiStrToLower(value.get_ref<const std::string&>());
  if (text == "on" || text == "true" || text == "yes" || text == "1") return true;
  if (text == "off" || text == "false" || text == "no" || text == "0") return false;
  return std::nullopt;
}

Options ToOptions(const Config& config, const std::string& listening) {
  Options o;
  const std::string& peer = config.settings.self.peer_address;
  const bool dialled = !absl::StartsWith(listening, "unix:");
  o.http_address = config.http.advertised;
  if (o.http_address.empty() && dialled) {
    o.http_address = rpc::IsWildcardAddress(listening) && !absl::StartsWith(peer, "unix:")
                         ? absl::StrCat(HostOf(peer), ":", PortOf(listening))
                         : listening;
  }
  for (const ExpectedMember& m : config.members) {
    if (!m.http.empty()) o.http[m.name] = rpc::BracketIpv6(m.http);
  }
  if (config.http.tls) o.scheme = "https";
  o.no_load_balance = config.http.no_load_balance;
  o.labels = config.http.labels;
  o.lease = config.settings.lease;
  o.renew = config.settings.renew;
  o.validity = config.settings.validity;
  o.failsafe = config.settings.failsafe;
  o.durability = config.settings.durability;
  o.sync_count = config.settings.sync_count;
  o.replication_role = config.postgresql.replication_role;
  return o;
}

bool HoldsLock(const Facts& f) {
  const auto& v = f.view;
  if (v.role != Role::kPrimary) return false;
  if (!v.lock.permitted_until.is_past() && v.lock.permitted_until > f.now) return true;
  return v.paused && v.lock.health == rpc::LockHealth::kUnreachable;
}

bool IsPrimary(const Facts& f) {
  return HoldsLock(f) && f.view.database.state == DbState::kRunning && f.view.database.writable;
}

bool IsReplica(const Facts& f) {
  return f.view.database.state == DbState::kRunning && !f.view.database.writable &&
         f.view.role != Role::kPrimary && f.view.role != Role::kFenced;
}

SyncKind SyncOf(const Facts& f, const election::Name& member) {
  const auto& v = f.view;
  if (v.lock.record_changed_at.is_past() || f.now - v.lock.record_changed_at > f.options.lease)
    return SyncKind::kUnknown;
  const auto& voters = v.durability.voters;
  if (std::find(voters.begin(), voters.end(), member) == voters.end()) return SyncKind::kNone;
  // An acknowledged write is on at least |voters| - freeze + 1 of them.
  return v.durability.freeze == 1 ? SyncKind::kSync : SyncKind::kQuorum;
}

std::string ReplicationState(const Facts& f) {
  return IsReplica(f) && !f.view.database.streaming_from.empty() ? "streaming" : "";
}

std::optional<uint64_t> ParseLag(const std::string& text) {
  static constexpr std::pair<const char*, double> kUnits[] = {{"", 1},
                                                              {"B", 1},
                                                              {"kB", 1024.0},
                                                              {"MB", 1024.0 * 1024},
                                                              {"GB", 1024.0 * 1024 * 1024},
                                                              {"TB", 1024.0 * 1024 * 1024 * 1024}};
  const absl::string_view all = absl::StripAsciiWhitespace(text);
  size_t end = 0;
  const bool hex = absl::StartsWithIgnoreCase(all, "0x");
  if (hex) end = 2;
  while (end < all.size() &&
         (hex ? absl::ascii_isxdigit(static_cast<unsigned char>(all[end]))
              : absl::ascii_isdigit(static_cast<unsigned char>(all[end])) || all[end] == '.')) {
    ++end;
  }
  double number = 0;
  uint64_t whole = 0;
  if (hex ? !absl::SimpleHexAtoi(all.substr(2, end - 2), &whole)
          : !absl::SimpleAtod(all.substr(0, end), &number)) {
    return std::nullopt;
  }
  if (hex) number = static_cast<double>(whole);
  const absl::string_view unit = absl::StripAsciiWhitespace(all.substr(end));
  for (const auto& [name, factor] : kUnits) {
    if (unit != name) continue;
    const double bytes = number * factor;
    if (bytes >= 9.2e18) return INT64_MAX;
    return static_cast<uint64_t>(std::round(bytes));
  }
  return std::nullopt;
}

std::optional<int> HealthCode(const std::string& path, const http::Request& request, const Facts& f) {
  for (const auto& [name, check] : kChecks) {
    if (path != name) continue;
    const bool holds = Holds(check, request, f) && (IgnoresTags(check) || TagsMatch(request, f));
    return holds ? 200 : 503;
  }
  return std::nullopt;
}

std::string NotReady(const http::Request& request, const Facts& f) {
  const auto& db = f.view.database;
  if (IsPrimary(f)) return "";
  if (db.state != DbState::kRunning) return "PostgreSQL is not running";
  if (ReplicationState(f) != "streaming") return "PostgreSQL replication state is not streaming";
  const bool write = request.Param("mode").value_or("") == "write";
  const auto lag = request.Param("lag");
  const uint64_t limit = lag ? ParseLag(*lag).value_or(kReadyLag) : kReadyLag;
  if (Lagging(f, write ? db.offset : db.replay_offset, limit))
    return absl::StrCat("replication lag exceeds ", limit, " bytes");
  return "";
}

}  // namespace mainstay::agent::patroni
