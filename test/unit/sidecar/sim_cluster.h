// Three real drivers with the real core in one simulated process: fake databases, memory lock, a network that
// can be cut.
//
// Thread rules: one thread.
#ifndef MAINSTAY_TEST_UNIT_SIDECAR_SIM_CLUSTER_H_
#define MAINSTAY_TEST_UNIT_SIDECAR_SIM_CLUSTER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/sidecar/driver.h"
#include "lib/audit/audit.h"
#include "lib/engine/fake/fake_engine.h"
#include "lib/lease/fault_store.h"
#include "lib/lease/memory_store.h"
#include "test/unit/sidecar/sim_loop.h"

namespace mainstay::agent {

// The shim of one fake database.
class SimFence : public FencePort {
 public:
  SimFence(SimLoop* loop, std::shared_ptr<engine::FakeWorld> world, election::Name name)
      : loop_(loop), world_(std::move(world)), name_(std::move(name)) {}
  void Attach(FenceSink* sink) { sink_ = sink; }
  void Arm(MonoTime until, election::Epoch epoch) override {
    if (!connected_) return;
    until_ = std::max(until_, until);
    epoch_ = epoch;
    loop_->At(loop_->Now() + std::chrono::microseconds(100), [this, until, epoch] {
      if (sink_ != nullptr && connected_) sink_->OnArmed(until, epoch);
    });
    loop_->At(until, [this] { Deadline(); });
  }
  void Kill(Duration, std::function<void(bool)> done) override {
    ++kills_;
    world_->Kill(name_);
    loop_->At(loop_->Now() + std::chrono::milliseconds(5), [this, done = std::move(done)] {
      Exit(ExitKind::kAsked);
      done(true);
    });
  }
  // A clean shutdown of a database that nobody waits for.
  void Shutdown() override {
    ++shutdowns_;
    world_->Kill(name_);
    loop_->At(loop_->Now() + std::chrono::milliseconds(5), [this] { Exit(ExitKind::kAsked); });
  }
  int shutdowns() const { return shutdowns_; }
  void Crash() {
    world_->Kill(name_);
    Exit(ExitKind::kUnasked);
  }
  void Connect(bool connected) {
    connected_ = connected;
    if (sink_ == nullptr) return;
    sink_->OnShim({connected, world_->Running(name_), ending_, until_}, false);
    if (connected && until_ > loop_->Now()) sink_->OnArmed(until_, epoch_);
  }
  // The shim was killed, and the kernel killed the database with it; no other shim is there yet.
  void End() {
    world_->Kill(name_);
    connected_ = false;
    sink_->OnShim({false, false, false, until_}, false);
    sink_->OnShimEnded();
  }
  // The container's end: SIGTERM to the shim. `other`: a new shim in its place.
  void TellEnding() {
    ending_ = true;
    sink_->OnShim({connected_, world_->Running(name_), true, until_}, false);
  }
  void ComeBack() {
    connected_ = true;
    ending_ = false;
    until_ = MonoTime();
    sink_->OnShim({true, world_->Running(name_), false, until_}, true);
  }
  int kills() const { return kills_; }
  int fenced() const { return fenced_; }
  MonoTime until() const { return until_; }

 private:
  void Deadline() {
    if (loop_->Now() < until_ || until_.is_past()) return;
    until_ = MonoTime();
    if (!world_->Running(name_)) return;
    ++fenced_;
    world_->Kill(name_);
    Exit(ExitKind::kFenced);
  }
  void Exit(ExitKind kind) {
    if (sink_ == nullptr || !connected_) return;
    DatabaseExit exit;
    exit.kind = kind;
    exit.at = loop_->Now();
    sink_->OnExit(exit);
  }
  SimLoop* const loop_;
  const std::shared_ptr<engine::FakeWorld> world_;
  const election::Name name_;
  FenceSink* sink_ = nullptr;
  bool connected_ = true;
  MonoTime until_;
  election::Epoch epoch_ = 0;
  int kills_ = 0;
  int shutdowns_ = 0;
  bool ending_ = false;
  int fenced_ = 0;
};

class SimCluster {
 public:
  struct Options {
    int members = 3;
    bool fast = false;
    election::Durability durability = election::Durability::kGuarded;
    election::Takeover takeover = election::Takeover::kQuorum;
    bool audit = false;  // keep what each agent tells: Audit
  };
  struct Node {
    ~Node();
    election::Name name;
    std::string address;
    std::shared_ptr<lease::FaultStore> store;
    std::unique_ptr<engine::FakeEngine> engine;
    std::unique_ptr<SimFence> fence;
    std::unique_ptr<SimWorker> store_worker;
    std::unique_ptr<SimWorker> engine_worker;
    std::unique_ptr<PeerLink> link;
    std::unique_ptr<metrics::AgentInstruments> instruments;
    int audit_fd = -1;
    std::unique_ptr<audit::Log> audit;
    std::unique_ptr<Driver> driver;
    std::string seen;
    bool up = false;      // its agent runs
    bool frozen = false;  // its agent is stopped (SIGSTOP): takes and sends nothing
    int generation = 0;
  };

  explicit SimCluster(Options options);
  ~SimCluster();

  SimLoop& loop() { return loop_; }
  engine::FakeWorld& world() { return *world_; }
  Node& node(const election::Name& name) { return *nodes_.at(name); }
  Driver& driver(const election::Name& name) { return *nodes_.at(name)->driver; }
  std::vector<election::Name> names() const;

  void StartAll();
  void StartAgent(const election::Name& name);                           // also: restart under the same name
  void StopAgent(const election::Name& name);                            // kill -9 of the agent
  void KillNode(const election::Name& name);                             // agent, shim, database
  void Freeze(const election::Name& name);                               // SIGSTOP of the agent, for ever
  void Cut(const election::Name& a, const election::Name& b, bool cut);  // agents and replication

  // The one member that is primary by its own and the database's word; "" when there is none or more than
  // one.
  election::Name Primary();
  bool Converged(size_t members);  // a primary, and so many standbys that stream from it
  // How many lines of this agent's audit log have all of these texts.
  int Audited(const election::Name& name, const std::vector<std::string>& texts);
  // Runs until there is a primary other than `not_this`. The time it took.
  std::optional<Duration> WaitPrimary(Duration bound, const election::Name& not_this = "");
  bool WaitConverged(size_t members, Duration bound);
  // Writes at the primary each ms while time passes; checks in each ms that at most one database can
  // acknowledge.
  void Load(Duration d);
  // Everything acknowledged is at `name`, in order.
  bool HasAll(const election::Name& name);
  rpc::AdminAnswer Ask(const election::Name& at, rpc::AdminVerb verb, const election::Name& target = "",
                       Duration bound = std::chrono::seconds(30), const std::string& id = "");

  bool reachable(const election::Name& from, const election::Name& to) const;
  Node* ByAddress(const std::string& address);
  std::string Dump();

 private:
  void Watch(const election::Name& name, int generation);
  std::shared_ptr<const election::Settings> Settings(const election::Name& name);

  const Options options_;
  SimLoop loop_;
  std::shared_ptr<engine::FakeWorld> world_;
  std::shared_ptr<lease::MemoryCell> cell_;
  std::map<election::Name, std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Node>> dead_;  // callbacks of the past may still point to them
  std::set<std::pair<election::Name, election::Name>> cut_;
  int next_nonce_ = 1;
  std::map<election::Name, int> shim_nonce_;
  int next_request_ = 1;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_TEST_UNIT_SIDECAR_SIM_CLUSTER_H_
