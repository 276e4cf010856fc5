// HttpChanges: what was asked for at a later time.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/face_change.h"
#include "lib/base/log.h"
#include "lib/base/random.h"
#include "lib/base/thread.h"
#include "lib/base/wall_clock.h"

namespace mainstay::agent {
namespace {

using rpc::AdminCommand;
using rpc::AdminVerb;

constexpr Duration kPatience = std::chrono::minutes(5);
// A wall clock may step: it is looked at this often while something is scheduled.
constexpr Duration kLook = std::chrono::seconds(30);
constexpr int64_t kStaleMs = 60 * 1000;

}  // namespace

void HttpChanges::Load() {
  absl::StatusOr<Schedules> loaded = LoadSchedules(parts_.schedule_file);
  if (!loaded.ok()) {
    Log(LogLevel::kError, "http", "what was scheduled cannot be read", {{"error", loaded.status()}});
    return;
  }
  schedules_ = *std::move(loaded);
  ArmSchedule();
}

// The disk may hang, and the loop must not: a thread writes and ends. One at a time.
void HttpChanges::Keep(Schedules next, std::function<void(const absl::Status&)> done) {
  if (saving_) return done(absl::UnavailableError("the disk is busy with an earlier change; try again"));
  saving_ = true;
  StartThread("schedule", [this, gate = gate_, file = parts_.schedule_file, next = std::move(next),
                           done = std::move(done)]() mutable {
    const absl::Status status = SaveSchedules(file, next);
    std::lock_guard lock(gate->mu);
    if (gate->loop == nullptr) return;  // the agent ended meanwhile
    boost::asio::post(*gate->loop, [this, alive = std::weak_ptr<Gate>(gate), status, next = std::move(next),
                                    done = std::move(done)]() mutable {
      if (Gone(alive)) return;
      saving_ = false;
      if (status.ok()) schedules_ = std::move(next);
      ArmSchedule();
      done(status);
    });
  }).detach();
}

void HttpChanges::ArmSchedule() {
  if (schedules_.empty()) return timer_.reset();
  int64_t due = INT64_MAX;
  if (schedules_.switchover) due = schedules_.switchover->at_unix_ms;
  if (schedules_.restart) due = std::min(due, schedules_.restart->at_unix_ms);
  const Duration left = std::chrono::milliseconds(std::max<int64_t>(0, due - UnixMillis()));
  if (timer_ == nullptr) timer_ = std::make_unique<boost::asio::steady_timer>(*parts_.loop);
  timer_->expires_after(std::min(left, kLook));
  timer_->async_wait([this, alive = std::weak_ptr<Gate>(gate_)](const boost::system::error_code& e) {
    if (!e && !Gone(alive)) Due();
  });
}

// Taken off the list before it is done: never twice, also when the agent ends in between.
void HttpChanges::Due() {
  const int64_t now = UnixMillis();
  Schedules next = schedules_;
  std::vector<std::function<void()>> tasks;
  if (next.switchover && next.switchover->at_unix_ms <= now) {
    tasks.emplace_back([this, what = *next.switchover] { RunSwitchover(what); });
    next.switchover.reset();
  }
  if (next.restart && next.restart->at_unix_ms <= now) {
    tasks.emplace_back([this, what = *next.restart] { RunRestart(what); });
    next.restart.reset();
  }
  if (tasks.empty() || saving_) return ArmSchedule();
  Keep(std::move(next), [tasks](const absl::Status& status) {
    if (!status.ok()) {
      Log(LogLevel::kError, "http", "what is due was not taken off the schedule: not done yet",
          {{"error", status}});
      return;
    }
    for (const auto& task : tasks) task();
  });
}

void HttpChanges::Drop(const std::shared_ptr<Job>& job, AdminVerb verb, const std::string& why) {
  Log(LogLevel::kWarn, "http", "what was scheduled is not done",
      {{"what", rpc::ToString(verb)}, {"why", why}});
  if (!parts_.audit) return;
  rpc::CallRecord record;
  record.started = false;
  record.method = job->method;
  record.command.verb = verb;
  record.command.actor = job->actor.name;
  record.authn = job->actor.authn;
  record.refused = why;
  parts_.audit(record);
}

std::shared_ptr<HttpChanges::Job> HttpChanges::ScheduledJob(const char* method, const std::string& actor) {
  auto job = std::make_shared<Job>();
  job->method = absl::StrCat(method, " (scheduled)");
  job->actor = {actor, "schedule"};
  job->view = parts_.port->Snapshot();
  job->reply = [method](const http::Response& response) {
    Log(response.status < 300 ? LogLevel::kInfo : LogLevel::kWarn, "http", "done as scheduled",
        {{"what", method}, {"answer", response.body}});
  };
  return job;
}

void HttpChanges::RunSwitchover(const ScheduledSwitchover& what) {
  const auto job = ScheduledJob("POST /switchover", what.actor);
  if (UnixMillis() - what.at_unix_ms > kStaleMs)
    return Drop(job, AdminVerb::kSwitchover, "its time was missed by more than a minute");
  if (job->view->paused) return Drop(job, AdminVerb::kSwitchover, "the cluster is paused");
  if (job->view->leader != what.leader)
    return Drop(job, AdminVerb::kSwitchover, absl::StrCat(what.leader, " does not lead any more"));
  patroni::SwitchoverAsk ask;
  ask.leader = what.leader;
  ask.candidate = what.candidate;
  Switch(job, ask);
}

void HttpChanges::RunRestart(const ScheduledRestart& what) {
  const auto job = ScheduledJob("POST /restart", what.actor);
  if (UnixMillis() - what.at_unix_ms > kStaleMs)
    return Drop(job, AdminVerb::kRestart, "its time was missed by more than a minute");
  if (job->view->paused) return Drop(job, AdminVerb::kRestart, "the cluster is paused");
  if (!patroni::RestartMatches(what, FactsNow(*job->view)))
    return Drop(job, AdminVerb::kRestart, "its conditions are not satisfied");
  AdminCommand command;
  command.verb = AdminVerb::kRestart;
  const Duration patience =
      what.timeout_ms != 0 ? Duration(std::chrono::milliseconds(what.timeout_ms)) : kPatience;
  command.deadline = BootClock().Now() + patience;
  Run(job, command, false, [job](const rpc::AdminAnswer& answer) {
    const bool done = answer.status == election::AdminStatus::kDone;
    job->reply({.status = done ? 200 : 503, .body = answer.message});
  });
}

}  // namespace mainstay::agent
