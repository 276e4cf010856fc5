// StatusView -> mainstay.v1.Status.
#include "google/protobuf/util/time_util.h"
#include "lib/rpc/convert.h"

namespace mainstay::rpc {
namespace {

using google::protobuf::util::TimeUtil;

v1::DbState ToProto(election::DbState in) {
  switch (in) {
    case election::DbState::kUnknown:
      return v1::DB_STATE_UNSPECIFIED;
    case election::DbState::kStopped:
      return v1::DB_STATE_STOPPED;
    case election::DbState::kStarting:
      return v1::DB_STATE_STARTING;
    case election::DbState::kRunning:
      return v1::DB_STATE_RUNNING;
    case election::DbState::kDead:
      return v1::DB_STATE_DEAD;
  }
  return v1::DB_STATE_UNSPECIFIED;
}

v1::Verdict ToProto(election::Verdict in) {
  switch (in) {
    case election::Verdict::kOk:
      return v1::VERDICT_OK;
    case election::Verdict::kSaturated:
      return v1::VERDICT_SATURATED;
    case election::Verdict::kHung:
      return v1::VERDICT_HUNG;
    case election::Verdict::kUnknown:
      return v1::VERDICT_UNSPECIFIED;
  }
  return v1::VERDICT_UNSPECIFIED;
}

v1::LockHealth ToProto(LockHealth in) {
  switch (in) {
    case LockHealth::kUnknown:
      return v1::LOCK_HEALTH_UNSPECIFIED;
    case LockHealth::kOk:
      return v1::LOCK_HEALTH_OK;
    case LockHealth::kUnreachable:
      return v1::LOCK_HEALTH_UNREACHABLE;
    case LockHealth::kMissing:
      return v1::LOCK_HEALTH_MISSING;
    case LockHealth::kUnreadable:
      return v1::LOCK_HEALTH_UNREADABLE;
  }
  return v1::LOCK_HEALTH_UNSPECIFIED;
}

void ToProto(const LockView& in, MonoTime now, v1::LockStatus* out) {
  out->set_where(in.where);
  out->set_health(ToProto(in.health));
  out->set_problem(in.problem);
  out->set_version(in.version);
  out->set_renewal(in.renewal);
  if (!in.record_changed_at.is_past()) {
    *out->mutable_record_age() = TimeUtil::NanosecondsToDuration((now - in.record_changed_at).count());
  }
  if (!in.permitted_until.is_past() && !in.permitted_until.is_never()) {
    *out->mutable_remaining() = TimeUtil::NanosecondsToDuration((in.permitted_until - now).count());
  }
}

void ToProto(const DatabaseView& in, MonoTime now, v1::DatabaseStatus* out) {
  out->set_state(ToProto(in.state));
  out->set_writable(in.writable);
  out->set_verdict(ToProto(in.verdict));
  out->set_empty(in.empty);
  out->set_system_id(in.system_id);
  out->set_version(in.version);
  out->set_offset(in.offset);
  out->set_replay_offset(in.replay_offset);
  out->set_timeline(in.timeline);
  out->set_streaming_from(in.streaming_from);
  out->set_activity(in.activity);
  for (const std::string& p : in.pending_restart) out->add_pending_restart(p);
  out->set_lost_bytes(in.lost_bytes);
  if (in.start_unix_ms != 0) *out->mutable_started() = TimeUtil::MillisecondsToTimestamp(in.start_unix_ms);
  if (!in.probed_at.is_past())
    *out->mutable_probe_age() = TimeUtil::NanosecondsToDuration((now - in.probed_at).count());
}

void ToProto(const LossView& in, v1::Loss* out) {
  out->set_found(in.found);
  *out->mutable_time() = TimeUtil::MillisecondsToTimestamp(in.unix_ms);
  out->set_epoch(in.epoch);
  out->set_from(in.from);
  out->set_leader(in.leader);
  if (in.bytes) out->set_bytes(*in.bytes);
  out->set_at_least(in.at_least);
  if (in.since_ms != 0) *out->mutable_since() = TimeUtil::MillisecondsToTimestamp(in.since_ms);
  if (in.until_ms != 0) *out->mutable_until() = TimeUtil::MillisecondsToTimestamp(in.until_ms);
  if (in.changes) out->set_changes_at_most(*in.changes);
  if (in.keys_here) out->set_keys_here(*in.keys_here);
  if (in.keys_there) out->set_keys_there(*in.keys_there);
}

void ToProto(const DurabilityView& in, v1::DurabilityStatus* out) {
  out->set_wished(rpc::ToProto(in.wished));
  out->set_in_force(rpc::ToProto(in.in_force));
  out->set_sync_count(in.sync_count);
  for (const auto& v : in.voters) out->add_voters(v);
  out->set_freeze(in.freeze);
  for (const auto& n : in.sync.names) out->add_sync_names(n);
  out->set_sync_k(in.sync.k);
}

}  // namespace

void ToProto(const MemberView& in, MonoTime now, v1::MemberStatus* out) {
  out->set_name(in.name);
  out->set_role(ToProto(in.role));
  out->set_state(ToProto(in.state));
  out->set_timeline(in.timeline);
  out->set_offset(in.offset);
  if (in.lag_bytes) out->set_lag_bytes(*in.lag_bytes);
  out->set_voter(in.voter);
  out->set_sync(in.sync);
  out->set_priority(in.priority);
  out->set_no_failover(in.no_failover);
  if (!in.heard_at.is_past()) {
    *out->mutable_age() = TimeUtil::NanosecondsToDuration(std::max<int64_t>(0, (now - in.heard_at).count()));
  }
  out->set_peer_address(in.peer_address);
  out->set_db_address(in.db_address);
  out->set_in_record(in.in_record);
  out->set_detail(in.detail);
}

void ToProto(const DecisionView& in, v1::Decision* out) {
  out->set_row(in.row);
  out->set_sentence(in.sentence);
  out->set_facts(in.facts);
  out->set_epoch(in.epoch);
  *out->mutable_time() = TimeUtil::MillisecondsToTimestamp(in.unix_ms);
}

namespace {

void ToProto(const BrokerView& in, v1::Broker* out) {
  out->set_node(in.node);
  out->set_state(in.state);
  out->set_sentence(in.sentence);
  for (const auto& n : in.notes) out->add_notes(n);
  out->set_live(in.live);
  out->set_ready(in.ready);
  out->set_started(in.started);
  out->set_cluster_id(in.cluster_id);
  for (const auto& m : in.members) out->add_members(m);
  for (const auto& r : in.running) out->add_running(r);
  for (const auto& w : in.work) out->add_work(w);
}

}  // namespace

void ToProto(const StatusView& in, MonoTime now, int64_t unix_ms, bool decisions, v1::Status* out) {
  out->set_serial(in.serial);
  out->set_cluster(in.cluster);
  out->set_member(in.member);
  out->set_identity(in.identity);
  out->set_engine(in.engine);
  out->set_agent_version(in.agent_version);
  out->set_role(ToProto(in.role));
  out->set_phase(in.phase);
  out->set_epoch(in.epoch);
  out->set_leader(in.leader);
  ToProto(in.lock, now, out->mutable_lock());
  ToProto(in.database, now, out->mutable_database());
  ToProto(in.durability, out->mutable_durability());
  for (const MemberView& m : in.members) ToProto(m, now, out->add_members());
  out->set_paused(in.paused);
  out->set_fenced(in.fenced);
  out->set_shim_connected(in.shim_connected);
  if (in.pending) {
    out->set_pending_id(in.pending->id);
    out->set_pending_target(in.pending->target);
  }
  for (const auto& h : in.history) {
    v1::HistoryEntry* entry = out->add_history();
    entry->set_epoch(h.epoch);
    entry->set_holder(h.holder);
    entry->set_reason(h.reason);
    if (h.unix_ms != 0) *entry->mutable_time() = TimeUtil::MillisecondsToTimestamp(h.unix_ms);
  }
  for (const LossView& l : in.losses.newest) ToProto(l, out->add_losses());
  if (in.broker != nullptr) ToProto(*in.broker, out->mutable_broker());
  if (decisions) {
    for (const auto& d : in.decisions) ToProto(d, out->add_decisions());
  }
  for (const auto& w : in.warnings) out->add_warnings(w);
  *out->mutable_time() = TimeUtil::MillisecondsToTimestamp(unix_ms);
  if (!in.started_at.is_past())
    *out->mutable_uptime() = TimeUtil::NanosecondsToDuration((now - in.started_at).count());
}

}  // namespace mainstay::rpc
