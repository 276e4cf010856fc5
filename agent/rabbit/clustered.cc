#include "agent/rabbit/clustered.h"

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/rabbit/node.h"
#include "lib/base/log.h"
#include "lib/base/thread.h"

namespace mainstay::agent {

using maintenance::MaintainerStatus;
using maintenance::Memory;
using maintenance::Request;
using std::chrono::milliseconds;

namespace {

// One call to the broker may still be under way for so long (lib/erlang: 3 s).
constexpr Duration kAct = milliseconds(3500);
// A leader of maintenance need not be followed within seconds.
constexpr Duration kShortestLease = milliseconds(10000);
// The lock is given up and a call under way ends.
constexpr Duration kEnd = std::chrono::seconds(5);

lease::ElectorOptions ElectorOf(const Config& config) {
  lease::ElectorOptions o;
  o.cluster = config.cluster;
  o.name = config.name;
  o.priority = config.settings.self.priority;
  o.rho = config.settings.rho;
  o.act = kAct;
  o.lease = std::max(config.settings.lease, kShortestLease);
  // What the lease leaves for acting, rounded down.
  o.validity = std::min<Duration>(config.settings.validity, o.lease - kAct - milliseconds(100));
  o.renew = std::min<Duration>(config.settings.renew, o.validity / 3);
  o.retry = config.settings.retry;
  return o;
}

std::vector<maintenance::MaintainerOptions::Peer> MembersOf(const Config& config) {
  std::vector<maintenance::MaintainerOptions::Peer> out = {{config.name, config.rabbitmq.node}};
  for (const ExpectedMember& m : config.members) out.push_back({m.name, m.node});
  return out;
}

rpc::AdminAnswer AnswerOf(const absl::Status& status) {
  if (status.ok())
    return {election::AdminStatus::kAccepted, "it is begun; `mainstay status` shows each step"};
  const bool refused = absl::IsFailedPrecondition(status) || absl::IsUnavailable(status);
  return {refused ? election::AdminStatus::kRefused : election::AdminStatus::kFailed,
          std::string(status.message())};
}

}  // namespace

std::vector<std::string> WorkSentences(const MaintainerStatus& s) {
  std::vector<std::string> out;
  if (s.memory) {
    const Memory& m = *s.memory;
    if (m.founding) out.push_back(absl::StrCat("founding by ", m.founding->name));
    if (m.repair)
      out.push_back(absl::StrCat("repair of ", m.repair->name, ": ", ToString(m.repair->step),
                                 " (of forget, join, grow, sync, rebalance)"));
    if (m.token) out.push_back(absl::StrCat("restart of ", m.token->name, ": ", ToString(m.token->phase)));
    if (m.removal)
      out.push_back(absl::StrCat("removal of ", m.removal->name, ": ", ToString(m.removal->step),
                                 " (of drain, shrink, stop, forget)"));
    if (m.force_boot) out.push_back(absl::StrCat("forced boot of ", m.force_boot->name));
  }
  if (!s.sentence.empty()) out.push_back(absl::StrCat("leader: ", s.sentence));
  if (!s.own_sentence.empty() && s.own_row != "run") out.push_back(absl::StrCat("here: ", s.own_sentence));
  out.insert(out.end(), s.findings.begin(), s.findings.end());
  if (!s.trouble.empty()) out.push_back(absl::StrCat("trouble: ", s.trouble));
  return out;
}

ClusteredMaintenance::ClusteredMaintenance(const Config& config, Parts parts)
    : config_(config), parts_(std::move(parts)), session_(ClientOf(config.rabbitmq)) {}

ClusteredMaintenance::~ClusteredMaintenance() { End(kEnd); }

maintenance::MaintainerOptions ClusteredMaintenance::MakeOptions() {
  maintenance::MaintainerOptions o;
  o.name = config_.name;
  o.node = config_.rabbitmq.node;
  o.members = MembersOf(config_);
  o.data_dir = config_.rabbitmq.data_dir;
  o.note = config_.rabbitmq.data_dir + ".mainstay";
  o.elector = ElectorOf(config_);
  // `loop` outlives the maintainer's thread, which End waits for or leaves behind in a process that ends.
  o.tell = [this](const char* row, const std::string& sentence) {
    parts_.loop->Post([this, row = std::string(row), sentence] { Told(row, sentence); });
  };
  return o;
}

void ClusteredMaintenance::Begin(NodePort* node) {
  node_ = node;
  broker_ =
      std::make_unique<ShimBroker>(parts_.loop, node, config_.shim_socket, config_.rabbitmq.stop_timeout);
  maintainer_ = std::make_shared<maintenance::Maintainer>(
      MakeOptions(), maintenance::Maintainer::Ports{parts_.stores.lock.get(), parts_.stores.memory.get(),
                                                    broker_.get(), parts_.peers.get(), &session_});
  if (const absl::Status status = maintainer_->Start(); !status.ok()) {
    // The volume is not there or the note is damaged: said, and the broker is left as it is.
    Log(LogLevel::kError, "rabbitmq", "the maintenance could not begin", {{"error", status}});
    node_->SetDoing(std::string(status.message()));
    maintainer_.reset();
  }
}

void ClusteredMaintenance::Told(const std::string& row, const std::string& sentence) {
  Log(LogLevel::kInfo, "rabbitmq", sentence, {{"row", row}});
  if (parts_.audit == nullptr) return;
  audit::Event event;
  event.action = "broker.maintenance";
  event.reason = row;
  event.msg = sentence;
  parts_.audit->Write(event);
}

void ClusteredMaintenance::OnNode(const NodeView& view) {
  if (maintainer_ == nullptr) return;
  const MaintainerStatus s = maintainer_->Status();
  node_->SetWaits(view.blank && absl::StartsWith(s.own_row, "wait."));
  node_->SetDoing(s.own_row == "run" ? "" : s.own_sentence);
  node_->SetTakenOut(s.in_service ? "" : s.own_sentence);
  if (may_stop_ && view.shim_connected && !view.running) std::exchange(may_stop_, nullptr)();
}

// The shim waits for its --term-wait; after that the broker is stopped without the token.
void ClusteredMaintenance::OnEnding(std::function<void()> may_stop) {
  const std::shared_ptr<const NodeView> view = node_ == nullptr ? nullptr : node_->View();
  if (maintainer_ == nullptr || view == nullptr || !view->running) return may_stop();
  may_stop_ = std::move(may_stop);
  maintainer_->Ending();
  maintainer_->Wish(true);
}

void ClusteredMaintenance::AskLeader(Request request, std::function<void(rpc::AdminAnswer)> done) {
  maintainer_->Ask(std::move(request), [loop = parts_.loop, done = std::move(done)](const absl::Status& s) {
    loop->Post([done, s] { done(AnswerOf(s)); });
  });
}

void ClusteredMaintenance::Submit(const rpc::AdminCommand& command,
                                  std::function<void(rpc::AdminAnswer)> done) {
  using election::AdminStatus;
  if (maintainer_ == nullptr)
    return done({AdminStatus::kFailed, "the maintenance could not begin: see the log"});
  const MaintainerStatus s = maintainer_->Status();
  if (command.verb == rpc::AdminVerb::kRestart) {
    maintainer_->Wish(true);
    return done({AdminStatus::kAccepted,
                 "asked for the restart token: restarts once nothing else is down and no queue needs it"});
  }
  const bool force = command.verb == rpc::AdminVerb::kFailover;
  if (!force && command.verb != rpc::AdminVerb::kForget)
    return done({AdminStatus::kRefused,
                 absl::StrCat("RabbitMQ has no primary: ", rpc::ToString(command.verb),
                              " means nothing; there are restart, forget, failover --accept-loss (a forced "
                              "boot) and reload")});
  if (!s.leading)
    return done({AdminStatus::kRefused,
                 s.leader.empty()
                     ? "there is no maintenance leader now: ask again in some seconds"
                     : absl::StrCat("this member does not lead the maintenance: ask ", s.leader)});
  if (force && !command.accept_loss)
    return done({AdminStatus::kRefused,
                 "a forced boot may lose what only others have: say --accept-loss, and name the member"});
  if (force)
    return AskLeader({Request::Kind::kForceBoot, command.target, s.memory ? s.memory->cluster_id : ""},
                     [done = std::move(done)](rpc::AdminAnswer answer) {
                       // The command line waits for a new primary after "accepted".
                       if (answer.status == AdminStatus::kAccepted) answer.status = AdminStatus::kDone;
                       done(std::move(answer));
                     });
  // In good order; or, when that cannot be because it is gone, as a lost one: refused while it is there.
  AskLeader({Request::Kind::kRemove, command.target, ""},
            [this, target = command.target, done = std::move(done)](const rpc::AdminAnswer& first) {
              if (first.status != AdminStatus::kRefused || maintainer_ == nullptr) return done(first);
              AskLeader({Request::Kind::kRemoveLost, target, ""},
                        [first, done](const rpc::AdminAnswer& lost) {
                          done(lost.status == AdminStatus::kRefused ? first : lost);
                        });
            });
}

void ClusteredMaintenance::FillStatus(rpc::StatusView* view) {
  if (maintainer_ == nullptr) return;
  const MaintainerStatus s = maintainer_->Status();
  view->leader = s.leading ? config_.name : s.leader;
  if (s.memory) view->epoch = s.memory->epoch;
  if (view->broker == nullptr) return;
  auto broker = std::make_shared<rpc::BrokerView>(*view->broker);
  broker->work = WorkSentences(s);
  view->broker = std::move(broker);
}

std::string ClusteredMaintenance::ShownKey() const {
  if (maintainer_ == nullptr) return "";
  const MaintainerStatus s = maintainer_->Status();
  std::string key = absl::StrCat(s.leading, s.leader, ";");
  for (const std::string& w : WorkSentences(s)) absl::StrAppend(&key, w, ";");
  return key;
}

absl::StatusOr<std::string> ClusteredMaintenance::Facts() const {
  if (maintainer_ == nullptr) return absl::UnavailableError("the maintenance did not begin");
  return maintainer_->Facts();
}

void ClusteredMaintenance::WriteMetrics(metrics::Writer& w) {
  const MaintainerStatus s = maintainer_ == nullptr ? MaintainerStatus() : maintainer_->Status();
  w.Family("mainstay_rabbitmq_maintenance_leader", metrics::Type::kGauge,
           "1 while this agent does the cluster's maintenance.");
  w.Sample(s.leading ? 1 : 0);
  const Memory m = s.memory.value_or(Memory());
  w.Family("mainstay_rabbitmq_maintenance_work", metrics::Type::kGauge,
           "1 while this kind of work on the cluster is under way.");
  w.Sample({{"work", "founding"}}, m.founding ? 1 : 0);
  w.Sample({{"work", "removal"}}, m.removal ? 1 : 0);
  w.Sample({{"work", "repair"}}, m.repair ? 1 : 0);
  w.Sample({{"work", "restart"}}, m.token ? 1 : 0);
  w.Family("mainstay_rabbitmq_maintenance_trouble", metrics::Type::kGauge,
           "1 while the last thing that the maintenance tried here failed, or its memory cannot be read.");
  w.Sample(maintainer_ == nullptr || !s.trouble.empty() ? 1 : 0);
}

bool ClusteredMaintenance::End(Duration patience) {
  if (broker_ != nullptr) broker_->Close();
  const std::shared_ptr<maintenance::Maintainer> ends = std::exchange(maintainer_, nullptr);
  if (ends == nullptr) return true;
  auto ended = std::make_shared<std::promise<void>>();
  std::future<void> future = ended->get_future();
  std::thread thread = StartThread("maintenance-end", [ends, ended] {
    ends->Stop();
    ended->set_value();
  });
  if (future.wait_for(std::max(patience, kEnd)) == std::future_status::ready) {
    thread.join();
    return true;
  }
  thread.detach();  // the process ends without its statics and without us
  return false;
}

}  // namespace mainstay::agent
