// What the maintenance leader does next: one step with its sentence, out of the members' facts and the
// memory. Pure: no clock, no I/O, no threads, no randomness.
//
//   Step step = Plan(view, memory, settings);
//
// The caller holds the lease, executes the one step and asks again with fresh facts. A step that changes the
// memory is a compare-and-swap on the version that was planned from; nothing else may be done on it. A step
// that calls the leader's own broker records `next` after it succeeded; when the outcome is not known it is
// planned again: every call may be repeated.
//
// What holds, whatever members, leaders, messages and disks do (test/unit/maintenance/sim_test.cc):
//   - never two clusters: a blank member starts only as the one founder, after every member was seen blank,
//   or
//     as somebody who joins and never gives up waiting;
//   - no two members are down by our hand;
//   - a lost disk is repaired once;
//   - once faults end, the cluster becomes whole without a person - unless data would be lost by that.
#ifndef MAINSTAY_LIB_MAINTENANCE_PLAN_H_
#define MAINSTAY_LIB_MAINTENANCE_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "lib/maintenance/facts.h"
#include "lib/maintenance/memory.h"

namespace mainstay::maintenance {

struct Settings {
  size_t replicas = 3;  // a quorum queue's, as far as there are members
  size_t syncing = 4;   // queues that may catch up at the same time while replicas are added
  // So long must nothing have changed before leaders are moved after a member's return.
  Duration quiet = std::chrono::seconds(60);
};

struct Step {
  enum class Kind : uint8_t {
    kWait,
    kRecord,         // write `next`
    kForget,         // take `node` out of the cluster, its replicas first; then `next`
    kAddReplica,     // of `vhost`/`queue` on `node`
    kDeleteReplica,  // the same
    kRebalance,      // then `next`
    kYield,          // give the lease up: another member can do what this one cannot
    kRefuse,         // answer View::request with the sentence
  };
  Kind kind = Kind::kWait;
  const char* row = "";  // a name for tests, metrics and the log
  std::string sentence;
  std::optional<Memory> next;
  bool answers = false;  // View::request is answered by this step, with the sentence
  std::string node, vhost, queue;
};
const char* ToString(Step::Kind kind);

Step Plan(const View& view, const std::optional<Memory>& memory, const Settings& settings);

// What is wrong with the cluster, for status and alerts; no step hangs on it. Sentences.
std::vector<std::string> Findings(const View& view, const std::optional<Memory>& memory);

// Of a full stop: for whom the members that are starting wait. "": for nobody.
std::string BootPlan(const View& view);

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_PLAN_H_
