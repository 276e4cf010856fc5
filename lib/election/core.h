// The core: who is primary, decided by a pure function. No clock, no I/O, no threads, no randomness.
//
//   State s = Start(settings, memory, now);
//   for (;;) { Result r = Step(std::move(s), event, now); s = std::move(r.state); execute(r.actions); wait
//   until r.wake; }
//
// Step first takes the event into the state (facts, answers to others), then fires the rows of the table
// (table.h) whose phase and condition fit, until none does. Actions are to be executed in their order;
// outcomes come back as events. One lock request and one engine operation are outstanding at a time; every
// request is answered by exactly one event (a time-out is an answer too: kUnknown / ok=false).
//
// Thread rules: State is a value; concurrent Steps on different states are fine. Step never fails and never
// throws.
#ifndef MAINSTAY_LIB_ELECTION_CORE_H_
#define MAINSTAY_LIB_ELECTION_CORE_H_

#include <memory>
#include <vector>

#include "lib/base/time.h"
#include "lib/election/action.h"
#include "lib/election/event.h"
#include "lib/election/settings.h"
#include "lib/election/state.h"

namespace mainstay::election {

struct Result {
  State state;
  std::vector<Action> actions;
  MonoTime wake;  // send a Tick at this time at the latest
};

State Start(std::shared_ptr<const Settings> settings, Memory memory, MonoTime now);
Result Step(State state, const Event& event, MonoTime now);

// What the member would tell the others of itself now (the driver sends it every heartbeat interval).
PeerReport Describe(const State& state, MonoTime now);

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_CORE_H_
