// The view: what the agent shows of itself, made from the core's state. Pure.
//
// Thread rules: BuildView on the loop; ViewBoard from any thread.
#ifndef MAINSTAY_AGENT_SIDECAR_VIEW_H_
#define MAINSTAY_AGENT_SIDECAR_VIEW_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "agent/sidecar/journal.h"
#include "agent/sidecar/ports.h"
#include "lib/election/state.h"
#include "lib/engine/engine.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

// What the core's state does not say.
struct ViewExtras {
  std::string engine;  // "postgresql"
  std::string agent_version;
  std::string lock;  // Store::Describe()
  election::Role role = election::Role::kUnknown;
  ShimFacts shim;
  bool engine_stuck = false;
  std::string store_problem;  // of the last failed request
  MonoTime started_at;
  rpc::FormerTimelines former_timelines;
  rpc::LossesView losses;
};

rpc::StatusView BuildView(const election::State& state, const Journal& journal,
                          const engine::Details& details, const ViewExtras& extras, MonoTime now);

// The part of a view whose change is worth telling at once. Cheap: built after every step.
std::string ViewKey(const election::State& state, const ViewExtras& extras, uint64_t decisions);

// Where the newest view hangs.
class ViewBoard {
 public:
  ViewBoard() : view_(std::make_shared<rpc::StatusView>()) {}
  std::shared_ptr<const rpc::StatusView> Get() const;
  void Put(rpc::StatusView view);  // gives it its serial, tells the subscribers
  uint64_t Subscribe(std::function<void()> changed);
  void Unsubscribe(uint64_t subscription);

 private:
  mutable std::mutex mutex_;  // of view_
  std::shared_ptr<const rpc::StatusView> view_;
  uint64_t serial_ = 0;
  std::mutex subscribers_mutex_;  // held while they are told, so that Unsubscribe waits for them
  std::map<uint64_t, std::function<void()>> subscribers_;
  uint64_t next_ = 1;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_VIEW_H_
