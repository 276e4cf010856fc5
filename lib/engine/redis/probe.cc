// What the server is and whether it proves its work. One round over the reserved session: INFO, whom it logs
// in as, and the deletion of a key that never exists: that passes every check that a client's write passes
// (READONLY, MISCONF, NOREPLICAS, a busy script) and changes nothing.
//
// Verdicts of one probe (how long a bad one must last is decided elsewhere): kOk, a write was taken;
// kSaturated, the server answers but refuses writes for now (a script runs, the disk is full, too few
// replicas): its data are the best there are, and another member would most likely be no better off; kHung,
// it runs and does not answer.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/wall_clock.h"
#include "lib/engine/redis/engine.h"

namespace mainstay::engine::redis {

using election::DbReport;
using election::DbState;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Duration kFloorAge =
    seconds(5);  // what was acknowledged so long ago is in the files (everysec, twice)
constexpr Duration kFloorIdle = seconds(60);
constexpr uint64_t kFloorStep = 4096;

}  // namespace

void RedisEngine::Identify(DbReport* report) const {
  report->empty = held_.cluster_id.empty() || held_.reinit;
  if (report->empty) return;
  report->unopened = held_.unopened;
  report->data_nonce = held_.nonce;
  report->system_id = held_.cluster_id;
}

// Without a process there are no data in memory: what is in files may be older than what was acknowledged.
void RedisEngine::ProbeStopped(const shim::State& state, DbReport* report) {
  report->state = DbState::kStopped;
  if (state.last_exit.has_value() && state.last_exit->starts == state.starts &&
      state.last_exit->cause == shim::Cause::kUnasked) {
    report->state = DbState::kDead;
  }
  if (!report->empty) {
    report->rolled_back = !held_.unopened;
    report->offset = std::max<uint64_t>(held_.floor, 1) + GrownSince(held_.aof, options_.data_dir);
  }
  control_.Close();
  probe_.Close();
  last_ = *report;
  tail_.Ended(UnixMillis());
}

Verdict RedisEngine::JudgeSaved(const Info& info) const {
  const bool same = info.server.has_value() && info.server->run_id == held_.run_id;
  return JudgeData(held_, info, same ? 0 : GrownSince(held_.aof, options_.data_dir));
}

Verdict RedisEngine::Judge(const Info& info) const {
  Verdict v = JudgeSaved(info);
  if (info.server.has_value() && !frozen_run_.empty() && info.server->run_id == frozen_run_)
    v.rolled_back = false;  // judged as it is
  return v;
}

void RedisEngine::JudgeSilence(const absl::Status& status, const shim::State& state, DbReport* report) {
  const bool accepted = accepted_starts_ == state.starts;
  report->state = accepted ? DbState::kRunning : DbState::kStarting;
  report->verdict =
      accepted && !absl::IsCancelled(status) ? election::Verdict::kHung : election::Verdict::kUnknown;
  if (absl::IsUnauthenticated(status)) {
    // It lives; somebody changed our user. Loud, but no reason to fail over.
    report->state = DbState::kRunning;
    report->verdict = election::Verdict::kSaturated;
    static LogLimiter limiter(seconds(30));
    if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held))
      Log(LogLevel::kError, "redis", "the agent's user cannot log in", {{"error", status}});
  }
  // What was known of this process holds until it answers again.
  if (!accepted) {
    report->rolled_back = !report->empty && !held_.unopened;
    return;
  }
  report->writable = last_.writable;
  report->offset = last_.offset;
  report->standbys = last_.standbys;
  report->rolled_back = last_.rolled_back;
  report->empty = last_.empty;
}

void RedisEngine::ReadPrimary(const Info& info, const Reply& written, DbReport* report, Details* details) {
  report->writable = true;
  report->verdict = election::Verdict::kOk;
  if (written.is_error()) {
    report->verdict = election::Verdict::kSaturated;
    static LogLimiter limiter(seconds(30));
    if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held))
      Log(LogLevel::kWarn, "redis", "the primary refuses writes", {{"answer", written.text}});
  }
  for (const ReplicaFacts& r : info.replication->replicas) {
    Details::Replica seen;
    seen.name = NameOf(r.ip, r.port);
    seen.state = r.state;
    seen.sent = seen.flushed = seen.replayed = ToPosition(r.offset);
    if (!seen.name.empty()) report->standbys.push_back({seen.name, r.online(), seen.flushed});
    if (seen.name.empty()) seen.name = absl::StrCat(r.ip, ":", r.port);
    details->replicas.push_back(std::move(seen));
  }
  // Opened by an agent that ended before it could note the new history.
  const bool ours = info.server.has_value() && info.server->run_id == held_.run_id && held_.following == 0;
  if (!ours) return;
  handed_over_ = false;
  tail_.Saw(held_.epoch, info.replication->replid, held_.run_id,
            {UnixMillis(), info.replication->offset,
             info.persistence.value_or(PersistenceFacts{}).changes_since_save});
  if (const absl::Status kept = Commit(info, nullptr); !kept.ok())
    Log(LogLevel::kWarn, "redis", "what this member holds is not kept", {{"error", kept}});
}

void RedisEngine::ReadReplica(const Info& info, const Reply& user, DbReport* report) {
  const ReplicationFacts& r = *info.replication;
  report->verdict = election::Verdict::kOk;
  if (!r.link_up || r.syncing || user.items.size() != 2) return;
  // As whom it logged in tells the epoch of the link itself, whatever the files say by now.
  const auto as = ParseReplicationUser(user.items[1].text);
  const auto leader = ParseHostPort(held_.leader_address);
  if (!as.has_value() || as->cluster_id != held_.cluster_id || as->epoch != held_.following ||
      !leader.has_value() || leader->host != r.primary_host || leader->port != r.primary_port)
    return;
  report->streaming_from = held_.leader;
  report->streaming_epoch = as->epoch;
  report->stream_at = BootClock().Now() - seconds(std::max<int64_t>(r.last_io_seconds, 0));
  if (const absl::Status kept = Commit(info, nullptr); !kept.ok())
    Log(LogLevel::kWarn, "redis", "what this member holds is not kept", {{"error", kept}});
}

// An append-only file does not tell how far it reaches. What was reached a while ago is in it: noted now and
// then.
void RedisEngine::KeepFloor(const Info& info) {
  const MonoTime now = BootClock().Now();
  const uint64_t at = ToPosition(info.replication->offset);
  const bool keys = info.keys.value_or(0) > 0;
  if (now - floor_seen_at_ < kFloorAge) return;
  const bool first = floor_seen_at_.is_past();
  const Duration age = now - floor_seen_at_;
  const bool moved = floor_seen_ >= held_.floor + kFloorStep || floor_keys_ != held_.keys ||
                     (floor_seen_ != held_.floor && age > kFloorIdle);
  if (!first && moved) {
    Held next = held_;
    next.floor = floor_seen_;
    next.aof = aof_seen_;
    next.floor_ms = floor_seen_ms_;
    next.keys = floor_keys_;
    if (const absl::Status kept = SaveHeld(next); !kept.ok())
      Log(LogLevel::kWarn, "redis", "how far the data reach is not kept", {{"error", kept}});
  } else if (!first && floor_seen_ != held_.floor) {
    return;  // the same moment gets older
  }
  floor_seen_ = at;
  aof_seen_ = MarkAof(options_.data_dir);
  floor_seen_ms_ = UnixMillis();
  floor_keys_ = keys;
  floor_seen_at_ = now;
}

void RedisEngine::ProbeRunning(const shim::State& state, MonoTime deadline, DbReport* report) {
  absl::Status status;
  if (!probe_.open()) {
    const absl::StatusOr<Endpoint> own = Own();
    status = own.ok() ? probe_.Connect(*own, deadline) : own.status();
  }
  absl::StatusOr<std::vector<Reply>> replies = absl::UnavailableError("not connected");
  if (!status.ok()) {
    replies = status;
  } else {
    replies = probe_.CallAll({{"INFO"}, {"CONFIG", "GET", "masteruser"}, {"DEL", kProbeKey}}, deadline);
  }
  if (!replies.ok()) return JudgeSilence(replies.status(), state, report);
  accepted_starts_ = state.starts;
  report->state = DbState::kRunning;
  const Reply& told = (*replies)[0];
  const absl::StatusOr<Info> info = told.is_error() ? ToStatus(told) : ParseInfo(told.text);
  if (!info.ok() || !info->replication.has_value()) {
    // It answers, but not this: a script or function runs (BUSY).
    JudgeSilence(info.status(), state, report);
    report->verdict = election::Verdict::kSaturated;
    return;
  }
  // (While it loads it calls itself a primary at offset 0.)
  if (info->persistence.value_or(PersistenceFacts{}).loading) {
    report->state = DbState::kStarting;
    report->rolled_back = !report->empty && !held_.unopened;
    return;
  }
  Details details;
  details.version = info->server.value_or(ServerFacts{}).version;
  details.replay_offset = ToPosition(info->replication->offset);
  if (info->replication->role == Role::kPrimary) {
    ReadPrimary(*info, (*replies)[2], report, &details);
  } else {
    ReadReplica(*info, (*replies)[1], report);
    tail_.Ended(UnixMillis());
  }
  Identify(report);
  const Verdict verdict = Judge(*info);
  report->empty = verdict.empty;
  report->rolled_back = verdict.rolled_back;
  report->reign = report->writable ? 0 : verdict.reign;
  report->offset = verdict.position;
  // (What a new process loaded does not tell by its offset how far it reaches: the note stays.)
  if (!report->empty && info->server.has_value() && info->server->run_id == held_.run_id) KeepFloor(*info);
  if (report->empty) {  // of no cluster any more
    report->system_id.clear();
    report->data_nonce.clear();
  }
  // Left over from a reign of this server that is over.
  if (!report->writable && state.armed.has_value() && state.armed->epoch <= held_.epoch)
    static_cast<void>(shim_.Disarm(state.armed->epoch, deadline));
  last_ = *report;
  const std::lock_guard<std::mutex> guard(mutex_);
  details_ = std::move(details);
}

DbReport RedisEngine::Probe(MonoTime deadline) {
  BeginOperation();
  DbReport report;
  report.at = BootClock().Now();
  if (const absl::Status held = LoadHeld(); !held.ok()) {
    Log(LogLevel::kError, "redis", "cannot tell what this member holds", {{"error", held}});
    return report;
  }
  const auto state = shim_word_.Ask(&shim_, deadline);
  if (!state.ok()) return report;
  standing_.Notice(*state);
  Identify(&report);
  if (!state->running()) {
    ProbeStopped(*state, &report);
  } else {
    ProbeRunning(*state, deadline, &report);
  }
  return report;
}

}  // namespace mainstay::engine::redis
