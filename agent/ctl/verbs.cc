#include "agent/ctl/verbs.h"

#include <algorithm>
#include <ostream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/ctl/cluster.h"
#include "agent/ctl/table.h"
#include "lib/base/random.h"
#include "lib/base/strings.h"
#include "lib/rpc/admin_client.h"

namespace mainstay::ctl {
namespace {

using rpc::AdminVerb;

constexpr Duration kPatience = std::chrono::seconds(2);
constexpr Duration kPoll = std::chrono::milliseconds(50);

// Acts on the member that is asked; everything else is the leader's.
bool IsOfMember(AdminVerb verb) {
  switch (verb) {
    case AdminVerb::kFence:
    case AdminVerb::kUnfence:
    case AdminVerb::kRestart:
    case AdminVerb::kReload:
    case AdminVerb::kReinit:
      return true;
    case AdminVerb::kSwitchover:
    case AdminVerb::kFailover:
    case AdminVerb::kPause:
    case AdminVerb::kResume:
    case AdminVerb::kSetDurability:
    case AdminVerb::kForget:
      return false;
  }
  return false;
}

// One run of a verb.
class Run {
 public:
  Run(rpc::AdminCommand command, const Common& common, const Program& program)
      : command_(std::move(command)),
        common_(common),
        program_(program),
        end_(BootClock().Now() + common.timeout) {}

  int Go() {
    const Seeds seeds = FindSeeds(common_, program_);
    if (!seeds.problem.empty()) return Say(kExitUsage, seeds.problem);
    seeds_ = seeds.addresses;
    tls_ = seeds.tls;
    cluster_ = Discover(seeds_, false, std::min<Duration>(kPatience, common_.timeout), tls_);
    if (!cluster_.reachable()) return Say(kExitUnreachable, UnreachableMessage(seeds, cluster_));
    old_leader_ = cluster_.leader;
    old_epoch_ = cluster_.epoch;
    if (const int code = CheckTarget(); code != kExitOk) return code;
    if (const int code = Choose(); code != kExitOk) return code;
    if (const int code = Confirm(); code != kExitOk) return code;
    return Call();
  }

 private:
  int Say(int code, const std::string& text) const {
    *program_.err << "mainstay " << rpc::ToString(command_.verb) << ": " << text
                  << (text.back() == '\n' ? "" : "\n");
    return code;
  }

  int CheckTarget() {
    if (command_.target.empty() || cluster_.members.count(command_.target) > 0) return kExitOk;
    std::vector<std::string> names;
    for (const auto& [name, known] : cluster_.members) names.push_back(name);
    return Say(kExitUsage, absl::StrCat(Printable(command_.target), " is no member; the members are ",
                                        absl::StrJoin(names, ", ")));
  }

  int Closed(const std::string& member) const {
    return Say(kExitUnreachable,
               absl::StrCat(Printable(member),
                            " answers only by TLS; give --tls-ca, --tls-cert and --tls-key, "
                            "or --config"));
  }

  // Whom to ask.
  int Choose() {
    if (IsOfMember(command_.verb)) {
      if (command_.target.empty()) return Say(kExitUsage, "which member? Give its name.");
      const auto& known = cluster_.members[command_.target];
      if (known.own == nullptr && cluster_.closed) return Closed(command_.target);
      if (known.own == nullptr) {
        return Say(kExitUnreachable, absl::StrCat(command_.target, " does not answer: ",
                                                  Printable(known.error), "; is its agent running?"));
      }
      address_ = known.address;
      return kExitOk;
    }
    if (cluster_.leader_answers) {
      address_ = cluster_.members[cluster_.leader].address;
      return kExitOk;
    }
    if (cluster_.closed && !cluster_.leader.empty()) return Closed(cluster_.leader);
    // A failover is for exactly this case: asked of the one that shall lead, or of any that answers.
    if (command_.verb == AdminVerb::kFailover) {
      for (const auto& [name, known] : cluster_.members) {
        if (known.own != nullptr && (command_.target.empty() || command_.target == name)) {
          address_ = known.address;
          return kExitOk;
        }
      }
      return Say(kExitUnreachable,
                 absl::StrCat(command_.target, " does not answer; choose another target or start its agent"));
    }
    return Say(
        kExitUnreachable,
        absl::StrCat(
            cluster_.leader.empty() ? "nobody leads" : cluster_.leader + ", the leader, does not answer",
            "; wait for a new leader (`mainstay status --watch`), or try `mainstay failover`"));
  }

  // "" when no question is due.
  std::string Question() const {
    const std::string to = command_.target.empty() ? "the best replica" : command_.target;
    const std::string leader = old_leader_.empty() ? "nobody" : old_leader_;
    switch (command_.verb) {
      case AdminVerb::kSwitchover:
        return absl::StrCat("Switch over from ", leader, " to ", to, "? Connections to ", leader, " break.");
      case AdminVerb::kFailover:
        return absl::StrCat("Fail over from ", leader, " to ", to, "?",
                            command_.accept_loss ? " ACKNOWLEDGED WRITES MAY BE LOST." : "");
      case AdminVerb::kReinit:
        return absl::StrCat("Throw away the data of ", to, " and clone them again?");
      case AdminVerb::kForget:
        return absl::StrCat("Forget ", to, "? Its replication slot goes, too.");
      case AdminVerb::kFence:
        return absl::StrCat("Stop the database of ", to, " and keep it stopped?");
      case AdminVerb::kRestart:
        return absl::StrCat("Restart the database of ", to, "?",
                            to == old_leader_ ? " It is the primary: connections break." : "");
      case AdminVerb::kPause:
      case AdminVerb::kResume:
      case AdminVerb::kUnfence:
      case AdminVerb::kSetDurability:
      case AdminVerb::kReload:
        return "";
    }
    return "";
  }

  int Confirm() {
    const std::string question = Question();
    if (question.empty() || common_.yes || !program_.in_is_terminal || !program_.read_line) return kExitOk;
    *program_.err << question << " [y/N] " << std::flush;
    const std::string answer = program_.read_line();
    if (answer == "y" || answer == "Y" || answer == "yes") return kExitOk;
    return Say(kExitRefused, "not confirmed; nothing was done");
  }

  v1::RequestMeta Meta() const {
    v1::RequestMeta meta;
    meta.set_reason(common_.reason);
    // A switchover is meant for the leader that the caller saw.
    if (command_.verb == AdminVerb::kSwitchover) {
      meta.set_expected_leader(old_leader_);
      meta.set_expected_epoch(old_epoch_);
    }
    return meta;
  }

  int Call() {
    command_.id = UuidV7();
    began_ = BootClock().Now();
    absl::StatusOr<v1::AdminReply> reply = absl::UnavailableError("not asked");
    // The same id again is safe: the agent does it once. One retry covers a connection that was just lost.
    for (int attempt = 0; attempt < 2; ++attempt) {
      const Duration left = std::max<Duration>(end_ - BootClock().Now(), std::chrono::milliseconds(100));
      reply = rpc::AdminClient(address_, tls_).Call(command_, Meta(), left);
      if (reply.ok() || !absl::IsUnavailable(reply.status())) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    return reply.ok() ? Judge(*reply) : Explain(reply.status());
  }

  int Explain(const absl::Status& status) const {
    const std::string message = Printable(std::string(status.message()));
    switch (status.code()) {
      case absl::StatusCode::kInvalidArgument:
      case absl::StatusCode::kUnimplemented:
        return Say(kExitUsage, message);
      case absl::StatusCode::kFailedPrecondition:
      case absl::StatusCode::kResourceExhausted:
      case absl::StatusCode::kPermissionDenied:
        return Say(kExitRefused, message);
      case absl::StatusCode::kUnavailable:
        return Say(kExitUnreachable, absl::StrCat(address_, " does not answer: ", message,
                                                  "; look at `mainstay status` before you try again"));
      case absl::StatusCode::kDeadlineExceeded:
      case absl::StatusCode::kCancelled:
        return Say(kExitUnknown, absl::StrCat("no answer within ", FormatDuration(common_.timeout),
                                              ": it may or may not happen; look at `mainstay status`"));
      default:
        return Say(kExitFailed, message);
    }
  }

  int Judge(const v1::AdminReply& reply) {
    const std::string message = Printable(reply.message());
    switch (reply.status()) {
      case v1::ADMIN_STATUS_DONE:
        return Done(message.empty() ? "done" : message);
      case v1::ADMIN_STATUS_ACCEPTED:
        if (!common_.no_wait &&
            (command_.verb == AdminVerb::kSwitchover || command_.verb == AdminVerb::kFailover))
          return Await();
        return Done(message.empty() ? "accepted" : message);
      case v1::ADMIN_STATUS_REFUSED:
        return Say(kExitRefused, absl::StrCat("refused by ", Printable(reply.member()), ": ", message));
      default:
        return Say(kExitFailed, absl::StrCat("failed on ", Printable(reply.member()), ": ", message));
    }
  }

  int Done(const std::string& text) const {
    const std::string took = FormatDuration(BootClock().Now() - began_);
    if (common_.output == "json") {
      *program_.out << "{\"verb\":\"" << rpc::ToString(command_.verb) << "\",\"ok\":true,\"message\":";
      std::string quoted;
      AppendJsonString(&quoted, text);
      *program_.out << quoted
                    << ",\"took_s\":" << std::chrono::duration<double>(BootClock().Now() - began_).count()
                    << "}\n";
    } else {
      *program_.out << rpc::ToString(command_.verb) << ": " << text << " (" << took << ")\n";
    }
    return kExitOk;
  }

  // Until another member accepts writes, or the request is gone without that.
  int Await() {
    int gone = 0;
    std::vector<std::string> addresses = cluster_.Addresses();
    while (BootClock().Now() < end_) {
      const Cluster now = Discover(addresses, false, std::chrono::milliseconds(500), tls_);
      if (now.reachable() && now.epoch > old_epoch_ && now.leader_answers) {
        const v1::Status* leader = now.members.at(now.leader).own;
        if (leader->database().writable() && (now.leader != old_leader_ || command_.target == old_leader_)) {
          return Done(absl::StrCat(now.leader, " is primary now, epoch ", now.epoch));
        }
      }
      // The old leader goes on and knows of no request any more: rolled back. Seen several times, because
      // views differ for a moment.
      const bool over = now.reachable() && now.leader == old_leader_ && now.leader_answers &&
                        now.best->pending_id().empty() &&
                        now.members.at(now.leader).own->database().writable();
      gone = over ? gone + 1 : 0;
      if (gone > 20) {
        return Say(kExitFailed,
                   absl::StrCat(old_leader_, " is primary again: it was rolled back; `mainstay why ",
                                old_leader_, "` tells the reason"));
      }
      std::this_thread::sleep_for(kPoll);
    }
    return Say(kExitUnknown, absl::StrCat("not finished within ", FormatDuration(common_.timeout),
                                          "; watch it with `mainstay status --watch`"));
  }

  rpc::AdminCommand command_;
  const Common& common_;
  const Program& program_;
  const MonoTime end_;
  std::vector<std::string> seeds_;
  std::shared_ptr<rpc::TlsFiles> tls_;
  Cluster cluster_;
  std::string old_leader_;
  int64_t old_epoch_ = 0;
  std::string address_;
  MonoTime began_;
};

}  // namespace

int RunAdminVerb(rpc::AdminCommand command, const Common& common, const Program& program) {
  return Run(std::move(command), common, program).Go();
}

}  // namespace mainstay::ctl
