// What a client of Sentinel is told, before, during and after a failover.
#include "lib/sentinel/answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace mainstay::sentinel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

View Healthy() {
  View v;
  v.primary = Address{"10.0.0.1", 6379};
  v.epoch = 4;
  v.voters = 3;
  v.replicas = {{.address = {"10.0.0.2", 6379}, .reachable = true, .link_up = true, .offset = 70},
                {.address = {"10.0.0.3", 6379}, .reachable = false, .link_up = false}};
  v.peers = {{IdOf("shop", "b"), {"10.0.0.2", 26379}, true}, {IdOf("shop", "c"), {"10.0.0.3", 26379}, false}};
  return v;
}

Identity Plain() {
  Identity i;
  i.id = IdOf("shop", "a");
  i.names = {"shop", "mymaster"};
  i.port = 26379;
  return i;
}

class Sentinel : public ::testing::Test {
 protected:
  explicit Sentinel(Identity identity = Plain()) : answers_(std::move(identity), [] { return int64_t{7}; }) {}
  std::string Ask(const Words& words) { return answers_.Answer(words, &session_); }

  Answers answers_;
  Session session_;
};

TEST_F(Sentinel, WhereThePrimaryIs) {
  EXPECT_EQ(Ask({"SENTINEL", "get-master-addr-by-name", "shop"}), "*-1\r\n") << "nobody yet";
  EXPECT_EQ(Ask({"SENTINEL", "MASTERS"}), "*0\r\n");
  EXPECT_THAT(answers_.Update(Healthy()), ElementsAre(::testing::Field(&Message::channel, "+slave"),
                                                      ::testing::Field(&Message::channel, "+slave"),
                                                      ::testing::Field(&Message::channel, "+slave"),
                                                      ::testing::Field(&Message::channel, "+slave"),
                                                      ::testing::Field(&Message::channel, "+sdown"),
                                                      ::testing::Field(&Message::channel, "+sdown")));
  for (const char* name : {"shop", "mymaster"})
    EXPECT_EQ(Ask({"sentinel", "GET-MASTER-ADDR-BY-NAME", name}), "*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6379\r\n");
  EXPECT_EQ(Ask({"SENTINEL", "get-master-addr-by-name", "other"}), "*-1\r\n");
  EXPECT_EQ(Ask({"SENTINEL", "master", "other"}), "-ERR No such master with that name\r\n");
  EXPECT_THAT(Ask({"SENTINEL", "get-master-addr-by-name"}), StartsWith("-ERR wrong number of arguments"));
}

TEST_F(Sentinel, Lists) {
  answers_.Update(Healthy());
  const std::string masters = Ask({"SENTINEL", "MASTERS"});
  EXPECT_THAT(masters, StartsWith("*2\r\n*40\r\n"));
  EXPECT_THAT(masters, HasSubstr("$5\r\nflags\r\n$6\r\nmaster\r\n"));
  EXPECT_THAT(masters, HasSubstr("$19\r\nnum-other-sentinels\r\n$1\r\n2\r\n"));
  EXPECT_THAT(masters, HasSubstr("$6\r\nquorum\r\n$1\r\n2\r\n"));
  EXPECT_THAT(masters, HasSubstr("$12\r\nconfig-epoch\r\n$1\r\n4\r\n"));
  EXPECT_THAT(masters, HasSubstr("mymaster"));
  const std::string replicas = Ask({"SENTINEL", "REPLICAS", "mymaster"});
  EXPECT_EQ(replicas, Ask({"SENTINEL", "slaves", "mymaster"}));
  EXPECT_THAT(replicas, StartsWith("*2\r\n"));
  EXPECT_THAT(replicas, HasSubstr("$17\r\nslave-repl-offset\r\n$2\r\n70\r\n"));
  EXPECT_THAT(replicas, HasSubstr("slave,s_down,disconnected"));
  const std::string peers = Ask({"SENTINEL", "SENTINELS", "shop"});
  EXPECT_THAT(peers, HasSubstr(IdOf("shop", "b")));
  EXPECT_THAT(peers, HasSubstr("sentinel,s_down,disconnected"));
  EXPECT_EQ(Ask({"SENTINEL", "MYID"}), absl::StrCat("$40\r\n", IdOf("shop", "a"), "\r\n"));
  EXPECT_EQ(Ask({"SENTINEL", "CKQUORUM", "shop"}),
            "+OK 2 usable Sentinels. Quorum and failover authorization can be reached\r\n");
  View v = Healthy();
  v.peers[0].reachable = false;
  answers_.Update(v);
  EXPECT_THAT(Ask({"SENTINEL", "CKQUORUM", "shop"}), StartsWith("-NOQUORUM 1 usable"));
}

TEST_F(Sentinel, AFailover) {
  answers_.Update(Healthy());
  View v = Healthy();
  v.primary.reset();
  EXPECT_THAT(answers_.Update(v),
              ElementsAre(Message{"+sdown", "master shop 10.0.0.1 6379"},
                          Message{"+sdown", "master mymaster 10.0.0.1 6379"},
                          Message{"+odown", "master shop 10.0.0.1 6379 #quorum 2/2"},
                          Message{"+odown", "master mymaster 10.0.0.1 6379 #quorum 2/2"}));
  EXPECT_THAT(answers_.Update(v), IsEmpty()) << "told once";
  EXPECT_EQ(Ask({"SENTINEL", "get-master-addr-by-name", "shop"}), "*-1\r\n")
      << "no address that may be wrong";
  EXPECT_THAT(Ask({"SENTINEL", "MASTERS"}), HasSubstr("master,s_down,o_down"));
  EXPECT_THAT(Ask({"INFO", "sentinel"}), HasSubstr("master0:name=shop,status=odown,address=10.0.0.1:6379"));
  v.primary = Address{"10.0.0.2", 6379};
  v.replicas = {{.address = {"10.0.0.3", 6379}, .reachable = true, .link_up = true}};
  v.epoch = 5;
  EXPECT_THAT(answers_.Update(v),
              ElementsAre(Message{"+switch-master", "shop 10.0.0.1 6379 10.0.0.2 6379"},
                          Message{"+switch-master", "mymaster 10.0.0.1 6379 10.0.0.2 6379"},
                          Message{"-sdown", "slave 10.0.0.3:6379 10.0.0.3 6379 @ shop 10.0.0.2 6379"},
                          Message{"-sdown", "slave 10.0.0.3:6379 10.0.0.3 6379 @ mymaster 10.0.0.2 6379"}));
  EXPECT_THAT(Ask({"SENTINEL", "get-master-addr-by-name", "shop"}), HasSubstr("10.0.0.2"));
  // The same primary again after a moment without one: no switch.
  v.primary.reset();
  answers_.Update(v);
  v.primary = Address{"10.0.0.2", 6379};
  EXPECT_THAT(answers_.Update(v), ElementsAre(::testing::Field(&Message::channel, "-sdown"),
                                              ::testing::Field(&Message::channel, "-sdown"),
                                              ::testing::Field(&Message::channel, "-odown"),
                                              ::testing::Field(&Message::channel, "-odown")));
  // From one to the other without a gap: a planned switchover.
  v.primary = Address{"10.0.0.3", 6379};
  v.replicas.clear();
  EXPECT_EQ(answers_.Update(v).front().channel, "+switch-master");
}

TEST_F(Sentinel, SmallCommands) {
  EXPECT_EQ(Ask({"PING"}), "+PONG\r\n");
  EXPECT_EQ(Ask({"ping", "x"}), "$1\r\nx\r\n");
  EXPECT_EQ(Ask({"ECHO", "x"}), "$1\r\nx\r\n");
  EXPECT_EQ(Ask({"CLIENT", "SETNAME", "web"}), "+OK\r\n");
  EXPECT_EQ(Ask({"CLIENT", "GETNAME"}), "$3\r\nweb\r\n");
  EXPECT_THAT(Ask({"CLIENT", "SETNAME", "a b"}), StartsWith("-ERR"));
  EXPECT_EQ(Ask({"CLIENT", "SETINFO", "LIB-NAME", "x"}), "+OK\r\n");
  session_.id = 9;
  EXPECT_EQ(Ask({"CLIENT", "ID"}), ":9\r\n");
  EXPECT_THAT(Ask({"CLIENT", "KILL", "x"}), StartsWith("-ERR"));
  EXPECT_EQ(Ask({"COMMAND"}), "*0\r\n");
  EXPECT_EQ(Ask({"COMMAND", "DOCS"}), "*0\r\n");
  EXPECT_EQ(Ask({"COMMAND", "COUNT"}), ":0\r\n");
  EXPECT_EQ(Ask({"ROLE"}), "*2\r\n$8\r\nsentinel\r\n*2\r\n$4\r\nshop\r\n$8\r\nmymaster\r\n");
  EXPECT_THAT(Ask({"INFO"}), HasSubstr("redis_mode:sentinel\r\nrun_id:"));
  EXPECT_THAT(Ask({"INFO"}), HasSubstr("sentinel_masters:0"));
  EXPECT_EQ(Ask({"INFO", "memory"}), "$0\r\n\r\n");
  EXPECT_EQ(Ask({"SENTINEL", "PENDING-SCRIPTS"}), "*0\r\n");
  for (const Words& words : std::initializer_list<Words>{{"SENTINEL"},
                                                         {"SENTINEL", "FAILOVER", "shop"},
                                                         {"SENTINEL", "RESET", "*"},
                                                         {"SENTINEL", "SET", "shop", "quorum", "1"},
                                                         {"SET", "a", "b"},
                                                         {"SHUTDOWN"},
                                                         {"PUBLISH", "+switch-master", "x"},
                                                         {std::string(3000, 'x')}}) {
    const std::string answer = Ask(words);
    EXPECT_THAT(answer, StartsWith("-ERR "));
    EXPECT_LT(answer.size(), 300u);
  }
  EXPECT_EQ(Ask({"QUIT"}), "+OK\r\n");
  EXPECT_TRUE(session_.closing);
}

TEST_F(Sentinel, HelloAndVersionThree) {
  answers_.Update(Healthy());
  EXPECT_THAT(Ask({"HELLO"}), StartsWith("*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n"));
  EXPECT_EQ(Ask({"HELLO", "4"}), "-NOPROTO unsupported protocol version\r\n");
  EXPECT_THAT(Ask({"HELLO", "3", "NONSENSE"}), StartsWith("-ERR Syntax error"));
  EXPECT_EQ(session_.proto, 2);
  EXPECT_THAT(Ask({"HELLO", "3", "SETNAME", "web"}), StartsWith("%7\r\n"));
  EXPECT_EQ(session_.name, "web");
  EXPECT_THAT(Ask({"SENTINEL", "MASTERS"}), StartsWith("*2\r\n%20\r\n"));
  EXPECT_EQ(Ask({"SENTINEL", "get-master-addr-by-name", "other"}), "_\r\n");
  EXPECT_EQ(Ask({"SUBSCRIBE", "+switch-master"}), ">3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n");
  EXPECT_EQ(Ask({"PING"}), "+PONG\r\n") << "version 3 goes on with everything while subscribed";
}

TEST_F(Sentinel, Subscriptions) {
  EXPECT_EQ(Ask({"SUBSCRIBE", "+switch-master", "+sdown"}),
            "*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$6\r\n+"
            "sdown\r\n:2\r\n");
  EXPECT_EQ(Ask({"PSUBSCRIBE", "+s*"}), "*3\r\n$10\r\npsubscribe\r\n$3\r\n+s*\r\n:3\r\n");
  EXPECT_EQ(Answers::Deliver({"+switch-master", "x"}, session_),
            "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$1\r\nx\r\n"
            "*4\r\n$8\r\npmessage\r\n$3\r\n+s*\r\n$14\r\n+switch-master\r\n$1\r\nx\r\n");
  EXPECT_EQ(Answers::Deliver({"-odown", "x"}, session_), "");
  EXPECT_EQ(Ask({"PING"}), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
  EXPECT_THAT(Ask({"SENTINEL", "MASTERS"}), StartsWith("-ERR Can't execute 'sentinel'"));
  EXPECT_THAT(Ask({"UNSUBSCRIBE"}), HasSubstr(":1\r\n"));
  EXPECT_EQ(Ask({"PUNSUBSCRIBE", "+s*"}), "*3\r\n$12\r\npunsubscribe\r\n$3\r\n+s*\r\n:0\r\n");
  EXPECT_EQ(Ask({"UNSUBSCRIBE"}), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
  EXPECT_EQ(Ask({"PING"}), "+PONG\r\n");
  EXPECT_THAT(Ask({"SUBSCRIBE"}), StartsWith("-ERR wrong number"));
}

TEST_F(Sentinel, SubscriptionsAreBounded) {
  for (size_t i = 0; i < kMaxSubscriptions; ++i) Ask({"SUBSCRIBE", absl::StrCat("c", i)});
  EXPECT_THAT(Ask({"SUBSCRIBE", "more"}), StartsWith("-ERR at most"));
  EXPECT_THAT(Ask({"SUBSCRIBE", "c1"}), Not(StartsWith("-")));
  Ask({"UNSUBSCRIBE"});
  EXPECT_THAT(Ask({"SUBSCRIBE", std::string(kMaxNameBytes + 1, 'x')}), StartsWith("-ERR at most"));
}

class WithPasswords : public Sentinel {
 protected:
  WithPasswords() : Sentinel(Guarded()) { current_ = {"old", "new"}; }
  static Identity Guarded() {
    Identity i = Plain();
    i.passwords = []() -> absl::StatusOr<std::vector<std::string>> {
      if (current_.empty()) return absl::NotFoundError("no file");
      return current_;
    };
    return i;
  }
  static std::vector<std::string> current_;
};
std::vector<std::string> WithPasswords::current_;

TEST_F(WithPasswords, NothingWithoutOne) {
  answers_.Update(Healthy());
  EXPECT_EQ(Ask({"PING"}), "-NOAUTH Authentication required.\r\n");
  EXPECT_EQ(Ask({"SENTINEL", "MASTERS"}), "-NOAUTH Authentication required.\r\n");
  EXPECT_EQ(Ask({"SUBSCRIBE", "x"}), "-NOAUTH Authentication required.\r\n");
  EXPECT_THAT(Ask({"HELLO", "3"}), StartsWith("-NOAUTH HELLO must be called"));
  EXPECT_THAT(Ask({"AUTH", "wrong"}), StartsWith("-WRONGPASS"));
  EXPECT_THAT(Ask({"AUTH", "other", "new"}), StartsWith("-WRONGPASS"));
  EXPECT_THAT(Ask({"AUTH", ""}), StartsWith("-WRONGPASS"));
  EXPECT_EQ(Ask({"AUTH", "old"}), "+OK\r\n");
  EXPECT_EQ(Ask({"PING"}), "+PONG\r\n");
  EXPECT_EQ(Ask({"AUTH", "default", "new"}), "+OK\r\n") << "two at a time: rotation";
  current_ = {"new"};
  EXPECT_THAT(Ask({"AUTH", "old"}), StartsWith("-WRONGPASS"));
  EXPECT_EQ(Ask({"PING"}), "+PONG\r\n") << "a refused login takes nothing away";
  EXPECT_THAT(Ask({"HELLO", "3", "AUTH", "default", "new", "SETNAME", "x"}), StartsWith("%7\r\n"));
}

TEST_F(WithPasswords, AFileThatIsGoneOpensNothing) {
  current_.clear();
  EXPECT_THAT(Ask({"AUTH", ""}), StartsWith("-WRONGPASS"));
  for (int i = 1; i < kMaxRefusedLogins; ++i) {
    EXPECT_FALSE(session_.closing);
    EXPECT_THAT(Ask({"HELLO", "2", "AUTH", "default", "x"}), StartsWith("-WRONGPASS"));
  }
  EXPECT_TRUE(session_.closing);
}

TEST(Password, Same) {
  EXPECT_TRUE(SamePassword("secret", "secret"));
  for (const char* wrong : {"", "s", "secre", "secrets", "secretsecret", "Secret"})
    EXPECT_FALSE(SamePassword(wrong, "secret"));
  EXPECT_FALSE(SamePassword("", "")) << "no password lets nobody in";
}

TEST(Id, IsFortyDigitsAndStays) {
  EXPECT_EQ(IdOf("shop", "a"), IdOf("shop", "a"));
  EXPECT_NE(IdOf("shop", "a"), IdOf("shop", "b"));
  EXPECT_NE(IdOf("shop", "a"), IdOf("shopa", ""));
  EXPECT_EQ(IdOf("", "").size(), 40u);
}

}  // namespace
}  // namespace mainstay::sentinel
