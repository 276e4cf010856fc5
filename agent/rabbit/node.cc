#include "agent/rabbit/node.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/amqp/login.h"
#include "lib/base/log.h"

namespace mainstay::agent {

namespace rabbitmq = engine::rabbitmq;
using rabbitmq::NodeState;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Duration kCheck = seconds(5);  // of one message, connecting included
constexpr uint64_t kAllEvery = 5;        // looks: those that ask everything
constexpr Duration kSoon = milliseconds(100);

amqp::ProbeOptions ProbeOf(const RabbitmqConfig& c) {
  amqp::ProbeOptions o;
  o.endpoint = EndpointOf(c);
  o.endpoint.vhost = c.probe_vhost;
  o.endpoint.name = absl::StrCat("mainstay-probe@", c.node);
  o.login = LoginOf(c);
  return o;
}

}  // namespace

erlang::ClientOptions ClientOf(const RabbitmqConfig& c) {
  erlang::ClientOptions o;
  o.node = c.node;
  o.self = erlang::MakeSelf(c.node);
  o.port = c.dist_port;
  o.epmd_port = c.epmd_port;
  o.cookie_file = c.cookie_file;
  return o;
}

amqp::Endpoint EndpointOf(const RabbitmqConfig& c) {
  amqp::Endpoint out;
  out.address = c.bind == "0.0.0.0" ? "127.0.0.1" : c.bind == "::" ? "::1" : c.bind;
  out.port = c.port;
  return out;
}

amqp::LoginSource LoginOf(const RabbitmqConfig& c) {
  return [user = c.probe_user_file, password = c.probe_password_file] {
    return amqp::ReadLogin(user, password);
  };
}

// What blocks, each with a thread of its own: a message that is not answered delays no look.
struct Node::Threads {
  explicit Threads(const RabbitmqConfig& c)
      : looker(std::make_shared<Looker>(ClientOf(c))), look_worker("look", 1) {
    if (c.probe_user_file.empty()) return;
    probe = std::make_shared<amqp::Probe>(ProbeOf(c));
    probe_worker = std::make_unique<ThreadWorker>("probe", 1);
  }
  std::shared_ptr<Looker> looker;
  std::shared_ptr<amqp::Probe> probe;  // null: none
  ThreadWorker look_worker;
  std::unique_ptr<ThreadWorker> probe_worker;
};

Node::Node(const Config& config, Parts parts)
    : config_(config),
      parts_(std::move(parts)),
      interval_(config.probe_interval),
      known_(config.rabbitmq.node, config.probe_interval),
      keeper_(parts_.loop, config, parts_.audit),
      threads_(std::make_unique<Threads>(config.rabbitmq)),
      view_(std::make_shared<NodeView>()) {
  limits_.boot_patience = config.rabbitmq.start_timeout;
}

Node::~Node() = default;

void Node::Begin() {
  LookAt(parts_.loop->Now());
  if (threads_->probe != nullptr) ProbeAt(parts_.loop->Now() + seconds(1));
}

bool Node::End(Duration patience) {
  ended_ = true;
  parts_.loop->Cancel(look_timer_);
  parts_.loop->Cancel(probe_timer_);
  bool all = keeper_.End(patience);
  all = threads_->look_worker.Stop(patience) && all;
  if (threads_->probe_worker != nullptr) {
    threads_->probe_worker->Run([probe = threads_->probe] { probe->Close(BootClock().Now() + kSoon); });
    all = threads_->probe_worker->Stop(patience) && all;
  }
  return all;
}

// ---- looks ----

void Node::LookAt(MonoTime when) {
  look_due_ = when;
  parts_.loop->Cancel(look_timer_);
  look_timer_ = parts_.loop->At(when, [this] { BeginLook(); });
}

void Node::BeginLook() {
  if (ended_) return;
  LookAt(parts_.loop->Now() + interval_);
  if (looking_) return;  // it takes its time; the next one comes
  const bool all = looks_++ % kAllEvery == 0;
  const bool runs = shim_.running || !shim_.connected;
  looking_ = threads_->look_worker.Run(
      [this, looker = threads_->looker, all, runs, dir = config_.rabbitmq.data_dir, loop = parts_.loop] {
        Looked looked;
        bool blank = false;
        if (runs) {
          looked = looker->Look(all);
        } else {
          blank = NodeKeeper::IsBlank(dir);
        }
        loop->Post([this, looked = std::move(looked), blank] { EndLook(looked, blank); });
      });
}

void Node::EndLook(const Looked& looked, bool blank) {
  looking_ = false;
  if (ended_) return;
  blank_ = blank;
  if (!looked.began.is_past()) known_.Add(looked);
  Publish();
}

// ---- messages ----

void Node::ProbeAt(MonoTime when) {
  probe_due_ = when;
  parts_.loop->Cancel(probe_timer_);
  probe_timer_ = parts_.loop->At(when, [this] { BeginProbe(); });
}

void Node::BeginProbe() {
  if (ended_) return;
  ProbeAt(parts_.loop->Now() + config_.rabbitmq.probe_interval);
  if (probing_ || (shim_.connected && !shim_.running)) return;
  probing_ = threads_->probe_worker->Run([this, probe = threads_->probe, loop = parts_.loop] {
    const amqp::Result result = probe->Check(BootClock().Now() + kCheck);
    loop->Post([this, result] { EndProbe(result); });
  });
}

void Node::EndProbe(const amqp::Result& result) {
  probing_ = false;
  if (ended_) return;
  instruments_.Observe(result);
  known_.Add(result);
  Publish();
}

// ---- telling ----

std::shared_ptr<const NodeView> Node::View() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return view_;
}

rabbitmq::Judgement Node::JudgeNow() const {
  return rabbitmq::Judge(known_.Now(parts_.loop->Now()), limits_);
}

void Node::Publish() {
  auto next = std::make_shared<NodeView>();
  next->facts = known_.Now(parts_.loop->Now());
  next->judgement = rabbitmq::Judge(next->facts, limits_);
  next->shim_connected = shim_.connected;
  next->running = shim_.running;
  next->blank = blank_ && !shim_.running;
  next->pod_ending = shim_.ending;
  next->starts = known_.starts();
  next->version = known_.version();
  next->cluster_id = known_.cluster_id();
  next->members = known_.members();
  Tell(next->judgement);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    view_ = std::move(next);
  }
  parts_.changed();
}

void Node::Tell(const rabbitmq::Judgement& j) {
  if (j.state == told_) return;
  const bool bad = !j.live.ok || j.state == NodeState::kFailing || j.state == NodeState::kPaused;
  Log(bad ? LogLevel::kWarn : LogLevel::kInfo, "rabbitmq", "state of the node",
      {{"before", ToString(told_)}, {"now", ToString(j.state)}, {"because", j.sentence}});
  told_ = j.state;
  if (parts_.audit == nullptr) return;
  audit::Event event;
  event.action = "broker.state";
  event.outcome = bad ? audit::Outcome::kFailure : audit::Outcome::kSuccess;
  if (bad) event.level = "warn";
  event.reason = ToString(j.state);
  event.msg = absl::StrCat(config_.rabbitmq.node, " is ", ToString(j.state), ": ", j.sentence);
  parts_.audit->Write(event);
}

void Node::WriteMetrics(metrics::Writer& w) const {
  const rabbitmq::Facts facts = known_.Now(parts_.loop->Now());
  rabbitmq::WriteNodeMetrics(facts, rabbitmq::Judge(facts, limits_), w);
  instruments_.Write(w);
}

// ---- the shim ----

void Node::OnExit(const DatabaseExit& exit) {
  shim_.running = false;
  parts_.journal->Exited(exit, 0);
  known_.Shim(shim_.connected, false, parts_.loop->Now());
  Publish();
}

void Node::OnShim(const ShimFacts& facts, bool other_shim) {
  parts_.journal->ShimChanged(facts, other_shim);
  // Another shim: whatever it runs, it is another process.
  if (other_shim) known_.Shim(true, false, parts_.loop->Now());
  shim_ = facts;
  known_.Shim(facts.connected, facts.running, parts_.loop->Now());
  if (facts.ending && !end_told_) {
    end_told_ = true;
    parts_.ending();
  }
  Publish();
  if (facts.running) LookAt(parts_.loop->Now());
}

// ---- NodePort ----

void Node::Start(const rabbitmq::StartPlan& plan, Done done) {
  if (shim_.running) return done(absl::FailedPreconditionError("the broker runs already"));
  keeper_.Start(plan, [this, done](const absl::Status& status) {
    if (ended_) return;
    if (status.ok()) {
      shim_.running = true;
      known_.Shim(true, true, parts_.loop->Now());
    }
    done(status);
    Publish();
  });
}

void Node::Stop(Duration patience, Done done) { keeper_.Stop(patience, std::move(done)); }
void Node::SetDataAside(Done done) { keeper_.SetDataAside(std::move(done)); }

void Node::SetDoing(const std::string& sentence) { known_.SetDoing(sentence); }
void Node::SetWaits(bool waits) { known_.SetWaits(waits); }
void Node::SetTakenOut(const std::string& why) { known_.SetTakenOut(why); }

}  // namespace mainstay::agent
