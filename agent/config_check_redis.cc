// What the engine redis wants of the configuration: its section, and what the others may say with it.
#include "absl/strings/str_cat.h"
#include "agent/config_check.h"
#include "lib/engine/redis/conf.h"
#include "lib/rpc/address.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent {
namespace {

void Places(const v1::Redis& r, const AddProblem& add) {
  CheckAbsolute("redis.data_dir", r.data_dir(), "the server's data directory", add);
  CheckAbsolute("redis.bin_dir", r.bin_dir(), "the directory that holds redis-server", add);
  CheckAbsolute("redis.socket", r.socket(), "the server's unix socket", add);
  CheckAbsolute("redis.replication_password_file", r.replication_password_file(),
                "the 0600 file of the members' common password", add);
  if (!r.users_file().empty()) CheckAbsolute("redis.users_file", r.users_file(), "the users' file", add);
  if (r.port() < 1 || r.port() > 65535)
    add("redis.port", absl::StrCat(r.port()), "is no port", "give 1 to 65535");
  if (r.socket().size() > 107)
    add("redis.socket", r.socket(), "is too long for a unix socket", "use a path of at most 107 bytes");
  if (r.bind().empty() || r.bind().size() > 512 || r.bind().find_first_of("\r\n\"\\") != std::string::npos)
    add("redis.bind", r.bind(), "is no list of addresses", "write it as 127.0.0.1 or * -::*");
}

void Sentinel(const v1::Redis& r, const AddProblem& add) {
  if (!r.sentinel_password_file().empty())
    CheckAbsolute("redis.sentinel_password_file", r.sentinel_password_file(), "the passwords' file", add);
  for (const std::string& name : r.sentinel_names()) {
    if (name.empty() || name.size() > 128 || name.find_first_of(" \r\n\t") != std::string::npos)
      add("redis.sentinel_names", name, "is no name of a cluster", "give 1 to 128 characters without blanks");
  }
  if (r.sentinel_listen().empty()) return;
  const std::string problem = rpc::CheckListenAddress(r.sentinel_listen());
  if (!problem.empty())
    add("redis.sentinel_listen", r.sentinel_listen(), problem, "listen on HOST:PORT, such as 0.0.0.0:26379");
}

}  // namespace

void CheckRedis(const v1::AgentConfig& m, const AddProblem& add) {
  const v1::Redis& r = m.redis();
  Places(r, add);
  Sentinel(r, add);
  for (const auto& [name, value] : r.parameters()) {
    const auto problem = engine::redis::CheckParameter(name, value);
    if (!problem.what.empty())
      add(absl::StrCat("redis.parameters.", name), value, problem.what, problem.remedy);
  }
  if (r.min_replicas() < 0 || r.min_replicas() >= static_cast<int>(election::kMaxMembers))
    add("redis.min_replicas", absl::StrCat(r.min_replicas()), "is out of bounds",
        absl::StrCat("give 0 to ", election::kMaxMembers - 1));
  CheckBounded("redis.start_timeout", r.start_timeout(), std::chrono::seconds(1), std::chrono::hours(24),
               add);
  CheckBounded("redis.stop_timeout", r.stop_timeout(), std::chrono::milliseconds(100), std::chrono::hours(1),
               add);
  CheckBounded("redis.sync_timeout", r.sync_timeout(), std::chrono::seconds(1), std::chrono::hours(24), add);
  if (m.durability() != v1::DURABILITY_ASYNC) {
    add("durability", m.durability() == v1::DURABILITY_STRICT ? "strict" : "guarded",
        "is nothing that Redis can promise: it answers a write before any replica has it",
        "write async; redis.min_replicas bounds what an isolated primary takes, WAIT tells a client more "
        "(docs/REDIS.md)");
  }
}

}  // namespace mainstay::agent
