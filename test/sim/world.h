// A whole cluster inside one thread: agents (the real core), shims, databases, the lock's store and the
// networks between them, driven by one queue of events in simulated time. The same Plan gives the same run,
// to the last bit of `hash`.
//
// What is simulated and what every fault means: docs/SIMULATION.md. Units: nanoseconds of real (simulated)
// time unless a value is said to be of a member's own clock. Thread rules: one World per thread; Worlds share
// nothing.
#ifndef MAINSTAY_TEST_SIM_WORLD_H_
#define MAINSTAY_TEST_SIM_WORLD_H_

#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lib/election/core.h"
#include "test/sim/plan.h"
#include "test/sim/rng.h"

namespace mainstay::sim {

using election::Epoch;
using election::Record;

inline constexpr int64_t kMs = 1000000;
inline constexpr int64_t kUs = 1000;
inline constexpr int64_t kSec = 1000 * kMs;
inline constexpr int64_t kForever = INT64_MAX / 4;

// A position in the tree of all logs that ever existed: an end on a branch. Every promotion makes a branch.
struct Log {
  int32_t branch = 0;  // 0: empty
  uint64_t end = 0;
};

class Branches {
 public:
  struct Branch {
    int32_t parent = 0;
    uint64_t fork = 0;
  };
  int32_t New(Log from);
  bool Contains(Log log, Log point) const;  // is `point` in `log`?
  Log Common(Log a, Log b) const;           // the longest log that is a prefix of both
 private:
  Log Normal(Log log) const;
  std::vector<Branch> all_{1};
};

struct SyncConfig {  // synchronous_standby_names with k, of one epoch
  int32_t k = 0;
  uint32_t names = 0;              // bit set of members
  Epoch epoch = 0;                 // part of the names
  uint32_t nonce[kMaxNodes] = {};  // data incarnation that the name means
};

struct Database {
  bool exists = false;
  bool unopened = false;     // founded, never opened
  bool rolled_back = false;  // data in the process: what is here was saved by an earlier one
  bool lost_end = false;     // and it was not with any primary since
  Epoch reign = 0;           // the last one that was followed or led,
  uint64_t reign_from = 0;   // and where its part of the log begins here
  bool broken = false;       // a rewind was interrupted: needs another or a clone
  uint32_t system = 0;       // identifier
  uint32_t nonce = 0;        // of the data directory
  Log log;
  Log consistent;  // after a rewind: not usable before its log has this
  bool running = false, writable = false, dead = false, paused = false;
  int64_t paused_at = 0;
  uint32_t gen = 0;         // of the running processes
  Epoch epoch = 0;          // under which it is open as primary
  SyncConfig cfg, old_cfg;  // old: what walsenders and backends that have not reread use
  bool unsettled = false, backends_reread = true;
  // standby side
  int8_t conn_to = -1;  // primary_conninfo; survives restarts
  Epoch conn_epoch = 0;
  bool rx = false;  // a walreceiver streams
  uint32_t rx_gen = 0;
  int64_t rx_at = -kForever;  // last traffic
  uint32_t conn_try = 0;
  // primary side, for each standby
  struct Sender {
    bool up = false, streaming = false, reread = true;
    uint32_t gen = 0, nonce = 0;
    Epoch epoch = 0;
    uint64_t sent = 0, flushed = 0, goal = 0;
    int64_t at = 0, order = 0;
  } tx[kMaxNodes];
  uint64_t acked = 0;  // in log.end terms of the current branch
  bool was_acker = false;
};

struct Shim {
  bool armed = false, paused = false;
  int64_t deadline = 0;  // real time at which its own clock reaches the deadline
  int64_t pause_end = -kForever;
  Epoch term = 0, epoch = 0;
  uint32_t timer = 0;
};

enum class Ev : uint8_t {
  // of the agent: wait while it is paused
  kWake,
  kDeliver,
  kStoreTimeout,
  kRpcTimeout,
  kHeartbeat,
  kProbe,
  kEngine,
  kEngineTimeout,
  kRun,
  // of the shim
  kShimArm,
  kShimTimer,
  // of the database
  kWrite,
  kWal,
  kWalReply,
  kWalClosed,
  kConnect,
  kRxCheck,
  kTxCheck,
  kSettle,
  // of the world
  kStoreArrive,
  kAgentStart,
  kNodeGone,
  kNodeBack,
  kFault,
  kFaultEnd,
  kPhase,
  kWatch,
};

struct Item {
  int64_t t = 0;
  uint64_t seq = 0;
  int64_t x = 0;
  uint32_t gen = 0;
  int32_t slot = -1;
  Ev kind = Ev::kPhase;
  int8_t m = -1, n = -1;
  bool operator<(const Item& o) const { return t != o.t ? t > o.t : seq > o.seq; }
};

struct StoreCall {
  int m = 0;
  uint32_t gen = 0;
  uint64_t id = 0;
  election::StoreOp op = election::StoreOp::kRead;
  std::shared_ptr<const Record> record;
  uint64_t if_version = 0;
  bool used = false;
};

struct Rpc {
  uint64_t ask = 0;
  int8_t to = 0;
  bool promise = false;
  Epoch epoch = 0;
};

struct EngineRun {
  bool active = false;
  election::Engine op;
  int stage = 0;
  uint32_t gen = 0;
  int64_t deadline = 0;
  int leader = -1;
  Log goal;
};

struct Node {
  int index = 0;
  std::string name;
  double rate = 0;
  int64_t offset = 0;
  bool member = false;  // takes part (was added)
  bool node_up = false;
  bool leaving = false;  // was asked to shut down
  // agent
  bool agent_up = false, agent_paused = false;
  uint32_t agent_gen = 0, wake_gen = 0, nonce = 0;
  int trip = 0;  // crash or pause after that many more actions
  bool trip_crash = false;
  int64_t trip_ms = 0;
  std::shared_ptr<const election::Settings> settings;
  election::State state;
  election::Memory durable;
  std::vector<Item> deferred;
  std::vector<election::Action> actions;  // left over from a pause in the middle
  uint64_t store_id = 0;
  int64_t store_sent = 0;                 // own clock
  int64_t store_sent_ok = INT64_MIN / 2;  // latest send time of an acknowledged write, own clock
  int64_t promise_sent = INT64_MIN / 2;
  std::vector<Rpc> rpcs;
  EngineRun engine;
  int64_t last_step = 0;
  int burst = 0;
  Shim shim;
  Database db;
  std::vector<Item> db_deferred, shim_deferred;
  int pauses[3] = {0, 0, 0};  // nested pauses of agent, shim, database
};

struct Violation {
  std::string invariant;  // "" = none
  std::string detail;
  int64_t at = 0;
};

struct Stats {
  uint64_t steps = 0, events = 0, opens = 0, acquired = 0, acks = 0, faults = 0, kills = 0, quorum = 0,
           gone = 0;
  int64_t sim_ns = 0;
  int64_t converge_ns = 0;
  uint64_t hash = 1469598103934665603u;
};

class World {
 public:
  explicit World(const Plan& plan, FILE* trace = nullptr);
  // Runs to the end of the plan or to the first violation.
  void Run(uint64_t max_steps = UINT64_MAX);
  // For benchmarks: what member 0 was started with and every event that it was stepped with (the first life
  // only).
  using Started =
      std::function<void(int, std::shared_ptr<const election::Settings>, const election::Memory&, MonoTime)>;
  using Stepped = std::function<void(const election::Event&, MonoTime)>;
  void RecordFirstLife(Started started, Stepped stepped) {
    started_ = std::move(started);
    stepped_ = std::move(stepped);
  }
  const Violation& violation() const { return violation_; }
  const Stats& stats() const { return stats_; }
  void PrintStates(FILE* out) const;
  std::string StateText(int m) const;

 private:
  friend class Inspector;
  // ---- world.cc: queue, clocks, agent ----
  void Build();
  void Push(int64_t t, Ev kind, int m, int n = -1, uint32_t gen = 0, int32_t slot = -1, int64_t x = 0);
  void Dispatch(Item& it);
  bool Defer(const Item& it);
  MonoTime Local(int m, int64_t t) const;
  int64_t Real(int m, MonoTime local) const;
  int32_t Slot(election::Event&& event);
  int Index(const std::string& name) const { return name.size() == 1 ? name[0] - 'a' : -1; }
  void Deliver(int m, election::Event&& event, int64_t delay, uint32_t gen);
  // ---- agent.cc ----
  void StartAgent(int m);
  void StopAgent(int m);
  void Receive(int m, Item& it);
  void StepAgent(int m, const election::Event& event);
  void RunActions(int m);
  bool Trip(int m, const election::Action& action);
  void Execute(int m, election::Action& action);
  void Heartbeat(int m);
  void Probe(int m, uint32_t gen, bool once);
  void ProbeSoon(int m);
  bool TakeAnswer(int m, const election::Event& event);
  election::DbReport Report(int m);
  void Ask(int m, uint64_t ask, int to, Epoch epoch, bool promise, election::Cause cause);
  void AnswerRpc(int m, int to, election::Event&& event, uint64_t ask);
  void Message(int from, int to, const election::Event& event);
  void AdminReply(int m, const election::AnswerAdmin& a);
  // ---- store.cc ----
  void SendStore(int m, uint64_t id, election::StoreOp op, std::shared_ptr<const Record> record,
                 uint64_t if_version);
  void StoreArrive(int32_t slot);
  election::StoreDone Serve(const StoreCall& call);
  void Commit(int m, std::shared_ptr<const Record> record);
  void NotifyWatchers();
  void DeleteLock();
  void EditLock(uint32_t r);
  void RestoreLock(uint32_t r);
  void CheckCodec(const Record& record);
  // ---- engine.cc ----
  void StartEngine(int m, election::Engine&& op);
  void EngineStage(int m);
  void EngineNext(int m, int64_t delay);
  void EngineFinish(int m, election::EngineDone done);
  void EngineFail(int m, const char* why);
  void SaveMemory(int m, const election::Memory& memory);
  void EngineLate(int m);
  void EndStop(int m);
  void EndCopy(int m);
  void NewData(int m, uint32_t system, Log log);
  void DoFound(int m);
  void DoFollow(int m);
  void FollowData(int m);
  void DoFreeze(int m);
  void DoPromote(int m);
  void DoReopen(int m);
  bool EngineArmed(int m);
  void DoSetSync(int m);
  void DoStop(int m);
  void ShimArm(int m, int64_t until_local, Epoch epoch);
  void ShimTimer(int m, uint32_t gen);
  // ---- database.cc ----
  SyncConfig MakeConfig(const election::Engine& op) const;
  void StartDb(int m);
  void LoseData(int m);
  void ForgetData(int m);
  void CloseDb(int m);
  void KillDb(int m, bool unasked);
  void OpenDb(int m, Epoch epoch, const SyncConfig& cfg);
  void ChangeConfig(int m, const SyncConfig& cfg);
  void Settle(int m, int n, uint32_t gen);
  void CheckSettled(int m);
  bool OldCounts(int p) const;
  void Write(int m, uint32_t gen);
  void SendWal(int m, int n);
  void WalArrive(int m, Item& it);
  void WalReply(int m, Item& it);
  void Connect(int m, uint32_t gen);
  void CloseRx(int m, bool tell);
  void CloseTx(int m, int n);
  void WalClosed(Item& it);
  void RxCheck(int m, uint32_t gen);
  void TxCheck(int m, int n, uint32_t gen);
  bool Counts(int p, int s, const SyncConfig& cfg) const;
  bool CouldFlush(int p, int s, const SyncConfig& cfg) const;
  bool CanAck(int p, const SyncConfig& cfg) const;
  bool CanAck(int p) const;
  void Release(int p, const SyncConfig& cfg);
  void Acknowledge(int p, uint64_t upto);
  bool DbUp(int m) const { return nodes_[m].node_up && nodes_[m].db.running; }
  int64_t WalDelay(int a, int b);
  // ---- faults.cc ----
  void Strike(int index);
  void Begin(const Fault& f, int m, int n);
  void BeginMember(const Fault& f, int m, int64_t dur);
  void BeginNet(const Fault& f, int m, int n);
  void BeginAdmin(const Fault& f, int m);
  void End(const Fault& f, int m, int n);
  int Resolve(const Fault& f) const;
  void Pause(int m, int what, int64_t ns);
  void Resume(int m, int what);
  void KillNode(int m);
  void ReviveNode(int m);
  void Reached(Moment moment, int m);
  void HealAll();
  int Primary() const;
  bool CutAgent(int a, int b) const { return cut_agent_[a][b] > 0 || !nodes_[b].node_up; }
  bool CutDb(int a, int b) const { return cut_db_[a][b] > 0; }
  void Admin(int m, election::AdminAsked asked);
  // ---- invariants.cc ----
  void Fail(const char* invariant, std::string detail);
  void CheckAckers();
  void CheckStep(int m, const election::Event& event, Epoch open_before, bool lead_before,
                 MonoTime permit_before);
  void CheckOpen(int m);
  void CheckPassedOver(int m, Epoch epoch);
  Epoch Reign(int m) const;
  void CheckHeads(int m, const char* when);
  void CheckSets(const char* when);
  void CheckEngine(int m, const election::Engine& op);
  void CheckLive();
  bool MayGoOnWithout(uint32_t gone) const;
  bool KillForGood();
  bool Good(std::string* why) const;
  bool Protected(Epoch epoch) const;
  void Trace(int m, const char* format, ...) __attribute__((format(printf, 3, 4)));
  void TraceAction(int m, const election::Action& a);
  void TraceEvent(int m, const election::Event& e);
  void Mix(uint64_t x) { stats_.hash = (stats_.hash ^ x) * 1099511628211u; }

  Started started_;
  Stepped stepped_;
  Plan plan_;
  FILE* trace_ = nullptr;
  int64_t now_ = 0;
  uint64_t seq_ = 0;
  bool tell_write_[kMaxNodes] = {};
  bool done_ = false, live_phase_ = false, dirty_ = false;
  uint32_t gone_ = 0;  // members that never come back
  int64_t live_since_ = 0, live_bound_ = 0, good_since_ = -1;
  std::vector<Item> queue_;
  std::deque<election::Event> pool_;
  std::vector<int32_t> pool_free_;
  std::vector<StoreCall> calls_;
  std::vector<int32_t> calls_free_;
  std::vector<Node> nodes_;
  Rng net_, store_, eng_, db_, fault_;
  Branches logs_;
  // the store
  bool present_ = false, damaged_ = false;
  std::shared_ptr<const Record> record_;
  uint64_t version_ = 0, next_version_ = 0;
  std::vector<std::shared_ptr<const Record>> past_;
  int store_down_ = 0, store_slow_ = 0;
  int cut_store_[kMaxNodes][2] = {};  // 0: requests, 1: answers
  int store_mute_[kMaxNodes] = {}, store_zombie_[kMaxNodes] = {}, watch_broken_[kMaxNodes] = {};
  // the networks
  int cut_agent_[kMaxNodes][kMaxNodes] = {}, cut_db_[kMaxNodes][kMaxNodes] = {};
  int net_bad_ = 0, wal_slow_[kMaxNodes] = {}, engine_bad_[kMaxNodes] = {};
  // faults
  std::vector<int8_t> struck_, struck_n_;
  std::vector<int> armed_;
  int wiped_ = -1;
  uint32_t fenced_ = 0;
  uint32_t next_nonce_ = 1, next_admin_ = 1;
  // what must hold
  struct EpochInfo {
    int8_t owner = -1;
    bool known = false;
    election::Durability durability{};
    int32_t branch = 0;  // of the log that was opened under it; 0: none
  };
  std::vector<EpochInfo> epochs_;
  EpochInfo& Info(Epoch e);
  Epoch top_epoch_ = 0;
  std::vector<Log> heads_;       // acknowledged under guarded or strict: the newest of each branch
  int64_t forced_until_ = -1;    // an administrator accepted losses
  int64_t late_at_ = -kForever;  // when a create landed whose sender had given it up, and whose it was
  int late_by_ = -1;
  Epoch restored_ = 0;  // epochs below were in use when somebody put an old lock back by hand
  Epoch floor_ = 0;     // acknowledgements of older epochs were given up (async takeover, forced failover)
  Violation violation_;
  Stats stats_;
  int64_t heartbeat_ = 0, probe_ = 0, store_timeout_ = 0, rpc_timeout_ = 0;
};

}  // namespace mainstay::sim

#endif  // MAINSTAY_TEST_SIM_WORLD_H_
