// The leader's part of the Maintainer: gathers what the plan is made of, and carries its step out.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/maintenance/maintainer.h"

namespace mainstay::maintenance {
namespace {

constexpr size_t kAskedQueues = 32;  // in one tick
constexpr Duration kFirstPause = std::chrono::seconds(1), kLongestPause = std::chrono::seconds(30);

}  // namespace

void Maintainer::KeepStanding() {
  if (elector_ != nullptr || BootClock().Now() < stand_at_) return;
  lease::ElectorOptions options = options_.elector;
  options.min_epoch = highest_epoch_;
  lease::ElectorCallbacks callbacks;
  callbacks.on_decision = [](const char*, const char*, const std::string&) {};
  auto elector = lease::Elector::Create(ports_.lock, std::move(options), std::move(callbacks));
  if (!elector.ok()) {
    stand_at_ = BootClock().Now() + options_.stand_again;
    Tell("lead.trouble", std::string(elector.status().message()));
    return;
  }
  elector_ = *std::move(elector);
  elector_->Start();
}

void Maintainer::Yield(Duration pause) {
  elector_->Stop(std::chrono::seconds(2));
  elector_.reset();
  stand_at_ = BootClock().Now() + pause;
}

View Maintainer::Gather(const MemberFacts& own) {
  View view;
  view.self = options_.name;
  view.epoch = elector_->CurrentPermission().epoch();
  view.nonce = RandomHex(8);
  std::vector<MaintainerOptions::Peer> all = options_.members;
  if (cell_.memory)  // whoever is on record and not in the configuration any more is one that does not answer
    for (const MemberEntry& e : cell_.memory->members)
      if (std::none_of(all.begin(), all.end(), [&](const auto& p) { return p.name == e.name; }))
        all.push_back({e.name, e.node});
  std::vector<std::string> names;
  for (const auto& p : options_.members)
    if (p.name != options_.name) names.push_back(p.name);
  const std::vector<absl::StatusOr<std::string>> answers = ports_.peers->AskFacts(names, options_.ask);
  std::string shape;
  for (const auto& p : all) {
    MemberFacts f{.name = p.name, .node = p.node};
    const auto at = std::find(names.begin(), names.end(), p.name) - names.begin();
    if (p.name == options_.name) {
      f = own;
    } else if (static_cast<size_t>(at) < std::min(names.size(), answers.size()) && answers[at].ok()) {
      absl::StatusOr<MemberFacts> read = DecodeFacts(*answers[at]);
      // Of another name: another member's agent behind that address.
      if (read.ok() && read->name == p.name && read->node == p.node) {
        f = *std::move(read);
        f.heard = true;
      } else {
        Tell("peer.trouble", absl::StrCat(p.name, ": ",
                                          read.ok() ? "another member, or another node name, answers there"
                                                    : read.status().message()));
      }
    }
    absl::StrAppend(&shape, f.name, f.ready() ? f.start : "-", ";");
    view.members.push_back(std::move(f));
  }
  const MonoTime now = BootClock().Now();
  if (shape != shape_) shape_since_ = now;
  shape_ = shape;
  view.calm = now - shape_since_;
  if (own.ready()) AddQueues(&view);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (asked_) view.request = asked_->request;
  return view;
}

void Maintainer::AddQueues(View* view) {
  const auto queues = control_.QuorumQueues();
  if (!queues.ok()) return;
  // Of a former lead nothing is known of what happened since.
  if (view->epoch != progress_epoch_) progress_ = Progress();
  progress_epoch_ = view->epoch;
  progress_.Update(*queues, shape_);
  for (const auto& q : progress_.ToAsk(kAskedQueues)) {
    const auto replicas = control_.Progress(q.vhost, q.name);
    if (!replicas.ok()) return;  // asked again in the next tick
    progress_.Answer(q.vhost, q.name, *replicas);
  }
  view->queues = progress_.Facts();
  view->queues_known = true;
}

// A step that failed is tried again after a pause that grows, so that nothing is asked of a broker in trouble
// each second.
bool Maintainer::HoldOff(const Step& step, MonoTime now) const {
  return failing_ == absl::StrCat(step.row, step.node, step.vhost, step.queue) && now < try_at_;
}

absl::Status Maintainer::Call(const Step& step) {
  switch (step.kind) {
    case Step::Kind::kForget:
      return control_.Forget(step.node);
    case Step::Kind::kAddReplica:
      return control_.AddMember(step.vhost, step.queue, step.node);
    case Step::Kind::kDeleteReplica:
      return control_.DeleteMember(step.vhost, step.queue, step.node);
    case Step::Kind::kRebalance:
      return control_.Rebalance();
    default:
      return absl::OkStatus();
  }
}

absl::Status Maintainer::CarryLead(const Step& step) {
  if (step.kind == Step::Kind::kWait) return absl::OkStatus();
  if (step.kind == Step::Kind::kRefuse) {
    Answer(absl::FailedPreconditionError(step.sentence));
    return absl::OkStatus();
  }
  if (step.kind == Step::Kind::kYield) {
    // Superseded: only the epoch was too low.
    Yield(step.row == std::string("superseded") ? Duration::zero() : options_.stand_again);
    return absl::OkStatus();
  }
  // The permission that is left after this covers one call.
  if (!elector_->MayAct()) return absl::UnavailableError("the lead ended");
  MAINSTAY_RETURN_IF_ERROR(Call(step));
  if (step.next) {
    MAINSTAY_RETURN_IF_ERROR(WriteMemory(*step.next));
  }
  if (step.answers) Answer(absl::OkStatus());
  return absl::OkStatus();
}

void Maintainer::Lead(const MemberFacts& own) {
  const bool leading = elector_ != nullptr && elector_->MayAct();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    status_.leading = leading;
    status_.leader = elector_ == nullptr ? "" : elector_->Status().leader;
    if (!leading) status_.row = status_.sentence = "";
  }
  if (!leading) {
    Answer(absl::UnavailableError("this member does not lead any more"));
    return;
  }
  if (!cell_.known) ReadMemory();
  if (!cell_.known) return;  // what is on record is not known: nothing is done
  const View view = Gather(own);
  const Step step = Plan(view, cell_.memory, options_.settings);
  Tell(step.row, step.sentence);
  const MonoTime now = BootClock().Now();
  absl::Status done = absl::OkStatus();
  if (!HoldOff(step, now)) {
    done = CarryLead(step);
    if (done.ok()) {
      failing_.clear();
      failures_ = 0;
    } else {
      failing_ = absl::StrCat(step.row, step.node, step.vhost, step.queue);
      failures_ = std::min(failures_ + 1, 6);
      try_at_ = now + std::min<Duration>(kFirstPause * (1 << (failures_ - 1)), kLongestPause);
      Tell(step.row, absl::StrCat("failed, tried again: ", done.message()));
    }
  }
  std::vector<std::string> findings = Findings(view, cell_.memory);
  const std::lock_guard<std::mutex> lock(mutex_);
  status_.row = step.row;
  status_.sentence = step.sentence;
  status_.findings = std::move(findings);
  if (!done.ok()) status_.trouble = std::string(done.message());
}

}  // namespace mainstay::maintenance
