// The databases: logs, streaming, acknowledgements.
#include <algorithm>

#include "test/sim/world.h"

namespace mainstay::sim {

int64_t World::WalDelay(int a, int b) {
  int64_t d = db_.Delay(plan_.wal_us * kUs);
  if (wal_slow_[a] > 0 || wal_slow_[b] > 0) d += db_.Between(10, 1500) * kMs;
  if (db_.Chance(plan_.wal_slow_pm)) d += db_.Between(0, 300) * kMs;
  return d;
}

SyncConfig World::MakeConfig(const election::Engine& op) const {
  SyncConfig c;
  c.k = op.sync.k;
  c.epoch = op.epoch;
  for (const auto& name : op.sync.names) {
    const int i = Index(name);
    if (i < 0 || i >= plan_.members) continue;
    c.names |= 1u << i;
    for (const auto& peer : op.peers)
      if (peer.name == name)
        c.nonce[i] = static_cast<uint32_t>(
            strtoul(peer.data_nonce.c_str() + (peer.data_nonce.empty() ? 0 : 1), nullptr, 10));
  }
  return c;
}

// Does the standby's name, as the primary's walsender knows it, count for the configuration?
bool World::Counts(int p, int s, const SyncConfig& cfg) const {
  const Database::Sender& tx = nodes_[p].db.tx[s];
  return (cfg.names >> s & 1) != 0 && tx.up && tx.epoch == cfg.epoch && tx.nonce == cfg.nonce[s];
}

// Could this standby still flush something that `p` writes now? Pauses and broken networks end, so they do
// not count.
bool World::CouldFlush(int p, int s, const SyncConfig& cfg) const {
  const Database& d = nodes_[s].db;
  return Counts(p, s, cfg) && d.running && d.rx && d.conn_to == p && d.rx_gen == nodes_[p].db.tx[s].gen;
}

bool World::CanAck(int p, const SyncConfig& cfg) const {
  if (cfg.k == 0) return true;
  int c = 0;
  for (int s = 0; s < plan_.members; s++)
    if (s != p && CouldFlush(p, s, cfg)) c++;
  return c >= cfg.k;
}

bool World::CanAck(int p) const {
  const Database& d = nodes_[p].db;
  if (!nodes_[p].node_up || !d.running || !d.writable) return false;
  return CanAck(p, d.cfg) || (OldCounts(p) && CanAck(p, d.old_cfg));
}

void World::StartDb(int m) {
  Database& d = nodes_[m].db;
  d.running = true;
  d.writable = d.dead = false;
  d.gen++;
  d.rx = false;
  d.conn_try++;
  for (auto& t : d.tx) t = {};
  if (d.conn_to >= 0) Push(now_ + db_.Delay(20 * kMs), Ev::kConnect, m, -1, d.conn_try);
}

// All processes are gone at once.
void World::KillDb(int m, bool unasked) {
  Database& d = nodes_[m].db;
  if (!d.running) return;
  Trace(m, "DB ends at %d/%llu%s", d.log.branch, static_cast<unsigned long long>(d.log.end),
        unasked ? " (unasked)" : "");
  if (d.paused) nodes_[m].pauses[2] = 1, Resume(m, 2);
  CloseRx(m, true);
  d.running = d.writable = d.unsettled = false;
  for (int s = 0; s < plan_.members; s++)
    if (d.tx[s].up) CloseTx(m, s);
  d.dead = unasked;
  d.was_acker = false;
  d.gen++;
  nodes_[m].shim.armed = false;
  dirty_ = true;
  if (plan_.volatile_data != 0) LoseData(m);
  ProbeSoon(m);
}

// Data that lived in the process: nothing is left, or what was saved some time before.
void World::LoseData(int m) {
  Database& d = nodes_[m].db;
  if (!d.exists || d.unopened) return;
  if (db_.Chance(400)) return ForgetData(m);
  d.rolled_back = d.lost_end = true;
  d.conn_to = -1;  // it starts closed
  d.consistent = {};
  const uint64_t back = db_.Below(200);
  d.log.end = d.log.end > back + 1 ? d.log.end - back : 1;
  Trace(m, "DB: its data are rolled back to %d/%llu", d.log.branch,
        static_cast<unsigned long long>(d.log.end));
}

void World::ForgetData(int m) {
  Database& d = nodes_[m].db;
  const uint32_t gen = d.gen, tries = d.conn_try;
  const bool dead = d.dead;
  d = {};
  d.gen = gen;
  d.conn_try = tries + 1;
  d.dead = dead;
  Trace(m, "DB: its data are gone");
}

// It gives up writing and goes on as a standby of nobody.
void World::CloseDb(int m) {
  Database& d = nodes_[m].db;
  d.writable = d.unsettled = false;
  d.was_acker = false;
  d.conn_to = -1;
  d.conn_try++;
  for (int s = 0; s < plan_.members; s++)
    if (d.tx[s].up) CloseTx(m, s);
  nodes_[m].shim.armed = false;
  dirty_ = true;
  Trace(m, "DB closed at %d/%llu", d.log.branch, static_cast<unsigned long long>(d.log.end));
  ProbeSoon(m);
}

void World::OpenDb(int m, Epoch epoch, const SyncConfig& cfg) {
  Database& d = nodes_[m].db;
  CheckPassedOver(m, epoch);
  d.writable = true;
  d.unopened = d.rolled_back = d.lost_end = false;
  d.epoch = d.reign = epoch;
  d.reign_from = d.log.end;
  d.cfg = cfg;
  d.unsettled = false;
  d.acked = 0;
  stats_.opens++;
  Trace(m, "DB opens under epoch %lld at %d/%llu, k=%d names=%x", static_cast<long long>(epoch), d.log.branch,
        static_cast<unsigned long long>(d.log.end), cfg.k, cfg.names);
  dirty_ = true;
  Push(now_ + db_.Delay(5 * kMs), Ev::kWrite, m, -1, d.gen);
  Info(epoch).branch = d.log.branch;
  CheckOpen(m);
  CheckSets("opened");
  Reached(Moment::opened, m);
}

// A reload: backends and walsenders reread one after the other; until then the old settings release waiters
// too (S4).
void World::ChangeConfig(int m, const SyncConfig& cfg) {
  Database& d = nodes_[m].db;
  d.old_cfg = d.cfg;
  d.cfg = cfg;
  d.epoch = cfg.epoch;
  d.unsettled = true;
  d.backends_reread = false;
  Trace(m, "DB k=%d names=%x epoch %lld (was k=%d names=%x)", cfg.k, cfg.names,
        static_cast<long long>(cfg.epoch), d.old_cfg.k, d.old_cfg.names);
  for (int s = 0; s < plan_.members; s++) {
    if (!d.tx[s].up) continue;
    d.tx[s].reread = false;
    Push(now_ + db_.Delay(plan_.settle_us * kUs), Ev::kSettle, m, s, d.tx[s].gen);
  }
  Push(now_ + db_.Delay(plan_.settle_us * kUs / 2), Ev::kSettle, m, -1, d.gen);  // the backends
  dirty_ = true;
  CheckSets("names");
  Release(m, d.cfg);
}

void World::Settle(int m, int s, uint32_t gen) {
  Database& d = nodes_[m].db;
  if (!d.running || !d.unsettled) return;
  if (s < 0) {
    if (gen != d.gen) return;
    d.backends_reread = true;
  } else {
    if (!d.tx[s].up || d.tx[s].gen != gen) return;
    d.tx[s].reread = true;
    // The engine terminates the walsenders of members that were dropped.
    if ((d.cfg.names >> s & 1) == 0 && (d.old_cfg.names >> s & 1) != 0) CloseTx(m, s);
  }
  CheckSettled(m);
}

void World::CheckSettled(int m) {
  Database& d = nodes_[m].db;
  if (!d.unsettled || !d.backends_reread) return;
  for (int i = 0; i < plan_.members; i++)
    if (d.tx[i].up && !d.tx[i].reread) return;
  d.unsettled = false;
  dirty_ = true;
  Release(m, d.cfg);
  CheckSets("settled");
  Reached(Moment::sync_settled, m);
}

// Do settings that were replaced still let somebody acknowledge?
bool World::OldCounts(int p) const {
  const Database& d = nodes_[p].db;
  if (!d.unsettled) return false;
  if (d.old_cfg.k == 0) return !d.backends_reread;
  for (int s = 0; s < plan_.members; s++)
    if (d.tx[s].up && !d.tx[s].reread) return true;
  return false;
}

void World::Write(int m, uint32_t gen) {
  Database& d = nodes_[m].db;
  if (!d.running || !d.writable || d.gen != gen) return;
  d.log.end += 1 + db_.Below(16);
  int64_t wait = db_.Delay(plan_.write_us * kUs);
  if (wait > heartbeat_ / 2) wait = heartbeat_ / 2;  // the write probe
  Push(now_ + wait, Ev::kWrite, m, -1, gen);
  for (int s = 0; s < plan_.members; s++)
    if (d.tx[s].up) SendWal(m, s);
  Release(m, d.cfg);
  if (d.old_cfg.k == 0 && OldCounts(m)) Release(m, d.old_cfg);
}

void World::SendWal(int m, int s) {
  Database::Sender& t = nodes_[m].db.tx[s];
  t.sent = nodes_[m].db.log.end;
  int64_t at = now_ + WalDelay(m, s);
  t.order = at = std::max(at, t.order + 1);  // one TCP connection: in order
  Push(at, Ev::kWal, s, m, t.gen, nodes_[m].db.log.branch, static_cast<int64_t>(t.sent));
}

void World::WalArrive(int s, Item& it) {
  Database& d = nodes_[s].db;
  if (!d.running || !d.rx || d.rx_gen != it.gen) return;
  const int m = it.n;
  if (CutDb(m, s)) {  // TCP sends it again until the link heals or somebody gives up
    it.t = now_ + 150 * kMs;
    Push(it.t, Ev::kWal, s, m, it.gen, it.slot, it.x);
    return;
  }
  const uint64_t upto = static_cast<uint64_t>(it.x);
  if (upto < d.log.end && !CutDb(s, m)) d.rx_at = now_;
  if (upto >= d.log.end) d.log = {it.slot, upto};
  d.rx_at = now_;
  Push(now_ + WalDelay(s, m), Ev::kWalReply, m, s, it.gen, d.log.branch, static_cast<int64_t>(d.log.end));
}

void World::WalReply(int p, Item& it) {
  Database& d = nodes_[p].db;
  const int s = it.n;
  Database::Sender& t = d.tx[s];
  if (!d.running || !t.up || t.gen != it.gen) return;
  if (CutDb(s, p)) return Push(now_ + 150 * kMs, Ev::kWalReply, p, s, it.gen, it.slot, it.x);
  t.at = now_;
  t.flushed = std::max(t.flushed, static_cast<uint64_t>(it.x));
  if (!t.streaming && t.flushed >= t.goal) {
    t.streaming = true;
    ProbeSoon(p);
  }
  Release(p, t.reread || !d.unsettled ? d.cfg : d.old_cfg);
}

// Wakes the waiters whose writes enough standbys have flushed.
void World::Release(int p, const SyncConfig& cfg) {
  const Database& d = nodes_[p].db;
  if (!d.running || !d.writable) return;
  if (cfg.k == 0) return Acknowledge(p, d.log.end);
  uint64_t at[kMaxNodes];
  int c = 0;
  for (int s = 0; s < plan_.members; s++)
    if (s != p && Counts(p, s, cfg) && d.tx[s].streaming) at[c++] = d.tx[s].flushed;
  if (c < cfg.k) return;
  std::sort(at, at + c, std::greater<>());
  Acknowledge(p, std::min(at[cfg.k - 1], d.log.end));
}

void World::Acknowledge(int p, uint64_t upto) {
  Database& d = nodes_[p].db;
  if (upto <= d.acked) return;
  d.acked = upto;
  stats_.acks++;
  if (!Protected(d.epoch)) return;
  // An answer of a standby from before a takeover: the new primary has that write too.
  if (!heads_.empty() && logs_.Contains(heads_.front(), {d.log.branch, upto})) return;
  CheckHeads(p, "acknowledges a write");
  heads_.clear();
  heads_.push_back({d.log.branch, upto});
}

// The walreceiver tries to connect; PostgreSQL refuses it when the standby's log is not a part of the
// primary's.
void World::Connect(int s, uint32_t gen) {
  Node& n = nodes_[s];
  Database& d = n.db;
  if (!d.running || d.writable || d.rx || d.conn_to < 0 || d.conn_try != gen) return;
  const int p = d.conn_to;
  Database& l = nodes_[p].db;
  Push(now_ + db_.Delay(300 * kMs), Ev::kConnect, s, -1, gen);
  if (CutDb(s, p) || CutDb(p, s) || !nodes_[p].node_up || !l.running || !l.writable || l.paused ||
      l.system != d.system)
    return;
  if (!logs_.Contains(l.log, d.log)) return;
  // Redis' replicas log in as users of an epoch: an opening takes away those of all others.
  if (plan_.volatile_data != 0 && d.conn_epoch != l.epoch) return;
  d.rx = true;
  d.rx_gen = ++next_nonce_;
  d.rx_at = now_;
  d.rolled_back = d.lost_end = false;
  if (d.reign != d.conn_epoch) {
    d.reign = d.conn_epoch;
    d.reign_from = d.log.end;
  }
  Database::Sender& t = l.tx[s];
  t = {};
  t.up = true;
  t.gen = d.rx_gen;
  t.epoch = d.conn_epoch;
  t.nonce = d.nonce;
  t.flushed = d.log.end;
  t.goal = l.log.end;
  t.at = now_;
  t.order = now_;
  Trace(s, "DB streams from %s as epoch %lld at %d/%llu", nodes_[p].name.c_str(),
        static_cast<long long>(d.conn_epoch), d.log.branch, static_cast<unsigned long long>(d.log.end));
  SendWal(p, s);
  const int64_t timeout = plan_.wal_timeout_ms * kMs;
  Push(now_ + timeout, Ev::kRxCheck, s, -1, d.rx_gen);
  Push(now_ + timeout, Ev::kTxCheck, p, s, d.rx_gen);
  dirty_ = true;
  ProbeSoon(s);
}

void World::CloseRx(int s, bool tell) {
  Database& d = nodes_[s].db;
  if (!d.rx) return;
  d.rx = false;
  dirty_ = true;
  d.conn_try++;
  if (d.running && d.conn_to >= 0) Push(now_ + db_.Delay(200 * kMs), Ev::kConnect, s, -1, d.conn_try);
  if (tell && nodes_[s].node_up)
    Push(now_ + WalDelay(s, d.conn_to), Ev::kWalClosed, d.conn_to, s, d.rx_gen, 1);
}

void World::CloseTx(int p, int s) {
  Database::Sender& t = nodes_[p].db.tx[s];
  if (!t.up) return;
  t.up = false;
  dirty_ = true;
  CheckSettled(p);
  if (nodes_[p].node_up) Push(now_ + WalDelay(p, s), Ev::kWalClosed, s, p, t.gen, 0);
}

// The other end closed the connection (slot 1: the standby did).
void World::WalClosed(Item& it) {
  if (CutDb(it.n, it.m)) return;  // nobody hears it; the time-outs will tell
  if (it.slot == 1) {
    Database& d = nodes_[it.m].db;
    if (d.tx[it.n].up && d.tx[it.n].gen == it.gen) {
      d.tx[it.n].up = false;
      dirty_ = true;
      CheckSettled(it.m);
      ProbeSoon(it.m);
    }
  } else if (nodes_[it.m].db.rx && nodes_[it.m].db.rx_gen == it.gen) {
    CloseRx(it.m, false);
  }
}

void World::RxCheck(int s, uint32_t gen) {
  Database& d = nodes_[s].db;
  if (!d.rx || d.rx_gen != gen) return;
  const int64_t left = d.rx_at + plan_.wal_timeout_ms * kMs - now_;
  if (left > 0) return Push(now_ + left, Ev::kRxCheck, s, -1, gen);
  CloseRx(s, true);
}

void World::TxCheck(int p, int s, uint32_t gen) {
  Database::Sender& t = nodes_[p].db.tx[s];
  if (!nodes_[p].db.running || !t.up || t.gen != gen) return;
  const int64_t left = t.at + plan_.wal_timeout_ms * kMs - now_;
  if (left > 0) return Push(now_ + left, Ev::kTxCheck, p, s, gen);
  CloseTx(p, s);
  ProbeSoon(p);
}

}  // namespace mainstay::sim
