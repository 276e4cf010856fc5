// A cluster of made-up agents behind real servers, and the command line run in this process.
#ifndef MAINSTAY_TEST_UNIT_CTL_CLUSTER3_H_
#define MAINSTAY_TEST_UNIT_CTL_CLUSTER3_H_

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "agent/ctl/ctl.h"
#include "lib/rpc/server.h"
#include "test/unit/rpc/fake_port.h"

namespace mainstay::ctl {

struct Result {
  int code = -1;
  std::string out;
  std::string err;
};

inline Result RunWith(const std::vector<std::string>& arguments, std::vector<const char*> environment,
                      bool terminal = false, const std::string& answer = "") {
  std::ostringstream out;
  std::ostringstream err;
  environment.push_back(nullptr);
  Program p;
  p.version = "1.2.3";
  p.out = &out;
  p.err = &err;
  p.out_is_terminal = p.in_is_terminal = terminal;
  p.read_line = [&] { return answer; };
  p.environment = environment.data();
  Result r;
  r.code = Main(arguments, p);
  r.out = out.str();
  r.err = err.str();
  return r;
}
inline Result Invoke(const std::vector<std::string>& arguments) { return RunWith(arguments, {}); }

// Three members a (primary), b, c, each with its server.
class Cluster3 : public ::testing::Test {
 protected:
  struct Agent {
    Agent(const std::string& name, rpc::Server::Options options) : port(name) {
      options.address = "127.0.0.1:0";
      options.cluster = "demo";
      options.member = name;
      options.port = &port;
      auto s = rpc::Server::Start(std::move(options));
      EXPECT_TRUE(s.ok()) << s.status();
      if (s.ok()) server = *std::move(s);
    }
    rpc::FakePort port;
    std::unique_ptr<rpc::Server> server;
  };

  virtual rpc::Server::Options ServerOptions(const std::string& /*name*/) { return {}; }

  void SetUp() override {
    for (const char* n : {"a", "b", "c"}) agents_.emplace(n, std::make_unique<Agent>(n, ServerOptions(n)));
    for (const auto& [n, agent] : agents_) addresses_[n] = agent->server->address();
    Lead("a", 7);
  }
  void Lead(const std::string& leader, int64_t epoch) {
    const MonoTime now = BootClock().Now();
    for (auto& [name, agent] : agents_) {
      agent->port.Publish([&, n = name](rpc::StatusView& v) {
        v.role = n == leader ? election::Role::kPrimary : election::Role::kReplica;
        v.leader = leader;
        v.epoch = epoch;
        v.shim_connected = true;
        v.lock.where = "file:/run/demo";
        v.lock.health = rpc::LockHealth::kOk;
        v.lock.record_changed_at = now;
        v.lock.permitted_until = n == leader ? now + std::chrono::hours(1) : MonoTime();
        v.database.state = election::DbState::kRunning;
        v.database.verdict = election::Verdict::kOk;
        v.database.writable = n == leader;
        v.database.timeline = 3;
        v.database.streaming_from = n == leader ? "" : leader;
        v.durability.voters = {"b", "c"};
        v.durability.freeze = 2;
        v.durability.sync = {{"b", "c"}, 1};
        v.members.clear();
        for (const auto& [m, address] : addresses_) {
          rpc::MemberView row;
          row.name = m;
          row.role = m == leader ? election::Role::kPrimary : election::Role::kReplica;
          row.peer_address = address;
          row.heard_at = now;
          row.in_record = true;
          row.lag_bytes = 2048;
          row.state = election::DbState::kRunning;
          row.sync = row.voter = m != leader;
          v.members.push_back(row);
        }
        v.decisions = {
            {"row." + n, "Something happened at " + n + ".", "facts of " + n, epoch, 1767225600000 + n[0]}};
      });
    }
  }
  std::string Address(const std::string& name) { return addresses_[name]; }

  std::map<std::string, std::unique_ptr<Agent>> agents_;
  std::map<std::string, std::string> addresses_;
};

}  // namespace mainstay::ctl

#endif  // MAINSTAY_TEST_UNIT_CTL_CLUSTER3_H_
