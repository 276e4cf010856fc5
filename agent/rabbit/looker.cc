#include "agent/rabbit/looker.h"

#include <utility>

namespace mainstay::agent {

namespace rabbitmq = engine::rabbitmq;
using rabbitmq::BootState;

namespace {

template <typename T>
std::optional<T> IfKnown(absl::StatusOr<T> answer) {
  return answer.ok() ? std::optional<T>(*std::move(answer)) : std::nullopt;
}

}  // namespace

Looker::Looker(erlang::ClientOptions options)
    : node_(options.node), client_(std::move(options)), control_(&client_, node_) {}

absl::Status Looker::Reach() {
  if (client_.connected() && client_.KeepAlive().ok()) return absl::OkStatus();
  introduced_ = false;
  const MonoTime now = BootClock().Now();
  if (!backoff_.Due(now)) return absl::UnavailableError("not connected; the next attempt comes soon");
  absl::Status status = client_.Connect();
  if (status.ok()) {
    backoff_.Succeeded();
  } else {
    backoff_.Failed(BootClock().Now());
  }
  return status;
}

Looked Looker::Look(bool all) {
  Looked out;
  out.began = BootClock().Now();
  out.status = Reach();
  if (out.status.ok()) Ask(&out, all);
  out.ended = BootClock().Now();
  return out;
}

void Looker::Ask(Looked* out, bool all) {
  absl::StatusOr<rabbitmq::Check> check = control_.Look();
  out->status = check.status();
  if (!check.ok()) return;
  out->boot = check->boot;
  if (out->boot == BootState::kReady) {
    out->alarms = std::move(check->alarms);
    out->partitions = std::move(check->partitions);
    out->running = IfKnown(control_.IsRunning());
  }
  if (out->boot == BootState::kReady || out->boot == BootState::kStopped)
    out->draining = IfKnown(control_.Draining());
  out->connected = IfKnown(control_.ConnectedNodes());
  if (out->boot == BootState::kBooting) out->at_shutdown = IfKnown(control_.NodesAtShutdown());
  if (all || !introduced_) out->members = IfKnown(control_.Members());
  // Again from time to time: what a look brings that began before the shim was heard of is not used.
  if (introduced_ && !all) return;
  if (auto version = control_.GetVersion(); version.ok()) out->version = version->ToString();
  if (out->boot == BootState::kReady) out->cluster_id = IfKnown(control_.ClusterId());
  introduced_ = introduced_ || (out->version.has_value() && out->cluster_id.has_value());
}

}  // namespace mainstay::agent
