// Profiles: which clusters are drawn and what happens to them. `swarm` draws its own set of faults for each
// run (a run that has everything hides what a run with three things shows); the others aim at one subject or
// at one mistake.
#include <algorithm>

#include "test/sim/plan.h"
#include "test/sim/rng.h"

namespace mainstay::sim {
namespace {

using K = FaultKind;

struct Weight {
  K kind;
  int weight;
  // When given, every such fault is aimed at that moment (at who reached it) or target, and lasts that long.
  Moment at = Moment::none;
  int target = 0;
  int lo_ms = 0, hi_ms = 0;
  uint32_t r = 0;  // of the fault
};
// An isolation that leaves nothing: agents, databases and the store, in and out (World::BeginNet).
constexpr uint32_t kWholly = (2 + 2 * 4 + 1 * 16) << 16;

struct Profile {
  const char* name;
  int members_lo = 3, members_hi = 3;
  int durability = 7;  // bits: 1 async, 2 guarded, 4 strict
  int takeover = 3;    // bits: 1 quorum, 2 lease
  int noise = 2;       // 0 none, 1 little, 2 drawn
  int seconds_lo = 60, seconds_hi = 240;
  int per_minute = 12;  // faults
  int aimed_pm = 333;   // share of the faults aimed at a moment
  bool swarm = false;   // each kind is left out of a run with probability 1/2
  int fast_pm = 500;
  int first_ms = 2000;  // no fault before
  bool volatile_data = false;
  int gone_pm = 0;  // share of the runs in which the primary that is there at the end dies for good
  std::vector<Weight> weights;
  std::vector<Moment> moments;  // empty: all
};

const std::vector<Weight>& Everything() {
  static const std::vector<Weight> all = {
      {K::agent_pause, 10}, {K::db_pause, 8},    {K::agent_crash, 10}, {K::crash_mid, 12},
      {K::pause_mid, 12},   {K::db_crash, 10},   {K::node_death, 10},  {K::wipe, 2},
      {K::cut_pair, 10},    {K::isolate, 12},    {K::cut_store, 10},   {K::store_down, 6},
      {K::store_slow, 6},   {K::store_mute, 8},  {K::store_zombie, 8}, {K::watch_broken, 4},
      {K::delete_lock, 4},  {K::edit_lock, 3},   {K::net_bad, 6},      {K::wal_slow, 8},
      {K::engine_bad, 6},   {K::switchover, 12}, {K::failover, 3},     {K::pause, 3},
      {K::resume, 4},       {K::durability, 3},  {K::fence, 2},        {K::forget, 1},
      {K::shutdown, 6},     {K::tags, 2},
  };
  return all;
}

std::vector<Weight> Plus(std::vector<Weight> a, std::vector<Weight> b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// One case or one profile a line is what makes these readable.
// clang-format off
std::vector<Profile> Make() {
  std::vector<Profile> p;
  p.push_back({.name = "swarm", .members_lo = 2, .members_hi = 7, .swarm = true, .gone_pm = 300, .weights = Everything()});
  p.push_back({.name = "calm", .members_lo = 2, .members_hi = 5, .noise = 0, .per_minute = 2, .gone_pm = 700, .weights = {{K::switchover, 1}, {K::node_death, 1}}});
  // Data that die with their process, in part or wholly (Redis).
  p.push_back({.name = "volatile", .members_lo = 2, .members_hi = 5, .durability = 1, .takeover = 2, .volatile_data = true, .gone_pm = 300, .weights = {
      {K::db_crash, 20}, {K::node_death, 14}, {K::switchover, 14}, {K::agent_crash, 8}, {K::crash_mid, 10}, {K::agent_pause, 6}, {K::db_pause, 6},
      {K::isolate, 8}, {K::cut_pair, 6}, {K::cut_store, 6}, {K::store_down, 3}, {K::shutdown, 5}, {K::wal_slow, 4}, {K::failover, 2}, {K::engine_bad, 3}, {K::wipe, 3}, {K::tags, 3}}});
  // Pauses of shims and whole machines: what only the sync set makes safe.
  p.push_back({.name = "pauses", .members_lo = 2, .members_hi = 5, .weights = {
      {K::shim_pause, 10}, {K::machine_pause, 10}, {K::agent_pause, 5}, {K::db_pause, 5}, {K::isolate, 5}, {K::cut_store, 5}, {K::switchover, 2}}});
  p.push_back({.name = "lock", .members_lo = 2, .members_hi = 4, .weights = {
      {K::delete_lock, 10}, {K::edit_lock, 6}, {K::store_zombie, 10}, {K::store_mute, 8}, {K::cut_store, 8}, {K::agent_pause, 8},
      {K::agent_crash, 6}, {K::isolate, 6}, {K::store_down, 4}, {K::switchover, 3}}});
  p.push_back({.name = "sync", .members_lo = 3, .members_hi = 5, .durability = 6, .takeover = 1, .gone_pm = 500, .weights = {
      {K::cut_pair, 10}, {K::isolate, 10}, {K::wal_slow, 10}, {K::db_crash, 8}, {K::node_death, 8}, {K::agent_pause, 8},
      {K::crash_mid, 8}, {K::pause_mid, 8}, {K::store_mute, 5}, {K::store_zombie, 5}, {K::switchover, 5}, {K::wipe, 1}}});
  p.push_back({.name = "takeover", .members_lo = 3, .members_hi = 5, .aimed_pm = 700, .gone_pm = 500, .weights = {
      {K::node_death, 15}, {K::isolate, 10}, {K::crash_mid, 15}, {K::pause_mid, 15}, {K::agent_crash, 8}, {K::switchover, 8},
      {K::cut_pair, 8}, {K::store_zombie, 8}, {K::db_crash, 5}}});
  p.push_back({.name = "people", .members_lo = 2, .members_hi = 5, .weights = {
      {K::switchover, 10}, {K::failover, 4}, {K::pause, 4}, {K::resume, 6}, {K::durability, 6}, {K::fence, 4}, {K::forget, 3},
      {K::shutdown, 8}, {K::tags, 4}, {K::node_death, 4}, {K::agent_crash, 3}, {K::isolate, 3}}});
  p.push_back({.name = "force", .members_lo = 3, .members_hi = 4, .weights = {
      {K::failover_force, 8}, {K::isolate, 10}, {K::node_death, 10}, {K::cut_pair, 6}, {K::agent_pause, 4}}});
  p.push_back({.name = "restore", .members_lo = 3, .members_hi = 4, .weights = {
      {K::restore_lock, 8}, {K::isolate, 6}, {K::node_death, 6}, {K::agent_crash, 6}, {K::delete_lock, 3}}});
  // Aimed at mistakes (mistakes_test.cc says which).
  p.push_back({.name = "lease2", .members_lo = 2, .members_hi = 3, .durability = 1, .takeover = 2, .per_minute = 20, .fast_pm = 1000, .weights = {
      {K::cut_store, 12}, {K::isolate, 12}, {K::store_mute, 8}, {K::agent_pause, 10}, {K::store_slow, 8}, {K::pause_mid, 6}}});
  p.push_back({.name = "release2", .members_lo = 2, .members_hi = 3, .durability = 1, .takeover = 2, .per_minute = 30, .fast_pm = 1000, .weights = {
      {K::shutdown, 10}, {K::switchover, 15}, {K::agent_pause, 8}, {K::pause_mid, 8}, {K::store_zombie, 8}, {K::cut_store, 5}, {K::delete_lock, 4}}});
  p.push_back({.name = "delete2", .members_lo = 2, .members_hi = 3, .durability = 1, .takeover = 2, .per_minute = 40, .fast_pm = 1000, .weights = {
      {K::delete_lock, 20}, {K::store_zombie, 10}, {K::cut_store, 10}, {K::agent_pause, 8}, {K::isolate, 6}, {K::store_mute, 6}}});
  p.push_back({.name = "late2", .members_lo = 2, .members_hi = 3, .durability = 1, .takeover = 2, .per_minute = 60, .fast_pm = 1000, .weights = {
      {K::delete_lock, 30}, {K::store_zombie, 20}, {K::store_mute, 6}, {K::cut_store, 6}, {K::switchover, 6}, {K::shutdown, 4}, {K::db_crash, 4}}});
  // A late create or release lands when the lock was deleted once more.
  p.push_back({.name = "late3", .members_lo = 2, .members_hi = 3, .durability = 1, .takeover = 2, .noise = 1, .seconds_lo = 60, .seconds_hi = 120, .per_minute = 60, .fast_pm = 1000, .first_ms = 12000, .weights = {
      {K::delete_lock, 45}, {.kind = K::watch_broken, .weight = 10, .lo_ms = 3000, .hi_ms = 15000}, {K::store_zombie, 15},
      {.kind = K::cut_store, .weight = 10, .target = kPrimaryTarget, .lo_ms = 4000, .hi_ms = 9000}, {K::switchover, 8}, {K::shutdown, 6}, {K::db_crash, 4}}});
  p.push_back({.name = "post3", .members_lo = 3, .members_hi = 3, .durability = 1, .takeover = 2, .noise = 0, .seconds_lo = 60, .seconds_hi = 120, .per_minute = 60, .aimed_pm = 0, .fast_pm = 1000, .first_ms = 10000, .weights = {
      {.kind = K::delete_lock, .weight = 15, .at = Moment::stopping}, {.kind = K::store_zombie, .weight = 15, .at = Moment::stopping, .lo_ms = 3000, .hi_ms = 15000},
      {K::delete_lock, 20}, {K::store_zombie, 10}, {K::switchover, 20}, {K::shutdown, 6}, {.kind = K::watch_broken, .weight = 15, .lo_ms = 3000, .hi_ms = 20000}}});
  // A takeover is begun and held up, while the standbys could stream from the old primary again.
  p.push_back({.name = "again3", .members_lo = 3, .members_hi = 3, .durability = 2, .takeover = 1, .noise = 0, .per_minute = 16, .aimed_pm = 0, .fast_pm = 1000, .weights = {
      {.kind = K::isolate, .weight = 12, .target = kPrimaryTarget, .lo_ms = 1100, .hi_ms = 2200, .r = kWholly},
      {.kind = K::agent_pause, .weight = 8, .at = Moment::freeze_sent, .lo_ms = 300, .hi_ms = 2500}}});
  p.push_back({.name = "forget3", .members_lo = 3, .members_hi = 3, .durability = 2, .takeover = 1, .noise = 0, .per_minute = 20, .aimed_pm = 0, .fast_pm = 1000, .weights = {
      {.kind = K::isolate, .weight = 12, .target = kPrimaryTarget, .lo_ms = 1100, .hi_ms = 2200, .r = kWholly},
      {.kind = K::agent_pause, .weight = 8, .at = Moment::freeze_sent, .lo_ms = 300, .hi_ms = 2500},
      {.kind = K::agent_crash, .weight = 5, .at = Moment::frozen, .lo_ms = 20, .hi_ms = 200},
      {.kind = K::node_death, .weight = 5, .at = Moment::frozen, .lo_ms = 20, .hi_ms = 200}}});
  p.push_back({.name = "keep3", .members_lo = 3, .members_hi = 3, .durability = 2, .takeover = 1, .noise = 0, .per_minute = 20, .aimed_pm = 0, .fast_pm = 1000, .weights = {
      {.kind = K::isolate, .weight = 12, .target = kPrimaryTarget, .lo_ms = 1100, .hi_ms = 1900, .r = kWholly},
      {.kind = K::shutdown, .weight = 6, .at = Moment::acquired, .lo_ms = 500, .hi_ms = 3000},
      {.kind = K::shutdown, .weight = 6, .at = Moment::opened, .lo_ms = 500, .hi_ms = 3000}}});
  // A reign that ends right after it began, while the one before comes back.
  p.push_back({.name = "short3", .members_lo = 3, .members_hi = 3, .durability = 2, .takeover = 1, .per_minute = 50, .aimed_pm = 600, .fast_pm = 1000, .weights = {
      {K::isolate, 20}, {K::cut_pair, 10}, {K::cut_store, 10}, {K::shutdown, 12}, {K::db_crash, 12}, {K::switchover, 12}, {K::agent_pause, 6}},
      .moments = {Moment::opened, Moment::acquired, Moment::voters_changed, Moment::sync_settled, Moment::renew_sent}});
  p.push_back({.name = "edit2", .members_lo = 2, .members_hi = 3, .durability = 1, .takeover = 2, .per_minute = 30, .fast_pm = 1000, .weights = {
      {K::edit_lock, 15}, {K::delete_lock, 8}, {K::cut_store, 10}, {K::agent_pause, 10}}});
  p.push_back({.name = "quorum3", .members_lo = 3, .members_hi = 4, .durability = 2, .takeover = 1, .per_minute = 30, .aimed_pm = 500, .fast_pm = 1000, .weights = {
      {K::isolate, 15}, {K::cut_pair, 12}, {K::wal_slow, 12}, {K::agent_pause, 10}, {K::pause_mid, 10}, {K::node_death, 6}, {K::store_mute, 4}}});
  p.push_back({.name = "quorum2", .members_lo = 2, .members_hi = 3, .durability = 2, .takeover = 1, .per_minute = 30, .aimed_pm = 500, .fast_pm = 1000, .weights = {
      {K::cut_pair, 15}, {K::isolate, 10}, {K::agent_pause, 8}, {K::agent_crash, 10}, {K::crash_mid, 8}, {K::db_crash, 10}, {K::node_death, 5}, {K::store_mute, 5}}});
  p.push_back({.name = "everything", .members_lo = 2, .members_hi = 5, .per_minute = 20,
               .weights = Plus(Everything(), {{K::shim_pause, 8}, {K::machine_pause, 8}})});
  return p;
}
// clang-format on

const std::vector<Profile>& All() {
  static const std::vector<Profile> all = Make();
  return all;
}

const Profile& Get(const std::string& name) {
  for (const Profile& p : All())
    if (name == p.name) return p;
  return All().front();
}

int PickBit(Rng& r, int mask) {
  for (;;) {
    const int b = static_cast<int>(r.Below(3));
    if (mask >> b & 1) return b;
  }
}

int64_t Sometimes(Rng& r, int64_t chance_pm, int64_t lo, int64_t hi) {
  return r.Chance(chance_pm) ? r.Between(lo, hi) : 0;
}

void DrawNoise(Rng& r, int noise, Plan* p) {
  if (noise == 0) return;
  const int64_t often = noise == 1 ? 200 : 500;
  p->rate_ppm = Sometimes(r, 700, 1, 990);
  p->msg_us = r.Between(200, r.Chance(200) ? 40000 : 2000);
  p->msg_loss_pm = Sometimes(r, often, 1, 100);
  p->msg_dup_pm = Sometimes(r, often, 1, 100);
  p->msg_slow_pm = Sometimes(r, often, 1, 50);
  p->store_us = r.Between(1000, r.Chance(200) ? 60000 : 6000);
  p->store_lost_pm = Sometimes(r, often, 1, 60);
  p->store_mute_pm = Sometimes(r, often, 1, 60);
  p->store_zombie_pm = Sometimes(r, often, 1, 40);
  p->store_409_pm = Sometimes(r, often / 2, 1, 20);
  p->store_slow_pm = Sometimes(r, often, 1, 60);
  p->watch_us = r.Between(1000, 100000);
  p->watch_loss_pm = Sometimes(r, often, 10, 1000);
  p->wal_us = r.Between(150, r.Chance(200) ? 20000 : 1500);
  p->wal_slow_pm = Sometimes(r, often, 1, 40);
  p->engine_fail_pm = Sometimes(r, often, 1, 60);
  p->settle_us = r.Between(1000, 200000);
  p->kill_us = r.Between(3000, 60000);
  p->start_ms = r.Between(80, 700);
  p->promote_us = r.Between(20000, 200000);
}

void DrawCluster(Rng& r, const Profile& f, Plan* p) {
  p->members = r.Between(f.members_lo, f.members_hi);
  p->durability = PickBit(r, f.durability);
  p->takeover = PickBit(r, f.takeover);
  p->volatile_data = f.volatile_data;
  p->sync_count = r.Chance(250) ? 2 : 1;
  p->failsafe = r.Chance(600);
  p->fast = r.Chance(f.fast_pm);
  p->write_us = r.Between(20000, p->fast ? 120000 : 300000);
  p->wal_timeout_ms = p->fast ? r.Between(1000, 3000) : r.Between(2000, 8000);
  p->rewind_ms = r.Between(300, 2000);
  p->clone_ms = r.Between(800, 6000);
  p->initial = p->members > 2 && r.Chance(150) ? p->members - 1 : p->members;
  p->no_failover = p->members > 2 && r.Chance(80) ? 1 << (p->members - 1) : 0;
  // What only such a member still has would be waited for, for ever: people's work.
  if (f.volatile_data) p->no_failover = 0;
  p->sync_count = std::min(
      p->sync_count, p->members - 1 - (p->no_failover != 0 ? 1 : 0));  // strict could never write otherwise
  p->priority = r.Chance(200) ? 1 << r.Below(static_cast<uint32_t>(p->members)) : 0;
  p->faults_ms = r.Between(f.seconds_lo, f.seconds_hi) * 1000;
}

int32_t DrawDuration(Rng& r, const Plan& p) {
  const int64_t lease = p.fast ? 3000 : 10000;
  switch (r.Below(4)) {
    case 0:
      return static_cast<int32_t>(r.Between(20, 500));
    case 1:
      return static_cast<int32_t>(r.Between(lease / 10, lease / 2));
    case 2:
      return static_cast<int32_t>(r.Between(lease / 2, lease * 2));
    default:
      return static_cast<int32_t>(r.Between(lease, lease * 4));
  }
}

Fault DrawFault(Rng& r, const Profile& f, const std::vector<Weight>& weights, int total, const Plan& p) {
  Fault x;
  int w = static_cast<int>(r.Below(static_cast<uint32_t>(total)));
  Weight chosen{};
  for (const Weight& e : weights) {
    chosen = e;
    if ((w -= e.weight) < 0) break;
  }
  x.kind = chosen.kind;
  x.at_ms = static_cast<int32_t>(r.Between(f.first_ms, p.faults_ms));
  x.dur_ms = DrawDuration(r, p);
  x.r = static_cast<uint32_t>(r.Next());
  x.target = static_cast<int8_t>(r.Below(static_cast<uint32_t>(p.members)));
  if (r.Chance(450)) x.target = static_cast<int8_t>(-1 - static_cast<int>(r.Below(4)));
  if (r.Chance(f.aimed_pm)) {
    x.trigger = f.moments.empty() ? static_cast<Moment>(1 + r.Below(kMoments - 1))
                                  : f.moments[r.Below(static_cast<uint32_t>(f.moments.size()))];
    x.delay_ms = r.Chance(500) ? static_cast<int32_t>(r.Below(5))
                               : static_cast<int32_t>(r.Below(r.Chance(500) ? 100 : 1000));
    if (r.Chance(500)) x.target = static_cast<int8_t>(kMomentTarget);
  } else if (x.target == kMomentTarget) {
    x.target = static_cast<int8_t>(kPrimaryTarget);
  }
  if (chosen.at != Moment::none) {
    x.trigger = chosen.at;
    x.target = static_cast<int8_t>(kMomentTarget);
    x.delay_ms = static_cast<int32_t>(r.Below(r.Chance(700) ? 8 : 100));
  } else if (chosen.target != 0) {
    x.trigger = Moment::none;
    x.target = static_cast<int8_t>(chosen.target);
  }
  if (chosen.r != 0) x.r = chosen.r;
  if (chosen.hi_ms > 0) x.dur_ms = static_cast<int32_t>(r.Between(chosen.lo_ms, chosen.hi_ms));
  return x;
}

}  // namespace

Plan MakePlan(uint64_t seed, const std::string& name) {
  const Profile& f = Get(name);
  Rng r(seed, 77);
  Plan p;
  p.seed = static_cast<int64_t>(seed);
  p.profile = f.name;
  DrawCluster(r, f, &p);
  DrawNoise(r, f.noise == 2 ? static_cast<int>(r.Below(3)) : f.noise, &p);
  Rng ends(seed, 78);
  if (ends.Chance(f.gone_pm)) p.gone = 1 + static_cast<int64_t>(ends.Below(3));
  std::vector<Weight> weights;
  int total = 0;
  for (const Weight& w : f.weights) {
    if (f.swarm && r.Chance(500)) continue;
    weights.push_back(w);
    total += w.weight;
  }
  const int64_t count = total == 0 ? 0 : p.faults_ms * f.per_minute * r.Between(4, 16) / 10 / 60000;
  for (int64_t i = 0; i < count; i++) p.faults.push_back(DrawFault(r, f, weights, total, p));
  for (int64_t m = p.initial; m < p.members; m++) {
    Fault x;
    x.kind = K::add_member;
    x.target = static_cast<int8_t>(m);
    x.at_ms = static_cast<int32_t>(r.Between(5000, p.faults_ms));
    p.faults.push_back(x);
  }
  std::stable_sort(p.faults.begin(), p.faults.end(),
                   [](const Fault& a, const Fault& b) { return a.at_ms < b.at_ms; });
  return p;
}

std::vector<std::string> ProfileNames() {
  std::vector<std::string> out;
  for (const Profile& p : All()) out.emplace_back(p.name);
  return out;
}

bool HasProfile(const std::string& name) {
  for (const Profile& p : All())
    if (name == p.name) return true;
  return false;
}

}  // namespace mainstay::sim
