// Rows of a candidate: freezing, judging, the compare-and-swap.
#include <algorithm>
#include <iterator>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

bool Moved(const Context& c) {
  const State& s = c.s;
  if (Mistake(M::kReread)) return false;
  return s.version != s.attempt.version || s.lock == LockView::kUnread;
}
void ActMoved(Context& c) {
  c.facts = Present(c.s) ? "epoch " + std::to_string(c.s.view->epoch) + ", holder " + c.s.view->holder_name
                         : "the record changed";
  SetPhase(c, Phase::kReplica);
  Retry(c, &c.s.next_attempt, 0);
}

bool Takes(const Context& c) {
  return StoreIdle(c.s) && EngineIdle(c.s) && Judge(c).judgement == Judgement::kTake;
}
void ActTake(Context& c) {
  State& s = c.s;
  c.facts = "epoch " + std::to_string(s.attempt.epoch) + "; " + Judge(c).why;
  // Alone on a missing record: with every known member frozen for this candidate nobody else can act; else L
  // must pass first.
  const bool sync = SyncMode(s) && c.set().database;
  s.probation = s.lock == LockView::kAbsent && !sync && !Mistake(M::kCreateNow) && !Mistake(M::kWaitCreate);
  s.reopen = false;
  Record r = AcquiredRecord(c);
  SetPhase(c, Phase::kAcquiring);
  s.memory.max_epoch = std::max(s.memory.max_epoch, s.attempt.epoch);
  Write(c, std::move(r), Purpose::kAcquire);
}

bool Other(const Context& c) { return Judge(c).judgement == Judgement::kOther; }
void ActOther(Context& c) {
  State& s = c.s;
  const Ruling v = Judge(c);
  c.facts = v.best + " is ahead; " + v.why;
  if (s.yielded.to != v.best || s.yielded.version != s.version) s.yielded = {v.best, s.version, 0};
  s.yielded.times++;
  c.out.push_back(Notify{v.best, false, true});
  SetPhase(c, Phase::kReplica);
  s.next_attempt = c.now + c.set().freeze_wait;
  s.frozen_since = c.now;
}

bool Blocked(const Context& c) { return Judge(c).judgement == Judgement::kBlocked; }
void ActBlocked(Context& c) {
  State& s = c.s;
  const Ruling v = Judge(c);
  c.facts = v.why;
  s.attempt.verdict = v.why;
  s.attempt.ask = 0;
  SetPhase(c, Phase::kReplica);
  Retry(c, &s.next_attempt, s.attempts);
  // Members that failed together must not try again together: each waits a little longer than the one before
  // it.
  s.next_attempt += c.set().retry * std::distance(s.memory.known.begin(),
                                                  std::lower_bound(s.memory.known.begin(),
                                                                   s.memory.known.end(), c.set().self.name));
  s.must_read = true;
}

bool Won(const Context& c) { return StoreIdle(c.s) && c.s.lead; }
void ActWon(Context& c) {
  State& s = c.s;
  c.facts = "epoch " + std::to_string(s.view->epoch);
  s.attempts = 0;
  s.open_failed = false;
  s.open_epoch = 0;  // of an earlier reign, whose kill was overtaken by a freeze
  s.forced_until = MonoTime();
  SetPhase(c, Phase::kOpening);
  c.out.push_back(Notify{"", true, false});
}
bool OnProbation(const Context& c) {
  return StoreIdle(c.s) && c.s.probation && ViewMine(c.s) && !c.s.must_read &&
         c.s.version == c.s.acked_version;
}
bool LostRace(const Context& c) { return StoreIdle(c.s); }
void ActLostRace(Context& c) {
  State& s = c.s;
  c.facts = s.tried_epoch != 0 ? "the answer is unknown" : "somebody else was first";
  s.probation = false;
  SetPhase(c, Phase::kReplica);
  s.must_read = true;
  Retry(c, &s.next_attempt, 0);
}

bool ProbationOver(const Context& c) { return c.s.lead && !c.s.probation; }

}  // namespace

void AddCandidateRows(std::vector<Row>* t) {
  constexpr uint32_t freezing = In(Phase::kFreezing);
  constexpr uint32_t acquiring = In(Phase::kAcquiring);
  t->push_back({"candidate.moved", freezing, "the lock changed since the freeze began",
                "The lock changed: the frozen positions were judged against an older one and are void.",
                "replica", false, Moved, ActMoved});
  t->push_back({"candidate.take", freezing,
                "enough members are frozen, and none of them has more than this one",
                "Nothing that was acknowledged can be missing here, and nothing more can be acknowledged "
                "elsewhere: take the lock.",
                "acquiring", false, Takes, ActTake});
  t->push_back({"candidate.yield", freezing, "enough members are frozen, but another has more",
                "Another member is ahead: let it take over.", "replica", false, Other, ActOther});
  t->push_back({"candidate.blocked", freezing,
                "too few members answered, or nobody who may lead has the data",
                "Taking over could lose an acknowledged write, or the primary is alive: do not.", "replica",
                false, Blocked, ActBlocked});
  t->push_back({"acquire.won", acquiring, "the compare-and-swap was acknowledged", "The lock is ours.",
                "opening", false, Won, ActWon});
  t->push_back({"acquire.probation", acquiring, "the record was made, or names this member by a late write",
                "The record is made: act only after it stayed for the lease duration.", "probation", false,
                OnProbation, [](Context& c) {
                  SetPhase(c, Phase::kProbation);
                  c.facts = "for " + Seconds(LeaseWait(c.s));
                }});
  t->push_back({"acquire.lost", acquiring, "it was not acknowledged", "The lock was not taken: look again.",
                "replica", false, LostRace, ActLostRace});
  t->push_back({"probation.over", In(Phase::kProbation), "the record stayed for the lease duration",
                "The record stayed: the lock is ours.", "opening", false, ProbationOver, ActWon});
}

void AddHouseRows(std::vector<Row>* t) {
  t->push_back({"lock.read", kAnyPhase, "the lock must be looked at", "Read the lock.", "", true,
                [](const Context& c) { return c.s.must_read && StoreIdle(c.s) && c.now >= c.s.next_read; },
                SendRead});
  t->push_back({"lock.look", In(Phase::kJoining, Phase::kReplica, Phase::kFenced),
                "the lock was damaged when last seen, or not renewed for twice the lease duration",
                "Look whether the lock is still as it was seen: a watch may be silent.", "", true,
                [](const Context& c) {
                  const State& s = c.s;
                  const bool stale = Present(s) && c.now >= std::max(s.seen_at, s.read_at) + LeaseWait(s) * 2;
                  return (s.lock == LockView::kDamaged || stale) && StoreIdle(s) && c.now >= s.next_read;
                },
                SendRead});
  t->push_back({"memory.save", In(Phase::kReplica, Phase::kPrimary, Phase::kFenced),
                "what must survive a restart changed", "Make the memory durable.", "", true,
                [](const Context& c) {
                  return c.set().database && EngineIdle(c.s) && c.now >= c.s.engine_retry &&
                         !(c.s.memory == c.s.saved);
                },
                [](Context& c) {
                  Engine op;
                  op.op = EngineOp::kRemember;
                  op.epoch = c.s.memory.max_epoch;
                  StartEngine(c, std::move(op));
                }});
}

}  // namespace mainstay::election
