#include "agent/face_change.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/base/wall_clock.h"

namespace mainstay::agent {
namespace {

using election::AdminStatus;
using rpc::AdminAnswer;
using rpc::AdminCommand;
using rpc::AdminVerb;
using std::chrono::seconds;

constexpr Duration kSwitchPatience = seconds(30);
constexpr Duration kChangePatience = seconds(15);
constexpr Duration kRestartPatience = seconds(110);  // less than the server's own bound of an answer

http::Response Plain(int status, const std::string& text) {
  return {.status = status, .body = absl::StrCat(text, text.empty() || text.back() != '\n' ? "\n" : "")};
}
http::Response Plain(const patroni::Refusal& refusal) { return Plain(refusal.status, refusal.text); }

// "192.0.2.1:4711" as gRPC writes its peers.
std::string GrpcPeer(const std::string& peer) {
  if (peer == "unix:") return peer;
  return absl::StrCat(!peer.empty() && peer[0] == '[' ? "ipv6:" : "ipv4:", peer);
}

}  // namespace

HttpChanges::HttpChanges(Parts parts) : parts_(std::move(parts)), forward_(parts_.tls) {
  gate_->loop = parts_.loop;
}

HttpChanges::~HttpChanges() {
  std::lock_guard lock(gate_->mu);
  gate_->loop = nullptr;
}

// A thread that still holds the gate keeps it from expiring.
bool HttpChanges::Gone(const std::weak_ptr<Gate>& gate) {
  const std::shared_ptr<Gate> held = gate.lock();
  if (held == nullptr) return true;
  std::lock_guard lock(held->mu);
  return held->loop == nullptr;
}

patroni::Facts HttpChanges::FactsNow(const rpc::StatusView& view) const {
  return {view, *parts_.options, schedules_, BootClock().Now(), UnixMillis()};
}

void HttpChanges::Answer(const http::Request& request, http::Reply reply) {
  auto job = std::make_shared<Job>();
  job->method = absl::StrCat(http::ToString(request.method), " ", request.path);
  job->view = parts_.port->Snapshot();
  if (std::optional<http::Response> refused = access_.Refuse(request, &job->actor)) {
    Denied(request, *refused);
    return reply(*std::move(refused));
  }
  job->request = request;
  job->reply = std::move(reply);
  Dispatch(job);
}

// One line a second at most: whoever knocks all day shall not fill the log.
void HttpChanges::Denied(const http::Request& request, const http::Response& refused) {
  uint64_t held = 0;
  if (!parts_.audit || !denied_.Allow(BootClock().Now(), &held)) return;
  rpc::CallRecord record;
  record.started = false;
  record.method = absl::StrCat(http::ToString(request.method), " ", request.path);
  record.command.peer = GrpcPeer(request.peer);
  record.refused =
      absl::StrCat("HTTP ", refused.status, ": ", absl::StripTrailingAsciiWhitespace(refused.body));
  if (held > 0) absl::StrAppend(&record.refused, "; ", held, " more since the last line");
  record.authn = "none";
  parts_.audit(record);
}

void HttpChanges::Dispatch(const std::shared_ptr<Job>& job) {
  using http::Method;
  const std::string& path = job->request.path;
  const Method method = job->request.method;
  if (method == Method::kPost) {
    if (path == "/switchover" || path == "/failover") return Switchover(job, path == "/failover");
    if (path == "/restart") return Restart(job);
    if (path == "/reload") return Reload(job);
    if (path == "/reinitialize") return Reinitialize(job);
  }
  if (path == "/config") return Config(job, method == Method::kPut);
  if (method == Method::kDelete) return Unschedule(job, path == "/restart");
  job->reply(Plain(501, absl::StrCat("Mainstay has no ", path, "; docs/ENDPOINTS.md tells why")));
}

// ---- asking ----

void HttpChanges::Run(const std::shared_ptr<Job>& job, AdminCommand command, bool of_leader,
                      Answered answered) {
  const auto view = parts_.port->Snapshot();
  command.id = "http-" + RandomHex(8);
  command.actor = job->actor.name;
  command.peer = GrpcPeer(job->request.peer);
  const MonoTime began = BootClock().Now();
  rpc::CallRecord record;
  record.method = job->method;
  record.command = command;
  record.authn = job->actor.authn;
  if (parts_.audit) parts_.audit(record);
  // The answer may come on any thread, and late: always through the loop, and only while we live. After the
  // step that gave it, so that the view is the new one.
  auto* const loop = parts_.loop;
  const Answered end = [this, loop, alive = std::weak_ptr<Gate>(gate_), record, began,
                        answered = std::move(answered)](const AdminAnswer& answer) {
    boost::asio::post(*loop, [this, alive, record, began, answered, answer]() mutable {
      if (Gone(alive)) return;
      record.started = false;
      record.answer = answer;
      record.took = BootClock().Now() - began;
      if (parts_.audit) parts_.audit(record);
      answered(answer);
    });
  };
  if (!of_leader || view->role == election::Role::kPrimary) return parts_.port->Submit(command, end);
  const bool leaderless = command.verb == AdminVerb::kFailover;
  const election::Name& to = leaderless ? command.target : view->leader;
  if (to == view->member) return parts_.port->Submit(command, end);
  Hand(command, to, leaderless ? "" : view->leader, end);
}

void HttpChanges::Hand(const AdminCommand& command, const std::string& to, const std::string& expected,
                       const Answered& answered) {
  const auto view = parts_.port->Snapshot();
  std::string address;
  for (const rpc::MemberView& m : view->members) {
    if (m.name == to) address = m.peer_address;
  }
  if (to.empty() || address.empty()) {
    return answered({AdminStatus::kRefused,
                     to.empty() ? "there is no primary that could do it now" : "no address of " + to});
  }
  AdminCommand passed = command;
  passed.reason = absl::StrCat("asked of ", view->member, " by HTTP by ", command.actor);
  forward_.Call(
      address, passed, expected, command.deadline - BootClock().Now(),
      [answered, to](const absl::StatusOr<AdminAnswer>& answer) {
        answered(answer.ok() ? *answer
                             : AdminAnswer{AdminStatus::kFailed,
                                           absl::StrCat(to, " did not do it: ", answer.status().ToString())});
      });
}

// ---- switchover and failover ----

void HttpChanges::Switchover(const std::shared_ptr<Job>& job, bool failover) {
  const auto asked = patroni::ReadSwitchover(job->request, FactsNow(*job->view), failover);
  if (asked.refusal) return job->reply(Plain(*asked.refusal));
  const patroni::SwitchoverAsk& ask = asked.value;
  if (!ask.at_unix_ms) return Switch(job, ask);
  Schedules next = schedules_;
  next.switchover = {*ask.at_unix_ms, ask.leader, ask.candidate, job->actor.name};
  Keep(std::move(next), [job](const absl::Status& status) {
    job->reply(status.ok() ? Plain(202, "Switchover scheduled")
                           : Plain(503, absl::StrCat("not kept: ", status.ToString())));
  });
}

void HttpChanges::Switch(const std::shared_ptr<Job>& job, const patroni::SwitchoverAsk& ask) {
  AdminCommand command;
  command.verb = ask.failover ? AdminVerb::kFailover : AdminVerb::kSwitchover;
  command.target = ask.candidate;
  command.deadline = BootClock().Now() + kSwitchPatience;
  const std::string word = ask.failover ? "Failed" : "Switched";
  const std::string noun = ask.failover ? "Failover" : "Switchover";
  Run(job, command, true,
      [this, job, word, noun, was = job->view->leader, to = ask.candidate](const AdminAnswer& answer) {
        const std::string now = parts_.port->Snapshot()->leader;
        switch (answer.status) {
          case AdminStatus::kDone:
          case AdminStatus::kAccepted: {
            std::string leader = !to.empty() ? to : now;
            // "b is the primary now" may be known before the view says so.
            if (to.empty() && (now == was || now.empty()))
              leader = answer.message.substr(0, answer.message.find(' '));
            return job->reply(Plain(200, absl::StrCat("Successfully ", absl::AsciiStrToLower(word),
                                                      " over to \"", leader, "\"")));
          }
          case AdminStatus::kRefused:
            return job->reply(Plain(412, absl::StrCat(noun, " is not possible: ", answer.message)));
          case AdminStatus::kFailed:
            if (!now.empty() && now != was && !to.empty() && now != to) {
              return job->reply(
                  Plain(200, absl::StrCat(word, " over to \"", now, "\" instead of \"", to, "\"")));
            }
            return job->reply(Plain(503, absl::StrCat(noun, " failed: ", answer.message)));
        }
      });
}

// ---- this member ----

void HttpChanges::Restart(const std::shared_ptr<Job>& job) {
  const auto asked = patroni::ReadRestart(job->request, FactsNow(*job->view));
  if (asked.refusal) return job->reply(Plain(*asked.refusal));
  const ScheduledRestart& what = asked.value.what;
  if (what.at_unix_ms != 0) {
    if (schedules_.restart) return job->reply(Plain(409, "Another restart is already scheduled"));
    Schedules next = schedules_;
    next.restart = what;
    next.restart->actor = job->actor.name;
    return Keep(std::move(next), [job](const absl::Status& status) {
      job->reply(status.ok() ? Plain(202, "Restart scheduled")
                             : Plain(503, absl::StrCat("not kept: ", status.ToString())));
    });
  }
  if (!asked.value.matches) return job->reply(Plain(503, "restart conditions are not satisfied"));
  AdminCommand command;
  command.verb = AdminVerb::kRestart;
  Duration patience = kRestartPatience;
  if (what.timeout_ms != 0)
    patience = std::min<Duration>(patience, std::chrono::milliseconds(what.timeout_ms));
  command.deadline = BootClock().Now() + patience;
  Run(job, command, false, [job](const AdminAnswer& answer) {
    const bool done = answer.status == AdminStatus::kDone || answer.status == AdminStatus::kAccepted;
    job->reply(done ? Plain(200, "restarted successfully") : Plain(503, answer.message));
  });
}

void HttpChanges::Reload(const std::shared_ptr<Job>& job) {
  AdminCommand command;
  command.verb = AdminVerb::kReload;
  command.deadline = BootClock().Now() + kChangePatience;
  Run(job, command, false, [job](const AdminAnswer& answer) {
    const bool refused = answer.status == AdminStatus::kRefused;
    job->reply(refused ? Plain(503, answer.message) : Plain(202, "reload scheduled"));
  });
}

void HttpChanges::Reinitialize(const std::shared_ptr<Job>& job) {
  const auto asked = patroni::ReadReinit(job->request);
  if (asked.refusal) return job->reply(Plain(*asked.refusal));
  const auto facts = FactsNow(*job->view);
  if (facts.view.role == election::Role::kPrimary)
    return job->reply(Plain(503, "I am the leader, can not reinitialize"));
  if (facts.view.leader.empty()) return job->reply(Plain(503, "Cluster has no leader, can not reinitialize"));
  AdminCommand command;
  command.verb = AdminVerb::kReinit;
  command.deadline = BootClock().Now() + kRestartPatience;
  Run(job, command, false, [job](const AdminAnswer& answer) {
    const bool done = answer.status == AdminStatus::kDone || answer.status == AdminStatus::kAccepted;
    job->reply(done ? Plain(200, "reinitialize started") : Plain(503, answer.message));
  });
}

// ---- configuration ----

void HttpChanges::Config(const std::shared_ptr<Job>& job, bool replace) {
  const auto facts = FactsNow(*job->view);
  const auto asked = patroni::ReadConfig(job->request, facts, replace);
  if (asked.refusal) return job->reply(Plain(*asked.refusal));
  // What /config says when all of it is done: this member may learn of it later than the leader.
  const auto after = std::make_shared<rpc::StatusView>(*job->view);
  if (asked.value.pause) after->paused = *asked.value.pause;
  if (asked.value.durability) after->durability.wished = after->durability.in_force = *asked.value.durability;
  const auto finish = [this, job, after] {
    const auto done = FactsNow(*after);
    job->reply({.status = 200,
                .content_type = "application/json",
                .body = patroni::ConfigDocument(done).value_or("{}"),
                .headers = {{"ETag", patroni::ConfigTag(done)}}});
  };
  // Somebody else's change came first, or there is nobody to make it.
  const auto failed = [job](const AdminAnswer& answer) {
    const bool busy = answer.message.rfind("busy", 0) == 0;
    job->reply(Plain(busy ? 409 : 503, answer.message));
  };
  AdminCommand pause;
  pause.verb = asked.value.pause.value_or(false) ? AdminVerb::kPause : AdminVerb::kResume;
  AdminCommand durability;
  durability.verb = AdminVerb::kSetDurability;
  durability.durability = asked.value.durability.value_or(election::Durability::kGuarded);
  pause.deadline = durability.deadline = BootClock().Now() + kChangePatience;
  const auto second = [this, job, finish, failed, durability, wanted = asked.value.durability.has_value()] {
    if (!wanted) return finish();
    Run(job, durability, true, [finish, failed](const AdminAnswer& answer) {
      answer.status == AdminStatus::kDone ? finish() : failed(answer);
    });
  };
  if (!asked.value.pause) return second();
  Run(job, pause, true, [second, failed](const AdminAnswer& answer) {
    answer.status == AdminStatus::kDone ? second() : failed(answer);
  });
}

void HttpChanges::Unschedule(const std::shared_ptr<Job>& job, bool restart) {
  Schedules next = schedules_;
  if (restart ? !next.restart : !next.switchover)
    return job->reply(Plain(404, restart ? "no restarts are scheduled" : "no switchover is scheduled"));
  restart ? next.restart.reset() : next.switchover.reset();
  Keep(std::move(next), [job, restart](const absl::Status& status) {
    if (!status.ok()) return job->reply(Plain(503, absl::StrCat("not removed: ", status.ToString())));
    job->reply(Plain(200, restart ? "scheduled restart deleted" : "scheduled switchover deleted"));
  });
}

}  // namespace mainstay::agent
