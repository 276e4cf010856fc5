#include "agent/sidecar/peer_hub.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "lib/base/log.h"

namespace mainstay::agent {

using election::Name;
using election::PeerReport;

namespace {

int Sum(const Name& name) { return std::accumulate(name.begin(), name.end(), 0); }

// Whether `name` starts the exchanges with `self`; both come to the same result, without a list of members.
bool Starts(const Name& name, const Name& self) {
  const bool smaller = name < self;
  return (Sum(name) + Sum(self)) % 2 != 0 ? smaller : !smaller;
}

}  // namespace

PeerHub::PeerHub(Loop* loop, PeerLink* link, Options options, Sink sink,
                 metrics::AgentInstruments* instruments)
    : loop_(loop),
      link_(link),
      options_(std::move(options)),
      sink_(std::move(sink)),
      instruments_(instruments) {}

void PeerHub::Start() {
  running_ = true;
  Beat();
}

void PeerHub::Stop() {
  running_ = false;
  loop_->Cancel(std::exchange(beat_, 0));
}

bool PeerHub::Learned(const election::State& state) const {
  return state.view == learned_record_ && self_ == state.set->self.name &&
         std::equal(state.peers.begin(), state.peers.end(), learned_peers_.begin(), learned_peers_.end(),
                    [](const election::Peer& p, const std::pair<Name, std::string>& known) {
                      return p.report.name == known.first && p.report.self.peer_address == known.second;
                    });
}

void PeerHub::Learn(const election::State& state) {
  if (Learned(state)) return;
  learned_record_ = state.view;
  learned_peers_.clear();
  for (const election::Peer& p : state.peers)
    learned_peers_.emplace_back(p.report.name, p.report.self.peer_address);
  self_ = state.set->self.name;
  std::map<Name, std::string> wanted = options_.configured;
  if (state.view != nullptr) {
    for (const election::Member& m : state.view->members) {
      if (!m.peer_address.empty()) wanted[m.name] = m.peer_address;
    }
  }
  for (const election::Peer& p : state.peers) {
    if (!p.report.self.peer_address.empty()) wanted[p.report.name] = p.report.self.peer_address;
  }
  wanted.erase(self_);
  for (auto it = members_.begin(); it != members_.end();) {
    it = wanted.count(it->first) == 0 ? members_.erase(it) : std::next(it);
  }
  std::vector<std::string> addresses;
  std::string all;
  for (const auto& [name, address] : wanted) {
    if (members_.size() >= election::kMaxMembers && members_.count(name) == 0) continue;
    members_[name].address = address;
    addresses.push_back(address);
    all += address + '\n';
  }
  if (all == kept_) return;
  kept_ = std::move(all);
  link_->Keep(addresses);
}

void PeerHub::Configure(std::map<Name, std::string> configured, const election::State& state) {
  options_.configured = std::move(configured);
  self_.clear();  // nothing is learned
  Learn(state);
}

void PeerHub::Heard(const PeerReport& report) {
  const auto found = members_.find(report.name);
  if (found != members_.end()) found->second.heard = loop_->Now();
}

void PeerHub::Beat() {
  if (!running_) return;
  const MonoTime now = loop_->Now();
  beat_ = loop_->At(now + options_.heartbeat, [this] { Beat(); });
  for (auto& [name, member] : members_) {
    const bool theirs = Starts(name, self_) && now - member.heard < options_.heartbeat * 3 / 2;
    if (!theirs && !member.in_flight) Send(name, false, false);
  }
}

void PeerHub::Notify(const election::Notify& notify) {
  if (!notify.to.empty()) {
    Send(notify.to, notify.lock_changed, notify.take);
    return;
  }
  for (auto& [name, member] : members_) Send(name, notify.lock_changed, notify.take);
}

void PeerHub::Send(const Name& name, bool lock_changed, bool take) {
  const auto found = members_.find(name);
  if (found == members_.end()) return;
  Member& member = found->second;
  if (member.in_flight) {
    member.again = true;
    member.lock_changed |= lock_changed;
    member.take |= take;
    return;
  }
  PeerReport report = sink_.describe();
  report.lock_changed = std::exchange(member.lock_changed, false) || lock_changed;
  report.take = std::exchange(member.take, false) || take;
  member.again = false;
  member.in_flight = true;
  link_->Report(member.address, report, options_.report_timeout,
                [this, name](const absl::StatusOr<PeerReport>& answer) { Returned(name, answer); });
}

void PeerHub::Returned(const Name& name, const absl::StatusOr<PeerReport>& answer) {
  Count("report", answer.status());
  const auto found = members_.find(name);
  if (found == members_.end()) return;
  found->second.in_flight = false;
  if (!running_) return;
  if (answer.ok()) found->second.heard = loop_->Now();
  if (found->second.again && answer.ok()) {
    Send(name, false, false);
  } else if (found->second.again) {
    found->second.again = false;  // the next beat carries the flags
  }
  // Another member at that address (it was given to somebody else) speaks for itself.
  if (answer.ok() && answer->name != self_) sink_.event(*answer);
}

std::string PeerHub::AddressOf(const Name& name, const std::string& given) const {
  if (!given.empty()) return given;
  const auto found = members_.find(name);
  return found == members_.end() ? "" : found->second.address;
}

void PeerHub::SendFreeze(const election::SendFreeze& ask) {
  election::FreezeAnswered refused;
  refused.ask = ask.ask;
  refused.from = ask.to;
  refused.epoch = ask.epoch;
  const std::string address = AddressOf(ask.to, ask.address);
  if (address.empty()) {
    refused.refusal = "its address is not known";
    loop_->Post([this, refused] { sink_.event(refused); });
    return;
  }
  election::FreezeAsked asked;
  asked.ask = ask.ask;
  asked.from = self_;
  asked.epoch = ask.epoch;
  asked.cause = ask.cause;
  link_->Freeze(address, asked, options_.ask_timeout,
                [this, refused](absl::StatusOr<election::FreezeAnswered> answer) mutable {
                  Count("freeze", answer.status());
                  if (answer.ok()) {
                    sink_.event(*std::move(answer));
                    return;
                  }
                  refused.refusal = std::string(answer.status().message());
                  sink_.event(std::move(refused));
                });
}

void PeerHub::SendPromise(const election::SendPromise& ask) {
  election::PromiseAnswered refused;
  refused.ask = ask.ask;
  refused.from = ask.to;
  refused.epoch = ask.epoch;
  const std::string address = AddressOf(ask.to, ask.address);
  if (address.empty()) {
    loop_->Post([this, refused] { sink_.event(refused); });
    return;
  }
  election::PromiseAsked asked;
  asked.ask = ask.ask;
  asked.from = self_;
  asked.epoch = ask.epoch;
  link_->Promise(address, asked, options_.ask_timeout,
                 [this, refused](absl::StatusOr<election::PromiseAnswered> answer) {
                   Count("promise", answer.status());
                   if (answer.ok()) {
                     sink_.event(*std::move(answer));
                   } else {
                     sink_.event(refused);
                   }
                 });
}

void PeerHub::Count(const char* call, const absl::Status& status) {
  const char* outcome = "error";
  switch (status.code()) {
    case absl::StatusCode::kOk:
      outcome = "ok";
      break;
    case absl::StatusCode::kUnavailable:
      outcome = "unavailable";
      break;
    case absl::StatusCode::kDeadlineExceeded:
      outcome = "timeout";
      break;
    default:
      break;
  }
  instruments_->peer_calls.Add({call, outcome});
}

}  // namespace mainstay::agent
