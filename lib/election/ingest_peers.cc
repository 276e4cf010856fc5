// What other members and people ask and say.
#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

constexpr size_t kMaxWaiters = 8;

FreezeAnswered Answer(const Context& c, const FreezeAsked& ask, bool frozen, std::string refusal) {
  FreezeAnswered a;
  a.ask = ask.ask;
  a.from = c.set().self.name;
  a.epoch = ask.epoch;
  a.frozen = frozen;
  a.refusal = std::move(refusal);
  a.promised = c.s.memory.promised;
  a.position = OwnPosition(c.s);
  if (c.s.db.empty) a.position = Position{};
  a.known = c.s.memory.known;
  a.whole = !c.s.memory.rolled_back;
  return a;
}

// Why this member will not freeze; "" when it will.
std::string RefuseFreeze(const Context& c, const FreezeAsked& e) {
  const State& s = c.s;
  const Memory& m = s.memory;
  if (!c.set().database) return "no database here";
  if (e.epoch < m.promised) return "already promised to epoch " + std::to_string(m.promised);
  if (Present(s) && e.epoch <= s.view->epoch)
    return "the record is at epoch " + std::to_string(s.view->epoch) + " already";
  if (e.epoch <= m.record_epoch && e.cause != Cause::kLost)
    return "epoch " + std::to_string(m.record_epoch) + " was seen";
  // In the lost-record path a promise is given to one candidate only, so that two cannot both act on the same
  // epoch.
  if (!m.promised_to.empty() && e.epoch == m.promised && m.promised_to != e.from)
    return "promised to " + m.promised_to;
  if (e.cause == Cause::kLost && e.epoch == m.promised && m.promised_to != e.from)
    return "epoch already promised";
  if (Permitted(s, c.now) && s.phase != Phase::kReleasing) return "I lead and my permission runs";
  if (s.phase == Phase::kAcquiring && !StoreIdle(s)) return "I am taking the lock";
  if (s.phase == Phase::kStepdown || (!EngineIdle(s) && s.engine.op == EngineOp::kKill))
    return "the database is being killed";
  if (c.now < s.promised_until) return "I promised the holder not to take over";
  if (Present(s) && s.view->paused && e.cause != Cause::kForced && !s.view->release.released) return "paused";
  if (e.cause == Cause::kSuspected && Present(s) && !s.view->release.released &&
      s.view->holder_name != c.set().self.name) {
    // A little less than S: the members' silences did not begin at the same moment.
    const Duration limit = c.set().suspicion * 3 / 4;
    if (c.now - s.seen_at < limit) return "I saw the lock renewed " + Seconds(c.now - s.seen_at) + " ago";
    if (c.now - StreamAt(s) < limit)
      return "I saw the primary's stream " + Seconds(c.now - StreamAt(s)) + " ago";
  }
  return "";
}

}  // namespace

void AnswerFreezeWaiters(Context& c, bool ok, const std::string& why) {
  for (const FreezeAsked& w : c.s.freeze_waiters) {
    const bool fits = w.epoch == c.s.memory.promised;
    c.out.push_back(AnswerFreeze{
        w.from, Answer(c, w, ok && fits, ok && !fits ? "another epoch was promised meanwhile" : why)});
  }
  c.s.freeze_waiters.clear();
}

void IngestFreezeAsked(Context& c, const FreezeAsked& e) {
  State& s = c.s;
  std::string refusal = RefuseFreeze(c, e);
  if (!refusal.empty() || s.freeze_waiters.size() >= kMaxWaiters) {
    if (refusal.empty()) refusal = "too many requests";
    c.out.push_back(AnswerFreeze{e.from, Answer(c, e, false, std::move(refusal))});
    // (Who says that the record is lost may know more than a watch that is silent here.)
    if (e.cause == Cause::kLost ? Present(s) : e.epoch > s.memory.max_epoch) s.must_read = true;
    return;
  }
  Memory& m = s.memory;
  const bool again = s.frozen && m.promised == e.epoch && s.saved.promised == e.epoch;
  m.promised = e.epoch;
  m.max_epoch = std::max(m.max_epoch, e.epoch);
  m.promised_to = e.cause == Cause::kLost ? e.from : "";
  m.detached = true;
  if (e.cause == Cause::kLost) Insert(&m.known, e.from);
  s.following_epoch = 0;
  // Its turn: whoever answered with a freeze of its own at once would void it, and so on for ever.
  if (e.from != c.set().self.name) s.next_attempt = std::max(s.next_attempt, c.now + c.set().freeze_wait * 2);
  if (again && s.saved.promised_to == m.promised_to) {
    c.out.push_back(AnswerFreeze{e.from, Answer(c, e, true, "")});
    return;
  }
  s.freeze_waiters.push_back(e);
  if (s.phase == Phase::kFreezing && e.epoch > s.attempt.epoch)
    SetPhase(c, Phase::kReplica);  // a higher epoch than mine: my attempt is void
  if (!EngineIdle(s) && s.engine.op == EngineOp::kFreeze && s.engine.epoch == e.epoch) return;
  Engine op;
  op.op = s.db.empty ? EngineOp::kRemember : EngineOp::kFreeze;
  op.epoch = e.epoch;
  StartEngine(c, std::move(op));
}

void IngestFreezeAnswered(Context& c, const FreezeAnswered& e) {
  State& s = c.s;
  if (e.ask != s.attempt.ask || s.phase != Phase::kFreezing) return;
  for (const FreezeAnswered& a : s.attempt.answers)
    if (a.from == e.from) return;
  if (s.attempt.answers.size() >= kMaxMembers) return;
  s.memory.max_epoch = std::max(s.memory.max_epoch, e.promised);
  FreezeAnswered a = e;
  if (a.epoch != s.attempt.epoch) a.frozen = false;
  s.attempt.answers.push_back(std::move(a));
}

void IngestPromiseAsked(Context& c, const PromiseAsked& e) {
  State& s = c.s;
  PromiseAnswered a{e.ask, c.set().self.name, e.epoch, false};
  // Only to the holder that this member knows, never while an own attempt may still land, never after a
  // freeze.
  const bool holder =
      Present(s) && s.view->holder_name == e.from && s.view->epoch == e.epoch && !s.view->release.released;
  const bool quiet =
      s.phase == Phase::kReplica && s.tried_epoch == 0 && (StoreIdle(s) || s.store.op == StoreOp::kRead);
  if (holder && quiet && s.memory.promised <= e.epoch) {
    s.promised_until = std::max(s.promised_until, c.now + c.set().lease);
    a.promised = true;
  }
  c.out.push_back(AnswerPromise{e.from, a});
}

void IngestPromiseAnswered(Context& c, const PromiseAnswered& e) {
  State& s = c.s;
  if (e.ask != s.promise_ask || s.promise_ask == 0 || !e.promised) return;
  if (!s.lead || s.view == nullptr || e.epoch != s.view->epoch) return;
  Insert(&s.promise_from, e.from);
  if (s.promise_from.size() < s.promise_needed) return;
  // Every possible candidate promised to keep still for L from a moment after promise_sent: the same
  // arithmetic as a renewal.
  Grant(c, s.promise_sent);
  s.promise_ask = 0;
}

void IngestPeer(Context& c, const PeerReport& e) {
  State& s = c.s;
  if (e.name.empty() || e.name == c.set().self.name) return;
  auto it = std::lower_bound(s.peers.begin(), s.peers.end(), e.name);
  if (it == s.peers.end() || it->report.name != e.name) {
    if (s.peers.size() >= kMaxMembers) return;
    it = s.peers.insert(it, Peer{});
  }
  it->report = e;
  it->at = c.now;
  s.memory.max_epoch = std::max({s.memory.max_epoch, e.record_epoch, e.promised});
  if (e.lock_changed || e.record_epoch > s.memory.record_epoch) {
    // (A missing record stays missing, however high its epoch was: only a change is news.)
    if (e.lock_changed || (e.record_epoch > s.memory.record_epoch && s.lock == LockView::kPresent)) {
      s.must_read = true;
      if (e.lock_changed) s.next_read = std::min(s.next_read, c.now);
    }
  }
  if (e.take) s.take_hint = true;
}

namespace {

// The holder said lately that it leads.
bool PrimarySeen(const Context& c) {
  return std::any_of(c.s.peers.begin(), c.s.peers.end(),
                     [&](const Peer& p) { return p.report.leads && PeerFresh(c.s, p, c.now); });
}

// Requests that only the holder can carry out.
std::string RefuseHolderRequest(const Context& c, const AdminAsked& e) {
  const State& s = c.s;
  if (!s.lead || (s.phase != Phase::kPrimary)) {
    const std::string holder = Present(s) && !s.view->release.released ? s.view->holder_name : "";
    return holder.empty() || holder == c.set().self.name
               ? "there is no primary that could do it now; see `mainstay status`"
               : "not the primary: ask " + holder;
  }
  if (e.kind == AdminKind::kSwitchover && !e.target.empty()) {
    const Member* m = s.view->FindMember(e.target);
    if (e.target == c.set().self.name) return e.target + " is the primary already";
    if (m == nullptr) return "no member " + e.target + "; see `mainstay status` for the members";
    if (m->no_failover) return e.target + " is tagged no_failover";
  }
  if (e.kind == AdminKind::kForget) {
    if (e.target == c.set().self.name) return "the primary cannot be forgotten: switch over first";
    if (s.view->FindMember(e.target) == nullptr) return "no member " + e.target;
    const Peer* p = FindPeer(s, e.target);
    if (p != nullptr && PeerFresh(s, *p, c.now)) return e.target + " is alive: stop its agent first";
  }
  return "";
}

// Fence and unfence: never kept waiting by a request that may need what they do.
bool DoneAtOnce(Context& c, const AdminAsked& e) {
  const Name& self = c.set().self.name;
  if (e.kind == AdminKind::kFence) {
    c.s.memory.fenced = true;
    c.out.push_back(
        AnswerAdmin{e.id, AdminStatus::kAccepted, self + " will be stopped and stay stopped until unfenced"});
  } else if (e.kind == AdminKind::kUnfence) {
    c.s.memory.fenced = false;
    c.out.push_back(AnswerAdmin{e.id, AdminStatus::kDone, self + " may run again"});
  }
  return e.kind == AdminKind::kFence || e.kind == AdminKind::kUnfence;
}

}  // namespace

void IngestAdmin(Context& c, const AdminAsked& e) {
  State& s = c.s;
  auto answer = [&](AdminStatus status, std::string text) {
    c.out.push_back(AnswerAdmin{e.id, status, std::move(text)});
  };
  if (DoneAtOnce(c, e)) return;
  if (s.admin.has_value()) {
    if (s.admin->id == e.id) return;  // the same request again: one answer is coming
    answer(AdminStatus::kRefused, "busy with request " + s.admin->id + ": try again when it is done");
    return;
  }
  switch (e.kind) {
    case AdminKind::kFailover: {
      const bool alive = Present(s) && !s.view->release.released && c.now - s.seen_at < LeaseWait(s);
      if (s.lead || (alive && s.view->holder_name != c.set().self.name && !e.force)) {
        answer(AdminStatus::kRefused,
               "the primary " + s.view->holder_name +
                   " holds a running lease: use switchover, or wait until its lease ends");
        return;
      }
      s.forced_until = c.now + LeaseWait(s) * 3;
      s.forced_loss = e.force;
      s.admin = e;
      s.admin_deadline = s.forced_until;
      return;
    }
    case AdminKind::kResume:
      // A paused cluster without a primary: nobody else could write "resumed" than whoever takes over for it,
      // when the lease has run out.
      if (!s.lead && Present(s) && s.view->paused && !PrimarySeen(c)) {
        if (s.memory.fenced || c.set().self.no_failover) {
          answer(AdminStatus::kRefused,
                 c.set().self.name + " is fenced or tagged no_failover: ask a member that may lead");
          return;
        }
        s.forced_until = c.now + LeaseWait(s) * 3;
        s.forced_loss = false;
        s.admin = e;
        s.admin_deadline = s.forced_until;
        return;
      }
      [[fallthrough]];
    default: {
      std::string refusal = RefuseHolderRequest(c, e);
      if (!refusal.empty()) {
        answer(AdminStatus::kRefused, std::move(refusal));
        return;
      }
      s.admin = e;
      s.admin_deadline = c.now + c.set().handover;
      if (e.kind == AdminKind::kSetDurability) s.wish = e.durability;
      return;
    }
  }
}

}  // namespace mainstay::election
