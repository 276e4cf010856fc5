// The engine redis in the configuration: its own timing, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config.h"

namespace mainstay::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr char kGoodRedis[] = R"(cluster: demo
name: a
engine: redis
election: {path: /run/demo}
shim: {socket: /run/a/shim.sock}
members: [{name: b, peer: "127.0.0.1:7410"}]
redis:
  data_dir: /data/a
  socket: /run/a/redis.sock
  replication_password_file: /data/replication
  parameters: {maxmemory: 100mb, save: ""}
)";

LoadedConfig LoadRedis(const std::string& text) { return LoadConfigText(text, "m.yaml", {}, nullptr); }

TEST(RedisConfig, ASmallFileIsEnough) {
  const LoadedConfig c = LoadRedis(kGoodRedis);
  ASSERT_TRUE(c.ok()) << c.Problems();
  EXPECT_EQ(c.config.engine, EngineKind::kRedis);
  EXPECT_STREQ(ToString(c.config.engine), "redis");
  EXPECT_EQ(c.config.settings.durability, election::Durability::kAsync) << "nothing else can be promised";
  EXPECT_TRUE(c.config.settings.volatile_data);
  EXPECT_EQ(c.config.settings.self.db_address, "127.0.0.1:6379");
  EXPECT_EQ(c.config.settings.lease, seconds(8));
  EXPECT_EQ(c.config.redis.parameters.at("maxmemory"), "100mb");
  EXPECT_EQ(c.config.redis.bind, "127.0.0.1");
}

TEST(RedisConfig, TheFastProfileIsItsOwn) {
  const LoadedConfig c = LoadRedis(std::string(kGoodRedis) + "profile: fast\n");
  ASSERT_TRUE(c.ok()) << c.Problems();
  EXPECT_EQ(c.config.settings.lease, milliseconds(2200));
  // Of a dead node: the lease, the wait for who does not answer, and half a second for the rest.
  EXPECT_LE(c.config.settings.lease + c.config.settings.freeze_wait + milliseconds(500), seconds(3));
}

TEST(RedisConfig, RefusesDurabilityThatRedisCannotPromise) {
  for (const char* mode : {"guarded", "strict"}) {
    const LoadedConfig c = LoadRedis(std::string(kGoodRedis) + "durability: " + mode + "\n");
    EXPECT_THAT(c.Problems(),
                HasSubstr("durability = " + std::string(mode) + " is nothing that Redis can promise"));
  }
}

TEST(RedisConfig, RefusesWhatTheElectionKeeps) {
  const LoadedConfig c = LoadRedis(std::string(kGoodRedis) + "  # more\n");
  ASSERT_TRUE(c.ok());
  const LoadedConfig bad = LoadConfigText(kGoodRedis, "m.yaml",
                                          {.file = "",
                                           .flags = {{"redis.parameters.replicaof", "x 1"},
                                                     {"redis.port", "0"},
                                                     {"redis.min_replicas", "-1"},
                                                     {"redis.socket", "run/redis"},
                                                     {"redis.bind", ""}}},
                                          nullptr);
  for (const char* told : {"redis.parameters.replicaof", "the election alone decides", "redis.port",
                           "redis.min_replicas", "redis.socket", "redis.bind"})
    EXPECT_THAT(bad.Problems(), HasSubstr(told));
}

TEST(RedisConfig, PostgresqlsSectionIsNotAskedFor) {
  const LoadedConfig c = LoadRedis(std::string(kGoodRedis) + "postgresql: {port: 1}\n");
  EXPECT_TRUE(c.ok()) << c.Problems();
}

}  // namespace
}  // namespace mainstay::agent
