// The door of the loop for other threads (gRPC's): rpc::Port over a Driver.
//
// Thread rules: any thread, as rpc::Port says. Close() on the loop before the driver goes; later calls are
// not answered.
#ifndef MAINSTAY_AGENT_SIDECAR_PORT_H_
#define MAINSTAY_AGENT_SIDECAR_PORT_H_

#include <atomic>
#include <functional>
#include <memory>

#include "agent/sidecar/driver.h"
#include "agent/sidecar/loop.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

class AgentPort : public rpc::Port {
 public:
  // `turned_at` says when the loop last turned (any thread).
  AgentPort(Loop* loop, Driver* driver, std::function<MonoTime()> turned_at)
      : loop_(loop), driver_(driver), turned_at_(std::move(turned_at)) {}

  std::shared_ptr<const rpc::StatusView> Snapshot() const override { return driver_->board().Get(); }
  MonoTime LoopTurnedAt() const override { return turned_at_(); }
  uint64_t Subscribe(std::function<void()> changed) override {
    return driver_->board().Subscribe(std::move(changed));
  }
  void Unsubscribe(uint64_t subscription) override { driver_->board().Unsubscribe(subscription); }

  void Submit(rpc::AdminCommand command, std::function<void(rpc::AdminAnswer)> done) override;
  void OnReport(election::PeerReport report, std::function<void(election::PeerReport)> done) override;
  void OnFreeze(election::FreezeAsked asked, std::function<void(election::FreezeAnswered)> done) override;
  void OnPromise(election::PromiseAsked asked, std::function<void(election::PromiseAnswered)> done) override;

 private:
  // At most kMaxWaiting calls wait for the loop: when it is stopped (the agent is frozen), peers must not
  // fill its memory.
  static constexpr int kMaxWaiting = 256;
  bool Enter(std::function<void()> task);  // false: too many wait, `task` is dropped

  Loop* const loop_;
  Driver* const driver_;
  const std::function<MonoTime()> turned_at_;
  const std::shared_ptr<std::atomic<int>> waiting_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_PORT_H_
