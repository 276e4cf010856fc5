#include "agent/rabbit/alone.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"

namespace mainstay::agent {
namespace {

constexpr Duration kFirstPause = std::chrono::seconds(1);
constexpr Duration kLongestPause = std::chrono::seconds(60);
constexpr Duration kSettled = std::chrono::minutes(5);  // a run of this length forgets the ones before

}  // namespace

void AloneMaintenance::OnNode(const NodeView& view) {
  const MonoTime now = loop_->Now();
  if (view.running && !ran_) started_ = now;
  if (ran_ && !view.running) {
    const bool settled = now - started_ >= kSettled;
    pause_ = settled || pause_ == Duration::zero() ? kFirstPause : std::min(pause_ * 2, kLongestPause);
    next_ = now + pause_;
  }
  ran_ = view.running;
  if (!view.shim_connected || view.running || view.pod_ending || starting_ || now < next_) return;
  const bool waits = others_ && view.blank;
  node_->SetWaits(waits);
  if (!waits) StartNode();
}

void AloneMaintenance::StartNode() {
  starting_ = true;
  node_->Start({}, [this](const absl::Status& status) {
    starting_ = false;
    if (status.ok()) return;
    pause_ = pause_ == Duration::zero() ? kFirstPause : std::min(pause_ * 2, kLongestPause);
    next_ = loop_->Now() + pause_;
    Log(LogLevel::kError, "rabbitmq", "the broker could not be started", {{"error", status}});
  });
}

// Nobody is left who could hold its queues.
void AloneMaintenance::OnEnding(std::function<void()> may_stop) { may_stop(); }

void AloneMaintenance::Submit(const rpc::AdminCommand& command, std::function<void(rpc::AdminAnswer)> done) {
  done({election::AdminStatus::kRefused,
        absl::StrCat("RabbitMQ has no primary, and its care for clusters is not built in yet: ",
                     rpc::ToString(command.verb), " is nothing that this agent could do")});
}

}  // namespace mainstay::agent
