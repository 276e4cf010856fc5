// Events into facts: nothing here decides who leads; it records what was seen, as exactly as the rules need
// it.
#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

bool Older(const Record& a, const Record& b) {
  return a.epoch < b.epoch || (a.epoch == b.epoch && a.renewal < b.renewal);
}

void SeeAbsent(Context& c) {
  State& s = c.s;
  s.read_at = c.now;
  s.must_read = false;
  if (s.lock == LockView::kAbsent) return;
  s.lock = LockView::kAbsent;
  s.version.clear();
  s.acked_version.clear();
  s.seen_at = c.now;
}

void SeeDamaged(Context& c, const std::string& version, std::string problem) {
  State& s = c.s;
  s.read_at = c.now;
  // Damage is looked at again now and then (lock.look): a stale answer heals, an edit does not.
  s.must_read = false;
  s.next_read = c.now + c.set().renew;
  if (s.lock == LockView::kDamaged && s.version == version) return;
  s.lock = LockView::kDamaged;
  s.version = version;
  s.lock_problem = std::move(problem);
  s.seen_at = c.now;
}

// The record is of another cluster than this member's. What the data say themselves goes before the memory:
// an agent that died just after it had copied the data of a cluster begun anew remembers the former one.
bool OtherCluster(const State& s, const Record& r) {
  if (s.memory.cluster_id.empty() || r.cluster_id.empty() || r.cluster_id == s.memory.cluster_id)
    return false;
  return !s.db_known || s.db.empty || s.db.system_id != r.cluster_id;
}

// What is wrong with a sound record in the light of what this member remembers; "" when nothing.
std::string Doubt(const State& s, const Record& r) {
  const Memory& m = s.memory;
  // Whoever has nothing worth keeping joins the cluster that there is.
  if (Worthless(s)) return "";
  if (OtherCluster(s, r))
    return "the record is of cluster id " + r.cluster_id + ", these data are of " + m.cluster_id;
  if (r.epoch < m.record_epoch || (r.epoch == m.record_epoch && r.change < m.record_change))
    return "the record is older (epoch " + std::to_string(r.epoch) + " change " + std::to_string(r.change) +
           ") than what was seen (epoch " + std::to_string(m.record_epoch) + " change " +
           std::to_string(m.record_change) + ")";
  return "";
}

void See(Context& c, const std::string& version, const Record& record, bool read) {
  State& s = c.s;
  if (s.lock == LockView::kPresent && version == s.version) {
    if (read) {
      s.read_at = c.now;
      s.must_read = false;
    }
    return;
  }
  if (record.holder != s.set->identity && version != s.version)
    s.tried_epoch = 0;  // a late write of mine cannot land any more
  const bool older = s.view != nullptr && s.lock == LockView::kPresent && Older(record, *s.view);
  std::string doubt = Doubt(s, record);
  if (!read && (older || !doubt.empty() || s.lead)) {
    // A watch may be late or stale: look for yourself. A holder is told by its own writes and reads only.
    const bool own_echo = s.lead && record.holder == s.set->identity && !StoreIdle(s);
    if (!(s.lead && older) && !own_echo) s.must_read = true;
    return;
  }
  if (older && s.lead &&
      s.conflicts < 3) {  // a stale answer cannot end a reign: the next compare-and-swap tells
    s.must_read = false;
    return;
  }
  // (On probation there is no reign yet, only the wait for an unbroken hold: this breaks it.)
  if (older && (s.lead || s.phase == Phase::kProbation))
    doubt = "an older record was put back in the place of this holder's";
  if (older && doubt.empty() && !Worthless(s)) doubt = "the record is older than what was seen";
  s.foreign = OtherCluster(s, record);
  if (!doubt.empty()) {
    SeeDamaged(c, version, std::move(doubt));
    return;
  }
  if (Worthless(s)) {
    s.foreign = false;
    s.memory.record_epoch = 0;
    s.memory.record_change = 0;
  }
  // Another primary, or this one has opened its database: what failed before (to follow it) may work now.
  if (s.view == nullptr || s.view->epoch != record.epoch || s.view->base != record.base ||
      s.view->cluster_id != record.cluster_id) {
    s.engine_failures = 0;
    s.engine_retry = std::min(s.engine_retry, c.now);
  }
  s.read_at = read ? c.now : s.read_at;
  s.must_read = false;
  s.lock = LockView::kPresent;
  s.lock_problem.clear();
  s.version = version;
  s.view = std::make_shared<const Record>(record);
  s.seen_at = c.now;
  // It promised the holder to keep still (failsafe); the holder has given the lock up since.
  if (record.release.released) s.promised_until = MonoTime();
  // What made this member wait (another's turn in the failover before) is over; what its own attempt teaches
  // counts.
  if (Chosen(s)) s.next_attempt = std::min(s.next_attempt, c.now);
  if (Mistake(M::kReadGrant) && record.holder == s.set->identity) {
    s.lead = true;
    Grant(c, c.now);
  }
  Remember(c, record);
}

void Acknowledged(Context& c, const StoreRequest& req, const std::string& version) {
  State& s = c.s;
  s.version = version;
  s.acked_version = version;
  s.view = req.record;
  s.lock = LockView::kPresent;
  s.lock_problem.clear();
  s.seen_at = c.now;
  s.must_read = false;
  s.store_failures = 0;
  s.conflicts = 0;
  s.sync_uncertain = false;
  Remember(c, *req.record);
  switch (req.purpose) {
    case Purpose::kRelease:
      LoseLead(c);
      return;
    case Purpose::kAcquire:
      // Late: the permission ended meanwhile and the database was killed. The record names this member, but
      // it leads only when it has resumed.
      if (s.phase == Phase::kStepdown || s.phase == Phase::kReplica || s.phase == Phase::kFenced) return;
      s.memory.held = req.record->epoch;
      s.tried_epoch = 0;
      // R4: whoever made a missing record acts only after L of unbroken holding; the lost-record path with
      // every known member frozen for this candidate alone needs no such wait.
      if (s.probation) {
        s.probation_until = c.now + LeaseWait(s);
      } else {
        s.lead = true;
      }
      break;
    case Purpose::kRenew:
      if (s.probation && c.now >= s.probation_until && s.phase == Phase::kProbation) {
        s.probation = false;
        s.lead = true;
      }
      break;
  }
  s.renewed_at = req.sent_at;
  Grant(c, req.sent_at);
}

void IngestStore(Context& c, StoreDone e) {
  State& s = c.s;
  if (e.id != s.store.id || s.store.id == 0) return;
  const StoreRequest req = std::move(s.store);
  s.store = StoreRequest{};
  switch (e.outcome) {
    case StoreOutcome::kOk:
      if (req.op == StoreOp::kRead) {
        s.store_failures = 0;
        if (e.record.has_value()) See(c, e.version, *e.record, true);
      } else {
        Acknowledged(c, req, e.version);
      }
      return;
    case StoreOutcome::kNotFound:
      s.store_failures = 0;
      SeeAbsent(c);
      return;
    case StoreOutcome::kUnreadable:
      s.store_failures = 0;
      SeeDamaged(c, e.version, e.problem);
      return;
    case StoreOutcome::kConflict:
      s.store_failures = 0;
      s.conflicts++;
      s.must_read = true;
      s.next_read = c.now;
      return;
    case StoreOutcome::kUnknown:
      s.store_failures++;
      if (req.op != StoreOp::kRead) {
        if (req.purpose == Purpose::kAcquire && req.op == StoreOp::kUpdate) s.tried_epoch = req.record->epoch;
        if (req.purpose != Purpose::kRenew || !s.lead) s.must_read = true;
      }
      // client-go's RetryPeriod: what we wait longer than that when the store is back is an outage of our
      // own.
      Retry(c, &s.next_read, s.store_failures - 1, std::chrono::seconds(2));
      s.next_renew = std::min(s.next_renew, s.next_read);
      return;
  }
}

void IngestSeen(Context& c, const RecordSeen& e) {
  State& s = c.s;
  if (s.lock == LockView::kUnread) return;  // the first look is a read
  if (e.record.has_value()) {
    See(c, e.version, *e.record, false);
  } else if (e.version != s.version) {
    s.must_read = true;  // gone or damaged: look for yourself
    s.next_read = std::min(s.next_read, c.now);
  }
}

// The data are of the reign they were of, but may end earlier: they no longer stand for all that was
// acknowledged under it, and a frozen position is not what is there now.
void RolledBack(Context& c) {
  State& s = c.s;
  if (s.memory.lineage == 0) return;
  s.memory.held = 0;
  s.memory.rolled_back = true;
  if (!s.frozen) return;
  s.frozen = false;
  if (!s.attempt.self_frozen) return;
  s.attempt.self_frozen = false;
  s.attempt.verdict = "the database was started anew since it was frozen";
}

// The engine keeps with the data whose history they are of: it knows better than a memory that was written
// before an opening that came to nothing, or not yet after a link that brought writes.
void HearReign(State& s, Epoch reign) {
  if (reign != 0) s.memory.lineage = reign;
}

void IngestDb(Context& c, const DbReport& e) {
  State& s = c.s;
  if (e.at < s.engine_done_at && s.db_known) return;  // began before the last operation ended: stale
  s.db = e;
  s.db_known = true;
  if (e.empty && (s.memory.lineage != 0 || s.memory.held != 0)) {
    s.memory.lineage = 0;  // what was promised of the data went with them
    s.memory.held = 0;
    s.memory.rolled_back = false;
  }
  HearReign(s, e.reign);
  const bool gone = e.state == DbState::kDead || e.state == DbState::kStopped;
  if (e.rolled_back || (gone && c.set().volatile_data)) RolledBack(c);
  if (!e.streaming_from.empty() && Present(s) && !s.frozen && !s.memory.detached &&
      e.streaming_from == s.view->holder_name && e.streaming_epoch == s.view->epoch) {
    s.memory.lineage = e.streaming_epoch;
    s.memory.rolled_back = false;
  }
  // Nothing was learned of the standbys: that is not "none streams", which would empty the sync set.
  // No answer is not "nobody streams": a database that hangs keeps its sync set until it is killed.
  const bool mute =
      e.state != DbState::kRunning || e.verdict == Verdict::kHung || e.verdict == Verdict::kUnknown;
  if (s.open_epoch == 0 || mute) return;
  for (auto& h : s.standbys) h.streaming = false;
  for (const Standby& b : e.standbys) {
    auto it = std::lower_bound(s.standbys.begin(), s.standbys.end(), b.name,
                               [](const State::StandbyHealth& h, const Name& n) { return h.name < n; });
    if (it == s.standbys.end() || it->name != b.name) {
      if (s.standbys.size() >= kMaxMembers) continue;
      State::StandbyHealth fresh;
      fresh.name = b.name;
      it = s.standbys.insert(it, std::move(fresh));
    }
    it->streaming = b.streaming;
    it->flushed = b.flushed;
  }
  s.first_look = std::min(s.first_look, e.offset);
  for (auto& h : s.standbys) h.reached = h.streaming ? UINT64_MAX : std::min(h.reached, e.offset);
  for (auto& h : s.standbys) h.bad_since = h.streaming ? MonoTime::Never() : std::min(h.bad_since, c.now);
}

// A primary is open: what was set with it is in effect, nobody waits under other names.
void Opened(Context& c, const EngineDone& e, const Engine& op) {
  State& s = c.s;
  s.open_epoch = op.epoch;
  s.open_failed = false;
  s.applied = op.sync;
  s.applied_key = SyncKey(s.set->self.name, op.epoch, op.sync, op.peers);
  s.settled_at = e.offset;
  s.standbys.clear();
  s.first_look = UINT64_MAX;
  s.frozen = false;
  s.db.state = DbState::kRunning;
  s.db.writable = true;
  s.db.unopened = false;
  s.db.verdict = Verdict::kOk;
  s.db.at = c.now;
  s.db.offset = e.offset;
  if (e.timeline != 0) s.db.timeline = e.timeline;
}

Position FrozenAt(const State& s, const EngineDone& e, const Engine& op) {
  if (e.offset == 0) return {};
  // (A new cluster that nobody ever opened is of no reign, so it goes before none.)
  if (s.db.unopened) return {0, e.offset, e.timeline};
  return {s.set->volatile_data ? s.memory.lineage : DataLineage(op.memory), e.offset, e.timeline};
}

void IngestEngineOk(Context& c, const EngineDone& e, const Engine& op) {
  State& s = c.s;
  s.engine_failures = 0;
  switch (op.op) {
    case EngineOp::kFound:
      s.db.empty = false;
      s.db.unopened = true;
      s.db.system_id = e.system_id;
      s.db.state = DbState::kStopped;
      s.db.offset = e.offset;
      break;
    case EngineOp::kFollow:
      // It was started (or cloned): what was known before is over, the next probe tells the rest. Without
      // this the member would be told to follow again at once, for ever.
      if (s.db.state != DbState::kRunning) s.db.state = DbState::kStarting;
      s.db.empty = s.db.unopened = false;
      // Such an engine is done when it streams. The primary may be gone before the next probe could see that.
      if (c.set().volatile_data && Present(s) && op.epoch == s.view->epoch && !s.frozen &&
          !s.memory.detached) {
        s.memory.lineage = op.epoch;
        s.memory.rolled_back = false;
      }
      break;
    case EngineOp::kFreeze:
      s.frozen = true;
      HearReign(s, e.reign);
      s.frozen_at = FrozenAt(s, e, op);
      s.frozen_since = c.now;
      if (s.attempt.ask != 0 && op.epoch == s.attempt.epoch) s.attempt.self_frozen = true;
      if (s.db.state != DbState::kRunning) s.db.state = DbState::kRunning;
      s.db.writable = false;
      AnswerFreezeWaiters(c, true, "");
      break;
    case EngineOp::kPromote:
      s.memory.lineage = op.epoch;
      s.memory.rolled_back = false;
      Opened(c, e, op);
      break;
    case EngineOp::kReopen:
      if (s.memory.lineage == 0) s.memory.lineage = op.epoch;
      Opened(c, e, op);
      break;
    case EngineOp::kSetSync:
      s.applied = op.sync;
      // By what was known when it was asked for: a member's new data may have come into the record meanwhile.
      s.applied_key = SyncKey(s.set->self.name, op.epoch, op.sync, op.peers);
      s.settled_at = e.offset;
      break;
    case EngineOp::kStop:
    case EngineOp::kKill:
      s.stopped_complete = op.op == EngineOp::kStop && e.complete;
      s.stopped_at = Position{s.memory.lineage, e.offset, e.timeline};
      s.db.state = DbState::kStopped;
      s.db.writable = false;
      s.open_epoch = 0;
      break;
    case EngineOp::kCheckpoint:
      break;
    case EngineOp::kRemember:
      if (s.db.empty) AnswerFreezeWaiters(c, true, "");  // without data the promise is all there is to freeze
      break;
  }
  if (op.op == EngineOp::kFreeze || op.op == EngineOp::kRemember || op.op == EngineOp::kPromote ||
      op.op == EngineOp::kReopen)
    s.saved = op.memory;
}

void IngestEngine(Context& c, const EngineDone& e) {
  State& s = c.s;
  if (e.id != s.engine.id || s.engine.id == 0) return;
  const Engine op = std::move(s.engine);
  s.engine = Engine{};
  s.engine_done_at = c.now;
  if (e.ok) {
    IngestEngineOk(c, e, op);
    return;
  }
  s.engine_failures++;
  Retry(c, &s.engine_retry, s.engine_failures - 1);
  switch (op.op) {
    case EngineOp::kFollow:
      s.following_epoch = 0;
      break;
    case EngineOp::kRemember:
      AnswerFreezeWaiters(c, false, e.detail);
      break;
    case EngineOp::kFreeze:
      AnswerFreezeWaiters(c, false, e.detail);
      if (s.attempt.ask != 0) s.attempt.verdict = "own freeze failed: " + e.detail;
      break;
    case EngineOp::kFound:
    case EngineOp::kPromote:
    case EngineOp::kReopen:
      s.open_failed = true;
      break;
    case EngineOp::kSetSync:
      // The new names may be in effect, in part: what the database has is not known until it is set again.
      s.applied_key.clear();
      s.settled_at = UINT64_MAX;
      break;
    default:
      break;
  }
}

}  // namespace

void Ingest(Context& c, const Event& event) {
  struct Visitor {
    Context& c;
    void operator()(const Tick&) {}
    void operator()(const StoreDone& e) { IngestStore(c, e); }
    void operator()(const RecordSeen& e) { IngestSeen(c, e); }
    void operator()(const DbReport& e) { IngestDb(c, e); }
    void operator()(const EngineDone& e) { IngestEngine(c, e); }
    void operator()(const FenceArmed& e) { c.s.fence_until = std::max(c.s.fence_until, e.until); }
    void operator()(const PeerReport& e) { IngestPeer(c, e); }
    void operator()(const FreezeAsked& e) { IngestFreezeAsked(c, e); }
    void operator()(const FreezeAnswered& e) { IngestFreezeAnswered(c, e); }
    void operator()(const PromiseAsked& e) { IngestPromiseAsked(c, e); }
    void operator()(const PromiseAnswered& e) { IngestPromiseAnswered(c, e); }
    void operator()(const AdminAsked& e) { IngestAdmin(c, e); }
    void operator()(const TagsChanged& e) {
      auto set = std::make_shared<Settings>(*c.s.set);
      set->self.priority = e.priority;
      set->self.no_failover = e.no_failover;
      c.s.set = std::move(set);
    }
    void operator()(const ShutdownAsked& e) { c.s.shutdown = !e.withdrawn; }
  };
  std::visit(Visitor{c}, event);
}

}  // namespace mainstay::election
