// The door of RabbitMQ's agent for other threads (gRPC's): rpc::Port over its view and its care for clusters.
//
// Thread rules: any thread, as rpc::Port says; Put on the loop.
#ifndef MAINSTAY_AGENT_RABBIT_PORT_H_
#define MAINSTAY_AGENT_RABBIT_PORT_H_

#include <functional>
#include <memory>
#include <utility>

#include "agent/sidecar/loop.h"
#include "agent/sidecar/view.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

class RabbitPort : public rpc::Port {
 public:
  using Submitted = std::function<void(const rpc::AdminCommand&, std::function<void(rpc::AdminAnswer)>)>;
  using Facts = std::function<absl::StatusOr<std::string>()>;
  // `submit` is called on the loop, `facts` by any thread.
  RabbitPort(Loop* loop, std::function<MonoTime()> turned_at, Submitted submit, Facts facts)
      : loop_(loop), turned_at_(std::move(turned_at)), submit_(std::move(submit)), facts_(std::move(facts)) {}

  void Put(rpc::StatusView view) { board_.Put(std::move(view)); }

  std::shared_ptr<const rpc::StatusView> Snapshot() const override { return board_.Get(); }
  MonoTime LoopTurnedAt() const override { return turned_at_(); }
  uint64_t Subscribe(std::function<void()> changed) override { return board_.Subscribe(std::move(changed)); }
  void Unsubscribe(uint64_t subscription) override { board_.Unsubscribe(subscription); }
  void Submit(rpc::AdminCommand command, std::function<void(rpc::AdminAnswer)> done) override;

  absl::StatusOr<std::string> BrokerFacts() override { return facts_(); }

  // Of elections of a primary: there is none, and nobody of this engine asks.
  void OnReport(election::PeerReport, std::function<void(election::PeerReport)> done) override { done({}); }
  void OnFreeze(election::FreezeAsked, std::function<void(election::FreezeAnswered)> done) override {
    done({});
  }
  void OnPromise(election::PromiseAsked, std::function<void(election::PromiseAnswered)> done) override {
    done({});
  }

 private:
  // At most so many requests wait for the loop.
  static constexpr int kMaxWaiting = 64;

  Loop* const loop_;
  const std::function<MonoTime()> turned_at_;
  const Submitted submit_;
  const Facts facts_;
  ViewBoard board_;
  const std::shared_ptr<std::atomic<int>> waiting_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_PORT_H_
