// Real Redis servers for tests: each node has a scratch directory, a free port, a shim of its own and an
// engine.
//
// Thread rules: one thread.
#ifndef MAINSTAY_TEST_INTEGRATION_ENGINE_REDIS_CLUSTER_H_
#define MAINSTAY_TEST_INTEGRATION_ENGINE_REDIS_CLUSTER_H_

#include <sys/types.h>

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "lib/engine/redis/engine.h"
#include "lib/shim/client.h"

#define ASSERT_OK(expr)                                           \
  do {                                                            \
    const auto& assert_ok = (expr);                               \
    ASSERT_TRUE(StatusOf(assert_ok).ok()) << StatusOf(assert_ok); \
  } while (false)
#define EXPECT_OK(expr)                                           \
  do {                                                            \
    const auto& expect_ok = (expr);                               \
    EXPECT_TRUE(StatusOf(expect_ok).ok()) << StatusOf(expect_ok); \
  } while (false)

namespace mainstay::engine::redis {

inline const absl::Status& StatusOf(const absl::Status& s) { return s; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& s) {
  return s.status();
}

inline MonoTime In(Duration d) { return BootClock().Now() + d; }

using Parameters = std::map<std::string, std::string>;

class Node {
 public:
  Node(std::string name, const std::string& root, const Parameters& parameters);
  ~Node();
  void StartEngine();  // a new agent beside whatever runs
  election::Member AsMember() const;
  election::DbReport Probe() { return engine->Probe(In(std::chrono::seconds(1))); }
  // Probes until `good`, or 20 s.
  template <typename F>
  election::DbReport ProbeUntil(F good) {
    election::DbReport r;
    for (const MonoTime until = In(std::chrono::seconds(20)); BootClock().Now() < until;) {
      r = Probe();
      if (good(r)) return r;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << name << ": waited in vain; state " << static_cast<int>(r.state) << " offset " << r.offset
                  << " from '" << r.streaming_from << "' epoch " << r.streaming_epoch << "; log:\n"
                  << LogTail();
    return r;
  }
  void Arm(election::Epoch epoch);
  std::string LogTail() const;
  // As a client; the text of the answer, an error with a minus before it.
  std::string Ask(const Command& command);
  std::string Fact(const std::string& section, const std::string& key);  // of INFO
  pid_t Server() const;                                                  // 0: none
  void SignalServer(int signal);
  void KillServer();

  const std::string name;
  const std::string dir;
  Options options;
  std::unique_ptr<RedisEngine> engine;
  std::unique_ptr<shim::Client> shim;
  pid_t shim_pid = 0;
};

// Three nodes a, b, c; a is founded and open under epoch 1, as many as asked follow it.
class Cluster {
 public:
  explicit Cluster(Parameters parameters = {});
  ~Cluster();
  void Open(int replicas);
  Node& operator[](size_t i) { return *nodes[i]; }
  election::Engine Op(election::EngineOp op, election::Epoch epoch);
  election::Memory MemoryOf(election::Epoch epoch);
  void FollowAndStream(Node& replica, Node& leader, election::Epoch epoch);
  void Promote(Node& node, election::Epoch epoch);

  std::string root;
  std::string cluster_id;
  std::vector<std::unique_ptr<Node>> nodes;
};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_TEST_INTEGRATION_ENGINE_REDIS_CLUSTER_H_
