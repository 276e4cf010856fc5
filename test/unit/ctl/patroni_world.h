// A cluster of a (leads), b and c, as one of them sees it: for the tests of Patroni's endpoints.
#ifndef MAINSTAY_TEST_UNIT_CTL_PATRONI_WORLD_H_
#define MAINSTAY_TEST_UNIT_CTL_PATRONI_WORLD_H_

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/patroni.h"
#include "lib/base/wall_clock.h"

namespace mainstay::agent::patroni {

using election::DbState;
using election::Durability;
using election::Role;
using std::chrono::seconds;

inline constexpr int64_t kNow = 1795500000000;  // 2026-11-24

struct World {
  rpc::StatusView view;
  Options options;
  Schedules schedules;
  MonoTime now = BootClock().Now();

  World() {
    view.cluster = "demo";
    view.leader = "a";
    view.lock.health = rpc::LockHealth::kOk;
    view.lock.record_changed_at = now - seconds(1);
    view.durability.voters = {"b", "c"};
    view.durability.freeze = 2;
    view.durability.wished = view.durability.in_force = Durability::kGuarded;
    view.shim_connected = true;
    view.database.state = DbState::kRunning;
    view.database.version = "15.20";
    view.database.timeline = 3;
    view.database.system_id = "7268616322854375442";
    view.database.start_unix_ms = kNow - 5000;
    for (const char* name : {"a", "b", "c"}) {
      rpc::MemberView m;
      m.name = name;
      m.in_record = true;
      m.heard_at = now;
      m.state = DbState::kRunning;
      m.role = m.name == "a" ? Role::kPrimary : Role::kReplica;
      m.timeline = 3;
      m.offset = m.name == "a" ? 10'000'000 : 9'999'000;
      m.voter = m.name != "a";
      m.peer_address = std::string("10.0.0.1:7400");
      m.db_address = "10.0.0." + std::to_string(1 + name[0] - 'a') + ":5432";
      view.members.push_back(m);
    }
    options.http_address = "10.0.0.1:7401";
    options.lease = seconds(10);
    options.renew = seconds(2);
    options.validity = std::chrono::milliseconds(7500);
    options.replication_role = "mainstay_repl";
  }
  static World Primary() {
    World w;
    w.view.member = "a";
    w.view.role = Role::kPrimary;
    w.view.database.writable = true;
    w.view.database.offset = 10'000'000;
    w.view.lock.permitted_until = w.now + seconds(5);
    w.view.database.replicas = {{"b", "streaming", 9'999'000, 9'990'000, true},
                                {"c", "catchup", 9'000'000, 9'000'000, false}};
    return w;
  }
  static World Replica() {
    World w;
    w.view.member = "b";
    w.view.role = Role::kReplica;
    w.view.database.streaming_from = "a";
    w.view.database.offset = 9'999'000;
    w.view.database.replay_offset = 9'990'000;
    w.view.database.replayed_unix_ms = kNow - 100;
    return w;
  }
  Facts facts() const { return {view, options, schedules, now, kNow}; }
  int Code(const std::string& target) const {
    const auto request = http::ParseTarget(target);
    return HealthCode(request->path, *request, facts()).value_or(404);
  }
  std::string Codes(const std::vector<std::string>& targets) const {
    std::string good;
    for (const std::string& t : targets) {
      const int code = Code(t);
      EXPECT_TRUE(code == 200 || code == 503) << t;
      if (code == 200) good += t + " ";
    }
    return good;
  }
};

}  // namespace mainstay::agent::patroni

#endif  // MAINSTAY_TEST_UNIT_CTL_PATRONI_WORLD_H_
