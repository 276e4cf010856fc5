// The data between a collector and a page, and the thread between them.
#include "lib/metrics/collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <thread>

#include "lib/metrics/scraper.h"

namespace mainstay::metrics {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

FamiliesPtr OneFamily(const std::string& name, int samples, const std::string& label) {
  FamilyList list;
  Family& f = list.Begin(name, Type::kGauge, "Help.");
  for (int i = 0; i < samples; ++i) {
    LabelText labels;
    labels.Add(label, std::to_string(i));
    f.Add(labels, std::to_string(i));
  }
  return std::make_shared<const std::vector<Family>>(list.Take());
}

TEST(Collector, LabelsAreEscapedAndHoldNoBytesThatAreNoText) {
  LabelText labels;
  labels.Add("a", "q\"\\\n");
  labels.Add("b", "gr\xc3\xbcn \xff\xc3");
  EXPECT_EQ(labels.text(), "a=\"q\\\"\\\\\\n\",b=\"gr\xc3\xbcn ??\"");
  LabelText longer;
  longer.Add("c", std::string(100'000, 'x'));
  EXPECT_LT(longer.text().size(), 1100u);
}

TEST(Collector, PartsOfAFamilyAreOneFamily) {
  Snapshot s;
  s.up = true;
  s.families = {OneFamily("t", 1, "a"), OneFamily("u", 1, "a"), OneFamily("t", 1, "b"), nullptr};
  Writer w;
  const Dropped dropped = WriteSnapshot(s, "db", false, BootClock().Now(), {}, w);
  EXPECT_TRUE(dropped.empty());
  EXPECT_THAT(
      w.Finish(),
      HasSubstr(
          "# HELP db_up 1 when the database answered this scrape; else its values here are "
          "older ones, or there are none.\n# TYPE db_up gauge\ndb_up 1\n# HELP t Help.\n# TYPE t gauge\n"
          "t{a=\"0\"} 0\nt{b=\"0\"} 0\n# HELP u Help."));
}

TEST(Collector, WhatIsCutIsCounted) {
  Snapshot s;
  s.families = {OneFamily("t", 5, "a"), OneFamily("t", 5, "b"), OneFamily("u", 5, "a")};
  Writer w;
  const Dropped dropped = WriteSnapshot(s, "db", false, BootClock().Now(), {.family = 7, .total = 9}, w);
  EXPECT_EQ(dropped, (Dropped{{"t", 3}, {"u", 3}}));
  const std::string page = w.Finish();
  EXPECT_THAT(page, HasSubstr("t{b=\"1\"} 1\n# HELP u"));
  EXPECT_THAT(page, HasSubstr("u{a=\"1\"} 1\n# HELP db_scrape_collector_success"));
}

TEST(Collector, AgesAndLateness) {
  const MonoTime now = BootClock().Now();
  Snapshot s;
  s.up = true;
  s.collectors = {{.name = "x", .scope = "app", .ok = true, .took = milliseconds(2), .at = now - seconds(3)},
                  {.name = "never", .scope = "", .ok = false, .took = {}, .at = {}}};
  Writer w;
  WriteSnapshot(s, "db", true, now, {}, w);
  const std::string page = w.Finish();
  EXPECT_THAT(page, HasSubstr("\ndb_up 0\n"));  // late: what is below is older
  EXPECT_THAT(page, HasSubstr("mainstay_collector_age_seconds{collector=\"x\",datname=\"app\"} 3\n"));
  EXPECT_THAT(page, Not(HasSubstr("age_seconds{collector=\"never\"")));
  EXPECT_THAT(page, HasSubstr("db_scrape_collector_success{collector=\"never\"} 0\n"));
}

TEST(Writer, OpenMetricsKeepsNamesAndSaysUnits) {
  Writer w(Format::kOpenMetrics);
  w.Family("x_commit", Type::kCounter, "A counter without the suffix.");
  w.Sample(1);
  w.Family("y_seconds_total", Type::kCounter, "Y.");
  w.Sample(2);
  w.Family("seconds", Type::kGauge, "No unit, only a name.");
  w.Sample(3);
  EXPECT_EQ(w.Finish(),
            "# HELP x_commit A counter without the suffix.\n# TYPE x_commit unknown\nx_commit 1\n"
            "# HELP y_seconds Y.\n# TYPE y_seconds counter\n# UNIT y_seconds seconds\ny_seconds_total 2\n"
            "# HELP seconds No unit, only a name.\n# TYPE seconds gauge\nseconds 3\n# EOF\n");
}

TEST(ScrapeDeadline, IsBeforeTheScrapersOwnAndNeverLaterThanPatience) {
  const MonoTime now = MonoTime::FromNanos(0);
  const auto left = [&](const char* header) { return ScrapeDeadline(header, now, milliseconds(900)) - now; };
  EXPECT_EQ(left("10"), milliseconds(900));
  EXPECT_EQ(left("1"), milliseconds(750));
  EXPECT_EQ(left("0.3"), milliseconds(150));
  for (const char* bad :
       {"", "0", "-1", "nan", "inf", "1e99", "10s", "0x", "99999999999999999999999999999999999"}) {
    EXPECT_EQ(left(bad), milliseconds(900)) << bad;
  }
}

// Blocks until it is let go.
class Slow : public Collector {
 public:
  SnapshotPtr Collect(MonoTime) override {
    ++collections;
    if (gate != nullptr) gate->get_future().wait();
    auto s = std::make_shared<Snapshot>();
    s->up = true;
    return s;
  }
  void Rest() override { ++rests; }
  const char* prefix() const override { return "db"; }
  std::atomic<int> collections{0}, rests{0};
  std::shared_ptr<std::promise<void>> gate;
};

TEST(Scraper, WhoComesMeanwhileSharesTheCollection) {
  auto slow = std::make_shared<Slow>();
  slow->gate = std::make_shared<std::promise<void>>();
  Scraper scraper(slow, {});
  std::atomic<int> done{0};
  std::promise<void> all;
  for (int i = 0; i < 5; ++i) {
    scraper.Scrape(BootClock().Now() + seconds(1), [&](const SnapshotPtr& s) {
      EXPECT_TRUE(s->up);
      if (++done == 5) all.set_value();
    });
  }
  while (slow->collections == 0) std::this_thread::yield();
  slow->gate->set_value();
  ASSERT_EQ(all.get_future().wait_for(seconds(10)), std::future_status::ready);
  EXPECT_EQ(slow->collections, 1);
  EXPECT_EQ(scraper.counters().scrapes, 5u);
  EXPECT_TRUE(scraper.Stop(seconds(10)));
}

TEST(Scraper, RestsWhenNobodyAsksAndComesBack) {
  auto slow = std::make_shared<Slow>();
  Scraper scraper(slow, {.rest_after = milliseconds(20)});
  for (int i = 1; i <= 3; ++i) {
    std::promise<void> done;
    scraper.Scrape(BootClock().Now() + seconds(1), [&](const SnapshotPtr&) { done.set_value(); });
    ASSERT_EQ(done.get_future().wait_for(seconds(10)), std::future_status::ready);
    for (int wait = 0; wait < 1000 && slow->rests < i; ++wait) std::this_thread::sleep_for(milliseconds(5));
    EXPECT_EQ(slow->rests, i);
    EXPECT_EQ(scraper.last(), nullptr);
  }
}

TEST(Scraper, AskedAllTheTimeWhileItLiesDown) {
  auto slow = std::make_shared<Slow>();
  Scraper scraper(slow, {.rest_after = milliseconds(1)});
  std::atomic<int> answered{0};
  for (int i = 0; i < 200; ++i) {
    scraper.Scrape(BootClock().Now() + seconds(1), [&](const SnapshotPtr&) { ++answered; });
    std::this_thread::sleep_for(milliseconds(i % 3));
  }
  for (int wait = 0; wait < 2000 && answered < 200; ++wait) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(answered, 200);
}

TEST(Scraper, AThreadThatNeverReturnsIsLeftBehind) {
  auto slow = std::make_shared<Slow>();
  slow->gate = std::make_shared<std::promise<void>>();
  auto gate = slow->gate;
  auto scraper = std::make_unique<Scraper>(slow, Scraper::Options());
  scraper->Scrape(BootClock().Now() + seconds(1), [](const SnapshotPtr&) {});
  while (slow->collections == 0) std::this_thread::yield();
  EXPECT_FALSE(scraper->Stop(milliseconds(20)));
  scraper.reset();
  gate->set_value();  // it ends on its own
  for (int wait = 0; wait < 1000 && slow.use_count() > 1; ++wait)
    std::this_thread::sleep_for(milliseconds(5));
}

}  // namespace
}  // namespace mainstay::metrics
