// Real PostgreSQL servers for tests: each node has a scratch directory, a free port, a shim of its own and an
// engine.
//
// Thread rules: one thread; the writer of Load is its own.
#ifndef MAINSTAY_TEST_INTEGRATION_ENGINE_CLUSTER_H_
#define MAINSTAY_TEST_INTEGRATION_ENGINE_CLUSTER_H_

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "lib/engine/postgres/engine.h"
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

namespace mainstay::engine::postgres {

inline const absl::Status& StatusOf(const absl::Status& s) { return s; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& s) {
  return s.status();
}

inline MonoTime In(Duration d) { return BootClock().Now() + d; }
double Ms(Duration d);
void Say(const std::string& figure, std::vector<double> ms);  // median and spread, printed

class Node {
 public:
  Node(std::string name, const std::string& root, const std::string& password_file);
  ~Node();
  void StartShim();
  void KillShim();
  void StartEngine();  // a new agent beside whatever runs

  election::Member AsMember();
  election::DbReport Probe(Duration within = std::chrono::seconds(1)) { return engine->Probe(In(within)); }
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
  std::string LogTail();
  // One statement as the superuser over the unix socket, in a session of its own; the first column of the
  // first row.
  std::string Sql(const std::string& sql, const std::string& options = "");
  // "" when it succeeded, else the message; at most `within`.
  std::string TrySql(const std::string& sql, Duration within, std::string* value = nullptr);
  std::vector<pid_t> Processes();  // of the database; the postmaster first
  // The process with `title` in its title and, if given, this id in the shim's PID namespace; 0 when there is
  // none.
  pid_t Find(const std::string& title, pid_t inside = 0);

  const std::string name;
  const std::string dir;
  Options options;
  std::unique_ptr<PostgresEngine> engine;
  std::unique_ptr<shim::Client> shim;
  pid_t shim_pid = 0;
};

// Three nodes a, b, c; a is founded and open under epoch 1, as many as asked follow it.
class Cluster {
 public:
  Cluster();
  ~Cluster();
  void Open(int standbys, int32_t k = 0);
  Node& operator[](size_t i) { return *nodes[i]; }
  std::vector<election::Member> Members();
  election::Engine Op(election::EngineOp op, election::Epoch epoch, std::vector<election::Name> sync = {},
                      int32_t k = 0);
  election::Memory MemoryOf(election::Epoch epoch);
  void FollowAndStream(Node& standby, Node& leader, election::Epoch epoch);

  std::string root;
  std::string cluster_id;
  std::vector<std::unique_ptr<Node>> nodes;
};

// Writes numbers one after the other and remembers which were acknowledged.
class Load {
 public:
  explicit Load(Node* node, int start = 1);
  ~Load() { Stop(); }
  void Stop();
  std::set<int> acked();
  int count();

 private:
  void Run();
  Node* node_;
  int next_;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::set<int> acked_;
  std::thread thread_;
};

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_TEST_INTEGRATION_ENGINE_CLUSTER_H_
