#include "lib/rpc/watch_call.h"

#include <algorithm>

#include "lib/base/wall_clock.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/convert.h"

namespace mainstay::rpc {

WatchCall* WatchCall::Start(Port* port, bool decisions, Duration interval,
                            std::shared_ptr<std::atomic<int>> watchers) {
  auto call = std::shared_ptr<WatchCall>(new WatchCall(port, decisions, interval, std::move(watchers)));
  call->self_ = call;
  call->subscription_ = port->Subscribe([weak = call->weak_from_this()] {
    if (auto self = weak.lock()) self->Changed();
  });
  call->Changed();
  return call.get();
}

void WatchCall::Changed() {
  std::lock_guard lock(mu_);
  dirty_ = true;
  ScheduleLocked();
}

// The write itself runs on a thread of gRPC: whoever published must not wait for it.
void WatchCall::ScheduleLocked() {
  if (ended_ || scheduled_ || writing_ || !dirty_) return;
  scheduled_ = true;
  const Duration wait =
      last_.is_past() ? Duration::zero() : std::max(Duration::zero(), last_ + interval_ - BootClock().Now());
  // Weak: the alarm is a part of this object and must not keep it.
  alarm_.Set(DeadlineIn(wait), [weak = weak_from_this()](bool) {
    if (auto self = weak.lock()) self->Write();
  });
}

void WatchCall::Write() {
  std::lock_guard lock(mu_);
  scheduled_ = false;
  if (ended_) return;
  dirty_ = false;
  writing_ = true;
  last_ = BootClock().Now();
  message_.Clear();
  ToProto(*port_->Snapshot(), last_, UnixMillis(), decisions_, &message_);
  StartWrite(&message_);
}

void WatchCall::OnWriteDone(bool ok) {
  std::lock_guard lock(mu_);
  writing_ = false;
  if (!ok) return EndLocked(grpc::Status::CANCELLED);
  ScheduleLocked();
}

void WatchCall::OnCancel() {
  std::lock_guard lock(mu_);
  EndLocked(grpc::Status::CANCELLED);
}

void WatchCall::EndLocked(const grpc::Status& status) {
  if (ended_) return;
  ended_ = true;
  Finish(status);
}

void WatchCall::OnDone() {
  port_->Unsubscribe(subscription_);  // afterwards nobody calls Changed
  alarm_.Cancel();
  watchers_->fetch_sub(1);
  const auto last = std::move(self_);  // may destroy this
}

}  // namespace mainstay::rpc
