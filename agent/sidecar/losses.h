// What failovers cost, as this member can tell: what it lost itself (the engine's accounts, exact where the
// process lived on), and, when it was opened after a primary that did not hand over, what it lacks of what it
// last heard of that.
//
//   losses.Look(state, details, now);         // with every step: whom it streams from, what others report
//   losses.Opened(state, done, now);          // a promotion ended well
//   for (const rpc::LossView& l : losses.TakeNew()) journal.Lost(l);
//
// Bounded; kept in memory. Thread rules: the loop's.
#ifndef MAINSTAY_AGENT_SIDECAR_LOSSES_H_
#define MAINSTAY_AGENT_SIDECAR_LOSSES_H_

#include <vector>

#include "lib/election/state.h"
#include "lib/engine/engine.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

class Losses {
 public:
  // Cheap; with every step. `unix_ms` is now.
  void Look(const election::State& state, MonoTime now, int64_t unix_ms);
  void Rejoined(const election::State& state, const engine::Details& details);
  void Opened(const election::State& state, const election::EngineDone& done, int64_t unix_ms);

  const rpc::LossesView& view() const { return view_; }
  std::vector<rpc::LossView> TakeNew();

 private:
  void Add(rpc::LossView loss);

  // The last reign that was not this member's, from its record and its holder's reports.
  struct Reign {
    election::Epoch epoch = 0;
    election::Name holder;
    bool acknowledged_alone = false;  // durability async
    bool handed_over = false;         // its log's end is known
    uint64_t reported = 0;            // the furthest position that its holder told
    int64_t heard_ms = 0;             // when its stream was last heard here
  };
  Reign reign_;
  uint64_t rejoins_told_ = 0;
  rpc::LossesView view_;
  std::vector<rpc::LossView> new_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_LOSSES_H_
