// Which promotion began which timeline of the database: the record numbers reigns (epochs), the database
// numbers its timelines, and only somebody who sees both at the same time knows which belong together. For
// people (Patroni's /history); kept in memory, so an agent knows of the changes since it started and of the
// one before.
//
// Thread rules: the loop's.
#ifndef MAINSTAY_AGENT_SIDECAR_TIMELINES_H_
#define MAINSTAY_AGENT_SIDECAR_TIMELINES_H_

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "lib/election/state.h"
#include "lib/engine/engine.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

class Timelines {
 public:
  // Record and database are looked at at different moments: what is seen together must stay so for this long.
  static constexpr Duration kSettled = std::chrono::seconds(5);

  // Cheap; with every view.
  void Look(const election::State& state, const engine::FormerTimelines& former, MonoTime now);
  // Null: none is known. The same pointer until something changed.
  const rpc::FormerTimelines& former() const { return former_; }

 private:
  using Pair = std::pair<uint32_t, election::Epoch>;  // a timeline, the epoch of the promotion that began it
  static Pair Seen(const election::State& state);

  Pair candidate_;
  MonoTime since_;
  std::map<uint32_t, election::Epoch> begun_;
  engine::FormerTimelines source_;
  rpc::FormerTimelines former_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_TIMELINES_H_
