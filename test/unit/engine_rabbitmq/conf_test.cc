#include "lib/engine/rabbitmq/conf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mainstay::engine::rabbitmq {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(RabbitConf, WhatMainstayKeepsAndWhatIsTheUsers) {
  for (const char* kept :
       {"listeners.tcp", "listeners.tcp.default", "prometheus.tcp.ip", "log.console", "log.console.formatter",
        "log.file.level", "cluster_formation.k8s.host", "cluster_name", "mnesia_table_loading_retry_limit"})
    EXPECT_THAT(CheckParameter(kept, "x").what, HasSubstr("kept by Mainstay")) << kept;
  for (const char* free :
       {"listeners.ssl.default", "vm_memory_high_watermark.relative", "log.console.level",
        "log.connection.level", "cluster_formation.target_cluster_size_hint", "listeners.tcpx"})
    EXPECT_EQ(CheckParameter(free, "x").what, "") << free;
  EXPECT_EQ(CheckParameter("cluster_partition_handling", "ignore").what, "");
  EXPECT_NE(CheckParameter("cluster_partition_handling", "autoheal").what, "");
}

TEST(RabbitConf, NoParameterMakesALineOfItsOwn) {
  EXPECT_NE(CheckParameter("a", "1\nlog.file = x").what, "");
  EXPECT_NE(CheckParameter("a\nb", "1").what, "");
  EXPECT_NE(CheckParameter("a b", "1").what, "");
  EXPECT_NE(CheckParameter("a=b", "1").what, "");
  EXPECT_NE(CheckParameter("", "1").what, "");
  EXPECT_NE(CheckPlugin("rabbitmq_management].\n[x").what, "");
  EXPECT_NE(CheckPlugin("rabbitmq_peer_discovery_k8s").what, "");
  EXPECT_EQ(CheckPlugin("rabbitmq_management").what, "");
}

TEST(RabbitConf, NamesOfNodes) {
  for (const char* good : {"rabbit@a", "rabbit@a-0.nodes.shop", "rmq1@localhost"})
    EXPECT_TRUE(IsNodeName(good)) << good;
  for (const char* bad : {"", "rabbit", "@a", "rabbit@", "a@b@c", "rabbit@a b", "rabbit@a'"})
    EXPECT_FALSE(IsNodeName(bad)) << bad;
}

TEST(RabbitConf, ABlankNodeFoundsAloneOrJoinsThoseItIsTold) {
  const ConfInput input{.cluster = "shop",
                        .node = "rabbit@a",
                        .bind = "127.0.0.1",
                        .port = 5672,
                        .prometheus_port = 15692,
                        .parameters = {{"disk_free_limit.relative", "1.0"}, {"channel_max", "100"}},
                        .plugins = {}};
  const std::string founds = BuildConf(input, {});
  EXPECT_THAT(founds, HasSubstr("\ncluster_formation.classic_config.nodes.1 = rabbit@a\n"));
  EXPECT_THAT(founds, Not(HasSubstr("nodes.2")));
  EXPECT_THAT(founds, HasSubstr("\nlisteners.tcp.1 = 127.0.0.1:5672\n"));
  EXPECT_THAT(founds, HasSubstr("\ncluster_partition_handling = pause_minority\n"));
  EXPECT_THAT(founds, HasSubstr("\nchannel_max = 100\n"));
  EXPECT_THAT(founds, Not(HasSubstr("disk_free_limit.absolute")));
  const std::string joins = BuildConf(input, {.join = {"rabbit@b", "rabbit@c"}});
  EXPECT_THAT(founds, Not(HasSubstr("discovery_retry_limit")));
  EXPECT_THAT(joins, HasSubstr("cluster_formation.discovery_retry_limit = 1000000\n"));
  EXPECT_THAT(joins, HasSubstr("nodes.1 = rabbit@b\n"));
  EXPECT_THAT(joins, HasSubstr("nodes.2 = rabbit@c\n"));
  EXPECT_THAT(joins, Not(HasSubstr("= rabbit@a\n")));
}

TEST(Formation, AFounderHasNobodyToWaitFor) {
  const std::string conf = FormationConf({}, "rabbit@a");
  EXPECT_NE(conf.find("classic_config.nodes.1 = rabbit@a\n"), std::string::npos) << conf;
  EXPECT_EQ(conf.find("nodes.2"), std::string::npos);
}

TEST(Formation, WhoJoinsNeverGivesUp) {
  const std::string conf = FormationConf({{"rabbit@b", "rabbit@c"}}, "rabbit@a");
  EXPECT_NE(conf.find("nodes.1 = rabbit@b\n"), std::string::npos) << conf;
  EXPECT_NE(conf.find("nodes.2 = rabbit@c\n"), std::string::npos) << conf;
  EXPECT_EQ(conf.find("rabbit@a"), std::string::npos);
  EXPECT_NE(conf.find("discovery_retry_limit = 1000000"), std::string::npos);
}

TEST(RabbitConf, PluginsAndPlaces) {
  EXPECT_EQ(BuildPlugins({}), "[rabbitmq_prometheus].\n");
  EXPECT_EQ(BuildPlugins({"rabbitmq_management", "rabbitmq_prometheus"}),
            "[rabbitmq_prometheus,rabbitmq_management].\n");
  EXPECT_EQ(ConfPath("/v/mnesia"), "/v/mnesia.conf");
  EXPECT_EQ(PluginsPath("/v/mnesia"), "/v/mnesia.plugins");
  EXPECT_EQ(CookiePath("/v/mnesia"), "/v/.erlang.cookie");
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
