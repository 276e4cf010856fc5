// What is told of the agent's doings: each decision as a line in the operational log, a line in the audit
// log, a count and an entry of the ring behind `mainstay why`; lock, role and fence changes as audit events
// with their stages.
//
// Thread rules: loop only. Nothing here blocks: both logs drop rather than wait.
#ifndef MAINSTAY_AGENT_SIDECAR_JOURNAL_H_
#define MAINSTAY_AGENT_SIDECAR_JOURNAL_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/sidecar/ports.h"
#include "lib/audit/audit.h"
#include "lib/election/action.h"
#include "lib/election/event.h"
#include "lib/election/state.h"
#include "lib/metrics/metrics.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

const char* ToString(election::Role role);        // "primary"
const char* ToString(election::StoreOp op);       // "update"
const char* ToString(election::StoreOutcome o);   // "unknown"
const char* ToString(election::DbState state);    // "running"
const char* ToString(election::Verdict verdict);  // "ok"

// What the election knows of the history of this member's data.
struct DataHistory {
  explicit DataHistory(const election::Memory& m)
      : lineage(m.lineage), held(m.held), rolled_back(m.rolled_back) {}
  election::Epoch lineage, held;
  bool rolled_back;
  friend bool operator==(const DataHistory&, const DataHistory&) = default;
};

class Journal {
 public:
  // `log` may be null (audit switched off).
  Journal(audit::Log* log, metrics::AgentInstruments* instruments, std::string lock)
      : log_(log), instruments_(instruments), lock_(std::move(lock)) {}

  void Decide(const election::Decision& decision, election::Epoch epoch);
  const std::deque<rpc::DecisionView>& decisions() const { return decisions_; }
  uint64_t decided() const { return decided_; }  // counts all of them

  // The lock. `before` is the state that the request was made in, `after` the one with its answer.
  void LockSent(const election::State& state, const election::Record& next);
  void LockDone(const election::State& before, const election::StoreDone& done, Duration took);
  // The right to write ended otherwise than by giving the lock up.
  void LockLost(const election::State& state);
  void History(const DataHistory& before, const election::State& state);

  // The database.
  void EngineBegun(const election::State& state, const election::Engine& op);
  void EngineEnded(const election::State& state, const election::EngineDone& done, Duration took);
  void Exited(const DatabaseExit& exit, election::Epoch epoch);
  void ShimChanged(const ShimFacts& facts, bool other_shim);

  // `sync`: this cluster's writes are acknowledged with standbys only.
  void Lost(const rpc::LossView& loss, bool sync);
  void Role(election::Role role, election::Epoch epoch);
  void AdminEnded(const std::string& verb, const std::string& id, election::AdminStatus status,
                  const std::string& message);
  void Configured(const std::string& changes, bool ok);
  void Life(const char* action, audit::Stage stage, const std::string& msg);  // "agent.start", "agent.stop"
  // What still has a started line and will never be told the end of.
  void Close(const char* why);

  election::Role role() const { return role_; }

 private:
  // A started line that waits for its end: both have one id, and no started line is left alone.
  struct Pair {
    uint64_t of = 0;  // the request or operation
    audit::Event event;
    MonoTime began;
    bool open() const { return !event.id.empty(); }
  };
  void Begin(Pair* pair, uint64_t of, audit::Event event);
  // Gives `event` the pair's id and closes it.
  void End(Pair* pair, audit::Event event);
  void Abandon(Pair* pair, const char* why);

  audit::Event Event(audit::Stage stage, const char* action, std::string msg) const;
  audit::LeaseFacts Lease(const election::State& state) const;
  void Write(const audit::Event& event);

  audit::Log* const log_;
  metrics::AgentInstruments* const instruments_;
  const std::string lock_;
  std::deque<rpc::DecisionView> decisions_;
  uint64_t decided_ = 0;
  std::string last_row_;
  election::Role role_ = election::Role::kUnknown;
  election::Epoch last_op_epoch_ = 0;
  std::string last_op_detail_;
  election::Epoch role_epoch_ = 0;
  bool told_renew_failed_ = false;
  Pair lock_pair_, engine_pair_;
  std::map<std::string, Pair> life_pairs_;  // by action
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_JOURNAL_H_
