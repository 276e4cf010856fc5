// What the files of lib/election share. Not installed, not for others.
#ifndef MAINSTAY_LIB_ELECTION_CORE_INTERNAL_H_
#define MAINSTAY_LIB_ELECTION_CORE_INTERNAL_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/election/action.h"
#include "lib/election/core.h"
#include "lib/election/mistake.h"
#include "lib/election/state.h"
#include "lib/election/table.h"

namespace mainstay::election {

enum class Judgement : uint8_t { kWait, kTake, kOther, kBlocked };
struct Ruling {
  Judgement judgement = Judgement::kWait;
  Name best;
  std::string why;
};

struct Context {
  State& s;
  MonoTime now;
  std::vector<Action>& out;
  std::string facts;  // of the row that fires, for its Decision
  // Judge() of this state, asked for by several rows: thrown away when a row has changed the state.
  mutable std::optional<Ruling> verdict;

  const Settings& set() const { return *s.set; }
};

// ---- facts (facts.cc) ----
bool StoreIdle(const State& s);
bool EngineIdle(const State& s);
bool Present(const State& s);                  // the lock was last seen there and sound
bool ViewMine(const State& s);                 // it names this incarnation
bool Permitted(const State& s, MonoTime now);  // holder with a running permission
// When a holder that cannot renew gives up: its permission's end, or a little before it where the shim's kill
// would take the data with it and giving up would not.
MonoTime GiveUpAt(const State& s);
bool SyncMode(const State& s);  // guarded or strict in force
Durability Wish(const State& s);
// A primary that was reopened in place keeps its lineage, so that its standbys' data still count; compared
// with theirs its data are of its last reign.
Epoch DataLineage(const Memory& m);
Position OwnPosition(const State& s);
const Peer* FindPeer(const State& s, const Name& name);
bool PeerFresh(const State& s, const Peer& p, MonoTime now);
bool OnLineage(const State& s, const Position& p);  // rule S6: on the recorded reign's own log
bool Worthless(const State& s);   // the own data hold nothing that anybody was ever told is safe
Epoch LostEpoch(const State& s);  // for a record made anew, when nobody may know the last epoch
bool FenceKept(const State& s);   // durable, so that it may be acted on
bool Chosen(const State& s);      // the lock was handed over to this member
MonoTime StreamAt(const State& s);
Duration LeaseWait(const State& s);  // L: the longer of the own and the record's
int32_t RecordK(const Record& r);    // how many standbys acknowledge, as the record has it
std::string Seconds(Duration d);
void Insert(std::vector<Name>* names, const Name& name);
bool Contains(const std::vector<Name>& names, const Name& name);

// ---- effects (effects.cc) ----
void SetPhase(Context& c, Phase phase);
void SendRead(Context& c);
Record NextRecord(const Context& c);  // the view with renewal + 1 and the members as last reported
void Write(Context& c, Record next, Purpose purpose);
void StartEngine(Context& c, Engine op);
void StartKill(Context& c);
void Remember(Context& c, const Record& record);  // a record's content into the memory
void Grant(Context& c, MonoTime sent_at);  // an acknowledged write of the holder extends its permission
void LoseLead(Context& c);
void AnswerPerson(Context& c, AdminStatus status, std::string message);
std::string SwitchoverWaitsFor(const Context& c);  // "" : for nothing, or none was asked for
// Back-off: settings.retry, doubled with each failure up to 16 times it, and never more than `at_most`.
void Retry(Context& c, MonoTime* at, int failures, Duration at_most = std::chrono::minutes(1));

// ---- events into facts (ingest.cc, ingest_peers.cc) ----
void Ingest(Context& c, const Event& event);
void IngestFreezeAsked(Context& c, const FreezeAsked& e);
void IngestFreezeAnswered(Context& c, const FreezeAnswered& e);
void IngestPromiseAsked(Context& c, const PromiseAsked& e);
void IngestPromiseAnswered(Context& c, const PromiseAnswered& e);
void IngestPeer(Context& c, const PeerReport& e);
void IngestAdmin(Context& c, const AdminAsked& e);
void AnswerFreezeWaiters(Context& c, bool ok, const std::string& why);

// ---- the sync set (sync.cc), rules S1-S4 ----
struct SyncStep {
  enum Kind : uint8_t { kNothing, kDatabase, kRecord } kind = kNothing;
  SyncNames names;           // kDatabase
  std::vector<Name> voters;  // kRecord
  int32_t freeze = 0;
  Durability durability = Durability::kGuarded;
};
bool SafeSets(int32_t k, int32_t q, const std::vector<Name>& voters, const std::vector<Name>& names);
SyncStep NextSyncStep(const State& s, MonoTime now);
SyncNames OpeningSync(const State& s);  // with what a database is opened
std::vector<Member> SyncPeers(const State& s);
// What the database's names stand for: they are made of the epoch and the standbys' data.
std::string SyncKey(const Name& self, Epoch epoch, const SyncNames& sync, const std::vector<Member>& members);

// ---- taking over (takeover.cc, judge.cc), rules Q1-Q4, S5-S7 ----
const Ruling& Judge(const Context& c);
bool UnopenedMine(
    const State& s);  // these are the data that the recorded reign, this member's, was to begin with
bool NeverOpened(const State& s);   // the own data are of no reign: none, or a cluster that was founded only
bool SelfComplete(const State& s);  // nobody can have an acknowledged write that this member has not
bool MayLead(const State& s, MonoTime now);
// The cause for which this member may try now; nothing when there is none.
std::optional<Cause> TakeoverCause(const State& s, MonoTime now, MonoTime* since);
void StartAttempt(Context& c, Cause cause);
Record AcquiredRecord(const Context& c);

// ---- rows ----
void AddHolderRows(std::vector<Row>* t);
bool Dead(const State& s);        // the own database is known to be gone
bool MayWrite(const Context& c);  // a write to the lock is allowed now (R2)
bool Proven(const Context& c);    // the own database proved lately that it works
void GiveUp(Context& c);          // kill the database, then give the lock up
void AddOpenRows(std::vector<Row>* t);
void AddAdminRows(std::vector<Row>* t);
void AddPrimaryRows(std::vector<Row>* t);
void AddReplicaRows(std::vector<Row>* t);
void AddCandidateRows(std::vector<Row>* t);
void AddHouseRows(std::vector<Row>* t);

constexpr uint32_t In(Phase p) { return 1u << static_cast<uint8_t>(p); }
template <typename... P>
constexpr uint32_t In(Phase p, P... rest) {
  return In(p) | In(rest...);
}
inline constexpr uint32_t kAnyPhase = (1u << kPhases) - 1;

}  // namespace mainstay::election

#endif  // MAINSTAY_LIB_ELECTION_CORE_INTERNAL_H_
