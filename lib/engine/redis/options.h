// What the Redis engine is told once: directories, addresses, bounds. Everything that can be changed while it
// runs is in Settings.
//
// Thread rules: plain values.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_OPTIONS_H_
#define MAINSTAY_LIB_ENGINE_REDIS_OPTIONS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "lib/base/time.h"
#include "lib/election/record.h"

namespace mainstay::engine::redis {

// Can be changed while the engine runs (RedisEngine::Configure, in force at the next Reload).
struct Settings {
  std::map<std::string, std::string>
      parameters;            // of redis.conf; those that Mainstay owns are refused (docs/REDIS.md)
  std::string users_file;    // ACL users of the clients; "" : the default user, without administration
  int32_t min_replicas = 0;  // min-replicas-to-write
  Duration start_timeout = std::chrono::minutes(5);  // also bounded by the operation's deadline
  Duration stop_timeout = std::chrono::seconds(10);  // a stop with its last save, then kill
  Duration sync_timeout = std::chrono::hours(1);     // a full resync
};

// Work on the data that others may want to know of while it happens: told at its begin and its end.
struct DataWork {
  std::string action;  // "database.clone"
  std::string detail;  // "from a at 10.0.0.1:6379"
  bool ended = false;
  absl::Status status;  // of its end
  Duration took{};
};

struct Options {
  election::Name member;    // own name
  std::string db_address;   // host:port where the other members reach this database; announced to them
  std::string shim_socket;  // of mainstay-shim
  std::string data_dir;     // absolute; configuration, users and the engine's own files lie beside it
  std::string socket;       // unix socket of the server; its directory must exist
  uint16_t port = 6379;
  std::string bind = "127.0.0.1";
  std::string replication_password_file;  // 0600, the same on all members; made by the founder when missing
  Duration connect_timeout = std::chrono::seconds(1);  // of one connection, also bounded by the operation
  std::function<void(const DataWork&)> told;           // on the engine's worker; may be empty
  std::function<void(int64_t normal, int64_t subscribers)> cut;  // clients were; as `told`
  std::shared_ptr<std::atomic<int64_t>> own_kills;               // counts calls of CLIENT KILL; may be null
  Settings settings;
};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_OPTIONS_H_
