// The table of versions: each known one, those between and beyond.
#include "lib/engine/rabbitmq/traits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mainstay::engine::rabbitmq {
namespace {

Traits Of(const std::string& version) {
  const auto v = ParseVersion(version);
  EXPECT_TRUE(v.ok()) << v.status();
  const auto t = TraitsOf(*v);
  EXPECT_TRUE(t.ok()) << t.status();
  return t.value_or(Traits());
}

TEST(Traits, Versions) {
  EXPECT_EQ(*ParseVersion("3.10.8"), (Version{3, 10, 8}));
  EXPECT_EQ(*ParseVersion("4.1.0-rc.1+5.gabc"), (Version{4, 1, 0}));
  EXPECT_EQ(*ParseVersion("4.2"), (Version{4, 2, 0}));
  for (const char* wrong : {"", "4", "x.y", "3.x", "rabbit", "99999999999999.1"})
    EXPECT_TRUE(absl::IsInvalidArgument(ParseVersion(wrong).status())) << wrong;
}

TEST(Traits, EachSeriesHasItsRow) {
  for (const char* v : {"3.10.8", "3.11.28", "3.12.14", "3.13.7", "4.0.9", "4.1.8", "4.2.9", "4.3.5"}) {
    bool assumed = true;
    const auto version = ParseVersion(v);
    const auto t = TraitsOf(*version, &assumed);
    ASSERT_TRUE(t.ok()) << v;
    EXPECT_FALSE(assumed);
    EXPECT_EQ(t->major, version->major);
    EXPECT_EQ(t->minor, version->minor);
    for (const Function& f : {t->members, t->running_members, t->quorum_critical, t->forget})
      EXPECT_TRUE(f.exists()) << v;
    ASSERT_NE(t->raft_commit_index_metric, nullptr);
    ASSERT_NE(t->raft_term_metric, nullptr);
  }
}

TEST(Traits, WhatChangedWhen) {
  EXPECT_STREQ(Of("3.10.8").running_members.name, "all_running");
  EXPECT_STREQ(Of("3.11.0").running_members.name, "list_running");
  EXPECT_STREQ(Of("3.10.8").quorum_critical.module, "rabbit_quorum_queue");
  EXPECT_STREQ(Of("3.11.0").quorum_critical.module, "rabbit_upgrade_preparation");
  EXPECT_STREQ(Of("3.12.0").forget.module, "rabbit_mnesia");
  EXPECT_STREQ(Of("3.13.0").forget.module, "rabbit_db_cluster");
  EXPECT_FALSE(Of("3.11.0").unreachable_peers_metric);
  EXPECT_TRUE(Of("3.12.0").unreachable_peers_metric);
  EXPECT_FALSE(Of("4.0.9").unauthenticated_health);
  EXPECT_TRUE(Of("4.1.0").unauthenticated_health);
  EXPECT_STREQ(Of("4.1.8").raft_term_metric, "rabbitmq_raft_term_total");
  EXPECT_STREQ(Of("4.2.0").raft_term_metric, "rabbitmq_raft_term");
  EXPECT_TRUE(Of("4.2.9").partitions.exists());
  EXPECT_FALSE(Of("4.3.0").partitions.exists());
  EXPECT_FALSE(Of("4.3.0").force_boot.exists());
  EXPECT_EQ(Of("3.12.0").store, MetadataStore::kMnesia);
  EXPECT_EQ(Of("4.2.9").store, MetadataStore::kEither);
  EXPECT_EQ(Of("4.3.0").store, MetadataStore::kKhepri);
}

TEST(Traits, NewerIsAssumedOlderIsRefused) {
  bool assumed = false;
  const auto newer = TraitsOf({5, 0, 1}, &assumed);
  ASSERT_TRUE(newer.ok());
  EXPECT_TRUE(assumed);
  EXPECT_EQ(newer->minor, 3);
  EXPECT_TRUE(absl::IsFailedPrecondition(TraitsOf({3, 9, 29}).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(TraitsOf({3, 14, 0}).status()));
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
