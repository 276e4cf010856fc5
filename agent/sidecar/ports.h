// The seams of the sidecar: what the driver needs of the world, so that tests can bring their own
// (test/unit/sidecar).
//
// Thread rules: every method is called on the loop's thread and returns at once; answers come on the loop's
// thread.
#ifndef MAINSTAY_AGENT_SIDECAR_PORTS_H_
#define MAINSTAY_AGENT_SIDECAR_PORTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/election/action.h"
#include "lib/election/event.h"

namespace mainstay::agent {

// ---- the fence (the shim) ----

// What the shim said last.
struct ShimFacts {
  bool connected = false;
  bool running = false;  // database processes exist
  bool ending = false;   // told to end: the container, usually the whole pod, goes away
  MonoTime armed_until;  // the distant past: not armed
};

enum class ExitKind : uint8_t {
  kUnasked,  // it died: positive evidence, all of its processes are gone
  kAsked,    // somebody asked for it (stop, kill)
  kFenced,   // the deadline passed
};
struct DatabaseExit {
  ExitKind kind = ExitKind::kUnasked;
  MonoTime at;         // the last process was gone
  Duration latency{};  // kFenced: from the deadline to the last process gone
  std::string detail;  // "signal 9", for people
};

// Told by the fence.
class FenceSink {
 public:
  virtual ~FenceSink() = default;
  virtual void OnArmed(MonoTime until, election::Epoch epoch) = 0;
  virtual void OnExit(const DatabaseExit& exit) = 0;
  // Connected (again), lost, or other facts. `other_shim`: not the one of before, so its database is another
  // one, too.
  virtual void OnShim(const ShimFacts& facts, bool other_shim) = 0;
  // The shim was killed and was PID 1 of its namespace: the kernel kills the database with it, within
  // moments.
  virtual void OnShimEnded() = 0;
};

class FencePort {
 public:
  virtual ~FencePort() = default;
  // "Kill everything at `until` unless extended." Confirmed by FenceSink::OnArmed only.
  virtual void Arm(MonoTime until, election::Epoch epoch) = 0;
  // SIGKILL to everything at once, past the engine's worker. `done` (once, within `patience`): true when
  // nothing is left.
  virtual void Kill(Duration patience, std::function<void(bool)> done) = 0;
  // Asks for a clean shutdown past the engine's worker. No answer: the exit tells.
  virtual void Shutdown() = 0;
};

// ---- the other members ----
class PeerLink {
 public:
  virtual ~PeerLink() = default;
  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;
  virtual void Report(const std::string& address, const election::PeerReport& report, Duration timeout,
                      Done<election::PeerReport> done) = 0;
  virtual void Freeze(const std::string& address, const election::FreezeAsked& asked, Duration timeout,
                      Done<election::FreezeAnswered> done) = 0;
  virtual void Promise(const std::string& address, const election::PromiseAsked& asked, Duration timeout,
                       Done<election::PromiseAnswered> done) = 0;
  // Forgets all other addresses.
  virtual void Keep(const std::vector<std::string>& addresses) = 0;
};

// ---- who is told of the role besides status and metrics: a pod's label, a Service's endpoints ----
struct RoleNews {
  election::Role role = election::Role::kUnknown;
  election::Epoch epoch = 0;
  std::vector<election::Name> others;  // all other members of the record
  std::string why;                     // the decision's sentence
};
class RolePublisher {
 public:
  virtual ~RolePublisher() = default;
  // The database is about to be opened for writing here: none of `others` (the former primary first) shall be
  // seen as primary any more.
  virtual void Opening(const std::vector<election::Name>& others) = 0;
  // Both are bounded and retried by the implementation and never block.
  virtual void Publish(const RoleNews& news) = 0;
};
// Where nobody else is to be told: one machine.
class NoRolePublisher : public RolePublisher {
 public:
  void Opening(const std::vector<election::Name>&) override {}
  void Publish(const RoleNews&) override {}
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_PORTS_H_
