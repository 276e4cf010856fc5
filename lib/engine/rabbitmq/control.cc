#include "lib/engine/rabbitmq/control.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"

namespace mainstay::engine::rabbitmq {
namespace {

using erlang::Term;

// How long the members that are asked about their replicas may take: a frozen one must leave time for the
// answer.
constexpr int64_t kReplicaStatesMs = 1500;
constexpr int64_t kMemberMs = 2500;  // one replica added or taken away, as the node waits for it

absl::Status In(const absl::Status& status, absl::string_view what) {
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat(what, ": ", status.message()));
}

std::vector<Term> NodeArguments(const std::vector<std::string>& nodes) {
  std::vector<Term> out;
  for (const std::string& n : nodes) out.push_back(Term::Atom(n));
  return out;
}

// What rabbitmqctl prints for it; people know these.
absl::Status NoForceBoot(const Traits& traits) {
  return absl::UnimplementedError(absl::StrCat(
      "RabbitMQ ", traits.major, ".", traits.minor,
      " keeps its metadata in Khepri: a node needs a majority of its peers, whoever stopped last; with the "
      "majority lost for ever, "
      "`rabbitmqctl force_standalone_khepri_boot` on one that is left makes it a cluster of its own"));
}

}  // namespace

class Control::Budget {
 public:
  Budget() : end_(BootClock().Now() + erlang::kCallDeadline) {}
  Duration left() const { return std::max<Duration>(end_ - BootClock().Now(), std::chrono::milliseconds(1)); }

 private:
  const MonoTime end_;
};

absl::StatusOr<Term> Control::Ask(const Budget& budget, const Function& function,
                                  std::vector<Term> arguments) {
  return caller_.Call(function.module, function.name, std::move(arguments), budget.left());
}

absl::StatusOr<std::vector<std::string>> Control::AskNodes(const Budget& budget, const Function& function,
                                                           std::vector<Term> arguments) {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(budget, function, std::move(arguments)));
  return ParseNodes(answer);
}

absl::StatusOr<Traits> Control::AskTraits(const Budget& budget) {
  MAINSTAY_ASSIGN_OR_RETURN(const Term text, Ask(budget, {"rabbit_misc", "version"}));
  MAINSTAY_ASSIGN_OR_RETURN(const Version version, ParseVersion(text.Words()));
  return TraitsOf(version);
}

absl::StatusOr<Check> Control::Look() {
  const Budget budget;
  Check out;
  MAINSTAY_ASSIGN_OR_RETURN(const Term boot, Ask(budget, {"rabbit_boot_state", "get"}));
  MAINSTAY_ASSIGN_OR_RETURN(out.boot, ParseBootState(boot));
  // Before that the processes that know are not there.
  if (out.boot != BootState::kReady) return out;
  MAINSTAY_ASSIGN_OR_RETURN(const Term alarms, Ask(budget, {"rabbit_alarm", "get_alarms"}));
  MAINSTAY_ASSIGN_OR_RETURN(out.alarms, ParseAlarms(alarms));
  MAINSTAY_ASSIGN_OR_RETURN(const Traits traits, AskTraits(budget));
  if (!traits.partitions.exists()) return out;
  MAINSTAY_ASSIGN_OR_RETURN(out.partitions, AskNodes(budget, traits.partitions));
  return out;
}

absl::StatusOr<Version> Control::GetVersion() {
  MAINSTAY_ASSIGN_OR_RETURN(const Term text, Ask(Budget(), {"rabbit_misc", "version"}));
  return ParseVersion(text.Words());
}

absl::StatusOr<BootState> Control::Boot() {
  MAINSTAY_ASSIGN_OR_RETURN(const Term state, Ask(Budget(), {"rabbit_boot_state", "get"}));
  return ParseBootState(state);
}

absl::StatusOr<bool> Control::IsRunning() {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(Budget(), {"rabbit", "is_running"}));
  return ParseBoolean(answer);
}

absl::StatusOr<bool> Control::IsBooting() {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(Budget(), {"rabbit", "is_booting"}));
  return ParseBoolean(answer);
}

absl::StatusOr<std::vector<Alarm>> Control::Alarms() {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(Budget(), {"rabbit_alarm", "get_alarms"}));
  return ParseAlarms(answer);
}

absl::StatusOr<std::vector<std::string>> Control::Partitions() {
  const Budget budget;
  MAINSTAY_ASSIGN_OR_RETURN(const Traits traits, AskTraits(budget));
  if (!traits.partitions.exists()) return std::vector<std::string>();
  return AskNodes(budget, traits.partitions);
}

absl::StatusOr<ClusterMembers> Control::Members() {
  const Budget budget;
  MAINSTAY_ASSIGN_OR_RETURN(const Traits traits, AskTraits(budget));
  ClusterMembers out;
  MAINSTAY_ASSIGN_OR_RETURN(out.all, AskNodes(budget, traits.members));
  MAINSTAY_ASSIGN_OR_RETURN(out.running, AskNodes(budget, traits.running_members));
  out.disc = out.all;
  if (!traits.disc_members.exists()) return out;
  MAINSTAY_ASSIGN_OR_RETURN(out.disc, AskNodes(budget, traits.disc_members, {Term::Atom("disc")}));
  return out;
}

absl::StatusOr<std::vector<std::string>> Control::ConnectedNodes() {
  return AskNodes(Budget(), {"erlang", "nodes"});
}

absl::StatusOr<std::string> Control::ClusterId() {
  MAINSTAY_ASSIGN_OR_RETURN(const Term id, Ask(Budget(), {"rabbit_nodes", "persistent_cluster_id"}));
  if (id.Words().empty()) return absl::DataLossError(absl::StrCat("no cluster id: ", id.ToString()));
  return id.Words();
}

absl::StatusOr<std::vector<std::string>> Control::NodesAtShutdown() {
  const Budget budget;
  MAINSTAY_ASSIGN_OR_RETURN(const Traits traits, AskTraits(budget));
  if (!traits.cluster_status.exists())
    return absl::UnimplementedError(
        absl::StrCat("RabbitMQ ", traits.major, ".", traits.minor,
                     " keeps no such list: the order of starts does not matter there"));
  MAINSTAY_ASSIGN_OR_RETURN(const Term files, Ask(budget, traits.cluster_status));
  MAINSTAY_ASSIGN_OR_RETURN(ClusterFiles parsed, ParseClusterFiles(files));
  return std::move(parsed.running_at_shutdown);
}

absl::StatusOr<bool> Control::IsDraining(const Budget& budget) {
  MAINSTAY_ASSIGN_OR_RETURN(
      const Term answer,
      Ask(budget, {"rabbit_maintenance", "is_being_drained_local_read"}, {Term::Atom(node_)}));
  return ParseBoolean(answer);
}

absl::StatusOr<bool> Control::Draining() { return IsDraining(Budget()); }

absl::StatusOr<std::vector<CriticalQueue>> Control::QuorumCritical() {
  const Budget budget;
  MAINSTAY_ASSIGN_OR_RETURN(const Traits traits, AskTraits(budget));
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(budget, traits.quorum_critical));
  return ParseCritical(answer);
}

absl::StatusOr<std::vector<QuorumQueue>> Control::QuorumQueues() {
  const Budget budget;
  MAINSTAY_ASSIGN_OR_RETURN(const Term records,
                            Ask(budget, {"rabbit_amqqueue", "list_by_type"}, {Term::Atom("quorum")}));
  MAINSTAY_ASSIGN_OR_RETURN(std::vector<QuorumQueue> queues, ParseQueueRecords(records));
  std::vector<std::string> nodes;
  for (const QuorumQueue& q : queues) nodes.insert(nodes.end(), q.members.begin(), q.members.end());
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  if (nodes.empty()) return queues;
  // One question to all members instead of one per queue and member, which the server's own listing asks.
  MAINSTAY_ASSIGN_OR_RETURN(
      const Term answers,
      Ask(budget, {"erpc", "multicall"},
          {Term::List(NodeArguments(nodes)), Term::Atom("rabbit_quorum_queue"),
           Term::Atom("all_replica_states"), Term::List({}), Term::Integer(kReplicaStatesMs)}));
  MAINSTAY_RETURN_IF_ERROR(AddReplicaStates(nodes, answers, &queues));
  return queues;
}

absl::StatusOr<std::vector<ReplicaProgress>> Control::Progress(const std::string& vhost,
                                                               const std::string& queue) {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(Budget(), {"rabbit_quorum_queue", "status"},
                                                   {Term::Binary(vhost), Term::Binary(queue)}));
  return ParseProgress(answer);
}

absl::StatusOr<std::vector<FeatureFlag>> Control::FeatureFlags() {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(Budget(), {"rabbit_ff_extra", "cli_info"}));
  return ParseFeatureFlags(answer);
}

// Drain has been seen to report an error although it was done: the node's own mark decides.
absl::Status Control::SetDraining(bool drain) {
  const Budget budget;
  const auto answer = Ask(budget, {"rabbit_maintenance", drain ? "drain" : "revive"});
  const absl::Status done = answer.ok() ? ParseDone(*answer) : answer.status();
  if (done.ok() || absl::IsDeadlineExceeded(done) || absl::IsUnknown(done) || absl::IsUnavailable(done))
    return done;
  const auto draining = IsDraining(budget);
  return draining.ok() && *draining == drain ? absl::OkStatus() : done;
}

absl::Status Control::Drain() { return In(SetDraining(true), "draining"); }
absl::Status Control::Revive() { return In(SetDraining(false), "reviving"); }

absl::Status Control::AddMember(const std::string& vhost, const std::string& queue,
                                const std::string& on_node) {
  const Budget budget;
  MAINSTAY_ASSIGN_OR_RETURN(const Traits traits, AskTraits(budget));
  std::vector<Term> arguments = {Term::Binary(vhost), Term::Binary(queue), Term::Atom(on_node)};
  if (traits.add_member_promotable) arguments.push_back(Term::Atom("promotable"));
  arguments.push_back(Term::Integer(kMemberMs));
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer,
                            Ask(budget, {"rabbit_quorum_queue", "add_member"}, std::move(arguments)));
  return In(ParseDone(answer), absl::StrCat("a replica of ", queue, " on ", on_node));
}

absl::Status Control::DeleteMember(const std::string& vhost, const std::string& queue,
                                   const std::string& on_node) {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer,
                            Ask(Budget(), {"rabbit_quorum_queue", "delete_member"},
                                {Term::Binary(vhost), Term::Binary(queue), Term::Atom(on_node)}));
  return In(ParseDone(answer), absl::StrCat("the replica of ", queue, " on ", on_node));
}

absl::StatusOr<std::vector<MemberChange>> Control::Grow(const std::string& on_node) {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(Budget(), {"rabbit_quorum_queue", "grow"},
                                                   {Term::Atom(on_node), Term::String(".*"),
                                                    Term::String(".*"), Term::Atom("all")}));
  return ParseMemberChanges(answer);
}

absl::StatusOr<std::vector<MemberChange>> Control::Shrink(const std::string& on_node) {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer,
                            Ask(Budget(), {"rabbit_quorum_queue", "shrink_all"}, {Term::Atom(on_node)}));
  return ParseMemberChanges(answer);
}

absl::Status Control::Rebalance() {
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer,
                            Ask(Budget(), {"rabbit_amqqueue", "rebalance"},
                                {Term::Atom("all"), Term::String(".*"), Term::String(".*")}));
  const absl::Status done = ParseDone(answer);
  if (absl::StrContains(done.message(), "rebalance_in_progress"))
    return absl::AbortedError("a rebalance is under way; ask again when it is over");
  return In(done, "rebalancing");
}

absl::Status Control::Forget(const std::string& dead_node) {
  const Budget budget;
  MAINSTAY_ASSIGN_OR_RETURN(const Traits traits, AskTraits(budget));
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<std::string> all, AskNodes(budget, traits.members));
  if (std::find(all.begin(), all.end(), dead_node) == all.end()) return absl::OkStatus();
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<std::string> running, AskNodes(budget, traits.running_members));
  if (std::find(running.begin(), running.end(), dead_node) != running.end())
    return absl::FailedPreconditionError(absl::StrCat(dead_node, " runs: stop it before it is forgotten"));
  // Replicas first: a queue that still counts a member that is no more has a quorum that is harder to reach,
  // and after the node is forgotten nobody remembers why. (rabbitmqctl does it in this order from 4.2 on.)
  MAINSTAY_ASSIGN_OR_RETURN(const Term shrunk,
                            Ask(budget, {"rabbit_quorum_queue", "shrink_all"}, {Term::Atom(dead_node)}));
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<MemberChange> changes, ParseMemberChanges(shrunk));
  for (const MemberChange& c : changes)
    if (!c.error.empty())
      return absl::FailedPreconditionError(absl::StrCat("queue '", c.queue, "' in vhost '", c.vhost,
                                                        "' keeps its replica on ", dead_node, ": ", c.error));
  if (traits.forget_streams.exists()) {
    MAINSTAY_RETURN_IF_ERROR(Ask(budget, traits.forget_streams, {Term::Atom(dead_node)}).status());
  }
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer,
                            Ask(budget, traits.forget, {Term::Atom(dead_node), Term::Atom("false")}));
  const absl::Status done = ParseDone(answer);
  if (absl::StrContains(done.message(), "not_a_cluster_node")) return absl::OkStatus();
  return In(done, absl::StrCat("forgetting ", dead_node));
}

absl::Status Control::ForceBoot() {
  const Budget budget;
  MAINSTAY_ASSIGN_OR_RETURN(const Traits traits, AskTraits(budget));
  if (!traits.force_boot.exists()) return NoForceBoot(traits);
  if (traits.store == MetadataStore::kEither) {
    MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(budget, {"rabbit_khepri", "is_enabled"}));
    MAINSTAY_ASSIGN_OR_RETURN(const bool khepri, ParseBoolean(answer));
    if (khepri) return NoForceBoot(traits);
  }
  MAINSTAY_ASSIGN_OR_RETURN(const Term answer, Ask(budget, traits.force_boot));
  return In(ParseDone(answer), "forcing the next boot");
}

}  // namespace mainstay::engine::rabbitmq
