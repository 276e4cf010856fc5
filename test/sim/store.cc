// The lock's store: one register under a version, reached over a network that loses requests and answers.
#include <algorithm>

#include "test/sim/world.h"

namespace mainstay::sim {

using election::M;
using election::StoreOp;
using election::StoreOutcome;

namespace {
std::string Version(uint64_t v) { return v == 0 ? std::string() : "v" + std::to_string(v); }
}  // namespace

void World::SendStore(int m, uint64_t id, StoreOp op, std::shared_ptr<const Record> record,
                      uint64_t if_version) {
  Node& n = nodes_[m];
  if (n.store_id != 0) Fail("protocol", n.name + " sends a lock request while another is outstanding");
  n.store_id = id;
  n.store_sent = Local(m, now_).nanos();
  Push(now_ + store_timeout_, Ev::kStoreTimeout, m, -1, n.agent_gen, static_cast<int32_t>(op),
       static_cast<int64_t>(id));
  if (op == StoreOp::kUpdate && record->holder == n.settings->identity) {
    const bool renewal = record_ != nullptr && record_->epoch == record->epoch;
    Reached(renewal ? Moment::renew_sent : Moment::acquire_sent, m);
  }
  if (!n.agent_up) return;
  const bool write = op != StoreOp::kRead;
  if (op == StoreOp::kCreate && record->release.released)
    return Fail("release_creates", n.name + " makes a missing lock in order to give it up");
  int64_t d = store_.Delay(plan_.store_us * kUs / 2);
  const bool zombie = store_.Chance(plan_.store_zombie_pm + (store_zombie_[m] > 0 ? 300 : 0));
  if (write && zombie) {
    d = store_timeout_ + store_.Between(0, store_.Chance(500) ? 4000 : 60000) * kMs;
  } else if (cut_store_[m][0] > 0 || store_down_ > 0 || store_.Chance(plan_.store_lost_pm)) {
    return;
  } else if (store_.Chance(plan_.store_slow_pm + (store_slow_ > 0 ? 400 : 0))) {
    d += store_.Between(0, 2 * store_timeout_);
  }
  int32_t slot = -1;
  if (!calls_free_.empty()) {
    slot = calls_free_.back();
    calls_free_.pop_back();
  } else {
    slot = static_cast<int32_t>(calls_.size());
    calls_.emplace_back();
  }
  calls_[slot] = {m, n.agent_gen, id, op, std::move(record), if_version, true};
  Push(now_ + d, Ev::kStoreArrive, -1, -1, 0, slot);
}

void World::StoreArrive(int32_t slot) {
  StoreCall call = std::move(calls_[slot]);
  calls_[slot] = {};
  calls_free_.push_back(slot);
  if (store_down_ > 0 || !call.used) return;
  election::StoreDone done = Serve(call);
  const int m = call.m;
  if (store_mute_[m] > 0 || cut_store_[m][1] > 0 || !nodes_[m].node_up || store_.Chance(plan_.store_mute_pm))
    return;
  int64_t d = store_.Delay(plan_.store_us * kUs / 2);
  if (store_.Chance(plan_.store_slow_pm + (store_slow_ > 0 ? 400 : 0)))
    d += store_.Between(0, 2 * store_timeout_);
  Deliver(m, std::move(done), d, call.gen);
}

election::StoreDone World::Serve(const StoreCall& call) {
  election::StoreDone done;
  done.id = call.id;
  done.op = call.op;
  const bool force = plan_.Mistake() == M::kNoCas && call.op == StoreOp::kUpdate;
  if (call.op == StoreOp::kRead) {
    if (!present_) {
      done.outcome = StoreOutcome::kNotFound;
    } else if (damaged_) {
      done.outcome = StoreOutcome::kUnreadable;
      done.version = Version(version_);
      done.problem = "edited by hand";
    } else {
      done.outcome = StoreOutcome::kOk;
      done.version = Version(version_);
      done.record = *record_;
    }
    return done;
  }
  if (call.op == StoreOp::kUpdate && !present_ && !force) {
    done.outcome = StoreOutcome::kNotFound;
  } else if ((call.op == StoreOp::kCreate && present_) ||
             (call.op == StoreOp::kUpdate && call.if_version != version_ && !force) ||
             store_.Chance(plan_.store_409_pm)) {
    done.outcome = StoreOutcome::kConflict;
  } else {
    if (call.op == StoreOp::kCreate && call.record->durability == election::Durability::kAsync &&
        (nodes_[call.m].store_id != call.id || nodes_[call.m].agent_gen != call.gen)) {
      late_at_ = now_;
      late_by_ = call.m;
    }
    Commit(call.m, call.record);
    done.outcome = StoreOutcome::kOk;
    done.version = Version(version_);
  }
  return done;
}

void World::Commit(int m, std::shared_ptr<const Record> record) {
  const std::shared_ptr<const Record> before = record_;
  const bool was_present = present_, was_damaged = damaged_;
  record_ = std::move(record);
  present_ = true;
  damaged_ = false;
  version_ = ++next_version_;
  const Record& r = *record_;
  if ((next_version_ & 63) == 0) CheckCodec(r);
  if (before == nullptr || before->change != r.change || before->epoch != r.epoch) {
    past_.push_back(record_);
    if (past_.size() > 64) past_.erase(past_.begin(), past_.begin() + 32);
  }
  EpochInfo& info = Info(r.epoch);
  const bool acquired =
      !r.release.released && (before == nullptr || before->epoch != r.epoch || before->holder != r.holder);
  if (acquired) {
    stats_.acquired++;
    if (was_present && !was_damaged && before != nullptr && r.epoch <= before->epoch)
      Fail("epoch_falls", nodes_[m].name + " took the lock under epoch " + std::to_string(r.epoch) +
                              " after " + std::to_string(before->epoch));
    // What an asynchronous primary acknowledged may be lost by this takeover, and what an administrator gave
    // up.
    if ((before != nullptr && before->durability == election::Durability::kAsync) || forced_until_ >= now_) {
      heads_.clear();
      floor_ = r.epoch;
    }
    Trace(m, "STORE epoch %lld acquired by %s", static_cast<long long>(r.epoch), r.holder.c_str());
    Reached(Moment::acquired, m);
  }
  if (before != nullptr && (before->voters != r.voters || before->freeze != r.freeze))
    Reached(Moment::voters_changed, m);
  if (r.release.released && (before == nullptr || !before->release.released)) Reached(Moment::released, m);
  if (r.durability == election::Durability::kAsync && info.known && info.durability != r.durability)
    heads_.clear();
  info.known = true;
  info.durability = r.durability;
  CheckSets("record");
  dirty_ = true;
  NotifyWatchers();
}

void World::NotifyWatchers() {
  for (int m = 0; m < plan_.members; m++) {
    if (!nodes_[m].agent_up || watch_broken_[m] > 0 || cut_store_[m][1] > 0 || store_down_ > 0) continue;
    if (store_.Chance(plan_.watch_loss_pm)) continue;
    election::RecordSeen seen;
    if (present_) {
      seen.version = Version(version_);
      if (damaged_) {
        seen.problem = "edited by hand";
      } else {
        seen.record = *record_;
      }
    }
    Deliver(m, std::move(seen), store_.Delay(plan_.watch_us * kUs), nodes_[m].agent_gen);
  }
}

void World::DeleteLock() {
  if (!present_) return;
  Trace(-1, "WORLD the lock is deleted");
  present_ = damaged_ = false;
  NotifyWatchers();
}

// An edit by hand: whatever is changed, the check inside the state does not fit any more. `r` chooses what;
// the codec is asked whether it sees it.
void World::EditLock(uint32_t r) {
  if (!present_ || damaged_) return;
  election::Document d = election::Encode(*record_, 1700000000000, 1700000000000);
  const char* const kKeys[] = {"\"epoch\":", "\"holder\":\"", "\"freeze\":", "\"voters\":[\"",
                               "\"durability\":\""};
  const std::string key = kKeys[r % 5];
  size_t at = d.state.find(key);
  if (at == std::string::npos)
    at = d.state.find("\"epoch\":"), at += 8;
  else
    at += key.size();
  char& c = d.state[at];
  c = c >= '0' && c <= '9' ? (c == '9' ? '1' : static_cast<char>(c + 1)) : (c == 'a' ? 'b' : 'a');
  if ((r & 0x100) != 0 &&
      !record_->holder.empty()) {  // instead: the holder blanked in the annotation, as people do
    d = election::Encode(*record_, 1700000000000, 1700000000000);
    const size_t h = d.leader.find(record_->holder);
    if (h != std::string::npos) d.leader.erase(h, record_->holder.size());
  }
  if (election::Decode(d).record.has_value())
    return Fail("codec", "an edit by hand was not seen: " + d.state);
  Trace(-1, "WORLD the lock is edited by hand");
  damaged_ = true;
  version_ = ++next_version_;
  NotifyWatchers();
}

// An old valid record is put back (a backup restored by hand).
void World::RestoreLock(uint32_t r) {
  if (!present_ || past_.size() < 2) return;
  // Whoever has not seen the newer ones cannot know: what was acknowledged until now is given up, and epochs
  // in use may be granted again (docs/SIMULATION.md).
  heads_.clear();
  for (size_t e = 0; e < epochs_.size(); e++)
    if (epochs_[e].known || epochs_[e].owner >= 0) restored_ = std::max(restored_, static_cast<Epoch>(e) + 1);
  floor_ = std::max(floor_, restored_);
  record_ = past_[past_.size() - 2 - r % std::min<size_t>(past_.size() - 1, 6)];
  damaged_ = false;
  version_ = ++next_version_;
  Trace(-1, "WORLD an old lock is put back: epoch %lld change %lld", static_cast<long long>(record_->epoch),
        static_cast<long long>(record_->change));
  NotifyWatchers();
}

void World::CheckCodec(const Record& record) {
  const election::Decoded d = election::Decode(election::Encode(record, 1700000000000, 1700000000000));
  if (!d.record.has_value()) return Fail("codec", "a record written cannot be read: " + d.problem);
  if (!(*d.record == record)) Fail("codec", "a record read differs from the one written");
}

}  // namespace mainstay::sim
