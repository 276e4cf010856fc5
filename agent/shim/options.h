// What the operator tells mainstay-shim at its start: flags, and the same names in an options file. Never
// over the socket.
#ifndef MAINSTAY_AGENT_SHIM_OPTIONS_H_
#define MAINSTAY_AGENT_SHIM_OPTIONS_H_

#include <sys/types.h>

#include "agent/shim/sys.h"
#include "agent/shim/tools.h"
#include "lib/shim/wire.h"

namespace mainstay::shimd {

enum class Engine : uint8_t { kPostgresql, kRedis, kRabbitmq };
enum class WantedMode : uint8_t { kAuto, kContainer, kNamespace, kSession };

inline constexpr size_t kMaxSets = 16;
inline constexpr size_t kMaxGroups = 32;
inline constexpr size_t kMaxAllowed = 8;
inline constexpr size_t kMaxEnv = 64;

struct Options {
  Engine engine = Engine::kPostgresql;
  const char* socket = "";
  const char* bin_dir = "";
  const char* log = "";
  const char* user = "";
  const char* private_socket_dir = "";  // isolated starts; default: the data directory's parent
  PathRules paths;
  WantedMode mode = WantedMode::kAuto;
  // name=value for postgres -c, redis-server --name value, or RABBITMQ_name=value in its environment
  const char* sets[kMaxSets] = {};
  size_t set_count = 0;
  uid_t allowed[kMaxAllowed] = {};
  size_t allowed_count = 0;
  bool allow_inside = false;  // accept clients of the database's own PID namespace (never in production)
  int64_t stop_timeout = 60 * kSecond;
  int64_t term_wait = 0;
  int64_t horizon = 600 * kSecond;
  // Whom database and tools run as; drop: the shim is root and changes to them.
  bool drop = false;
  uid_t uid = 0;
  gid_t gid = 0;
  gid_t groups[kMaxGroups] = {};
  size_t group_count = 0;
  const char* home = "/";
  const char* env[kMaxEnv] = {};  // for the children: allow-listed, null at the end
  size_t env_count = 0;
};

// Parses, checks and fills everything in; ends the process with a message when something is wrong.
// Pointers in `out` are into argv, environ or static memory.
void ReadOptions(int argc, char** argv, char** environ_in, Options* out);

}  // namespace mainstay::shimd

#endif  // MAINSTAY_AGENT_SHIM_OPTIONS_H_
