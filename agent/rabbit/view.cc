#include "agent/rabbit/view.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mainstay::agent {

using election::DbState;
using engine::rabbitmq::NodeState;

namespace {

DbState ToDbState(NodeState state) {
  switch (state) {
    case NodeState::kDead:
      return DbState::kDead;
    case NodeState::kStarting:
    case NodeState::kWaiting:
      return DbState::kStarting;
    case NodeState::kPaused:
    case NodeState::kStopped:
      return DbState::kStopped;
    case NodeState::kUnknown:
    case NodeState::kHung:
      return DbState::kUnknown;
    default:
      return DbState::kRunning;
  }
}

election::Verdict ToVerdict(NodeState state) {
  switch (state) {
    case NodeState::kRunning:
    case NodeState::kDraining:
      return election::Verdict::kOk;
    case NodeState::kBlocked:
    case NodeState::kFailing:
      return election::Verdict::kSaturated;
    case NodeState::kHung:
      return election::Verdict::kHung;
    default:
      return election::Verdict::kUnknown;
  }
}

}  // namespace

rpc::BrokerView ShowBroker(const NodeView& view, const std::string& node) {
  const engine::rabbitmq::Judgement& j = view.judgement;
  rpc::BrokerView out;
  out.node = node;
  out.state = ToString(j.state);
  out.sentence = j.sentence;
  out.notes = j.notes;
  out.live = j.live.ok;
  out.ready = j.ready.ok;
  out.started = j.started.ok;
  out.live_why = j.live.why;
  out.ready_why = j.ready.why;
  out.started_why = j.started.why;
  out.cluster_id = view.cluster_id;
  out.members = view.members.all;
  out.running = view.members.running;
  return out;
}

rpc::DatabaseView ShowDatabase(const NodeView& view) {
  rpc::DatabaseView out;
  out.state = ToDbState(view.judgement.state);
  out.verdict = ToVerdict(view.judgement.state);
  out.writable = view.judgement.state == NodeState::kRunning;
  out.empty = view.blank;
  out.system_id = view.cluster_id;
  out.version = view.version;
  out.activity = view.facts.doing;
  out.probed_at = view.facts.answered;
  return out;
}

std::string ViewKey(const NodeView& v) {
  const engine::rabbitmq::Judgement& j = v.judgement;
  return absl::StrCat(ToString(j.state), j.live.ok, j.ready.ok, j.started.ok, v.shim_connected, v.running,
                      v.blank, v.pod_ending, v.version, v.cluster_id, "|", j.notes.size(), "|", v.facts.doing,
                      "|", v.facts.taken_out, "|", absl::StrJoin(v.members.running, ","));
}

}  // namespace mainstay::agent
