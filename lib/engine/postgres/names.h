// Names that carry identity into the database, and the quoting of everything that goes into its files.
//
// A standby's name (application_name) is "ms_<member>_<data nonce>_<epoch>": neither a stale clone nor a
// connection made under an older epoch has a name that the primary waits for. A member's slot is "ms_<member
// with _ for ->".
//
// Thread rules: pure functions.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_NAMES_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_NAMES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/election/event.h"
#include "lib/election/record.h"

namespace mainstay::engine::postgres {

inline constexpr size_t kMaxNameBytes = 63;  // NAMEDATALEN - 1: PostgreSQL cuts longer ones silently
inline constexpr size_t kNonceDigits = 8;

struct StandbyId {
  election::Name member;
  std::string nonce;
  election::Epoch epoch = 0;
  friend bool operator==(const StandbyId&, const StandbyId&) = default;
};
// InvalidArgument: a part is malformed, or the whole is longer than PostgreSQL keeps.
absl::StatusOr<std::string> StandbyName(const StandbyId& id);
std::optional<StandbyId> ParseStandbyName(absl::string_view name);

bool IsMemberName(absl::string_view name);  // [a-z0-9-]{1,40}
std::string SlotName(const election::Name& member);
inline constexpr char kSlotPrefix[] = "ms_";

// synchronous_standby_names for k of `names`: `ANY 1 ("ms_b_..","ms_c_..")`; "" when k is 0.
// A member without a known nonce (never reported) gets a name that nobody has: it can acknowledge nothing.
absl::StatusOr<std::string> SyncNamesValue(const election::SyncNames& sync,
                                           const std::vector<election::Member>& peers, election::Epoch epoch);
// The same standbys under a rule that nobody can fulfil: nothing is acknowledged while it is in force, and
// the i-th name (from 0) is seen with priority i + 2 by whoever has read it (docs/POSTGRES.md, "Changing the
// synchronous set").
std::string BarrierValue(const std::vector<std::string>& standby_names);
inline constexpr char kBarrierName[] = "mainstay_barrier";
// The full names in the order of sync.names.
absl::StatusOr<std::vector<std::string>> StandbyNames(const election::SyncNames& sync,
                                                      const std::vector<election::Member>& peers,
                                                      election::Epoch epoch);

// 'value' for postgresql.conf. InvalidArgument for line breaks and NUL, which no quoting can carry.
absl::StatusOr<std::string> QuoteConf(absl::string_view value);
// 'value' for a connection string.
std::string QuoteConninfo(absl::string_view value);
// "value" for SQL identifiers in text that cannot take parameters (role names in CREATE ROLE), and for
// pg_hba.conf.
std::string QuoteIdentifier(absl::string_view value);
// 'value' for SQL literals where no parameter is possible (CREATE ROLE ... PASSWORD). Refuses backslashes and
// non-ASCII.
absl::StatusOr<std::string> QuoteLiteral(absl::string_view value);

struct HostPort {
  std::string host;
  uint16_t port = 0;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};
// "db-0.svc:5432", "127.0.0.1:5432", "[::1]:5432".
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// The value of `key` in a connection string as PostgreSQL shows it (pg_stat_wal_receiver.conninfo); "" when
// absent.
std::string ConninfoValue(absl::string_view conninfo, absl::string_view key);

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_NAMES_H_
