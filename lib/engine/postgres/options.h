// What the PostgreSQL engine is told once: directories, addresses, roles, bounds. Everything that can be
// changed while it runs is in Settings.
//
// Thread rules: plain values.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_OPTIONS_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_OPTIONS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "lib/base/time.h"
#include "lib/election/record.h"

namespace mainstay::engine::postgres {

// A role that is created and kept as told, never dropped (accounts.h).
struct UserSpec {
  std::string name;
  std::string password_file;  // the password or its SCRAM verifier; "" : the role's password is left alone
  bool login = true;
  bool superuser = false;
  bool createdb = false;
  bool createrole = false;
  bool replication = false;
  bool inherit = true;
  int connection_limit = -1;
  std::vector<std::string> member_of;
  friend bool operator==(const UserSpec&, const UserSpec&) = default;
};
struct DatabaseSpec {
  std::string name;
  std::string owner;  // "" : whoever it is
  std::vector<std::string> extensions;
  std::string encoding, locale;  // when it is made
  friend bool operator==(const DatabaseSpec&, const DatabaseSpec&) = default;
};

// Can be changed while the engine runs (PostgresEngine::Configure, in force at the next Reload).
struct Settings {
  std::map<std::string, std::string>
      parameters;  // of postgresql.conf; those that Mainstay owns are refused (docs/POSTGRES.md)
  std::vector<std::string> hba;  // lines of pg_hba.conf after Mainstay's own, before the closing ones
  uint64_t slot_wal_cap_bytes = uint64_t{10}
                                << 30;  // WAL that a member's slot may retain (max_slot_wal_keep_size)
  uint64_t clone_rate_bytes = 0;        // per second; 0: no limit
  Duration start_timeout = std::chrono::minutes(5);  // also bounded by the operation's deadline
  Duration stop_timeout = std::chrono::seconds(10);  // clean shutdown, then kill
  Duration clone_timeout = std::chrono::hours(6);
  std::vector<UserSpec> users;
  std::vector<DatabaseSpec> databases;
};

// Work on the data directory that others may want to know of while it happens: told at its begin and its end.
struct DataWork {
  std::string action;  // "database.clone", "database.rewind"
  std::string detail;  // "from a at 10.0.0.1:5432"
  bool ended = false;
  absl::Status status;  // of its end
  Duration took{};
};

struct Options {
  election::Name member;    // own name
  std::string db_address;   // host:port where the other members reach this database (for messages only)
  std::string shim_socket;  // of mainstay-shim
  std::string data_dir;     // absolute; a subdirectory of its volume (it is swapped by rename)
  std::string bin_dir;      // of the server's programs (for messages; the shim has its own)
  std::string socket_dir;   // of the server's unix socket; must exist
  std::string private_socket_dir;  // the shim's --private-socket-dir; "" : the data directory's parent
  uint16_t port = 5432;
  std::string listen_addresses = "127.0.0.1";
  std::string password_file;  // pgpass format, 0600; the same content on all members; made by the founder
                              // when missing
  std::string superuser = "postgres";
  std::string agent_role = "mainstay_agent";
  std::string replication_role = "mainstay_repl";
  std::vector<std::string> initdb;  // more options of initdb
  Duration connect_timeout =
      std::chrono::seconds(3);  // of one connection, also bounded by the operation's deadline
  Duration login_interval = std::chrono::seconds(1);  // how often a probe tries a new connection
  Duration login_patience =
      std::chrono::seconds(1);  // a new connection without any answer for this long: no proof
  // log_line_prefix, so that the log can be parsed (lib/audit/pg_stderr.h); "" : the log's settings are left
  // alone.
  std::string log_prefix;
  std::function<void(const DataWork&)> told;  // on the engine's worker; may be empty
  Settings settings;
};

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_OPTIONS_H_
