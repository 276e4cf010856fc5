// INFO and ROLE as redis-server 7.0.15 of Debian 12 told them (texts/), and what must be refused.
#include "lib/engine/redis/info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace mainstay::engine::redis {
namespace {

using ::testing::HasSubstr;

std::string Captured(const std::string& name) {
  std::ifstream in("test/unit/engine_redis/texts/" + name, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  EXPECT_FALSE(text.empty()) << name << ": run from the top of the repository";
  return text;
}

Info Parsed(const std::string& name) {
  const auto info = ParseInfo(Captured(name));
  EXPECT_TRUE(info.ok()) << name << ": " << info.status();
  return info.ok() ? *info : Info();
}

TEST(Info, OfAPrimary) {
  const Info info = Parsed("primary.txt");
  ASSERT_TRUE(info.server && info.clients && info.memory && info.persistence && info.stats &&
              info.replication);
  EXPECT_EQ(info.server->version, "7.0.15");
  EXPECT_FALSE(info.server->valkey);
  EXPECT_EQ(info.server->mode, "standalone");
  EXPECT_EQ(info.server->run_id, "351fba0e4c90d2a796dd88063cb724fd16ee401a");
  EXPECT_EQ(info.server->tcp_port, 7801);
  EXPECT_EQ(info.server->process_id, 9198);
  EXPECT_EQ(info.server->server_time_usec, 1796056343914687);
  EXPECT_EQ(info.server->config_file, "/etc/redis/redis.conf");
  EXPECT_EQ(info.clients->connected, 1);
  EXPECT_EQ(info.clients->max, 10000);
  EXPECT_EQ(info.memory->used, 1233600);
  EXPECT_EQ(info.memory->max, 0);
  EXPECT_EQ(info.memory->policy, "noeviction");
  EXPECT_FALSE(info.persistence->loading);
  EXPECT_TRUE(info.persistence->bgsave_ok);
  EXPECT_FALSE(info.persistence->aof);
  EXPECT_TRUE(info.persistence->aof_write_ok);
  EXPECT_EQ(info.stats->full_resyncs, 2);
  EXPECT_EQ(info.stats->refused_partial_resyncs, 2);
  EXPECT_EQ(info.stats->fork_usec, 32081);
  const ReplicationFacts& r = *info.replication;
  EXPECT_EQ(r.role, Role::kPrimary);
  EXPECT_EQ(r.replid, "0b692096b172042adaf12dff97a4a2e4dcea9456");
  EXPECT_EQ(r.replid2, "") << "forty zeros mean none";
  EXPECT_EQ(r.second_offset, -1);
  EXPECT_EQ(r.offset, 187);
  EXPECT_FALSE(r.failing_over());
  EXPECT_EQ(r.connected_replicas, 2);
  ASSERT_EQ(r.replicas.size(), 2u);
  EXPECT_EQ(r.replicas[1].ip, "127.0.0.1");
  EXPECT_EQ(r.replicas[1].port, 7803);
  EXPECT_TRUE(r.replicas[1].online());
  EXPECT_EQ(r.replicas[1].offset, 187);
  EXPECT_EQ(r.good_replicas, -1);
  EXPECT_EQ(r.backlog_size, 1048576);
  EXPECT_EQ(info.cluster_enabled, false);
  EXPECT_EQ(info.keys, 4);
  ASSERT_EQ(info.databases.size(), 2u);
  EXPECT_EQ(info.databases[1].index, 3);
  EXPECT_EQ(info.databases[1].avg_ttl_ms, 998470);
  EXPECT_EQ(info.errors.at("WRONGTYPE"), 1);
}

TEST(Info, OfReplicas) {
  const Info good = Parsed("replica.txt");
  ASSERT_TRUE(good.replication);
  EXPECT_EQ(good.replication->role, Role::kReplica);
  EXPECT_EQ(good.replication->primary_host, "127.0.0.1");
  EXPECT_EQ(good.replication->primary_port, 7801);
  EXPECT_TRUE(good.replication->link_up);
  EXPECT_FALSE(good.replication->syncing);
  EXPECT_EQ(good.replication->applied_offset, 187);
  EXPECT_EQ(good.replication->read_offset, 187);
  EXPECT_EQ(good.replication->last_io_seconds, 3);
  EXPECT_EQ(good.replication->link_down_seconds, -1);
  const Info down = Parsed("replica_link_down.txt");
  ASSERT_TRUE(down.replication);
  EXPECT_FALSE(down.replication->link_up);
  EXPECT_EQ(down.replication->primary_port, 1) << "a fence points at nobody";
  EXPECT_EQ(down.replication->link_down_seconds, 2);
  EXPECT_EQ(down.replication->replid, good.replication->replid);
}

TEST(Info, OfAFullResync) {
  const Info replica = Parsed("replica_full_resync.txt");
  ASSERT_TRUE(replica.replication);
  EXPECT_TRUE(replica.replication->syncing);
  EXPECT_EQ(replica.replication->sync_total, -1);
  const Info primary = Parsed("primary_full_resync.txt");
  ASSERT_TRUE(primary.replication && primary.persistence);
  ASSERT_EQ(primary.replication->replicas.size(), 2u);
  EXPECT_EQ(primary.replication->replicas[1].state, "wait_bgsave");
  EXPECT_FALSE(primary.replication->replicas[1].online());
  EXPECT_TRUE(primary.persistence->bgsave_running);
}

TEST(Info, OfAServerThatLoads) {
  const Info info = Parsed("loading.txt");
  ASSERT_TRUE(info.persistence && info.replication && info.server);
  EXPECT_TRUE(info.persistence->loading);
  EXPECT_EQ(info.persistence->loading_total, 229078);
  EXPECT_EQ(info.persistence->loading_loaded, 1023);
  EXPECT_EQ(info.persistence->loading_eta, 222);
  EXPECT_EQ(info.server->config_file, "");
  EXPECT_EQ(info.replication->role, Role::kPrimary);
  EXPECT_EQ(info.replication->offset, 0);
}

TEST(Info, OneSectionOnly) {
  const Info info = Parsed("persistence_aof.txt");
  ASSERT_TRUE(info.persistence);
  EXPECT_TRUE(info.persistence->aof);
  EXPECT_TRUE(info.persistence->aof_rewrite_scheduled);
  EXPECT_FALSE(info.replication);
  EXPECT_FALSE(info.keys.has_value());
  const auto none = ParseInfo("");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(none->server);
}

// Lines of versions that this machine cannot run, in the form of their documentation.
TEST(Info, OfValkeyAndNewerServers) {
  const auto info = ParseInfo(
      "# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\n"
      "valkey_release_stage:ga\r\nserver_mode:standalone\r\nnever_seen:x:y\r\n\r\n"
      "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nmin_slaves_good_slaves:1\r\n"
      "slave0:ip=fd00::7,port=6379,state=online,offset=5,lag=0,type=main-channel\r\n"
      "replicas_waiting_psync:0\r\nmaster_failover_state:waiting-for-sync\r\n"
      "master_replid:8f6fd52b9b3c3fe04f27cb0e1f22f1d56ee8bd30\r\n"
      "master_replid2:0b692096b172042adaf12dff97a4a2e4dcea9456\r\nmaster_repl_offset:5\r\n"
      "second_repl_offset:4\r\n"
      "# Keyspace\r\ndb0:keys=3,expires=1,avg_ttl=7,subexpiry=0\r\n");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->server->version, "8.1.1");
  EXPECT_TRUE(info->server->valkey);
  EXPECT_EQ(info->server->mode, "standalone");
  EXPECT_EQ(info->replication->replicas.at(0).ip, "fd00::7");
  EXPECT_EQ(info->replication->replicas.at(0).channel, "main-channel");
  EXPECT_EQ(info->replication->good_replicas, 1);
  EXPECT_TRUE(info->replication->failing_over());
  EXPECT_EQ(info->replication->replid2, "0b692096b172042adaf12dff97a4a2e4dcea9456");
  EXPECT_EQ(info->replication->second_offset, 4);
  EXPECT_EQ(info->keys, 3);
}

TEST(Info, OddLinesAreNamed) {
  const std::string good = Captured("primary.txt");
  const struct {
    const char *from, *to, *named;
  } cases[] = {
      {"role:master", "role:leader", "'role' has the odd value 'leader'"},
      {"role:master\r\n", "", "'role' is missing"},
      {"master_repl_offset:187", "master_repl_offset:18q", "'master_repl_offset' has the odd value '18q'"},
      {"master_repl_offset:187", "master_repl_offset:-9", "'master_repl_offset' has the odd value '-9'"},
      {"master_repl_offset:187", "master_repl_offset:99999999999999999999", "'master_repl_offset'"},
      {"master_replid:0b69", "master_replid:xx69", "'master_replid'"},
      {"loading:0", "loading:maybe", "'loading' has the odd value 'maybe'"},
      {"port=7802", "port=", "'slave0' has the odd value"},
      {"offset=187,lag=0", "lag=0", "'slave0' has the odd value"},
      {"db0:keys=3", "db0:keys=-3", "'db0' has the odd value"},
      {"errorstat_ERR:count=1", "errorstat_ERR:n=1", "'errorstat_ERR' has the odd value"},
      {"cluster_enabled:0", "cluster_enabled:2", "'cluster_enabled' has the odd value '2'"},
  };
  for (const auto& c : cases) {
    const std::string text = absl::StrReplaceAll(good, {{c.from, c.to}});
    ASSERT_NE(text, good) << c.from;
    const auto info = ParseInfo(text);
    ASSERT_FALSE(info.ok()) << c.to;
    EXPECT_EQ(info.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(info.status().message()), HasSubstr(c.named));
    EXPECT_THAT(std::string(info.status().message()), HasSubstr("is this Redis 6.2"));
  }
  const std::string replica =
      absl::StrReplaceAll(Captured("replica.txt"), {{"master_host:127.0.0.1\r\n", ""}});
  EXPECT_THAT(std::string(ParseInfo(replica).status().message()), HasSubstr("'master_host' is missing"));
}

TEST(Info, IsBounded) {
  EXPECT_EQ(ParseInfo(std::string(kMaxInfoBytes + 1, 'x')).status().code(),
            absl::StatusCode::kResourceExhausted);
  std::string text = "# Replication\nrole:master\nmaster_replid:" + std::string(40, 'a') + "\n";
  for (size_t i = 0; i < kMaxReplicas + 5; ++i)
    absl::StrAppend(&text, "slave", i, ":ip=::1,port=1,state=online,offset=1,lag=0\n");
  text += "# Errorstats\n";
  for (size_t i = 0; i < kMaxErrors + 5; ++i) absl::StrAppend(&text, "errorstat_E", i, ":count=2\n");
  text += "# Keyspace\n";
  for (size_t i = 0; i < kMaxDatabases + 5; ++i) absl::StrAppend(&text, "db", i, ":keys=1,expires=0\n");
  const auto info = ParseInfo(text);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->replication->replicas.size(), kMaxReplicas);
  EXPECT_EQ(info->databases.size(), kMaxDatabases);
  EXPECT_EQ(info->keys, static_cast<int64_t>(kMaxDatabases + 5));
  EXPECT_EQ(info->errors.size(), kMaxErrors + 1);
  EXPECT_EQ(info->errors.at("other"), 10);
}

TEST(Info, LinesWithTheirSections) {
  std::vector<std::string> seen;
  ASSERT_TRUE(
      ForEachInfoLine("a:1\r\n# Server\r\nb:c:d\r\nnothing\n:x\n\n#Stats\ne:", [&](const InfoLine& l) {
        seen.push_back(absl::StrCat(l.section, "/", l.key, "=", l.value));
      }).ok());
  EXPECT_THAT(seen, ::testing::ElementsAre("/a=1", "Server/b=c:d", "Stats/e="));
}

TEST(Role, OfEachKind) {
  const auto primary = ParseRole(Reply::Array(
      {Reply::Text("master"), Reply::Integer(187),
       Reply::Array({Reply::Array({Reply::Text("10.0.0.1"), Reply::Text("6379"), Reply::Text("180")})})}));
  ASSERT_TRUE(primary.ok()) << primary.status();
  EXPECT_EQ(primary->role, Role::kPrimary);
  EXPECT_EQ(primary->offset, 187);
  ASSERT_EQ(primary->replicas.size(), 1u);
  EXPECT_EQ(primary->replicas[0].offset, 180);
  const auto replica =
      ParseRole(Reply::Array({Reply::Text("slave"), Reply::Text("10.0.0.2"), Reply::Integer(6379),
                              Reply::Text("connected"), Reply::Integer(180)}));
  ASSERT_TRUE(replica.ok()) << replica.status();
  EXPECT_EQ(replica->role, Role::kReplica);
  EXPECT_EQ(replica->link, Link::kConnected);
  EXPECT_EQ(replica->primary_host, "10.0.0.2");
  const auto waiting =
      ParseRole(Reply::Array({Reply::Text("slave"), Reply::Text("127.0.0.1"), Reply::Integer(1),
                              Reply::Text("connect"), Reply::Integer(-1)}));
  ASSERT_TRUE(waiting.ok());
  EXPECT_EQ(waiting->link, Link::kConnect);
  EXPECT_EQ(waiting->offset, -1);
  EXPECT_EQ(ParseRole(Reply::Array({Reply::Text("sentinel"), Reply::Array({})}))->role, Role::kSentinel);
}

TEST(Role, OddAnswers) {
  Reply error{.kind = Reply::Kind::kError, .text = "NOAUTH Authentication required.", .items = {}};
  EXPECT_EQ(error.ErrorCode(), "NOAUTH");
  EXPECT_EQ(ParseRole(error).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ParseRole(error).status().message()), HasSubstr("NOAUTH"));
  for (const Reply& odd :
       {Reply(), Reply::Integer(1), Reply::Array({}), Reply::Array({Reply::Text("leader")}),
        Reply::Array({Reply::Text("master")}), Reply::Array({Reply::Text("master"), Reply::Integer(-1)}),
        Reply::Array({Reply::Text("master"), Reply::Integer(1), Reply::Array({Reply::Integer(1)})}),
        Reply::Array({Reply::Text("slave"), Reply::Text("h"), Reply::Text("p"), Reply::Text("sync"),
                      Reply::Integer(1)})}) {
    EXPECT_EQ(ParseRole(odd).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace mainstay::engine::redis
