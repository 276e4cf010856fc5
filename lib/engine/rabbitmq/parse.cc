#include "lib/engine/rabbitmq/parse.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"

namespace mainstay::engine::rabbitmq {
namespace {

using erlang::Term;
using Kind = Term::Kind;

absl::Status Unexpected(absl::string_view what, const Term& term) {
  return absl::DataLossError(absl::StrCat("no ", what, ": ", term.ToString()));
}

struct QueueName {
  std::string vhost;
  std::string name;
};

// {resource, <<"/">>, queue, <<"orders">>}
std::optional<QueueName> ParseQueueName(const Term& term) {
  if (!term.IsTuple(4, "resource") || term.items()[1].kind() != Kind::kBinary ||
      term.items()[3].kind() != Kind::kBinary)
    return std::nullopt;
  return QueueName{term.items()[1].text(), term.items()[3].text()};
}

// Places in the record amqqueue (deps/rabbit/src/amqqueue.erl): its tag is the first. The last is type_state.
constexpr size_t kRecordName = 1;
constexpr size_t kRecordPid = 6;
constexpr size_t kLeastRecord = 20;

// The nodes of type_state: a list, or (4.3) the keys of a map.
absl::StatusOr<std::vector<std::string>> ParseQueueNodes(const Term& nodes) {
  if (nodes.kind() != Kind::kMap) return ParseNodes(nodes);
  std::vector<Term> keys;
  for (size_t i = 0; i < nodes.items().size(); i += 2) keys.push_back(nodes.items()[i]);
  return ParseNodes(Term::List(std::move(keys)));
}

absl::StatusOr<QuorumQueue> ParseQueueRecord(const Term& term) {
  if (term.kind() != Kind::kTuple || term.items().size() < kLeastRecord ||
      !term.items()[0].IsAtom("amqqueue"))
    return Unexpected("queue", term);
  const auto name = ParseQueueName(term.items()[kRecordName]);
  const Term& pid = term.items()[kRecordPid];
  const Term* nodes = term.items().back().Find("nodes");
  if (!name.has_value() || !pid.IsTuple(2) || !pid.items()[0].IsAtom() || nodes == nullptr)
    return Unexpected("quorum queue", term);
  MAINSTAY_ASSIGN_OR_RETURN(std::vector<std::string> members, ParseQueueNodes(*nodes));
  return QuorumQueue{.vhost = name->vhost,
                     .name = name->name,
                     .raft_name = pid.items()[0].text(),
                     .members = std::move(members),
                     .online = {},
                     .unknown = {},
                     .leader = ""};
}

// Raft name -> state, of one node; null: it did not answer.
using States = std::map<std::string, std::string>;

absl::StatusOr<std::optional<States>> ParseStates(const Term& answer) {
  if (!answer.IsTuple(2)) return Unexpected("answer of a node", answer);
  if (!answer.items()[0].IsAtom("ok"))
    return std::optional<States>();       // error, exit, throw: it is down or hangs
  const Term& value = answer.items()[1];  // {Node, #{RaftName => State}}
  if (!value.IsTuple(2) || value.items()[1].kind() != Kind::kMap)
    return Unexpected("states of replicas", value);
  States out;
  const std::vector<Term>& items = value.items()[1].items();
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (!items[i].IsAtom() || !items[i + 1].IsAtom()) return Unexpected("state of a replica", items[i + 1]);
    out.emplace(items[i].text(), items[i + 1].text());
  }
  return std::optional<States>(std::move(out));
}

}  // namespace

absl::StatusOr<BootState> ParseBootState(const Term& term) {
  for (const BootState s : kBootStates)
    if (term.IsAtom(ToString(s))) return s;
  return Unexpected("boot state", term);
}

absl::StatusOr<bool> ParseBoolean(const Term& term) {
  if (!term.IsAtom("true") && !term.IsAtom("false")) return Unexpected("boolean", term);
  return term.IsAtom("true");
}

absl::StatusOr<std::vector<Alarm>> ParseAlarms(const Term& term) {
  if (!term.IsList()) return Unexpected("list of alarms", term);
  std::vector<Alarm> out;
  for (const Term& item : term.items()) {
    // {{resource_limit, disk, Node}, []} or {file_descriptor_limit, []}
    if (!item.IsTuple(2)) return Unexpected("alarm", item);
    const Term& what = item.items()[0];
    if (what.IsTuple(3, "resource_limit") && what.items()[1].IsAtom() && what.items()[2].IsAtom()) {
      out.push_back({what.items()[1].text(), what.items()[2].text()});
    } else if (what.IsAtom()) {
      out.push_back({what.text(), ""});
    } else {
      return Unexpected("alarm", item);
    }
  }
  return out;
}

absl::StatusOr<std::vector<std::string>> ParseNodes(const Term& term) {
  if (!term.IsList()) return Unexpected("list of nodes", term);
  std::vector<std::string> out;
  for (const Term& node : term.items()) {
    if (!node.IsAtom()) return Unexpected("node", node);
    out.push_back(node.text());
  }
  std::sort(out.begin(), out.end());
  return out;
}

absl::StatusOr<ClusterFiles> ParseClusterFiles(const Term& term) {
  if (!term.IsTuple(3)) return Unexpected("status of a cluster", term);
  ClusterFiles out;
  MAINSTAY_ASSIGN_OR_RETURN(out.all, ParseNodes(term.items()[0]));
  MAINSTAY_ASSIGN_OR_RETURN(out.disc, ParseNodes(term.items()[1]));
  MAINSTAY_ASSIGN_OR_RETURN(out.running_at_shutdown, ParseNodes(term.items()[2]));
  return out;
}

absl::StatusOr<std::vector<std::string>> ParseNodesFile(absl::string_view text) {
  const absl::Status wrong = absl::DataLossError("no list of nodes in the file nodes_running_at_shutdown");
  std::vector<std::string> out;
  text = absl::StripAsciiWhitespace(text);
  if (text.size() < 3 || text.front() != '[' || text.substr(text.size() - 2) != "].") return wrong;
  text = text.substr(1, text.size() - 3);
  while (true) {
    text = absl::StripLeadingAsciiWhitespace(text);
    if (text.empty()) break;
    const bool quoted = text.front() == '\'';
    if (quoted) text.remove_prefix(1);
    const size_t end = std::min(text.find_first_of(quoted ? "'" : ",\r\n \t"), text.size());
    if (end == 0 || (quoted && end == text.size()) ||
        text.substr(0, end).find_first_of("\\\"[{") != text.npos)
      return wrong;
    out.emplace_back(text.substr(0, end));
    text = absl::StripLeadingAsciiWhitespace(text.substr(end + (quoted ? 1 : 0)));
    if (text.empty()) break;
    if (text.front() != ',' || text.size() == 1) return wrong;
    text.remove_prefix(1);
  }
  std::sort(out.begin(), out.end());
  return out;
}

absl::StatusOr<std::vector<CriticalQueue>> ParseCritical(const Term& term) {
  if (!term.IsList()) return Unexpected("list of queues", term);
  std::vector<CriticalQueue> out;
  for (const Term& item : term.items()) {
    const Term* name = item.FindBinary("readable_name");
    if (name == nullptr) return Unexpected("queue", item);
    const Term* type = item.FindBinary("type");
    out.push_back({name->Words(), type == nullptr ? "" : type->Words()});
  }
  return out;
}

absl::StatusOr<std::vector<QuorumQueue>> ParseQueueRecords(const Term& term) {
  if (!term.IsList()) return Unexpected("list of queues", term);
  std::vector<QuorumQueue> out;
  for (const Term& record : term.items()) {
    MAINSTAY_ASSIGN_OR_RETURN(QuorumQueue q, ParseQueueRecord(record));
    out.push_back(std::move(q));
  }
  std::sort(out.begin(), out.end(), [](const QuorumQueue& a, const QuorumQueue& b) {
    return std::tie(a.vhost, a.name) < std::tie(b.vhost, b.name);
  });
  return out;
}

absl::Status AddReplicaStates(const std::vector<std::string>& nodes, const Term& answers,
                              std::vector<QuorumQueue>* queues) {
  if (!answers.IsList() || answers.items().size() != nodes.size())
    return Unexpected("answer per node", answers);
  std::map<std::string, std::optional<States>> states;
  for (size_t i = 0; i < nodes.size(); ++i) {
    MAINSTAY_ASSIGN_OR_RETURN(states[nodes[i]], ParseStates(answers.items()[i]));
  }
  for (QuorumQueue& q : *queues) {
    for (const std::string& member : q.members) {
      const auto node = states.find(member);
      if (node == states.end() || !node->second.has_value()) {
        q.unknown.push_back(member);
        continue;
      }
      const auto state = node->second->find(q.raft_name);
      if (state == node->second->end()) continue;  // no replica runs there
      q.online.push_back(member);
      if (state->second == "leader") q.leader = member;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<MemberChange>> ParseMemberChanges(const Term& term) {
  if (!term.IsList()) return Unexpected("list of queues", term);
  std::vector<MemberChange> out;
  for (const Term& item : term.items()) {
    // {QName, {ok, Size}} or {QName, {error, Size, Reason}}
    if (!item.IsTuple(2)) return Unexpected("queue", item);
    const auto name = ParseQueueName(item.items()[0]);
    const Term& result = item.items()[1];
    if (!name.has_value() || !(result.IsTuple(2, "ok") || result.IsTuple(3, "error")))
      return Unexpected("change of a queue", item);
    out.push_back({.vhost = name->vhost,
                   .queue = name->name,
                   .members = static_cast<int>(result.items()[1].integer()),
                   .error = result.IsTuple(2) ? "" : result.items()[2].ToString(200)});
  }
  return out;
}

absl::StatusOr<std::vector<ReplicaProgress>> ParseProgress(const Term& term) {
  if (!term.IsList()) return Unexpected("a queue's progress", term);
  std::vector<ReplicaProgress> out;
  for (const Term& replica : term.items()) {
    const Term* node = replica.FindBinary("Node Name");
    const Term* state = replica.FindBinary("Raft State");
    const Term* last = replica.FindBinary("Log Index");
    const Term* commit = replica.FindBinary("Commit Index");
    if (node == nullptr || !node->IsAtom() || state == nullptr || last == nullptr || commit == nullptr)
      return Unexpected("a queue's progress", replica);
    ReplicaProgress& p = out.emplace_back();
    p.node = node->text();
    // A replica that does not answer has empty texts, and an error, in the place of its indices.
    if (last->kind() != Term::Kind::kInteger || commit->kind() != Term::Kind::kInteger) continue;
    p.running = true;
    p.leader = state->IsAtom("leader");
    p.last = last->integer();
    p.commit = commit->integer();
  }
  return out;
}

absl::StatusOr<std::vector<FeatureFlag>> ParseFeatureFlags(const Term& term) {
  if (!term.IsList()) return Unexpected("list of feature flags", term);
  std::vector<FeatureFlag> out;
  for (const Term& item : term.items()) {
    const Term* name = item.Find("name");
    const Term* state = item.Find("state");
    if (name == nullptr || state == nullptr) return Unexpected("feature flag", item);
    out.push_back({name->Words(), state->IsAtom("enabled")});
  }
  return out;
}

absl::Status ParseDone(const Term& term) {
  if (term.IsAtom("ok")) return absl::OkStatus();
  if (term.kind() == Kind::kTuple && !term.items().empty() && term.items()[0].IsAtom("ok"))
    return absl::OkStatus();
  if (term.IsTuple(2, "error")) return absl::FailedPreconditionError(term.items()[1].ToString());
  return Unexpected("result", term);
}

}  // namespace mainstay::engine::rabbitmq
