#include "agent/rabbit/shim_broker.h"

#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"

namespace mainstay::agent {
namespace {

constexpr Duration kLook = std::chrono::seconds(1);
constexpr Duration kStart = std::chrono::seconds(10);  // files written, executed

}  // namespace

ShimBroker::ShimBroker(Loop* loop, NodePort* node, const std::string& socket, Duration stop_patience)
    : loop_(loop),
      node_(std::make_shared<std::atomic<NodePort*>>(node)),
      stop_patience_(stop_patience),
      shim_(socket) {}

absl::StatusOr<maintenance::BrokerPort::Process> ShimBroker::Look() {
  MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim_.GetState(BootClock().Now() + kLook));
  pause_.Saw(state.running(), BootClock().Now());
  // The same for an agent that comes back while its broker runs.
  if (!state.running()) return Process{};
  return Process{true, absl::StrCat(absl::Hex(state.nonce), "-", state.starts)};
}

absl::Status ShimBroker::OnLoop(std::function<void(NodePort*, NodePort::Done)> what, Duration timeout) {
  auto answer = std::make_shared<std::promise<absl::Status>>();
  std::future<absl::Status> future = answer->get_future();
  loop_->Post([node = node_, answer, what = std::move(what)] {
    if (NodePort* const n = *node) return what(n, [answer](const absl::Status& s) { answer->set_value(s); });
    answer->set_value(absl::CancelledError("the agent ends"));
  });
  if (future.wait_for(timeout) != std::future_status::ready)
    return absl::DeadlineExceededError("the shim did not answer in time");
  return future.get();
}

absl::Status ShimBroker::Start(const maintenance::StartPlan& plan) {
  if (!pause_.Due(BootClock().Now()))
    return absl::UnavailableError("it ended a moment ago: started again after a pause");
  const absl::Status status =
      OnLoop([plan](NodePort* node, NodePort::Done done) { node->Start(plan, std::move(done)); }, kStart);
  if (!status.ok()) pause_.Failed(BootClock().Now());
  return status;
}

absl::Status ShimBroker::Stop() {
  // Its end is seen by Look; one that is under way already is as good.
  loop_->Post([node = node_, patience = stop_patience_] {
    if (NodePort* const n = *node) n->Stop(patience, [](const absl::Status&) {});
  });
  return absl::OkStatus();
}

}  // namespace mainstay::agent
