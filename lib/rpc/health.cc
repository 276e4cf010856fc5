#include "lib/rpc/health.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "lib/base/log.h"
#include "lib/rpc/channel.h"

namespace mainstay::rpc {
namespace {

constexpr Duration kLookAgain = std::chrono::seconds(1);  // whether a stall is over

}  // namespace

struct Health::State : std::enable_shared_from_this<State> {
  State(grpc::HealthCheckServiceInterface* to, const Port* of, Duration after)
      : service(to), port(of), stalled_after(after) {}

  void LookLocked() {
    const MonoTime now = BootClock().Now();
    // An agent that waited for its volume did not turn until now: it has its time from here.
    const MonoTime turned = std::max(port->LoopTurnedAt(), made_at);
    const bool stands = now - turned > stalled_after;
    if (std::exchange(stalled, stands) != stands) {
      if (stands) {
        Log(LogLevel::kError, "agent", "the loop stands still: the health service says so",
            {{"since", now - turned}});
      } else {
        Log(LogLevel::kInfo, "agent", "the loop turns again");
      }
      for (const auto& [name, serving] : wished) service->SetServingStatus(name, serving && !stalled);
    }
  }

  void Arm() {
    const MonoTime now = BootClock().Now();
    const MonoTime due = std::max(port->LoopTurnedAt(), made_at) + stalled_after;
    const Duration wait = stalled ? kLookAgain : std::clamp(due - now, Duration(), stalled_after);
    // A new one each time: this one may be the one that rings.
    alarm = std::make_unique<grpc::Alarm>();
    alarm->Set(DeadlineIn(wait + std::chrono::milliseconds(1)), [weak = weak_from_this()](bool ok) {
      if (const auto self = weak.lock(); ok && self != nullptr) self->Ring();
    });
  }

  void Ring() {
    std::lock_guard lock(mu);
    if (ended) return;
    LookLocked();
    Arm();
  }

  grpc::HealthCheckServiceInterface* const service;
  const Port* const port;
  const Duration stalled_after;
  const MonoTime made_at = BootClock().Now();
  std::mutex mu;
  bool ended = false;
  bool stalled = false;
  std::map<std::string, bool> wished;
  std::unique_ptr<grpc::Alarm> alarm;
};

Health::Health(grpc::HealthCheckServiceInterface* service, const Port* port, Duration stalled_after)
    : state_(std::make_shared<State>(service, port, stalled_after)) {
  std::lock_guard lock(state_->mu);
  state_->Arm();
}

Health::~Health() {
  std::unique_ptr<grpc::Alarm> last;
  {
    std::lock_guard lock(state_->mu);
    state_->ended = true;
    last = std::move(state_->alarm);  // destroyed (and so cancelled) without the mutex
  }
}

void Health::Set(const std::string& name, bool serving) {
  std::lock_guard lock(state_->mu);
  state_->LookLocked();  // usually called by the loop: it turns again
  const auto [it, fresh] = state_->wished.emplace(name, serving);
  if (!fresh && std::exchange(it->second, serving) == serving) return;
  state_->service->SetServingStatus(name, serving && !state_->stalled);
}

}  // namespace mainstay::rpc
