#include "agent/sidecar/desk.h"

namespace mainstay::agent {

using election::AdminStatus;

void AdminDesk::Submit(const rpc::AdminCommand& command, Done done) {
  if (const auto known = known_.find(command.id); known != known_.end()) {
    done(known->second);
    return;
  }
  if (const auto open = open_.find(command.id); open != open_.end()) {
    if (open->second.waiting.size() < kMaxOpen) {
      open->second.waiting.push_back(std::move(done));
    } else {
      done({AdminStatus::kRefused, "too many callers wait for this request already"});
    }
    return;
  }
  if (open_.size() >= kMaxOpen) {
    done({AdminStatus::kRefused, "too many requests are under way: try again later"});
    return;
  }
  if (loop_->Now() >= command.deadline) {
    done({AdminStatus::kRefused, "its deadline had passed before it was begun: nothing was done"});
    return;
  }
  const std::string id = command.id;
  Open& open = open_[id];
  open.command = command;
  open.waiting.push_back(std::move(done));
  open.timeout = loop_->At(command.deadline, [this, id] {
    Answer(id, AdminStatus::kFailed,
           "no answer by the deadline; it may still happen: see `mainstay status` and `mainstay why`");
  });
  begin_(command);
}

void AdminDesk::Answer(const std::string& id, AdminStatus status, std::string message) {
  auto node = open_.extract(id);
  if (node.empty()) return;
  loop_->Cancel(node.mapped().timeout);
  const rpc::AdminAnswer answer{status, std::move(message)};
  // A refusal did nothing: asking again later is a new attempt, not a repetition.
  if (status != AdminStatus::kRefused) Remember(id, answer);
  ended_(node.mapped().command, answer);
  for (Done& done : node.mapped().waiting) done(answer);
}

void AdminDesk::Remember(const std::string& id, const rpc::AdminAnswer& answer) {
  if (known_.emplace(id, answer).second) order_.push_back(id);
  if (order_.size() > kMaxRemembered) {
    known_.erase(order_.front());
    order_.pop_front();
  }
}

void AdminDesk::Close() {
  while (!open_.empty()) {
    Answer(open_.begin()->first, AdminStatus::kFailed,
           "the agent is ending; see `mainstay status` on another member");
  }
}

}  // namespace mainstay::agent
