#include "agent/sidecar/role_publisher.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/thread.h"

namespace mainstay::agent {
namespace {

constexpr char kPrimary[] = "primary";
constexpr size_t kMaxEvents = 16;
constexpr int kEventTries = 3;

std::string LabelOf(election::Role role) {
  switch (role) {
    case election::Role::kPrimary:
      return kPrimary;
    case election::Role::kReplica:
      return "replica";
    case election::Role::kFenced:
    case election::Role::kUnknown:
      break;
  }
  return "";
}

std::vector<std::string> Without(const std::string& self, const std::vector<election::Name>& names) {
  std::vector<std::string> out;
  for (const election::Name& name : names) {
    if (name != self && std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  }
  return out;
}

RoleEvent EventOf(const std::string& self, const RoleNews& news) {
  RoleEvent event;
  switch (news.role) {
    case election::Role::kPrimary:
      event.reason = "BecamePrimary";
      event.note = self + " is the primary now";
      break;
    case election::Role::kReplica:
      event.reason = "BecameReplica";
      event.note = self + " is a replica now";
      break;
    case election::Role::kFenced:
      event.reason = "Fenced";
      event.note = self + " is fenced: its database is kept stopped";
      event.warning = true;
      break;
    case election::Role::kUnknown:
      event.reason = "RoleUnknown";
      event.note = self + " has no role";
      event.warning = true;
      break;
  }
  event.note += " (epoch " + std::to_string(news.epoch) + "). " + news.why;
  if (event.note.size() > 1000) event.note.resize(1000);
  return event;
}

}  // namespace

struct LabelPublisher::Shared {
  struct Pending {
    RoleEvent event;
    int tries = 0;
  };

  std::unique_ptr<PodApi> api;
  Options options;
  std::mutex mutex;
  std::condition_variable wake;
  // What shall be, under `mutex`.
  std::vector<std::string> off;         // pods that must not have the label `primary`
  std::vector<std::string> others;      // all other members, for the second look
  std::optional<election::Role> role;   // published
  std::optional<election::Role> label;  // what the label shall say: `role`, or already kPrimary while opening
  bool said = true;                     // it is so, as far as we know
  MonoTime undo_at = MonoTime::Never();  // an opening that came to nothing
  std::deque<Pending> events;
  MonoTime look_again = MonoTime::Never();
  MonoTime say_again = MonoTime::Never();
  bool stopping = false;
  bool done = false;

  bool Idle() const { return off.empty() && said && events.empty(); }
  MonoTime Deadline() const { return BootClock().Now() + options.call_timeout; }

  void Periodic(MonoTime now) {
    if (now >= undo_at) {
      label = role;
      said = !label.has_value();
      undo_at = MonoTime::Never();
    }
    if (role != election::Role::kPrimary) return;
    if (now >= look_again) {
      off = others;
      look_again = MonoTime::Never();
    }
    if (now >= say_again) {
      said = false;
      say_again = now + options.say_again;
    }
  }

  absl::Status TakeOff(std::unique_lock<std::mutex>& lock, const std::string& pod) {
    lock.unlock();
    const absl::Status status = api->TakeOff(pod, kPrimary, Deadline());
    lock.lock();
    if (status.ok()) off.erase(std::remove(off.begin(), off.end(), pod), off.end());
    return status;
  }
  absl::Status SayOwn(std::unique_lock<std::mutex>& lock) {
    if (said || !label.has_value()) return absl::OkStatus();
    const election::Role wanted = *label;
    lock.unlock();
    const absl::Status status = api->SetRole(options.self, LabelOf(wanted), Deadline());
    lock.lock();
    if (status.ok() && label == wanted) said = true;
    return status;
  }

  // One round of calls, `lock` held around them only. OK: nothing failed. The former primary's label and then
  // the own one, without anything in between: two changes of a Service within milliseconds are one for
  // kube-proxy, which otherwise lets a second pass between them.
  absl::Status Round(std::unique_lock<std::mutex>& lock) {
    absl::Status worst;
    const std::vector<std::string> taken = off;
    for (size_t i = 0; i < std::max<size_t>(taken.size(), 1); ++i) {
      if (i < taken.size()) worst.Update(TakeOff(lock, taken[i]));
      if (i == 0) worst.Update(SayOwn(lock));
    }
    while (!events.empty()) {
      Pending pending = std::move(events.front());
      events.pop_front();
      lock.unlock();
      const absl::Status status = api->PostEvent(pending.event, Deadline());
      lock.lock();
      if (status.ok()) continue;
      worst = status;
      if (++pending.tries < kEventTries) events.push_front(std::move(pending));
      break;
    }
    return worst;
  }

  void Run() {
    LogLimiter limiter(std::chrono::seconds(10));
    Duration pause = options.retry_least;
    std::unique_lock<std::mutex> lock(mutex);
    while (!stopping || !Idle()) {
      const MonoTime now = BootClock().Now();
      Periodic(now);
      if (Idle()) {
        const MonoTime next = std::min({undo_at, look_again, say_again, now + std::chrono::minutes(1)});
        wake.wait_for(lock, next - now, [this] { return stopping || !Idle(); });
        continue;
      }
      const absl::Status status = Round(lock);
      if (status.ok()) {
        pause = options.retry_least;
        continue;
      }
      if (done) break;  // Stop's patience is over
      uint64_t held = 0;
      if (limiter.Allow(now, &held)) {
        Log(LogLevel::kWarn, "kubernetes", "the pod's role cannot be told; trying again",
            {{"error", status}, {"held_back", held}});
      }
      wake.wait_for(lock, pause, [this] { return done; });
      pause = std::min<Duration>(pause * 2, options.retry_most);
    }
    done = true;
    wake.notify_all();
  }
};

LabelPublisher::LabelPublisher(std::unique_ptr<PodApi> api, Options options)
    : shared_(std::make_shared<Shared>()) {
  shared_->api = std::move(api);
  shared_->options = std::move(options);
  thread_ = StartThread("role-label", [shared = shared_] { shared->Run(); });
}

LabelPublisher::~LabelPublisher() { Stop(Duration::zero()); }

void LabelPublisher::Opening(const std::vector<election::Name>& others) {
  std::lock_guard<std::mutex> lock(shared_->mutex);
  Shared& s = *shared_;
  s.off = Without(s.options.self, others);
  s.label = election::Role::kPrimary;
  s.said = false;
  s.undo_at = BootClock().Now() + s.options.undo;
  s.wake.notify_all();
}

void LabelPublisher::Publish(const RoleNews& news) {
  const MonoTime now = BootClock().Now();
  std::lock_guard<std::mutex> lock(shared_->mutex);
  Shared& s = *shared_;
  const bool same = s.role == news.role;
  // What an opening has said already needs no saying again.
  s.said = s.said && s.label == news.role;
  s.role = s.label = news.role;
  s.undo_at = MonoTime::Never();
  s.others = Without(s.options.self, news.others);
  s.off.clear();  // of a reign that did not come about
  s.look_again = s.say_again = MonoTime::Never();
  if (news.role == election::Role::kPrimary) {
    s.off = s.others;
    s.look_again = now + s.options.second_look;
    s.say_again = now + s.options.say_again;
  }
  if (!same && s.options.events) {
    if (s.events.size() >= kMaxEvents) s.events.pop_front();
    s.events.push_back({EventOf(s.options.self, news), 0});
  }
  s.wake.notify_all();
}

void LabelPublisher::Stop(Duration patience) {
  if (!thread_.joinable()) return;
  {
    std::unique_lock<std::mutex> lock(shared_->mutex);
    shared_->stopping = true;
    shared_->wake.notify_all();
    shared_->wake.wait_for(lock, patience, [this] { return shared_->done; });
    shared_->done = true;
    shared_->wake.notify_all();
  }
  shared_->api->Interrupt();
  thread_.join();
}

}  // namespace mainstay::agent
