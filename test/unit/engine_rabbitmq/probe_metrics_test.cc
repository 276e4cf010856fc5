#include "lib/engine/rabbitmq/probe_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_split.h"

namespace mainstay::engine::rabbitmq {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

std::string Page(const Facts& facts, const ProbeInstruments& instruments) {
  metrics::Writer w;
  WriteNodeMetrics(facts, Judge(facts), w);
  instruments.Write(w);
  return w.Finish();
}

std::vector<std::string> Families(const std::string& page) {
  std::vector<std::string> out;
  for (absl::string_view line : absl::StrSplit(page, '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    if (words.size() > 2 && words[1] == "TYPE") out.push_back(words[2]);
  }
  return out;
}

TEST(RabbitmqProbeMetrics, FamiliesNeverVanish) {
  Facts known;
  known.now = known.answered = MonoTime::FromNanos(5);
  known.process = known.running = true;
  known.boot = BootState::kReady;
  known.draining = false;
  known.partitions.emplace();
  known.unreachable.emplace();
  Facts dead;
  dead.process = false;
  const std::vector<std::string> names = Families(Page(known, {}));
  EXPECT_GT(names.size(), 15u);
  EXPECT_EQ(Families(Page(dead, {})), names);
  EXPECT_EQ(Families(Page(Facts(), {})), names);
  EXPECT_THAT(Page(dead, {}), HasSubstr("\nmainstay_rabbitmq_up 0\n"));
  EXPECT_THAT(Page(dead, {}), HasSubstr("mainstay_rabbitmq_state{state=\"dead\"} 1\n"));
  EXPECT_THAT(Page(dead, {}), Not(HasSubstr("\nmainstay_rabbitmq_drained 0")));
}

TEST(RabbitmqProbeMetrics, BlockedByResource) {
  Facts f;
  f.amqp.blocked = amqp::ReadBlocked("low on memory", MonoTime::FromNanos(1));
  EXPECT_THAT(Page(f, {}), HasSubstr("mainstay_rabbitmq_blocked{resource=\"memory\"} 1\n"));
  EXPECT_THAT(Page(f, {}), HasSubstr("mainstay_rabbitmq_blocked{resource=\"disk\"} 0\n"));
  f.amqp.blocked = amqp::ReadBlocked("out of luck", MonoTime::FromNanos(1));
  EXPECT_THAT(Page(f, {}), HasSubstr("mainstay_rabbitmq_blocked{resource=\"other\"} 1\n"));
  f.alarms_disk = {"rabbit@b"};
  EXPECT_THAT(Page(f, {}), HasSubstr("mainstay_rabbitmq_blocked{resource=\"disk\"} 1\n"));
}

TEST(RabbitmqProbeMetrics, WhatChecksCount) {
  ProbeInstruments i;
  amqp::Result good;
  good.confirmed = milliseconds(1);
  good.delivered = milliseconds(3);
  good.stale_nacks = 1;
  i.Observe(good);
  good.paused = true;  // its length is the alarm's
  good.delivered = seconds(100);
  good.stale_nacks = 0;
  i.Observe(good);
  amqp::Result bad;
  bad.trouble.failure = amqp::Failure::kTimeout;
  i.Observe(bad);
  bad.skipped = true;
  i.Observe(bad);
  amqp::Result blocked;
  blocked.blocked.on = true;
  blocked.earlier.failure = amqp::Failure::kClosed;
  i.Observe(blocked);
  const std::string page = Page(Facts(), i);
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_probe_seconds_bucket{path=\"classic\",le=\"0.005\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_probe_seconds_count{path=\"classic\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_probe_confirm_seconds_count 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_probe_checks_total{outcome=\"ok\"} 2\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_probe_checks_total{outcome=\"failed\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_probe_checks_total{outcome=\"skipped\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_probe_checks_total{outcome=\"blocked\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_probe_failures_total{reason=\"timeout\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_probe_connections_lost_total{reason=\"closed\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("mainstay_rabbitmq_stale_channel_nacks_total 1\n"));
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
