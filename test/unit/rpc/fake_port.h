// A Port without a driver: a view that tests set, answers that tests give. Thread rules: as Port's.
#ifndef MAINSTAY_TEST_UNIT_RPC_FAKE_PORT_H_
#define MAINSTAY_TEST_UNIT_RPC_FAKE_PORT_H_

#include <atomic>
#include <map>
#include <mutex>
#include <vector>

#include "lib/rpc/port.h"

namespace mainstay::rpc {

class FakePort : public Port {
 public:
  explicit FakePort(const std::string& member) {
    StatusView v;
    v.cluster = "demo";
    v.member = member;
    v.engine = "fake";
    v.agent_version = "0";
    view_ = std::make_shared<StatusView>(v);
  }
  void Publish(const std::function<void(StatusView&)>& change) {
    std::lock_guard lock(mu_);
    StatusView v = *view_;
    ++v.serial;
    change(v);
    view_ = std::make_shared<StatusView>(std::move(v));
    for (auto& [id, f] : subscribers_) f();
  }
  std::shared_ptr<const StatusView> Snapshot() const override {
    std::lock_guard lock(mu_);
    return view_;
  }
  MonoTime LoopTurnedAt() const override {
    const MonoTime at = turned;
    return at.is_past() ? BootClock().Now() : at;
  }
  uint64_t Subscribe(std::function<void()> changed) override {
    std::lock_guard lock(mu_);
    subscribers_[++next_] = std::move(changed);
    return next_;
  }
  void Unsubscribe(uint64_t id) override {
    std::lock_guard lock(mu_);
    subscribers_.erase(id);
  }
  size_t subscribers() const {
    std::lock_guard lock(mu_);
    return subscribers_.size();
  }
  void Submit(AdminCommand command, std::function<void(AdminAnswer)> done) override {
    std::function<void(const AdminCommand&, std::function<void(AdminAnswer)>)> f;
    {
      std::lock_guard lock(mu_);
      commands_.push_back(command);
      f = on_submit;
    }
    f ? f(command, std::move(done)) : done({election::AdminStatus::kDone, "done"});
  }
  absl::StatusOr<std::string> BrokerFacts() override {
    std::lock_guard lock(mu_);
    return facts_;
  }
  void SetFacts(absl::StatusOr<std::string> facts) {
    std::lock_guard lock(mu_);
    facts_ = std::move(facts);
  }
  std::vector<AdminCommand> commands() const {
    std::lock_guard lock(mu_);
    return commands_;
  }
  void OnReport(election::PeerReport report, std::function<void(election::PeerReport)> done) override {
    last_report = report;
    election::PeerReport mine;
    mine.name = mine.self.name = Snapshot()->member;
    mine.record_epoch = report.record_epoch + 1;
    mine.stream_age = Duration::max();
    if (!silent) done(mine);
  }
  void OnFreeze(election::FreezeAsked asked, std::function<void(election::FreezeAnswered)> done) override {
    election::FreezeAnswered a;
    a.ask = asked.ask;
    a.from = Snapshot()->member;
    a.epoch = asked.epoch;
    a.frozen = true;
    a.promised = asked.epoch;
    a.position = {.lineage = 3, .offset = 0x5000060, .timeline = 2};
    a.known = {"a", "b"};
    if (!silent) done(a);
  }
  void OnPromise(election::PromiseAsked asked, std::function<void(election::PromiseAnswered)> done) override {
    if (!silent) done({.ask = asked.ask, .from = Snapshot()->member, .epoch = asked.epoch, .promised = true});
  }

  std::function<void(const AdminCommand&, std::function<void(AdminAnswer)>)> on_submit;
  election::PeerReport last_report;
  std::atomic<MonoTime> turned{};  // the distant past: it always turns
  bool silent = false;

 private:
  absl::StatusOr<std::string> facts_ = absl::UnavailableError("nothing fresh");
  mutable std::mutex mu_;
  std::shared_ptr<const StatusView> view_;
  std::map<uint64_t, std::function<void()>> subscribers_;
  uint64_t next_ = 0;
  std::vector<AdminCommand> commands_;
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_TEST_UNIT_RPC_FAKE_PORT_H_
