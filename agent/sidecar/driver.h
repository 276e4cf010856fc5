// The driver: owns the core's state, feeds it events, does its actions, keeps its time. It decides nothing.
//
// One event at a time: Step, then its actions in their order, then the next event; events that come out of an
// action wait their turn. So a request leaves only after the Step that asked for it returned, and once.
//
//   lock      StoreRunner  -> StoreDone        watch  -> RecordSeen
//   database  EngineRunner -> DbReport, EngineDone
//   fence     FencePort    -> FenceArmed, exits
//   members   PeerHub      -> PeerReport, FreezeAnswered, PromiseAnswered
//   people    AdminDesk    -> AdminAsked; the engine's own verbs (restart, reload, reinit) go to EngineRunner
//
// Thread rules: everything on the loop's thread; AgentPort (port.h) is the door for other threads.
#ifndef MAINSTAY_AGENT_SIDECAR_DRIVER_H_
#define MAINSTAY_AGENT_SIDECAR_DRIVER_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/sidecar/desk.h"
#include "agent/sidecar/engine_runner.h"
#include "agent/sidecar/journal.h"
#include "agent/sidecar/loop.h"
#include "agent/sidecar/losses.h"
#include "agent/sidecar/peer_hub.h"
#include "agent/sidecar/ports.h"
#include "agent/sidecar/store_runner.h"
#include "agent/sidecar/timelines.h"
#include "agent/sidecar/view.h"
#include "agent/sidecar/worker.h"
#include "lib/election/core.h"

namespace mainstay::agent {

struct DriverOptions {
  std::shared_ptr<const election::Settings> settings;  // with the identity
  Duration heartbeat = std::chrono::milliseconds(500);
  std::map<election::Name, std::string> configured;  // peer addresses by name
  EngineRunner::Options engine;
  std::string engine_name = "fake";
  std::string version;
};

struct DriverParts {
  Loop* loop = nullptr;
  Worker* store_worker = nullptr;
  lease::Store* store = nullptr;
  Worker* engine_worker = nullptr;
  engine::Engine* engine = nullptr;
  FencePort* fence = nullptr;
  PeerLink* peers = nullptr;
  RolePublisher* publisher = nullptr;
  metrics::AgentInstruments* instruments = nullptr;
  audit::Log* audit = nullptr;  // null: none
};

class Driver : public FenceSink {
 public:
  Driver(DriverOptions options, DriverParts parts, election::Memory memory);
  ~Driver() override;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  void Start();
  // No more probes, heartbeats and steps; open requests are answered.
  void Stop();

  void Handle(election::Event event);

  // FenceSink
  void OnArmed(MonoTime until, election::Epoch epoch) override;
  void OnExit(const DatabaseExit& exit) override;
  void OnShim(const ShimFacts& facts, bool other_shim) override;
  void OnShimEnded() override;

  // Of AgentPort, already on the loop.
  void Submit(const rpc::AdminCommand& command, std::function<void(rpc::AdminAnswer)> done);
  void OnReport(const election::PeerReport& report, const std::function<void(election::PeerReport)>& done);
  void OnFreeze(const election::FreezeAsked& asked, std::function<void(election::FreezeAnswered)> done);
  void OnPromise(const election::PromiseAsked& asked, std::function<void(election::PromiseAnswered)> done);

  // Called for `reload`; empty: the engine's parameters only. Gives "" or what is wrong.
  void SetReload(std::function<std::string()> reload) { reload_ = std::move(reload); }
  // Other members that the configuration names from now on: their peer addresses by name.
  void SetConfigured(const std::map<election::Name, std::string>& configured);
  EngineRunner& engine_runner() { return engine_; }
  Journal& journal() { return journal_; }
  ViewBoard& board() { return board_; }
  const election::State& state() const { return state_; }
  // The agent ends: hand over first.
  void Leave();
  // After Leave: nothing is left to hand over.
  bool HandedOver() const;

 private:
  void Drain();
  void Take(const election::Event& event);
  void Execute(std::vector<election::Action> actions);
  void Do(election::ReadLock& a);
  void Do(election::CreateLock& a);
  void Do(election::UpdateLock& a);
  void Do(election::ArmFence& a);
  void Do(election::Engine& a);
  void Do(election::SendFreeze& a);
  void Do(election::AnswerFreeze& a);
  void Do(election::SendPromise& a);
  void Do(election::AnswerPromise& a);
  void Do(election::Notify& a);
  void Do(election::Publish& a);
  void Do(election::Decision& a);
  void Do(election::AnswerAdmin& a);

  void BeginAdmin(const rpc::AdminCommand& command);
  void BeginTask(const rpc::AdminCommand& command, EngineTask task);
  void SetWake(MonoTime wake);
  void PublishView();
  void OnPodEnding(bool ending, bool other_shim);
  void ShutDownWhenHandedOver();
  election::Epoch EpochNow() const;
  std::vector<election::Name> Others() const;  // the former primary, then the other members

  const DriverOptions options_;
  const DriverParts parts_;
  Journal journal_;
  StoreRunner store_;
  EngineRunner engine_;
  PeerHub peers_;
  AdminDesk admin_;
  AskDesk<election::FreezeAnswered> freezes_;
  AskDesk<election::PromiseAnswered> promises_;
  ViewBoard board_;
  ViewExtras extras_;
  Timelines timelines_;
  Losses losses_;
  std::function<std::string()> reload_;

  election::State state_;
  std::deque<election::Event> events_;
  bool draining_ = false;
  bool running_ = false;
  TimerId wake_timer_ = 0;
  MonoTime wake_at_ = MonoTime::Never();
  int hasty_wakes_ = 0;
  MonoTime armed_until_;  // what the shim was last told, for a shim that reconnects
  election::Epoch armed_epoch_ = 0;
  std::vector<election::Member> members_;  // as the engine was told them
  bool leaving_ = false;                   // the agent ends
  bool pod_ending_ = false;                // the database's container was told to end
  bool pod_end_told_ = false;              // nothing leads here any more
  bool shut_down_ = false;                 // and the database was told to stop
  std::string why_;                        // the last decision's sentence
  std::string view_key_;
  MonoTime viewed_at_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_DRIVER_H_
