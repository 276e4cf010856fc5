#include "agent/rabbit/alone.h"

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"

namespace mainstay::agent {
void AloneMaintenance::OnNode(const NodeView& view) {
  const MonoTime now = loop_->Now();
  pause_.Saw(view.running, now);
  if (!view.shim_connected || view.running || view.pod_ending || starting_ || !pause_.Due(now)) return;
  StartNode();
}

void AloneMaintenance::StartNode() {
  starting_ = true;
  node_->Start({}, [this](const absl::Status& status) {
    starting_ = false;
    if (status.ok()) return;
    pause_.Failed(loop_->Now());
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
