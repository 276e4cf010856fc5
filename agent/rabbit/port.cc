#include "agent/rabbit/port.h"

namespace mainstay::agent {

void RabbitPort::Submit(rpc::AdminCommand command, std::function<void(rpc::AdminAnswer)> done) {
  if (waiting_->fetch_add(1) >= kMaxWaiting) {
    waiting_->fetch_sub(1);
    return done({election::AdminStatus::kRefused,
                 "the agent is too busy to take requests: is it stopped or starved?"});
  }
  loop_->Post([this, waiting = waiting_, command = std::move(command), done = std::move(done)] {
    waiting->fetch_sub(1);
    submit_(command, done);
  });
}

}  // namespace mainstay::agent
