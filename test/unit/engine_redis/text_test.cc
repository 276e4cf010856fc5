// Names, what is held, redis.conf and users: everything of the Redis engine that needs no server.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/engine/redis/conf.h"
#include "lib/engine/redis/held.h"
#include "lib/engine/redis/names.h"

namespace mainstay::engine::redis {
namespace {

// ---- names ----

TEST(ReplicationUser, ReadsWhatItWrote) {
  const ReplicationUser user{"00ff00ff00ff00ff", 42};
  EXPECT_EQ(FormatReplicationUser(user), "mainstay-repl-00ff00ff00ff00ff-42");
  EXPECT_EQ(ParseReplicationUser(FormatReplicationUser(user)), user);
}

TEST(ReplicationUser, TakesNothingElse) {
  for (const char* text :
       {"", "mainstay-repl-", "mainstay-repl-ab", "mainstay-repl--1", "mainstay-repl-ab-",
        "mainstay-repl-ab-0", "mainstay-repl-ab--1", "mainstay-repl-ab-+1", "mainstay-repl-ab- 1",
        "mainstay-repl-AB-1", "mainstay-repl-ab-1x", "mainstay-repl-ab-99999999999999999999",
        "mainstay-repl-000000000000000000000000000000000-1", "replica"})
    EXPECT_FALSE(ParseReplicationUser(text).has_value()) << text;
}

TEST(HostPort, OfAddresses) {
  EXPECT_EQ(ParseHostPort("10.0.0.1:6379"), (HostPort{"10.0.0.1", 6379}));
  EXPECT_EQ(ParseHostPort("[fd00::1]:6379"), (HostPort{"fd00::1", 6379}));
  for (const char* text : {"", ":1", "a", "a:", "a:0", "a:65536", "a:x"})
    EXPECT_FALSE(ParseHostPort(text).has_value()) << text;
}

// ---- what is held ----

Info Server(const std::string& run, const std::string& replid, int64_t offset, int64_t keys) {
  Info info;
  info.server.emplace();
  info.server->run_id = run;
  info.replication.emplace();
  info.replication->role = Role::kReplica;
  info.replication->replid = replid;
  info.replication->offset = offset;
  info.replication->applied_offset = offset;
  info.keys = keys;
  return info;
}

Held Known() {
  Held held;
  held.cluster_id = "ab";
  held.run_id = "run1";
  held.replids = {"old", "new"};
  held.floor = 700;
  held.keys = true;
  held.epoch = 3;
  return held;
}

TEST(Held, ReadsWhatItWrote) {
  Held held = Known();
  held.nonce = "n";
  held.leader = "b";
  held.leader_address = "10.0.0.2:6379";
  held.following = 4;
  held.unopened = held.reinit = true;
  held.aof = {3, 4096};
  const auto read = DecodeHeld(EncodeHeld(held));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, held);
}

TEST(Held, DamageTellsTheRemedy) {
  for (const std::string& text : {std::string("x"), std::string("{}"), EncodeHeld(Known()).substr(0, 60)}) {
    const auto read = DecodeHeld(text);
    ASSERT_EQ(read.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_TRUE(absl::StrContains(read.status().message(), "move it away")) << read.status();
  }
}

TEST(Held, KeepsABoundedHistory) {
  Held held;
  for (int i = 0; i < 40; ++i) EXPECT_TRUE(AddHistory(&held, absl::StrCat("id", i)));
  EXPECT_EQ(held.replids.size(), kMaxHistories);
  EXPECT_FALSE(AddHistory(&held, "id39"));
  EXPECT_TRUE(AddHistory(&held, "id38"));
  EXPECT_EQ(held.replids.back(), "id38");
  EXPECT_EQ(held.replids.size(), kMaxHistories);
  EXPECT_TRUE(DecodeHeld(EncodeHeld(held)).ok());
}

TEST(JudgeData, TheSameProcessHasWhatItHad) {
  const Verdict v = JudgeData(Known(), Server("run1", "new", 1000, 5));
  EXPECT_FALSE(v.empty);
  EXPECT_FALSE(v.rolled_back);
  EXPECT_EQ(v.position, 1001u);
}

TEST(JudgeData, AnRdbFileTellsWhereItIs) {
  const Verdict v = JudgeData(Known(), Server("run2", "old", 600, 5));
  EXPECT_FALSE(v.empty);
  EXPECT_TRUE(v.rolled_back);
  EXPECT_EQ(v.position, 601u);
}

TEST(JudgeData, FromBeforeTheLastReign) {
  Held held = Known();
  held.reign = 3;
  held.reign_from = 650;
  EXPECT_EQ(JudgeData(held, Server("run2", "old", 600, 5)).reign, 1);
  EXPECT_EQ(JudgeData(held, Server("run2", "old", 650, 5)).reign, 3) << "and of no later one";
  EXPECT_EQ(JudgeData(held, Server("run1", "old", 600, 5)).reign, 3) << "the same process";
}

TEST(JudgeData, AnAppendOnlyFileReachesTheFloorAtLeast) {
  const Verdict v = JudgeData(Known(), Server("run2", "random", 0, 5));
  EXPECT_FALSE(v.empty);
  EXPECT_TRUE(v.rolled_back);
  EXPECT_EQ(v.position, 700u);
}

TEST(JudgeData, AnAppendOnlyFileReachesWhatWasAppendedToIt) {
  EXPECT_EQ(JudgeData(Known(), Server("run2", "random", 0, 5), 31).position, 731u);
  EXPECT_EQ(JudgeData(Known(), Server("run2", "old", 600, 5), 31).position, 601u) << "a file that tells";
  EXPECT_EQ(JudgeData(Known(), Server("run2", "random", 0, 0), 31).position, 0u) << "nothing came back";
}

TEST(JudgeData, NothingCameBack) {
  const Verdict v = JudgeData(Known(), Server("run2", "random", 0, 0));
  EXPECT_TRUE(v.empty);
  EXPECT_EQ(v.position, 0u);
  // Nothing had been there either: nothing is missing.
  Held none = Known();
  none.keys = false;
  EXPECT_FALSE(JudgeData(none, Server("run2", "random", 0, 0)).empty);
  EXPECT_TRUE(JudgeData(none, Server("run2", "random", 0, 0)).rolled_back);
}

TEST(JudgeData, AFullResyncThatDidNotEndLeavesNothing) {
  Info info = Server("run1", "new", 1000, 0);
  info.replication->applied_offset = 1;
  EXPECT_TRUE(JudgeData(Known(), info).empty);
  info.replication->applied_offset = 1000;  // FLUSHALL by a client
  EXPECT_FALSE(JudgeData(Known(), info).empty);
}

TEST(JudgeData, WithoutAClusterOrToBeCopiedAnew) {
  EXPECT_TRUE(JudgeData(Held{}, Server("run1", "x", 5, 5)).empty);
  Held again = Known();
  again.reinit = true;
  EXPECT_TRUE(JudgeData(again, Server("run1", "new", 1000, 5)).empty);
}

// ---- redis.conf ----

Options Some() {
  Options o;
  o.member = "a";
  o.db_address = "10.0.0.1:6379";
  o.shim_socket = "/run/shim";
  o.data_dir = "/data/redis";
  o.socket = "/run/redis.sock";
  o.replication_password_file = "/secrets/repl";
  return o;
}

TEST(Conf, AlwaysStartsClosed) {
  Options o = Some();
  o.settings.parameters = {
      {"maxmemory", "100mb"}, {"save", ""}, {"client-output-buffer-limit", "replica 256mb 64mb 60"}};
  o.settings.min_replicas = 1;
  const auto conf = BuildConf({&o, &o.settings, false});
  ASSERT_TRUE(conf.ok()) << conf.status();
  EXPECT_TRUE(absl::EndsWith(*conf, "replicaof \"127.0.0.1\" \"1\"\n"));
  for (const char* line :
       {"replica-serve-stale-data \"no\"\n", "save \"\"\n", "min-replicas-to-write \"1\"\n",
        "maxmemory \"100mb\"\n", "client-output-buffer-limit \"replica\" \"256mb\" \"64mb\" \"60\"\n",
        "replica-announce-ip \"10.0.0.1\"\n", "repl-diskless-sync-delay \"0\"\n",
        "aclfile \"/data/redis.acl\"\n"})
    EXPECT_TRUE(absl::StrContains(*conf, line)) << line << "\n" << *conf;
}

TEST(Conf, UsersWinOverPresets) {
  Options o = Some();
  o.settings.parameters = {{"repl-backlog-size", "1gb"}};
  const auto conf = BuildConf({&o, &o.settings, false});
  ASSERT_TRUE(conf.ok());
  EXPECT_TRUE(absl::StrContains(*conf, "repl-backlog-size \"1gb\"\n"));
  EXPECT_FALSE(absl::StrContains(*conf, "64mb"));
}

TEST(Conf, AnAppendOnlyFileIsSwitchedOnLater) {
  Options o = Some();
  o.settings.parameters = {{"appendonly", "yes"}};
  EXPECT_TRUE(absl::StrContains(*BuildConf({&o, &o.settings, false}), "appendonly \"yes\"\n"));
  const std::string late = *BuildConf({&o, &o.settings, true});
  EXPECT_TRUE(absl::StrContains(late, "appendonly \"no\"\n"));
  EXPECT_FALSE(absl::StrContains(late, "appendonly \"yes\"\n"));
}

TEST(Conf, RefusesWhatTheElectionKeepsAndSaysWhy) {
  for (const char* name :
       {"replicaof", "masterauth", "dir", "aclfile", "requirepass", "rename-command", "include"}) {
    const ConfProblem problem = CheckParameter(name, "x");
    EXPECT_TRUE(absl::StrContains(problem.what, "is kept by Mainstay: ")) << name;
    EXPECT_FALSE(problem.remedy.empty());
  }
  EXPECT_FALSE(CheckParameter("max memory", "1").what.empty());
  EXPECT_FALSE(CheckParameter("maxmemory", "1\nreplicaof a 1").what.empty());
  EXPECT_FALSE(CheckParameter("maxmemory", std::string(5000, 'x')).what.empty());
  EXPECT_TRUE(CheckParameter("maxmemory-policy", "allkeys-lru").what.empty());
  Options o = Some();
  o.settings.parameters = {{"port", "1"}, {"dir", "/"}};
  const auto conf = BuildConf({&o, &o.settings, false});
  EXPECT_TRUE(absl::StrContains(conf.status().message(), "redis.parameters.port"));
  EXPECT_TRUE(absl::StrContains(conf.status().message(), "redis.parameters.dir"));
}

TEST(Conf, NothingGetsOutOfItsQuotes) {
  Options o = Some();
  o.settings.parameters = {{"proc-title-template", "a\" b\\ \"c"}};
  EXPECT_TRUE(absl::StrContains(*BuildConf({&o, &o.settings, false}),
                                "proc-title-template \"a\\\"\" \"b\\\\\" \"\\\"c\"\n"));
}

// ---- users ----

TEST(Users, OfAFile) {
  const auto users =
      ParseUsers("# clients\n\nuser app on >one >two ~app:* +@all -@admin\n  user ops on nopass\n");
  ASSERT_TRUE(users.ok()) << users.status();
  ASSERT_EQ(users->size(), 2u);
  EXPECT_EQ((*users)[0].first, "app");
  EXPECT_EQ((*users)[0].second.size(), 6u);
  // Whoever names users shuts the door that Redis leaves open.
  EXPECT_EQ(FormatAcl(ClientUsers(*users, true)),
            "user app on >one >two ~app:* +@all -@admin\nuser ops on nopass\nuser default off\n");
}

TEST(Users, RefusesWithTheLine) {
  for (const char* text :
       {"\nuser mainstay-agent on", "\nusr a on", "\nuser", "user a on\nuser a off", "\nuser a\ton"}) {
    const auto users = ParseUsers(text);
    ASSERT_FALSE(users.ok()) << text;
    EXPECT_TRUE(absl::StartsWith(users.status().message(), "line 2: ")) << users.status();
  }
}

TEST(Users, PasswordsFromFiles) {
  const auto users = ParseUsers("user app on passwords=/s/app ~*\nuser ops on nopass\n");
  ASSERT_TRUE(users.ok()) << users.status();
  EXPECT_EQ(PasswordFiles(*users), (std::vector<std::string>{"/s/app"}));
  std::string text = " new \n\nold\n";
  const auto read = [&](const std::string& path) -> absl::StatusOr<std::string> {
    if (path != "/s/app") return absl::NotFoundError(path);
    return text;
  };
  const auto with = WithPasswords(*users, read);
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_EQ(FormatAcl(*with), "user app on >new >old ~*\nuser ops on nopass\n");
  // A user without a password, or with another rule in its place, would be worse than none.
  for (const std::string& bad : {std::string(), std::string("\n \n"), std::string("a b"),
                                 std::string(513, 'x'), std::string("caf\xc3\xa9")}) {
    text = bad;
    const auto refused = WithPasswords(*users, read);
    EXPECT_FALSE(refused.ok()) << bad;
    if (bad.size() > 3) {
      EXPECT_FALSE(absl::StrContains(refused.status().message(), bad)) << "a password in an error";
    }
  }
  text = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk\nl\nm\nn\no\np\nq\n";
  EXPECT_FALSE(WithPasswords(*users, read).ok()) << "17 passwords";
  EXPECT_FALSE(WithPasswords(*ParseUsers("user b on passwords=/s/b"), read).ok()) << "no such file";
  EXPECT_FALSE(ParseUsers("user b on passwords=s/b").ok()) << "not absolute";
  EXPECT_FALSE(ParseUsers("user b on passwords=").ok());
}

TEST(Users, WithoutAFileNobodyAdministrates) {
  EXPECT_EQ(FormatAcl(ClientUsers({}, false)), "user default on nopass ~* &* +@all -@admin\n");
}

TEST(Users, OfMainstayHaveTheLeastRights) {
  for (const std::string& rule : AgentRules("secret"))
    EXPECT_FALSE(rule == "+@all" || rule == "~*" || rule == "+set" || rule == "+keys") << rule;
  EXPECT_EQ(PeerRules("s").size(), 8u);
}

}  // namespace
}  // namespace mainstay::engine::redis
