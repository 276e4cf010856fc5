#include "lib/election/core.h"

#include <algorithm>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

// A row that fires changes its own condition; should one not, this bound turns an endless loop into a late
// transition.
constexpr int kMaxRowsPerStep = 16;

bool Fire(Context& c) {
  const uint32_t phase = In(c.s.phase);
  for (const Row& row : Table()) {
    if ((row.from & phase) == 0 || !row.condition(c)) continue;
    c.facts.clear();
    const size_t at = c.out.size();
    if (!row.quiet) {
      c.s.last_reason = row.id;
      c.out.push_back(Decision{row.id, row.sentence, ""});
    }
    row.action(c);
    c.verdict.reset();
    if (!row.quiet) std::get<Decision>(c.out[at]).facts = std::move(c.facts);
    return true;
  }
  return false;
}

void Earliest(MonoTime now, MonoTime candidate, MonoTime* wake) {
  if (candidate > now && candidate < *wake) *wake = candidate;
}

MonoTime Wake(const State& s, MonoTime now) {
  MonoTime wake = now + s.set->renew / 2;
  Earliest(now, s.next_read, &wake);
  Earliest(now, s.engine_retry, &wake);
  Earliest(now, s.next_attempt, &wake);
  if (s.lead || s.phase == Phase::kProbation) {
    Earliest(now, s.next_renew, &wake);
    Earliest(now, GiveUpAt(s), &wake);
    Earliest(now, s.probation_until, &wake);
    return wake;
  }
  Earliest(now, s.promised_until, &wake);
  if (s.phase == Phase::kFreezing) Earliest(now, s.attempt.started + s.set->freeze_wait, &wake);
  Earliest(now, s.phase_since + s.set->suspicion, &wake);  // an own record that nobody confirms
  if (s.phase != Phase::kReplica) return wake;
  Earliest(now, s.seen_at + LeaseWait(s), &wake);
  Earliest(now, std::max(s.seen_at, StreamAt(s)) + s.set->suspicion, &wake);
  MonoTime since = MonoTime::Never();
  if (!TakeoverCause(s, now, &since).has_value()) Earliest(now, since, &wake);
  return wake;
}

}  // namespace

State Start(std::shared_ptr<const Settings> settings, Memory memory, MonoTime now) {
  State s;
  s.set = std::move(settings);
  s.memory = memory;
  s.saved = std::move(memory);
  s.phase_since = now;
  s.next_read = now;
  s.seen_at = now;
  s.read_at = MonoTime();
  s.frozen_since = MonoTime();
  s.db_known = !s.set->database;
  return s;
}

Result Step(State state, const Event& event, MonoTime now) {
  Result r;
  Context c{state, now, r.actions, {}, {}};
  Ingest(c, event);
  for (int i = 0; i < kMaxRowsPerStep && Fire(c); ++i) {
  }
  r.wake = Wake(state, now);
  r.state = std::move(state);
  return r;
}

PeerReport Describe(const State& s, MonoTime now) {
  PeerReport p;
  p.name = s.set->self.name;
  p.self = s.set->self;
  p.self.incarnation = s.set->identity;
  p.self.data_nonce = s.db.data_nonce;
  p.record_epoch = Present(s) ? s.view->epoch : s.memory.record_epoch;
  // What a record must be above for this member to follow it: one more when that very epoch was promised to
  // somebody else than it names.
  const bool other = Present(s) && !s.memory.promised_to.empty() && s.view->epoch == s.memory.promised &&
                     s.memory.promised_to != s.view->holder_name;
  p.promised = s.memory.promised + (other ? 1 : 0);
  p.leads = Permitted(s, now) &&
            (s.phase == Phase::kPrimary || s.phase == Phase::kOpening || s.phase == Phase::kHandover);
  p.db_running = s.db.state == DbState::kRunning;
  const bool stray = Worthless(s) && Present(s) && s.view->cluster_id != s.db.system_id;
  p.system_id = stray ? "" : s.db.system_id;
  p.empty = s.db_known && (s.db.empty || stray) && s.set->database;
  p.position = OwnPosition(s);
  p.can_vote = !s.frozen && !s.set->self.no_failover && Present(s) &&
               s.db.streaming_from == s.view->holder_name && s.memory.lineage >= s.view->base &&
               s.memory.lineage > 0;
  p.record_age = now - s.seen_at;
  p.stream_age = now - StreamAt(s);
  return p;
}

}  // namespace mainstay::election
