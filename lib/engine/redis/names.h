// Names of Mainstay's own users in a Redis server.
//
//   mainstay-agent                    the agent, over the unix socket
//   mainstay-peer                     agents of other members: reads where this server stands, nothing else
//   mainstay-repl-<cluster>-<epoch>   replicas: exists only in the primary of that epoch of that cluster
//
// The last one is the fence between reigns: a replica logs in by the cluster and epoch that it was told to
// follow, so it can never stream from (nor be wiped by a full resync of) a server that does not lead them: a
// reborn empty primary, one of another cluster behind a reused address, one that was deposed. Redis itself
// has no such check.
//
// Thread rules: pure functions.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_NAMES_H_
#define MAINSTAY_LIB_ENGINE_REDIS_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace mainstay::engine::redis {

inline constexpr char kAgentUser[] = "mainstay-agent";
inline constexpr char kPeerUser[] = "mainstay-peer";
inline constexpr char kReplicationPrefix[] = "mainstay-repl-";
inline constexpr char kReserved[] = "mainstay-";  // of users
inline constexpr char kProbeKey[] =
    "mainstay:probe";  // never exists: deleting it proves that writes are taken

struct ReplicationUser {
  std::string cluster_id;  // [0-9a-f]{1,32}
  int64_t epoch = 0;
  friend bool operator==(const ReplicationUser&, const ReplicationUser&) = default;
};
std::string FormatReplicationUser(const ReplicationUser& user);
std::optional<ReplicationUser> ParseReplicationUser(absl::string_view text);

// "10.0.0.1:6379", "[fd00::1]:6379", "name:6379". Nothing when it is no such address.
struct HostPort {
  std::string host;  // without brackets
  uint16_t port = 0;
  friend bool operator==(const HostPort&, const HostPort&) = default;
};
std::optional<HostPort> ParseHostPort(absl::string_view text);

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_NAMES_H_
