#include "agent/sidecar/driver.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "lib/base/log.h"
#include "lib/base/wall_clock.h"

namespace mainstay::agent {

using election::Event;
using election::Phase;
using std::chrono::milliseconds;

namespace {

// A request to the lock that takes longer than a renewal is due has no use; below that, be patient with slow
// disks.
Duration StoreTimeout(const election::Settings& settings) {
  return std::max<Duration>(milliseconds(500), settings.renew);
}

}  // namespace

Driver::Driver(DriverOptions options, DriverParts parts, election::Memory memory)
    : options_(std::move(options)),
      parts_(parts),
      journal_(parts.audit, parts.instruments, parts.store->Describe()),
      store_(parts.loop, parts.store_worker, parts.store, {.timeout = StoreTimeout(*options_.settings)},
             [this](election::StoreDone done, Duration took) {
               journal_.LockDone(state_, done, took);
               if (done.outcome == election::StoreOutcome::kUnknown) extras_.store_problem = done.problem;
               Handle(std::move(done));
             }),
      engine_(parts.loop, parts.engine_worker, parts.engine, parts.fence, options_.engine,
              {.report = [this](election::DbReport report) { Handle(std::move(report)); },
               .done =
                   [this](election::EngineDone done, Duration took) {
                     journal_.EngineEnded(state_, done, took);
                     if (done.ok && done.id == state_.engine.id && done.op == election::EngineOp::kPromote)
                       losses_.Opened(state_, done, UnixMillis());
                     Handle(std::move(done));
                   },
               .probed = [this](Duration took) { parts_.instruments->probe_seconds.Observe(took); }}),
      peers_(parts.loop, parts.peers,
             {.heartbeat = options_.heartbeat,
              .report_timeout = std::max<Duration>(options_.heartbeat, milliseconds(500)),
              .ask_timeout = options_.settings->freeze_wait,
              .configured = options_.configured},
             {.describe = [this] { return election::Describe(state_, parts_.loop->Now()); },
              .event = [this](Event event) { Handle(std::move(event)); }},
             parts.instruments),
      admin_(
          parts.loop, [this](const rpc::AdminCommand& command) { BeginAdmin(command); },
          [this](const rpc::AdminCommand& command, const rpc::AdminAnswer& answer) {
            journal_.AdminEnded(rpc::ToString(command.verb), command.id, answer.status, answer.message);
          }),
      freezes_(parts.loop),
      promises_(parts.loop),
      state_(election::Start(options_.settings, std::move(memory), parts.loop->Now())) {
  extras_.engine = options_.engine_name;
  extras_.agent_version = options_.version;
  extras_.lock = parts.store->Describe();
  extras_.started_at = parts.loop->Now();
  PublishView();
}

Driver::~Driver() = default;

void Driver::Start() {
  running_ = true;
  peers_.Learn(state_);
  engine_.Start();
  Handle(election::Tick{});
  peers_.Start();
}

void Driver::Stop() {
  running_ = false;
  parts_.loop->Cancel(wake_timer_);
  engine_.Stop();
  peers_.Stop();
  admin_.Close();
  events_.clear();
}

// ---- events ----

void Driver::Handle(Event event) {
  if (!running_) return;
  events_.push_back(std::move(event));
  if (!draining_) Drain();
}

void Driver::Drain() {
  draining_ = true;
  while (!events_.empty() && running_) {
    const Event event = std::move(events_.front());
    events_.pop_front();
    Take(event);
  }
  draining_ = false;
  ShutDownWhenHandedOver();
  const MonoTime now = parts_.loop->Now();
  extras_.engine_stuck = engine_.stuck();
  std::string key = ViewKey(state_, extras_, journal_.decided());
  // Ages and positions move all the time: once a second is enough for them.
  if (key == view_key_ && now - viewed_at_ < std::chrono::seconds(1)) return;
  view_key_ = std::move(key);
  PublishView();
}

void Driver::Take(const Event& event) {
  // The time is taken before the step: whatever the step allows from "now" on counts from before anything is
  // sent.
  const MonoTime now = parts_.loop->Now();
  const bool led = state_.lead;
  const auto phase = state_.phase;
  const MonoTime phase_since = state_.phase_since;
  const DataHistory history(state_.memory);
  election::Result result = election::Step(std::move(state_), event, now);
  state_ = std::move(result.state);
  if (phase != state_.phase && !phase_since.is_past())
    parts_.instruments->phase_seconds.Observe(election::ToString(phase), now - phase_since);
  journal_.History(history, state_);
  peers_.Learn(state_);
  losses_.Look(state_, now, UnixMillis());
  if (state_.view != nullptr && state_.view->members != members_) {
    members_ = state_.view->members;
    parts_.engine->Members(members_);
  }
  Execute(std::move(result.actions));
  const bool given_up = state_.store.id != 0 && state_.store.purpose == election::Purpose::kRelease;
  if (led && !state_.lead && !given_up) journal_.LockLost(state_);
  SetWake(result.wake);
}

void Driver::SetWake(MonoTime wake) {
  const MonoTime now = parts_.loop->Now();
  if (wake <= now) {
    // The core may ask for "at once"; never let that become a busy loop that starves the fence.
    wake = now + (++hasty_wakes_ < 100 ? Duration(milliseconds(1)) : Duration(milliseconds(50)));
  } else if (wake - now > milliseconds(5)) {
    hasty_wakes_ = 0;
  }
  if (wake_timer_ != 0 && wake == wake_at_) return;
  parts_.loop->Cancel(wake_timer_);
  wake_at_ = wake;
  wake_timer_ = parts_.loop->At(wake, [this] {
    wake_timer_ = 0;
    Handle(election::Tick{});
  });
}

// ---- actions ----

void Driver::Execute(std::vector<election::Action> actions) {
  for (election::Action& action : actions) {
    std::visit([this](auto& a) { Do(a); }, action);
  }
}

void Driver::Do(election::ReadLock& a) { store_.Read(a.id); }
void Driver::Do(election::CreateLock& a) {
  journal_.LockSent(state_, a.record);
  store_.Create(a.id, a.record);
}
void Driver::Do(election::UpdateLock& a) {
  journal_.LockSent(state_, a.record);
  store_.Update(a.id, a.record, a.if_version);
}

void Driver::Do(election::ArmFence& a) {
  armed_until_ = a.until;
  armed_epoch_ = a.epoch;
  parts_.fence->Arm(a.until, a.epoch);
}

void Driver::Do(election::Engine& a) {
  journal_.EngineBegun(state_, a);
  if (a.op == election::EngineOp::kPromote || a.op == election::EngineOp::kReopen)
    parts_.publisher->Opening(Others());
  const std::string cluster_id = state_.view != nullptr && !state_.view->cluster_id.empty()
                                     ? state_.view->cluster_id
                                     : state_.memory.cluster_id;
  engine_.Do(std::move(a), cluster_id);
}

void Driver::Do(election::SendFreeze& a) { peers_.SendFreeze(a); }
void Driver::Do(election::AnswerFreeze& a) { freezes_.Answer(a.to, std::move(a.answer)); }
void Driver::Do(election::SendPromise& a) { peers_.SendPromise(a); }
void Driver::Do(election::AnswerPromise& a) { promises_.Answer(a.to, a.answer); }
void Driver::Do(election::Notify& a) { peers_.Notify(a); }

void Driver::Do(election::Publish& a) {
  extras_.role = a.role;
  journal_.Role(a.role, a.epoch);
  parts_.publisher->Publish({a.role, a.epoch, Others(), why_});
}

void Driver::Do(election::Decision& a) {
  why_ = a.sentence;
  journal_.Decide(a, EpochNow());
}
void Driver::Do(election::AnswerAdmin& a) { admin_.Answer(a.id, a.status, std::move(a.message)); }

std::vector<election::Name> Driver::Others() const {
  std::vector<election::Name> names;
  if (state_.view == nullptr) return names;
  for (const election::Member& m : state_.view->members) {
    if (m.name != state_.set->self.name) names.push_back(m.name);
  }
  // The former primary first, also one that was forgotten meanwhile: its pod may still wear the label.
  election::Name former;
  for (const election::HistoryEntry& h : state_.view->history) {
    if (h.holder != state_.set->self.name) former = h.holder;
  }
  if (!former.empty()) {
    std::erase(names, former);
    names.insert(names.begin(), former);
  }
  return names;
}

election::Epoch Driver::EpochNow() const {
  return state_.view != nullptr ? state_.view->epoch : state_.memory.max_epoch;
}

// ---- the fence ----

void Driver::OnArmed(MonoTime until, election::Epoch epoch) {
  election::FenceArmed armed;
  armed.until = until;
  armed.epoch = epoch;
  Handle(armed);
}

void Driver::OnExit(const DatabaseExit& exit) {
  journal_.Exited(exit, EpochNow());
  engine_.OnExit(exit);
}

void Driver::OnShim(const ShimFacts& facts, bool other_shim) {
  if (facts.connected != extras_.shim.connected || other_shim) journal_.ShimChanged(facts, other_shim);
  const bool back = facts.connected && !extras_.shim.connected;
  extras_.shim = facts;
  OnPodEnding(facts.ending, other_shim);
  // What was armed while nobody listened is told again; it can only extend.
  // (Not once this database was closed in good order: it goes on as a standby, which nothing shall kill.)
  const bool may_write = state_.lead || state_.db.writable || state_.open_epoch != 0;
  if (back && may_write && armed_until_ > parts_.loop->Now() && armed_until_ > facts.armed_until) {
    parts_.fence->Arm(armed_until_, armed_epoch_);
  }
  if (other_shim && facts.connected && !facts.running) {
    // Another shim: the database of the one before is gone with it.
    DatabaseExit exit;
    exit.at = parts_.loop->Now();
    exit.detail = "its shim ended";
    OnExit(exit);
    return;
  }
  engine_.OnShim(facts);
}

// A second before another shim could tell. The last backends may have microseconds to live, in which one
// could acknowledge a write: with a sync set that is safe, because nobody takes over before enough of the
// voters are frozen. Without one it is not taken for evidence: the next shim, or the deadline, proves the
// end.
void Driver::OnShimEnded() {
  if (state_.view == nullptr || state_.view->durability == election::Durability::kAsync ||
      state_.view->voters.empty())
    return;
  DatabaseExit exit;
  exit.at = parts_.loop->Now();
  exit.detail = "its shim was killed, and the kernel kills the database with it";
  OnExit(exit);
}

// The container of the database was told to end, usually with its pod: positive evidence, seconds before the
// database stops. The shim leaves time for a handover (--term-wait). When another shim comes in its place it
// was the container alone, and this member takes part again.
void Driver::OnPodEnding(bool ending, bool other_shim) {
  if (ending && !pod_ending_) {
    pod_ending_ = true;
    journal_.Life("pod.end", audit::Stage::kStarted,
                  state_.lead ? "the database's container was told to end: hand over first"
                              : "the database's container was told to end: stop the database");
    Handle(election::ShutdownAsked{});
  } else if (pod_ending_ && !ending && other_shim) {
    pod_ending_ = pod_end_told_ = shut_down_ = false;
    if (!leaving_) Handle(election::ShutdownAsked{true});
  }
}

// Nothing leads here any more, so nobody waits for this database: the shim ends as soon as it has stopped. A
// handover has stopped it already, and a shim that went with it has none; both are the end as well.
void Driver::ShutDownWhenHandedOver() {
  if (!pod_ending_ || !HandedOver()) return;
  if (!std::exchange(pod_end_told_, true))
    journal_.Life("pod.end", audit::Stage::kCompleted,
                  "nothing leads here any more: the database is stopped");
  if (shut_down_ || !extras_.shim.connected || state_.db.state == election::DbState::kStopped) return;
  shut_down_ = true;
  parts_.fence->Shutdown();
}

void Driver::Leave() {
  leaving_ = true;
  Handle(election::ShutdownAsked{});
}

// ---- requests ----

void Driver::Submit(const rpc::AdminCommand& command, std::function<void(rpc::AdminAnswer)> done) {
  if (!running_) {
    done({election::AdminStatus::kRefused, "the agent is ending"});
    return;
  }
  admin_.Submit(command, std::move(done));
}

void Driver::BeginAdmin(const rpc::AdminCommand& command) {
  election::AdminAsked asked;
  asked.id = command.id;
  asked.target = command.target;
  asked.force = command.accept_loss;
  asked.durability = command.durability;
  switch (command.verb) {
    case rpc::AdminVerb::kSwitchover:
      asked.kind = election::AdminKind::kSwitchover;
      break;
    case rpc::AdminVerb::kFailover:
      asked.kind = election::AdminKind::kFailover;
      break;
    case rpc::AdminVerb::kPause:
      asked.kind = election::AdminKind::kPause;
      break;
    case rpc::AdminVerb::kResume:
      asked.kind = election::AdminKind::kResume;
      break;
    case rpc::AdminVerb::kFence:
      asked.kind = election::AdminKind::kFence;
      break;
    case rpc::AdminVerb::kUnfence:
      asked.kind = election::AdminKind::kUnfence;
      break;
    case rpc::AdminVerb::kSetDurability:
      asked.kind = election::AdminKind::kSetDurability;
      break;
    case rpc::AdminVerb::kForget:
      asked.kind = election::AdminKind::kForget;
      break;
    case rpc::AdminVerb::kRestart:
      BeginTask(command, EngineTask::kRestart);
      return;
    case rpc::AdminVerb::kReload:
      BeginTask(command, EngineTask::kReload);
      return;
    case rpc::AdminVerb::kReinit:
      BeginTask(command, EngineTask::kReinit);
      return;
  }
  Handle(std::move(asked));
}

void Driver::BeginTask(const rpc::AdminCommand& command, EngineTask task) {
  const std::string id = command.id;
  auto refuse = [this, id](std::string why) {
    admin_.Answer(id, election::AdminStatus::kRefused, std::move(why));
  };
  if (!command.target.empty() && command.target != state_.set->self.name) {
    return refuse("this is " + state_.set->self.name + ": ask " + command.target + " itself");
  }
  if (task == EngineTask::kReinit && (state_.lead || state_.open_epoch != 0 || state_.db.writable)) {
    return refuse("this member is the primary: its data are the cluster's. Switch over first");
  }
  if (task == EngineTask::kReinit && state_.view != nullptr && state_.view->HasVoter(state_.set->self.name) &&
      state_.view->voters.size() == 1) {
    return refuse("this member is the only one that acknowledges writes: bring another standby back first");
  }
  if (task == EngineTask::kRestart && state_.memory.fenced)
    return refuse("this member is fenced: `mainstay unfence` first");
  std::string said = "done";
  if (task == EngineTask::kReload && reload_) {
    const std::string problem = reload_();
    if (!problem.empty()) return refuse("configuration not taken over: " + problem);
    said = "configuration read again; see `mainstay status` for parameters that wait for a restart";
  }
  engine_.DoTask(task, command.deadline, [this, id, said](const absl::Status& status) {
    const auto how = status.ok() ? election::AdminStatus::kDone : election::AdminStatus::kFailed;
    admin_.Answer(id, how, status.ok() ? said : std::string(status.message()));
  });
}

void Driver::OnReport(const election::PeerReport& report,
                      const std::function<void(election::PeerReport)>& done) {
  peers_.Heard(report);
  Handle(report);
  done(election::Describe(state_, parts_.loop->Now()));
}

void Driver::OnFreeze(const election::FreezeAsked& asked,
                      std::function<void(election::FreezeAnswered)> done) {
  election::FreezeAnswered refusal;
  refusal.ask = asked.ask;
  refusal.from = options_.settings->self.name;
  refusal.epoch = asked.epoch;
  refusal.refusal = "no answer in time";
  const MonoTime deadline = parts_.loop->Now() + options_.settings->freeze_wait * 2;
  if (freezes_.Open(asked.from, asked.ask, refusal, deadline, std::move(done))) Handle(asked);
}

void Driver::OnPromise(const election::PromiseAsked& asked,
                       std::function<void(election::PromiseAnswered)> done) {
  election::PromiseAnswered refusal;
  refusal.ask = asked.ask;
  refusal.from = options_.settings->self.name;
  refusal.epoch = asked.epoch;
  const MonoTime deadline = parts_.loop->Now() + options_.settings->freeze_wait * 2;
  if (promises_.Open(asked.from, asked.ask, refusal, deadline, std::move(done))) Handle(asked);
}

// The settings are ours to give, as at the start; whom they name matters while a cluster is founded.
void Driver::SetConfigured(const std::map<election::Name, std::string>& configured) {
  auto settings = std::make_shared<election::Settings>(*state_.set);
  settings->expected.clear();
  for (const auto& [name, address] : configured) settings->expected.push_back(name);
  state_.set = std::move(settings);
  peers_.Configure(configured, state_);
  Handle(election::Tick{});
}

// ---- the view ----

void Driver::PublishView() {
  viewed_at_ = parts_.loop->Now();
  const engine::Details details = parts_.engine->LastDetails();
  timelines_.Look(state_, details.former_timelines, viewed_at_);
  extras_.former_timelines = timelines_.former();
  losses_.Rejoined(state_, details);
  const bool sync = state_.view != nullptr && state_.view->durability != election::Durability::kAsync;
  for (const rpc::LossView& loss : losses_.TakeNew()) journal_.Lost(loss, sync);
  extras_.losses = losses_.view();
  rpc::StatusView view = BuildView(state_, journal_, details, extras_, viewed_at_);
  store_.dates().Fill(&view.history);  // of this member's own reign, as the core has it
  board_.Put(std::move(view));
}

bool Driver::HandedOver() const {
  if (!state_.shutdown) return false;
  if (state_.lead || state_.store.id != 0) return false;
  switch (state_.phase) {
    case Phase::kOpening:
    case Phase::kPrimary:
    case Phase::kHandover:
    case Phase::kStepdown:
    case Phase::kReleasing:
    case Phase::kProbation:
      return false;
    case Phase::kJoining:
    case Phase::kReplica:
    case Phase::kFreezing:
    case Phase::kAcquiring:
    case Phase::kFenced:
      return true;
  }
  return true;
}

}  // namespace mainstay::agent
