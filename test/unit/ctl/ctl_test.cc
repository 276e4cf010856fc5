// The command line against real servers with made-up agents behind them.
#include "agent/ctl/ctl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "agent/ctl/table.h"
#include "lib/base/json.h"
#include "test/unit/ctl/cluster3.h"

namespace mainstay::ctl {
namespace {

using election::DbState;
using election::Role;
using ::testing::HasSubstr;
using ::testing::Not;

void FitsTheWidth(const std::string& text) {
  std::istringstream in(text);
  std::string line;
  while (std::getline(in, line)) EXPECT_LE(line.size(), kWidth) << line;
}

TEST_F(Cluster3, StatusFromAnyMember) {
  for (const char* n : {"a", "b", "c"}) {
    const Result r = Invoke({"status", "--address", Address(n)});
    EXPECT_EQ(r.code, 0) << r.err;
    EXPECT_THAT(r.out, HasSubstr("leader a"));
    EXPECT_THAT(r.out, HasSubstr("epoch 7"));
    EXPECT_THAT(r.out,
                HasSubstr("1 of b, c acknowledges each write; sync set {b, c}, a takeover must freeze 2"));
    EXPECT_THAT(r.out, HasSubstr("2.0 kB"));
    EXPECT_THAT(r.out, Not(HasSubstr("\033")));
    EXPECT_THAT(r.out, Not(HasSubstr("Warning")));
    FitsTheWidth(r.out);
  }
}

TEST_F(Cluster3, StatusWithTheLeaderDead) {
  agents_.erase("a");
  const Result r = Invoke({"status", "--address", Address("b")});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("leader a (no answer)"));
  EXPECT_THAT(r.out, HasSubstr("no answer"));
  EXPECT_THAT(r.out, HasSubstr("Warning     a does not answer"));
  FitsTheWidth(r.out);
  EXPECT_EQ(Invoke({"status", "--check", "--address", Address("b")}).code, 1);
  // The first address is the dead one: the second answers.
  EXPECT_EQ(Invoke({"status", "--address", Address("a") + "," + Address("c")}).code, 0);
}

TEST_F(Cluster3, StatusAsJson) {
  const Result r = Invoke({"status", "-o", "json", "--address", Address("c")});
  const auto j = ParseJson(r.out, 1 << 20);
  ASSERT_TRUE(j.ok()) << j.status();
  EXPECT_EQ((*j)["leader"], "a");
  EXPECT_EQ((*j)["epoch"], 7);
  ASSERT_EQ((*j)["members"].size(), 3u);
  EXPECT_EQ((*j)["members"][1]["name"], "b");
  EXPECT_EQ((*j)["members"][1]["lag_bytes"], 2048);
  EXPECT_EQ((*j)["members"][1]["summary"], "streaming");
}

TEST_F(Cluster3, ColoursOnlyOnATerminalAndNotWithNoColor) {
  EXPECT_THAT(RunWith({"status", "--address", Address("a")}, {}, true).out, HasSubstr("\033[32m"));
  EXPECT_THAT(RunWith({"status", "--address", Address("a")}, {"NO_COLOR=1"}, true).out,
              Not(HasSubstr("\033")));
}

TEST_F(Cluster3, WatchShowsAgainAndAgain) {
  const Result r =
      Invoke({"status", "--watch", "--interval", "100ms", "--rounds", "3", "--address", Address("a")});
  size_t n = 0;
  for (size_t at = 0; (at = r.out.find("Cluster demo", at)) != std::string::npos; ++at) ++n;
  EXPECT_EQ(n, 3u);
}

TEST_F(Cluster3, HostileTextsCannotDriveTheTerminal) {
  agents_["b"]->port.Publish([](rpc::StatusView& v) { v.warnings = {"evil \033]0;owned\007 text\nline"}; });
  const Result r = RunWith({"status", "--address", Address("b")}, {"NO_COLOR=1"}, true);
  EXPECT_THAT(r.out, HasSubstr("evil ?]0;owned? text?line"));
}

TEST_F(Cluster3, RequestsForTheLeaderFindIt) {
  const Result r = Invoke({"pause", "--address", Address("c"), "--reason", "maintenance"});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("pause: done"));
  ASSERT_EQ(agents_["a"]->port.commands().size(), 1u);
  EXPECT_EQ(agents_["a"]->port.commands()[0].reason, "maintenance");
  EXPECT_TRUE(agents_["c"]->port.commands().empty());
}

TEST_F(Cluster3, RequestsForAMemberGoToIt) {
  EXPECT_EQ(Invoke({"restart", "b", "--address", Address("a")}).code, 0);
  ASSERT_EQ(agents_["b"]->port.commands().size(), 1u);
  EXPECT_EQ(agents_["b"]->port.commands()[0].verb, rpc::AdminVerb::kRestart);
  const Result r = Invoke({"restart", "x", "--address", Address("a")});
  EXPECT_EQ(r.code, 2);
  EXPECT_THAT(r.err, HasSubstr("x is no member; the members are a, b, c"));
}

TEST_F(Cluster3, ASwitchoverIsFollowedToItsEnd) {
  agents_["a"]->port.on_submit = [&](const rpc::AdminCommand& c, auto done) {
    EXPECT_EQ(c.target, "b");
    done({election::AdminStatus::kAccepted, "started"});
    Lead("b", 8);
  };
  const Result r = Invoke({"switchover", "b", "--yes", "--address", Address("c")});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("b is primary now, epoch 8"));
}

TEST_F(Cluster3, ASwitchoverThatIsRolledBackFails) {
  agents_["a"]->port.on_submit = [&](const rpc::AdminCommand&, auto done) {
    done({election::AdminStatus::kAccepted, "started"});
  };
  const Result r = Invoke({"switchover", "b", "--yes", "--address", Address("c")});
  EXPECT_EQ(r.code, 1);
  EXPECT_THAT(r.err, HasSubstr("rolled back; `mainstay why a`"));
}

TEST_F(Cluster3, RefusalsFailuresAndSilenceHaveTheirCodes) {
  auto& port = agents_["a"]->port;
  port.on_submit = [](const rpc::AdminCommand&, auto done) {
    done({election::AdminStatus::kRefused, "c lags; wait"});
  };
  Result r = Invoke({"switchover", "c", "--yes", "--address", Address("a")});
  EXPECT_EQ(r.code, 3);
  EXPECT_THAT(r.err, HasSubstr("refused by a: c lags; wait"));
  port.on_submit = [](const rpc::AdminCommand&, auto done) { done({election::AdminStatus::kFailed, "no"}); };
  EXPECT_EQ(Invoke({"pause", "--address", Address("a")}).code, 1);
  std::vector<std::function<void(rpc::AdminAnswer)>> kept;
  port.on_submit = [&](const rpc::AdminCommand&, auto done) { kept.push_back(std::move(done)); };
  r = Invoke({"resume", "--timeout", "1500ms", "--address", Address("a")});
  EXPECT_EQ(r.code, 5);
  EXPECT_THAT(r.err, HasSubstr("may or may not"));
  for (auto& done : kept) done({});
}

TEST_F(Cluster3, WithoutALeaderOnlyAFailoverIsPossible) {
  agents_.erase("a");
  Result r = Invoke({"switchover", "b", "--yes", "--address", Address("b")});
  EXPECT_EQ(r.code, 4);
  EXPECT_THAT(r.err, HasSubstr("a, the leader, does not answer"));
  agents_["c"]->port.on_submit = [&](const rpc::AdminCommand& c, auto done) {
    EXPECT_TRUE(c.accept_loss);
    done({election::AdminStatus::kAccepted, ""});
    Lead("c", 8);
  };
  r = Invoke({"failover", "c", "--accept-loss", "--yes", "--address", Address("b")});
  EXPECT_EQ(r.code, 0) << r.err;
  EXPECT_THAT(r.out, HasSubstr("c is primary now"));
}

TEST_F(Cluster3, ATerminalIsAskedFirst) {
  Result r = RunWith({"reinit", "b", "--address", Address("a")}, {}, true, "n");
  EXPECT_EQ(r.code, 3);
  EXPECT_THAT(r.err, HasSubstr("Throw away the data of b"));
  EXPECT_TRUE(agents_["b"]->port.commands().empty());
  EXPECT_EQ(RunWith({"reinit", "b", "--address", Address("a")}, {}, true, "y").code, 0);
  EXPECT_EQ(RunWith({"reinit", "b", "--yes", "--address", Address("a")}, {}, true, "n").code, 0);
  EXPECT_EQ(agents_["b"]->port.commands().size(), 2u);
}

TEST_F(Cluster3, WhyMergesOrTakesOne) {
  Result r = Invoke({"why", "--address", Address("b")});
  EXPECT_EQ(r.code, 0);
  EXPECT_THAT(r.out, HasSubstr("a  epoch 7  row.a"));
  EXPECT_THAT(r.out, HasSubstr("Something happened at c."));
  r = Invoke({"why", "b", "--address", Address("c")});
  EXPECT_THAT(r.out, Not(HasSubstr("row.a")));
  EXPECT_THAT(r.out, HasSubstr("facts of b"));
  EXPECT_EQ(Invoke({"why", "nobody", "--address", Address("c")}).code, 2);
  const auto j = ParseJson(Invoke({"why", "-o", "json", "--address", Address("b")}).out, 1 << 20);
  ASSERT_TRUE(j.ok());
  EXPECT_EQ((*j)[0]["member"], "a");
}

TEST_F(Cluster3, TheAddressMayComeFromTheEnvironment) {
  const std::string variable = "MAINSTAY_ADDRESS=" + Address("b");
  EXPECT_EQ(RunWith({"status"}, {variable.c_str()}).code, 0);
}

TEST(Ctl, NobodyThereSaysWhatToDo) {
  const Result r = Invoke({"status", "--address", "127.0.0.1:1"});
  EXPECT_EQ(r.code, 4);
  EXPECT_THAT(r.err, HasSubstr("--address HOST:PORT"));
  EXPECT_EQ(Invoke({"pause", "--address", "127.0.0.1:1"}).code, 4);
}

TEST(Ctl, WrongUsage) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{},
                                                                     {"nonsense"},
                                                                     {"restart"},
                                                                     {"status", "--timeout", "soon"},
                                                                     {"status", "--address", "nowhere"},
                                                                     {"durability", "maybe"},
                                                                     {"status", "-o", "xml"},
                                                                     {"config", "check", "--set", "name"},
                                                                     {"status", "--interval", "1ms"}}) {
    const Result r = Invoke(arguments);
    EXPECT_EQ(r.code, 2) << (arguments.empty() ? "" : arguments[0]);
    EXPECT_FALSE(r.err.empty());
  }
}

TEST(Ctl, SmallVerbs) {
  EXPECT_EQ(Invoke({"version"}).out, "mainstay 1.2.3\n");
  EXPECT_THAT(Invoke({"--help"}).out, HasSubstr("Exit codes"));
  EXPECT_THAT(Invoke({"completion", "bash"}).out, HasSubstr("complete -F _mainstay mainstay"));
  EXPECT_THAT(Invoke({"fsm"}).out, HasSubstr("then"));
  EXPECT_TRUE(ParseJson(Invoke({"fsm", "-o", "json"}).out, 1 << 22).ok());
  EXPECT_THAT(Invoke({"fsm", "-o", "mermaid"}).out, HasSubstr("stateDiagram"));
  EXPECT_THAT(Invoke({"config", "docs"}).out, HasSubstr("| `election.lease` | `10s` |"));
  EXPECT_EQ(Invoke({"config", "check", "--name", "A"}).code, 2);
  EXPECT_EQ(Invoke({"agent", "--name", "A"}).code, 2);
}

TEST(Table, TheElasticColumnGivesWay) {
  Table t({"NAME", "X"}, 0);
  t.Add({std::string(150, 'n'), "1"});
  FitsTheWidth(t.ToString(false));
  EXPECT_THAT(t.ToString(false), HasSubstr(".."));
}

TEST(Table, Texts) {
  EXPECT_EQ(Bytes(1023), "1023 B");
  EXPECT_EQ(Bytes(1536), "1.5 kB");
  EXPECT_EQ(Ago(0.24), "0.2s");
  EXPECT_EQ(Ago(190), "3m10s");
  EXPECT_EQ(Lsn(0x500000060), "5/60");
  EXPECT_EQ(Printable("a\033[2J\xc2\x9b"), "a?[2J?");
}

}  // namespace
}  // namespace mainstay::ctl
