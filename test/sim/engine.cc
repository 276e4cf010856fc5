// The engine worker and the shim of one member: operations take time, have stages, are cancelled, fail.
#include <algorithm>

#include "test/sim/world.h"

namespace mainstay::sim {

using election::EngineOp;
using election::M;

void World::SaveMemory(int m, const election::Memory& memory) { nodes_[m].durable = memory; }

void World::StartEngine(int m, election::Engine&& op) {
  Node& n = nodes_[m];
  EngineRun& e = n.engine;
  CheckEngine(m, op);
  // A cancelled operation returns before the next begins; what it had under way has happened or not.
  EndStop(m);
  if (e.active && eng_.Chance(500) && n.agent_up) {
    const int64_t t = n.engine.deadline;
    n.engine.deadline = INT64_MIN;  // no answer
    EngineStage(m);
    n.engine.deadline = t;
  }
  EndCopy(m);
  e.gen++;
  e.active = true;
  e.op = std::move(op);
  e.stage = 0;
  e.leader = -1;
  const bool slow = e.op.op == EngineOp::kFollow || e.op.op == EngineOp::kFound;
  const int64_t limit = slow ? 60 * kSec : plan_.fast != 0 ? 3 * kSec : 8 * kSec;
  e.deadline = now_ + limit;
  Push(e.deadline, Ev::kEngineTimeout, m, -1, e.gen);
  EngineNext(m, eng_.Delay(kMs));
  if (e.op.op == EngineOp::kPromote) Reached(Moment::promoting, m);
  if (e.op.op == EngineOp::kSetSync) Reached(Moment::sync_set, m);
  if (e.op.op == EngineOp::kStop) Reached(Moment::stopping, m);
}

void World::EngineNext(int m, int64_t delay) { Push(now_ + delay, Ev::kEngine, m, -1, nodes_[m].engine.gen); }

void World::EngineFinish(int m, election::EngineDone done) {
  Node& n = nodes_[m];
  n.engine.active = false;
  n.engine.gen++;
  if (n.engine.deadline == INT64_MIN) return;
  done.id = n.engine.op.id;
  done.op = n.engine.op.op;
  Deliver(m, std::move(done), eng_.Delay(kMs), n.agent_gen);
}

void World::EngineFail(int m, const char* why) {
  election::EngineDone done;
  done.detail = why;
  EngineFinish(m, std::move(done));
}

void World::EngineLate(int m) {
  EndStop(m);
  EndCopy(m);
  EngineFail(m, "deadline exceeded");
}

void World::EngineStage(int m) {
  Node& n = nodes_[m];
  EngineRun& e = n.engine;
  if (e.stage == 0 && eng_.Chance(plan_.engine_fail_pm + (engine_bad_[m] > 0 ? 300 : 0)))
    return EngineFail(m, "injected failure");
  switch (e.op.op) {
    case EngineOp::kFound:
      return DoFound(m);
    case EngineOp::kFollow:
      return DoFollow(m);
    case EngineOp::kFreeze:
      return DoFreeze(m);
    case EngineOp::kPromote:
      return DoPromote(m);
    case EngineOp::kReopen:
      return DoReopen(m);
    case EngineOp::kSetSync:
      return DoSetSync(m);
    case EngineOp::kStop:
      return DoStop(m);
    case EngineOp::kKill:
      if (e.stage++ == 0) return EngineNext(m, eng_.Delay(plan_.kill_us * kUs));
      if (plan_.volatile_data != 0 && n.db.running && !n.db.paused && eng_.Chance(700)) {
        CloseDb(m);  // the mild way
        break;
      }
      KillDb(m, false);
      n.db.dead = false;
      break;
    case EngineOp::kCheckpoint:
      if (!n.db.running || n.db.paused) return EngineFail(m, "not running");
      if (e.stage++ == 0) return EngineNext(m, eng_.Delay(100 * kMs));
      break;
    case EngineOp::kRemember:
      if (e.stage++ == 0) return EngineNext(m, eng_.Delay(2 * kMs));
      SaveMemory(m, e.op.memory);
      break;
  }
  election::EngineDone done;
  done.ok = true;
  done.offset = n.db.log.end;
  EngineFinish(m, std::move(done));
}

// A new data directory: founded, or cloned at `log`.
void World::NewData(int m, uint32_t system, Log log) {
  Database& d = nodes_[m].db;
  const uint32_t gen = d.gen, tries = d.conn_try;
  d = {};
  d.gen = gen + 1;
  d.conn_try = tries + 1;
  d.exists = true;
  d.system = system;
  d.nonce = next_nonce_++;
  d.log = log;
}

void World::DoFound(int m) {
  Node& n = nodes_[m];
  if (n.engine.stage++ == 0) return EngineNext(m, eng_.Delay(plan_.start_ms * 4 * kMs));
  if (n.db.exists) return EngineFail(m, "the data directory is not empty");
  NewData(m, next_nonce_++, {logs_.New({}), 100});
  n.db.unopened = true;
  election::EngineDone done;
  done.ok = true;
  done.system_id = "s" + std::to_string(n.db.system);
  EngineFinish(m, std::move(done));
}

void World::DoFollow(int m) {
  Node& n = nodes_[m];
  EngineRun& e = n.engine;
  Database& d = n.db;
  const int p = Index(e.op.leader.name);
  if (p < 0 || p >= plan_.members || p == m) return EngineFail(m, "no such leader");
  const Database& l = nodes_[p].db;
  const bool reachable =
      nodes_[p].node_up && !CutDb(m, p) && !CutDb(p, m) && l.running && l.writable && !l.paused;
  if (e.stage == 0) {
    if (d.running && d.paused) return EngineFail(m, "the database does not answer");
    if (!reachable || l.epoch != e.op.epoch)
      return EngineFail(m, "the leader cannot be reached under that epoch");
    if (d.running && d.writable) {  // the engine stops a primary before it makes a standby of it
      KillDb(m, false);
    }
    e.leader = p;
    return FollowData(m);
  }
  if (!reachable || l.epoch != e.op.epoch) {
    EndCopy(m);
    return EngineFail(m, "the leader was lost");
  }
  if (e.stage == 1) {  // rewind or clone is done
    if (e.goal.branch == -1) {
      NewData(m, l.system, l.log);
    } else {
      d.log = logs_.Common(d.log, l.log);
      d.consistent = l.log;
    }
    d.broken = d.rolled_back = false;
    e.stage = 2;
    return EngineNext(m, eng_.Delay(plan_.start_ms * kMs));
  }
  d.conn_to = static_cast<int8_t>(p);
  d.conn_epoch = e.op.epoch;
  n.shim.armed = n.shim.armed && d.running;  // a standby's start clears a deadline left over
  if (e.stage == 2) {
    if (!d.running) {
      StartDb(m);
    } else {
      CloseRx(m, true);
      Push(now_ + db_.Delay(10 * kMs), Ev::kConnect, m, -1, ++d.conn_try);
    }
    e.stage = 3;
    if (plan_.volatile_data != 0) return EngineNext(m, 10 * kMs);  // such an engine is done when it streams
  } else if (!d.rx) {
    return EngineNext(m, 10 * kMs);
  }
  election::EngineDone done;
  done.ok = true;
  done.offset = d.log.end;
  EngineFinish(m, std::move(done));
}

// A copy into a process counts when it streams, not before.
void World::EndCopy(int m) {
  EngineRun& e = nodes_[m].engine;
  if (plan_.volatile_data == 0 || !e.active || e.op.op != EngineOp::kFollow || e.stage < 2 ||
      e.goal.branch != -1)
    return;
  if (nodes_[m].db.running) KillDb(m, false);
  ForgetData(m);
}

// What the data need before they can follow: nothing, a rewind, or a clone.
void World::FollowData(int m) {
  Node& n = nodes_[m];
  EngineRun& e = n.engine;
  Database& d = n.db;
  const Database& l = nodes_[e.leader].db;
  e.goal = {};
  if (d.exists && d.system != l.system && !d.unopened) return EngineFail(m, "the data are of another system");
  if (d.exists && !d.broken && d.system == l.system && logs_.Contains(l.log, d.log)) {
    e.stage = 2;
    if (d.running && d.rx && d.conn_to == e.leader && d.conn_epoch == e.op.epoch) {
      election::EngineDone done;
      done.ok = true;
      done.offset = d.log.end;
      return EngineFinish(m, std::move(done));
    }
    return EngineNext(m, d.running ? eng_.Delay(10 * kMs) : eng_.Delay(plan_.start_ms * kMs));
  }
  KillDb(m, false);
  n.db.dead = false;
  e.stage = 1;
  const bool rewind = plan_.volatile_data == 0 && d.exists && d.system == l.system && !eng_.Chance(150) &&
                      logs_.Common(d.log, l.log).branch != 0;
  if (rewind) {
    d.broken = true;  // until it is complete
    return EngineNext(m, eng_.Delay(plan_.rewind_ms * kMs));
  }
  e.goal.branch = -1;  // clone
  EngineNext(m, eng_.Delay(plan_.clone_ms * kMs));
}

void World::DoFreeze(int m) {
  Node& n = nodes_[m];
  EngineRun& e = n.engine;
  Database& d = n.db;
  if (e.stage == 0) {
    e.stage = 1;
    return EngineNext(m, eng_.Delay(2 * kMs));
  }
  if (e.stage == 1) {
    SaveMemory(m, e.op.memory);
    e.stage = 2;
    return EngineNext(m, eng_.Delay(8 * kMs));
  }
  if (d.running && d.paused) return EngineNext(m, 50 * kMs);  // waits until the deadline of the operation
  if (d.running && d.writable) return EngineFail(m, "it is a primary");
  if (plan_.volatile_data != 0 && d.exists && !d.running) {
    d.conn_to = -1;
    nodes_[m].shim.armed = false;  // a standby's start clears a deadline left over
    StartDb(m);                    // only a process has data
    return EngineNext(m, eng_.Delay(plan_.start_ms * kMs));
  }
  if (d.exists && (d.broken || !logs_.Contains(d.log, d.consistent))) {
    // Whoever it was rewound for had everything: there is nothing here that could be missed.
    CloseRx(m, true);
    d.conn_to = -1;
    d.conn_try++;
    election::EngineDone done;
    done.ok = true;
    return EngineFinish(m, std::move(done));
  }
  CloseRx(m, true);
  d.conn_to = -1;
  d.conn_try++;
  d.rolled_back = false;  // judged as it is
  election::EngineDone done;
  done.ok = true;
  done.offset = d.log.end;
  done.timeline = static_cast<uint32_t>(d.log.branch);
  done.reign = Reign(m);
  Trace(m, "DB frozen at %d/%llu", d.log.branch, static_cast<unsigned long long>(d.log.end));
  EngineFinish(m, std::move(done));
  Reached(Moment::frozen, m);
}

void World::DoPromote(int m) {
  Node& n = nodes_[m];
  EngineRun& e = n.engine;
  Database& d = n.db;
  if (e.stage == 0) {
    e.stage = 1;
    return EngineNext(m, eng_.Delay(2 * kMs));
  }
  if (e.stage == 1) {
    SaveMemory(m, e.op.memory);
    if (!d.exists || d.broken) return EngineFail(m, "no usable data");
    e.stage = 2;
    if (!d.running && plan_.volatile_data != 0) return EngineFail(m, "the data died with their process");
    if (!d.running) {
      d.conn_to = -1;
      StartDb(m);
      return EngineNext(m, eng_.Delay((plan_.start_ms * 1000 + plan_.promote_us) * kUs));
    }
    return EngineNext(m, eng_.Delay(plan_.promote_us * kUs));
  }
  if (!d.running) return EngineFail(m, "the database ended");
  if (d.paused) return EngineNext(m, 50 * kMs);
  if (d.writable) return EngineFail(m, "it is a primary already");
  if (d.rolled_back) return EngineFail(m, "started anew since it was judged");
  // The engine asks the shim right before pg_promote: a deadline that is armed now stays until it kills.
  if (!EngineArmed(m)) {
    if (now_ + 20 * kMs < e.deadline) return EngineNext(m, 20 * kMs);  // a renewal may arm it
    return EngineFail(m, "no deadline is armed for this epoch");
  }
  if (!logs_.Contains(d.log, d.consistent)) return EngineFail(m, "the data are not consistent");
  CloseRx(m, true);
  d.conn_to = -1;
  d.log = {logs_.New(d.log), d.log.end + 2};
  OpenDb(m, e.op.epoch, MakeConfig(e.op));
  election::EngineDone done;
  done.ok = true;
  done.offset = d.log.end;
  done.timeline = static_cast<uint32_t>(d.log.branch);
  EngineFinish(m, std::move(done));
}

// The shim forgets its deadline when a database ends or a standby starts. The engine has seen it: it arms the
// same moment (never a later one) again.
bool World::EngineArmed(int m) {
  Shim& s = nodes_[m].shim;
  if (plan_.Mistake() == M::kNoShim) return true;
  if (s.epoch != nodes_[m].engine.op.epoch || s.deadline <= now_) return false;
  if (!s.armed) {
    s.armed = true;
    Push(s.deadline, Ev::kShimTimer, m, -1, ++s.timer);
  }
  return true;
}

void World::DoReopen(int m) {
  Node& n = nodes_[m];
  EngineRun& e = n.engine;
  Database& d = n.db;
  if (e.stage == 0) {
    e.stage = 1;
    return EngineNext(m, eng_.Delay(2 * kMs));
  }
  if (e.stage == 1) {
    SaveMemory(m, e.op.memory);
    if (!d.exists || d.broken) return EngineFail(m, "no usable data");
    if (d.running && d.writable) {
      e.stage = 3;
      ChangeConfig(m, MakeConfig(e.op));
      return EngineNext(m, 5 * kMs);
    }
    if (d.running) return EngineFail(m, "it runs as a standby");
    if (plan_.volatile_data != 0 && !d.unopened) return EngineFail(m, "the data died with their process");
    e.stage = 2;
    return EngineNext(m, eng_.Delay(plan_.start_ms * 2 * kMs));
  }
  if (e.stage == 2) {
    // The shim starts a primary only under an armed deadline of the same epoch.
    if (!EngineArmed(m)) {
      if (now_ + 20 * kMs < e.deadline) return EngineNext(m, 20 * kMs);
      return EngineFail(m, "the shim refuses: not armed");
    }
    if (d.running) return EngineFail(m, "it runs already");
    if (!logs_.Contains(d.log, d.consistent)) return EngineFail(m, "the data are not consistent");
    d.conn_to = -1;
    StartDb(m);
    OpenDb(m, e.op.epoch, MakeConfig(e.op));
  } else if (!d.running) {
    return EngineFail(m, "the database ended");
  } else if (d.paused || d.unsettled) {
    return EngineNext(m, 10 * kMs);
  }
  election::EngineDone done;
  done.ok = true;
  done.offset = d.log.end;
  done.timeline = static_cast<uint32_t>(d.log.branch);
  EngineFinish(m, std::move(done));
}

void World::DoSetSync(int m) {
  Node& n = nodes_[m];
  EngineRun& e = n.engine;
  Database& d = n.db;
  if (!d.running || !d.writable) return EngineFail(m, "it is no primary");
  if (d.paused) return EngineNext(m, 50 * kMs);
  if (e.stage == 0) {
    e.stage = 1;
    return EngineNext(m, eng_.Delay(2 * kMs));
  }
  if (e.stage == 1) {
    e.stage = 2;
    ChangeConfig(m, MakeConfig(e.op));
    return EngineNext(m, 5 * kMs);
  }
  if (d.unsettled && plan_.Mistake() != M::kReloadLag) return EngineNext(m, 5 * kMs);
  election::EngineDone done;
  done.ok = true;
  done.offset = d.log.end;
  done.timeline = static_cast<uint32_t>(d.log.branch);
  EngineFinish(m, std::move(done));
}

void World::DoStop(int m) {
  Node& n = nodes_[m];
  EngineRun& e = n.engine;
  Database& d = n.db;
  election::EngineDone done;
  done.ok = true;
  done.complete = true;
  if (d.running && e.stage == 0 && !d.paused) {
    e.stage =
        1;  // clients are disconnected: nothing is acknowledged from here on; the rest of the log goes out
    if (d.writable) {
      d.writable = false;
      d.log.end += 2;
      dirty_ = true;
      for (int s = 0; s < plan_.members; s++)
        if (d.tx[s].up) SendWal(m, s);
    }
    return EngineNext(m, eng_.Delay(50 * kMs));
  }
  if (d.running && d.paused) done.complete = false;
  if (!d.running) done.complete = !d.dead;
  if (d.running && e.stage == 1 && now_ < e.deadline - kSec && e.deadline != INT64_MIN) {
    for (int s = 0; s < plan_.members; s++)  // a clean shutdown waits for the standbys that are connected
      if (d.tx[s].up && d.tx[s].flushed < d.log.end) return EngineNext(m, 20 * kMs);
  }
  if (d.running && e.stage == 1 && now_ >= e.deadline - kSec) done.complete = false;
  if (plan_.volatile_data != 0 && d.running && d.epoch != 0 && e.stage == 1) {
    CloseDb(m);
  } else {
    KillDb(m, false);
  }
  d.dead = false;
  done.offset = d.log.end;
  done.timeline = static_cast<uint32_t>(d.log.branch);
  EngineFinish(m, std::move(done));
}

// A shutdown that has begun goes on to its end, whoever asked for it.
void World::EndStop(int m) {
  EngineRun& e = nodes_[m].engine;
  if (!e.active || e.op.op != EngineOp::kStop || e.stage == 0) return;
  e.active = false;
  KillDb(m, false);
}

// ---- the shim ----

void World::ShimArm(int m, int64_t until_local, Epoch epoch) {
  Node& n = nodes_[m];
  Shim& s = n.shim;
  if (epoch < s.term)
    return Fail("shim_term",
                n.name + " arms epoch " + std::to_string(epoch) + " after " + std::to_string(s.term));
  const MonoTime until = MonoTime::FromNanos(until_local);
  const int64_t at = Real(m, until);
  if (at <= now_) return;  // late: refused, whatever was armed stays
  if (s.armed && s.deadline <= now_) return;
  s.term = epoch;
  s.epoch = epoch;
  s.deadline = s.armed ? std::max(s.deadline, at) : at;
  s.armed = true;
  Push(s.deadline, Ev::kShimTimer, m, -1, ++s.timer);
  election::FenceArmed armed;
  armed.until = until;
  armed.epoch = epoch;
  if (n.agent_up) Deliver(m, armed, eng_.Delay(100 * kUs), n.agent_gen);
}

void World::ShimTimer(int m, uint32_t gen) {
  Node& n = nodes_[m];
  Shim& s = n.shim;
  if (gen == s.timer + 0x80000000u) {  // the kill has landed
    if (!n.db.running) return;
    stats_.kills++;
    Trace(m, "SHIM killed the database at its deadline");
    const bool writable = n.db.writable;
    KillDb(m, false);
    if (writable) Reached(Moment::fence_killed, m);
    return;
  }
  if (gen != s.timer || !s.armed) return;
  if (plan_.Mistake() == M::kNoShim) return;
  if (!n.db.running) {
    s.armed = false;
    return;
  }
  const int64_t latest = (plan_.fast != 0 ? 900 : 2000) * kMs / 2;
  Push(now_ + std::min(eng_.Delay(plan_.kill_us * kUs), latest), Ev::kShimTimer, m, -1,
       s.timer + 0x80000000u);
}

}  // namespace mainstay::sim
