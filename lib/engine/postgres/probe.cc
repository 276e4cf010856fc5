// What the database is and whether it proves its work: the reserved session writes (on a primary) or answers
// (on a standby), and now and then a new session shows that clients can still come in.
//
// Verdicts of one probe (how long a bad one must last is decided elsewhere): kOk, a proof now; kSaturated, a
// proof, but late or new sessions are refused or slow; kHung, processes run and there is no proof, or no new
// session got any answer for Options::login_patience.
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/base/file.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/engine/postgres/engine.h"
#include "lib/engine/postgres/lsn.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {

using election::DbReport;
using election::DbState;
using election::Verdict;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// One statement, one commit: on a primary the transaction's commit is the proof (flushed locally:
// synchronous_commit=local), and what it writes keeps the stream of the standbys alive. Columns by the enum
// below.
constexpr char kSelf[] =
    "SELECT r.standby, pg_catalog.current_setting('synchronous_standby_names'),"
    " CASE WHEN NOT r.standby THEN pg_catalog.pg_logical_emit_message(true, 'mainstay', '') END,"
    " CASE WHEN NOT r.standby THEN pg_catalog.pg_current_wal_flush_lsn() END,"
    " CASE WHEN NOT r.standby THEN pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()) END,"
    " CASE WHEN r.standby THEN pg_catalog.pg_last_wal_receive_lsn() END,"
    " CASE WHEN r.standby THEN pg_catalog.pg_last_wal_replay_lsn() END,"
    " w.status, w.received_tli, w.conninfo,"
    " (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) "
    "w.last_msg_receipt_time)"
    " OPERATOR(pg_catalog.*) 1000::float8)::int8,"
    " pg_catalog.current_setting('mainstay.leader', true), pg_catalog.current_setting('mainstay.epoch', "
    "true),"
    " (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) OPERATOR(pg_catalog.*) "
    "1000::float8)::int8,"
    " pg_catalog.current_setting('server_version'),"
    " CASE WHEN r.standby THEN (pg_catalog.date_part('epoch', pg_catalog.pg_last_xact_replay_timestamp())"
    " OPERATOR(pg_catalog.*) 1000::float8)::int8 END,"
    " CASE WHEN r.standby THEN pg_catalog.pg_is_wal_replay_paused() END"
    " FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby OFFSET 0) r"
    " LEFT JOIN pg_catalog.pg_stat_wal_receiver w ON r.standby";
enum Column : int {
  kIsStandby,
  kSyncNames,
  kEmitted,
  kFlush,
  kWalFile,
  kReceived,
  kReplayed,
  kStreamStatus,
  kStreamTimeline,
  kStreamConninfo,
  kStreamAgeMs,
  kLeader,
  kEpoch,
  kStartedMs,
  kVersion,
  kReplayedMs,
  kReplayPaused,
};

constexpr char kReplicas[] =
    "SELECT application_name, COALESCE(state, ''), sent_lsn, flush_lsn, replay_lsn, COALESCE(sync_state, '')"
    " FROM pg_catalog.pg_stat_replication ORDER BY backend_start LIMIT 64";

constexpr char kPending[] = "SELECT name FROM pg_catalog.pg_settings WHERE pending_restart LIMIT 50";

// "15.20 (Debian 15.20-0+deb12u1)" -> "15.20"
std::string ShortVersion(const std::string& text) { return text.substr(0, text.find(' ')); }

}  // namespace

void PostgresEngine::Identify(DbReport* report) {
  report->empty = dir_.Empty();
  if (report->empty) return;
  report->unopened = dir_.Unopened();
  report->data_nonce = dir_.Nonce();
  if (const auto id = dir_.SystemId(); id.ok()) report->system_id = *id;
}

void PostgresEngine::ProbeStopped(const shim::State& state, DbReport* report) {
  report->state = DbState::kStopped;
  if (state.last_exit.has_value() && state.last_exit->starts == state.starts &&
      state.last_exit->cause == shim::Cause::kUnasked) {
    report->state = DbState::kDead;
  }
  if (!report->empty) {
    report->offset = last_offset_;
    report->timeline = last_timeline_;
  }
  if (control_.open() || probe_.open()) DropSessions();
}

// The reserved session's answer. `*late`: it belongs to an earlier probe's question, so the database is slow
// but alive.
absl::StatusOr<Rows> PostgresEngine::ProbeQuery(MonoTime deadline, bool* late) {
  *late = probe_.busy();
  if (!*late) {
    if (!probe_.open()) {
      MAINSTAY_RETURN_IF_ERROR(
          probe_.Connect(Local(options_.agent_role, options_.socket_dir, 30'000), deadline));
    }
    MAINSTAY_RETURN_IF_ERROR(probe_.SendPrepared("mainstay_self", kSelf, {}, deadline));
  }
  return probe_.Await(deadline);
}

// A new session, begun by one probe and looked at by the next ones: its time-out is not the probe's.
Verdict PostgresEngine::ProbeLogin(MonoTime deadline) {
  const MonoTime now = BootClock().Now();
  if (!login_.connecting()) {
    if (now < next_login_) return login_verdict_;
    next_login_ = now + options_.login_interval;
    if (!login_.Begin(Local(options_.agent_role, options_.socket_dir, 1000)).ok())
      return login_verdict_ = Verdict::kSaturated;
  }
  const absl::Status status = login_.AwaitConnected(std::min(deadline, now + milliseconds(100)));
  const Duration took = BootClock().Now() - login_.busy_since();
  if (absl::IsCancelled(status)) return login_verdict_;
  if (absl::IsDeadlineExceeded(status)) {
    if (took > milliseconds(500))
      login_verdict_ = took > options_.login_patience ? Verdict::kHung : Verdict::kSaturated;
    return login_verdict_;
  }
  if (status.ok()) {
    login_verdict_ = took > milliseconds(500) ? Verdict::kSaturated : Verdict::kOk;
  } else {
    // Refused with a reason (no slots left, out of memory): it lives. Refused without one: the queue is full,
    // nobody accepts.
    if (SqlState(status).empty()) {
      login_verdict_ = login_verdict_ == Verdict::kHung ? Verdict::kHung : Verdict::kSaturated;
    } else {
      login_verdict_ = Verdict::kSaturated;
    }
  }
  login_.Close();
  return login_verdict_;
}

void PostgresEngine::ReadStandby(const Rows& rows, DbReport* report, Details* details) {
  report->offset = std::max(rows.lsn(0, kReceived), rows.lsn(0, kReplayed));
  report->timeline = static_cast<uint32_t>(rows.number(0, kStreamTimeline));
  if (report->timeline == 0) report->timeline = last_timeline_;
  details->replay_offset = rows.lsn(0, kReplayed);
  details->replayed_unix_ms = rows.number(0, kReplayedMs);
  details->replay_paused = rows.truth(0, kReplayPaused);
  if (rows.null(0, kStreamStatus)) return;
  if (!rows.null(0, kStreamAgeMs))
    report->stream_at = BootClock().Now() - milliseconds(std::max<int64_t>(rows.number(0, kStreamAgeMs), 0));
  if (rows.text(0, kStreamStatus) != "streaming") return;
  // The name under which it streams tells the epoch of the connection itself, whatever the files say by now.
  const auto id = ParseStandbyName(ConninfoValue(rows.text(0, kStreamConninfo), "application_name"));
  int64_t epoch = 0;
  if (!id.has_value() || id->member != options_.member || id->nonce != report->data_nonce) return;
  if (!absl::SimpleAtoi(rows.text(0, kEpoch), &epoch) || epoch != id->epoch) return;
  report->streaming_from = rows.text(0, kLeader);
  report->streaming_epoch = id->epoch;
}

void PostgresEngine::ReadReplicas(MonoTime deadline, DbReport* report, Details* details) {
  const auto rows = probe_.QueryPrepared("mainstay_replicas", kReplicas, {}, deadline);
  if (!rows.ok()) return KeepStandbys(report);
  for (int i = 0; i < rows->size(); ++i) {
    const auto id = ParseStandbyName(rows->text(i, 0));
    if (!id.has_value()) continue;
    const bool streaming = rows->text(i, 1) == "streaming";
    details->replicas.push_back({id->member, rows->text(i, 1), rows->lsn(i, 2), rows->lsn(i, 3),
                                 rows->lsn(i, 4),
                                 rows->text(i, 5) == "quorum" || rows->text(i, 5) == "sync"});
    // Connections made under an older epoch do not count (rule S6).
    if (id->epoch != role_.epoch) continue;
    const auto peer = std::find_if(peers_.begin(), peers_.end(),
                                   [&](const election::Member& m) { return m.name == id->member; });
    const bool expected = peer != peers_.end() && peer->data_nonce == id->nonce;
    const auto have = std::find_if(report->standbys.begin(), report->standbys.end(),
                                   [&](const auto& s) { return s.name == id->member; });
    if (have == report->standbys.end()) {
      report->standbys.push_back({id->member, streaming, rows->lsn(i, 3)});
    } else if (expected || !have->streaming) {
      // Two of one name (a stale clone beside the real one): the data that the record knows go first, then
      // the newer.
      *have = {id->member, streaming, rows->lsn(i, 3)};
    }
  }
  last_standbys_ = report->standbys;
  last_standbys_epoch_ = role_.epoch;
}

// A primary that does not answer tells nothing of its standbys. "None streams" would take them out of the
// sync set, and then nobody could take over from it.
void PostgresEngine::KeepStandbys(DbReport* report) const {
  if (report->writable && last_standbys_epoch_ == role_.epoch) report->standbys = last_standbys_;
}

void PostgresEngine::ReadPrimary(const Rows& rows, DbReport* report, Details*) {
  report->writable = true;
  report->offset = rows.lsn(0, kFlush);
  report->timeline = TimelineOfWalFile(rows.text(0, kWalFile)).value_or(0);
}

void PostgresEngine::ReadPending(MonoTime deadline, Details* details) {
  const MonoTime now = BootClock().Now();
  if (now < next_details_) {
    const std::lock_guard<std::mutex> guard(mutex_);
    details->pending_restart = details_.pending_restart;
    return;
  }
  next_details_ = now + seconds(15);
  const auto rows = probe_.QueryPrepared("mainstay_pending", kPending, {}, deadline);
  for (int i = 0; rows.ok() && i < rows->size(); ++i) details->pending_restart.push_back(rows->text(i, 0));
}

// The history file of the timeline, once for each: for people. One that is not there yet is looked for again.
void PostgresEngine::ReadTimelines(uint32_t timeline, Details* details) {
  const MonoTime now = BootClock().Now();
  if (timeline != 0 && timeline != history_of_ && now >= next_history_) {
    next_history_ = now + seconds(5);
    const auto text =
        timeline == 1 ? absl::StatusOr<std::string>("")
                      : ReadFile(dir_.In(absl::StrFormat("pg_wal/%08X.history", timeline)), kMaxHistoryBytes);
    if (const auto lineage = ParseHistory(timeline, text.value_or("")); text.ok() && lineage.ok()) {
      auto former = std::make_shared<std::vector<FormerTimeline>>();
      const auto& all = lineage->ancestors;
      const size_t from = all.size() > kMaxFormerTimelines ? all.size() - kMaxFormerTimelines : 0;
      for (size_t i = from; i < all.size(); ++i)
        former->push_back({all[i].timeline, all[i].end, all[i].reason});
      former_ = std::move(former);
      history_of_ = timeline;
    }
  }
  if (history_of_ == timeline) details->former_timelines = former_;
}

// ALTER SYSTEM can take over what the election keeps. It is taken out again; the files are then read by
// everybody.
void PostgresEngine::GuardSettings(const std::string& sync_in_force) {
  LoadRole();
  if (!role_known_ || sync_in_force == role_.sync) return;
  static LogLimiter limiter(seconds(10));
  if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held)) {
    Log(LogLevel::kError, "postgres",
        "synchronous_standby_names is not what the election set: setting it again",
        {{"found", sync_in_force}});
  }
  const MonoTime soon = BootClock().Now() + milliseconds(200);
  absl::Status status = SetRole(role_);
  if (status.ok()) status = ReloadConf(soon);
  if (!status.ok()) Log(LogLevel::kWarn, "postgres", "could not set it", {{"error", status}});
}

// Former data directories go once the new one streams. A bite at a time: probes must not wait.
void PostgresEngine::CleanUp(const DbReport& report, MonoTime deadline) {
  const MonoTime now = BootClock().Now();
  if (report.streaming_from.empty() || now < next_cleanup_) return;
  next_cleanup_ = now + seconds(5);
  const std::vector<std::string> old = dir_.OldOnes();
  if (old.empty()) return;
  const absl::Status status =
      shim_.RemoveStale(old.front(), std::max(now + milliseconds(100), deadline - milliseconds(100)));
  if (status.ok())
    Log(LogLevel::kInfo, "postgres", "the new data stream: the former ones are removed",
        {{"directory", old.front()}});
}

// No answer of the reserved session: is it starting, full, or hung?
void PostgresEngine::JudgeFailure(const absl::Status& status, uint32_t starts, MonoTime deadline,
                                  DbReport* report) {
  const bool accepted = accepted_starts_ == starts;
  const std::string state = SqlState(status);
  report->state = accepted ? DbState::kRunning : DbState::kStarting;
  report->verdict = accepted ? Verdict::kHung : Verdict::kUnknown;
  if (absl::IsCancelled(status)) {
    report->verdict = Verdict::kUnknown;
    return;
  }
  if (state == "57P03") {  // starting up, or shutting down
    report->state = DbState::kStarting;
    report->verdict = Verdict::kUnknown;
    return;
  }
  if (state == "53300") {
    // The reserved session was lost and no slot is free for its role: the superuser's reserve proves the
    // same.
    report->state = DbState::kRunning;
    accepted_starts_ = starts;
    const auto rows = Sql(kSelf, {}, deadline);
    if (!rows.ok()) return;
    Details details;
    report->verdict = Verdict::kSaturated;
    if (rows->truth(0, kIsStandby)) {
      ReadStandby(*rows, report, &details);
    } else {
      ReadPrimary(*rows, report, &details);
    }
  } else if (absl::IsUnauthenticated(status)) {
    // It lives; our password or role is wrong. Loud, but no reason to fail over (E3).
    report->state = DbState::kRunning;
    report->verdict = Verdict::kSaturated;
    static LogLimiter limiter(seconds(30));
    if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held)) {
      Log(LogLevel::kError, "postgres",
          "the agent's role cannot log in: correct the password file or the role", {{"error", status}});
    }
  }
}

void PostgresEngine::ProbeRunning(const shim::State& state, MonoTime deadline, DbReport* report) {
  LoadRole();
  bool late = false;
  const auto rows = ProbeQuery(deadline, &late);
  if (!rows.ok()) {
    report->offset = last_offset_;
    report->timeline = last_timeline_;
    report->writable = role_.primary && accepted_starts_ == state.starts;
    KeepStandbys(report);
    JudgeFailure(rows.status(), state.starts, deadline, report);
    return;
  }
  accepted_starts_ = state.starts;
  report->state = DbState::kRunning;
  report->verdict = late ? Verdict::kSaturated : Verdict::kOk;
  Details details;
  details.version = ShortVersion(rows->text(0, kVersion));
  details.start_unix_ms = rows->number(0, kStartedMs);
  if (rows->truth(0, kIsStandby)) {
    ReadStandby(*rows, report, &details);
  } else {
    ReadPrimary(*rows, report, &details);
    ReadReplicas(deadline, report, &details);
    SettleAsPrimary(deadline);
  }
  ReadPending(deadline, &details);
  ReadTimelines(report->timeline, &details);
  last_offset_ = std::max(report->offset, report->timeline == last_timeline_ ? last_offset_ : 0);
  last_timeline_ = report->timeline;
  const Verdict login = ProbeLogin(deadline);
  if (login == Verdict::kHung || (login == Verdict::kSaturated && report->verdict == Verdict::kOk))
    report->verdict = login;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    details_ = std::move(details);
  }
  GuardSettings(rows->text(0, kSyncNames));
  CleanUp(*report, deadline);
  KeepAccounts(*report, deadline);
}

DbReport PostgresEngine::Probe(MonoTime deadline) {
  BeginOperation();
  DbReport report;
  report.at = BootClock().Now();
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

}  // namespace mainstay::engine::postgres
