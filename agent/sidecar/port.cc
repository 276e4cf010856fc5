#include "agent/sidecar/port.h"

#include <utility>

// A peer's call that is dropped here is not answered: its own deadline tells the caller.
namespace mainstay::agent {

bool AgentPort::Enter(std::function<void()> task) {
  if (waiting_->fetch_add(1) >= kMaxWaiting) {
    waiting_->fetch_sub(1);
    return false;
  }
  loop_->Post([waiting = waiting_, task = std::move(task)] {
    waiting->fetch_sub(1);
    task();
  });
  return true;
}

void AgentPort::Submit(rpc::AdminCommand command, std::function<void(rpc::AdminAnswer)> done) {
  const auto task = [this, command = std::move(command), done] { driver_->Submit(command, done); };
  if (!Enter(task))
    done({election::AdminStatus::kRefused,
          "the agent is too busy to take requests: is it stopped or starved?"});
}

void AgentPort::OnReport(election::PeerReport report, std::function<void(election::PeerReport)> done) {
  Enter([this, report = std::move(report), done = std::move(done)] { driver_->OnReport(report, done); });
}

void AgentPort::OnFreeze(election::FreezeAsked asked, std::function<void(election::FreezeAnswered)> done) {
  Enter([this, asked = std::move(asked), done = std::move(done)]() mutable {
    driver_->OnFreeze(asked, std::move(done));
  });
}

void AgentPort::OnPromise(election::PromiseAsked asked, std::function<void(election::PromiseAnswered)> done) {
  Enter([this, asked = std::move(asked), done = std::move(done)]() mutable {
    driver_->OnPromise(asked, std::move(done));
  });
}

}  // namespace mainstay::agent
