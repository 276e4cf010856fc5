#include "lib/engine/fake/fake_engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mainstay::engine {

using election::DbReport;
using election::DbState;
using election::EngineOp;
using election::Name;
using Lock = std::lock_guard<std::mutex>;

// ---- the world ----

bool FakeWorld::Linked(const Name& a, const Name& b) const {
  return cut_.count({std::min(a, b), std::max(a, b)}) == 0;
}

bool FakeWorld::Streams(const Name& standby, const Db& db) const {
  if (db.state != DbState::kRunning || db.writable || db.hung || db.upstream.empty()) return false;
  const auto up = dbs_.find(db.upstream);
  return up != dbs_.end() && up->second.state == DbState::kRunning && up->second.writable &&
         !up->second.hung && Linked(standby, db.upstream);
}

// A standby takes over all that its leader has, if it is on the same log.
void FakeWorld::Pull(const Name& standby) {
  Db& db = Of(standby);
  if (!Streams(standby, db)) return;
  const Db& up = Of(db.upstream);
  const size_t common = db.log.size();
  if (common > up.log.size() || !std::equal(db.log.begin(), db.log.end(), up.log.begin()))
    return;  // diverged
  db.log.insert(db.log.end(), up.log.begin() + static_cast<ptrdiff_t>(common), up.log.end());
  db.timeline = up.timeline;
  db.stream_at = clock_->Now();
}

bool FakeWorld::Write(const Name& name) {
  Lock lock(mutex_);
  Db& db = Of(name);
  if (db.state != DbState::kRunning || !db.writable || db.hung) return false;
  const uint64_t id = next_write_++;
  db.log.push_back(id);
  int32_t acks = 0;
  for (auto& [other, standby] : dbs_) {
    if (standby.upstream != name) continue;
    Pull(other);
    const bool named = std::binary_search(db.sync.names.begin(), db.sync.names.end(), other);
    if (named && Streams(other, standby) && !standby.log.empty() && standby.log.back() == id) ++acks;
  }
  if (acks < db.sync.k) return false;
  acknowledged_.push_back(id);
  return true;
}

std::vector<uint64_t> FakeWorld::Log(const Name& name) const {
  Lock lock(mutex_);
  const auto found = dbs_.find(name);
  return found == dbs_.end() ? std::vector<uint64_t>() : found->second.log;
}

std::vector<uint64_t> FakeWorld::Acknowledged() const {
  Lock lock(mutex_);
  return acknowledged_;
}

std::vector<Name> FakeWorld::Writable() const {
  Lock lock(mutex_);
  std::vector<Name> out;
  for (const auto& [name, db] : dbs_) {
    if (db.state == DbState::kRunning && db.writable) out.push_back(name);
  }
  return out;
}

void FakeWorld::Kill(const Name& name) {
  Lock lock(mutex_);
  Db& db = Of(name);
  if (db.state == DbState::kStopped) return;
  db.state = DbState::kDead;
  db.writable = false;
  db.hung = false;
}

void FakeWorld::Hang(const Name& name, bool hung) {
  Lock lock(mutex_);
  Of(name).hung = hung;
}

void FakeWorld::Cut(const Name& a, const Name& b, bool cut) {
  Lock lock(mutex_);
  const std::pair<Name, Name> link(std::min(a, b), std::max(a, b));
  if (cut) {
    cut_.insert(link);
  } else {
    cut_.erase(link);
  }
}

void FakeWorld::FailNext(const Name& name, EngineOp op, std::string why) {
  Lock lock(mutex_);
  Of(name).fail[op] = std::move(why);
}

bool FakeWorld::Running(const Name& name) const {
  Lock lock(mutex_);
  const auto found = dbs_.find(name);
  return found != dbs_.end() &&
         (found->second.state == DbState::kRunning || found->second.state == DbState::kStarting);
}

std::optional<std::string> FakeWorld::TakeFailure(Db& db, EngineOp op) {
  auto node = db.fail.extract(op);
  if (node.empty()) return std::nullopt;
  return node.mapped();
}

// ---- the engine ----

FakeEngine::FakeEngine(std::shared_ptr<FakeWorld> world, Name name, std::string address)
    : world_(std::move(world)), name_(std::move(name)) {
  Lock lock(world_->mutex_);
  world_->Of(name_).address = std::move(address);
}

LogEnd FakeEngine::End(const FakeWorld::Db& db) const {
  LogEnd end;
  end.offset = FakeWorld::Offset(db);
  end.timeline = db.timeline;
  return end;
}

absl::Status FakeEngine::Refused(FakeWorld::Db& db, EngineOp op) {
  if (auto why = world_->TakeFailure(db, op)) return absl::InternalError(*why);
  if (db.hung) return absl::DeadlineExceededError("the fake database hangs");
  return absl::OkStatus();
}

DbReport FakeEngine::Probe(MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  world_->Pull(name_);
  DbReport report;
  report.at = world_->clock_->Now();
  report.state = db.state;
  report.empty = db.empty;
  report.unopened = db.unopened;
  report.system_id = db.system_id;
  report.data_nonce = db.nonce;
  report.offset = FakeWorld::Offset(db);
  report.timeline = db.timeline;
  report.stream_at = db.stream_at;
  if (db.state != DbState::kRunning) return report;
  report.verdict = db.hung ? election::Verdict::kUnknown : election::Verdict::kOk;
  report.writable = db.writable;
  if (world_->Streams(name_, db)) {
    report.streaming_from = db.upstream;
    report.streaming_epoch = db.upstream_epoch;
  }
  if (!db.writable) return report;
  for (auto& [other, standby] : world_->dbs_) {
    if (standby.upstream != name_ || !world_->Streams(other, standby)) continue;
    world_->Pull(other);
    report.standbys.push_back({other, true, FakeWorld::Offset(standby)});
  }
  return report;
}

Details FakeEngine::LastDetails() {
  Details details;
  details.version = "fake";
  return details;
}

absl::StatusOr<election::Memory> FakeEngine::LoadMemory() {
  Lock lock(world_->mutex_);
  return world_->Of(name_).memory.value_or(election::Memory());
}

absl::Status FakeEngine::SaveMemory(const election::Memory& memory) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (auto why = world_->TakeFailure(db, EngineOp::kRemember)) return absl::InternalError(*why);
  db.memory = memory;
  return absl::OkStatus();
}

absl::StatusOr<std::string> FakeEngine::Found(MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (absl::Status s = Refused(db, EngineOp::kFound); !s.ok()) return s;
  if (!db.empty) return absl::FailedPreconditionError("the data directory is not empty");
  db.empty = false;
  db.unopened = true;
  db.system_id = absl::StrCat("fake-", world_->next_id_++);
  db.nonce = absl::StrCat("n", world_->next_id_++);
  db.timeline = 1;
  db.state = DbState::kStopped;
  return db.system_id;
}

absl::Status FakeEngine::Follow(const election::Member& leader, election::Epoch epoch,
                                const std::string& cluster_id, MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (absl::Status s = Refused(db, EngineOp::kFollow); !s.ok()) return s;
  const bool other = !cluster_id.empty() && db.system_id != cluster_id;
  const bool bare = db.empty || (db.unopened && other);  // to be cloned
  if (other && !bare) {
    return absl::FailedPreconditionError(
        absl::StrCat("these data are of ", db.system_id, ", the cluster is ", cluster_id));
  }
  const FakeWorld::Db& up = world_->Of(leader.name);
  const bool reachable = up.state == DbState::kRunning && up.writable && world_->Linked(name_, leader.name);
  if (bare && !reachable)
    return absl::UnavailableError(absl::StrCat("cannot clone from ", leader.name, " now"));
  if (reachable && bare) {
    db.empty = db.unopened = false;
    db.system_id = up.system_id;
    db.nonce = absl::StrCat("n", world_->next_id_++);
    db.log = up.log;
    db.timeline = up.timeline;
  } else if (reachable &&
             (db.log.size() > up.log.size() || !std::equal(db.log.begin(), db.log.end(), up.log.begin()))) {
    db.log = up.log;  // rewound
    db.nonce = absl::StrCat("n", world_->next_id_++);
  }
  db.state = DbState::kRunning;
  db.writable = false;
  db.upstream = leader.name;
  db.upstream_epoch = epoch;
  world_->Pull(name_);
  return absl::OkStatus();
}

absl::StatusOr<LogEnd> FakeEngine::Freeze(const election::Memory& memory, MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (absl::Status s = Refused(db, EngineOp::kFreeze); !s.ok()) return s;
  if (db.empty) return absl::FailedPreconditionError("no data");
  db.memory = memory;
  db.upstream.clear();
  db.writable = false;
  db.state = DbState::kRunning;
  return End(db);
}

absl::StatusOr<LogEnd> FakeEngine::Promote(const election::Engine& op, MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (absl::Status s = Refused(db, EngineOp::kPromote); !s.ok()) return s;
  if (db.state != DbState::kRunning) return absl::FailedPreconditionError("the database does not run");
  db.memory = op.memory;
  db.upstream.clear();
  db.sync = op.sync;
  db.timeline++;
  db.writable = true;
  db.unopened = false;
  return End(db);
}

absl::StatusOr<LogEnd> FakeEngine::Reopen(const election::Engine& op, MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (absl::Status s = Refused(db, EngineOp::kReopen); !s.ok()) return s;
  if (db.empty) return absl::FailedPreconditionError("no data");
  db.memory = op.memory;
  db.upstream.clear();
  db.sync = op.sync;
  db.state = DbState::kRunning;
  db.writable = true;
  db.unopened = false;
  return End(db);
}

absl::StatusOr<LogEnd> FakeEngine::SetSync(const election::Engine& op, MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (absl::Status s = Refused(db, EngineOp::kSetSync); !s.ok()) return s;
  if (!db.writable) return absl::FailedPreconditionError("not a primary");
  db.sync = op.sync;
  return End(db);
}

absl::StatusOr<LogEnd> FakeEngine::Stop(MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (absl::Status s = Refused(db, EngineOp::kStop); !s.ok()) return s;
  const bool clean = db.state == DbState::kRunning;
  // A clean stop sends everything to the standbys first.
  for (auto& [other, standby] : world_->dbs_) {
    if (clean && standby.upstream == name_) world_->Pull(other);
  }
  db.state = DbState::kStopped;
  db.writable = false;
  LogEnd end = End(db);
  end.complete = clean;
  return end;
}

absl::Status FakeEngine::Kill(MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  db.state = DbState::kStopped;
  db.writable = false;
  db.hung = false;
  return absl::OkStatus();
}

absl::Status FakeEngine::Checkpoint(MonoTime) {
  Lock lock(world_->mutex_);
  return Refused(world_->Of(name_), EngineOp::kCheckpoint);
}

absl::Status FakeEngine::Reload(MonoTime) { return absl::OkStatus(); }

absl::Status FakeEngine::Restart(MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (db.state != DbState::kRunning) return absl::FailedPreconditionError("the database does not run");
  return absl::OkStatus();
}

absl::Status FakeEngine::Reinit(MonoTime) {
  Lock lock(world_->mutex_);
  FakeWorld::Db& db = world_->Of(name_);
  if (db.writable) return absl::FailedPreconditionError("this is a primary");
  FakeWorld::Db fresh;
  fresh.address = db.address;
  fresh.memory = db.memory;
  db = std::move(fresh);
  return absl::OkStatus();
}

}  // namespace mainstay::engine
