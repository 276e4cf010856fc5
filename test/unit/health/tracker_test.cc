#include "lib/health/tracker.h"

#include <gtest/gtest.h>

namespace mainstay::health {
namespace {

using election::DbState;
using election::Verdict;
using std::chrono::milliseconds;

MonoTime At(int64_t ms) { return MonoTime::FromNanos(1'000'000'000'000 + ms * 1'000'000); }

Sample Probe(int64_t began_ms, int64_t took_ms, Verdict verdict, DbState state = DbState::kRunning) {
  return {At(began_ms), At(began_ms + took_ms), state, verdict};
}

Thresholds Default() { return {.hung_after = milliseconds(3000), .interval = milliseconds(500)}; }

TEST(Tracker, FirstProofIsOk) {
  Tracker t(Default());
  EXPECT_EQ(t.verdict(), Verdict::kUnknown);
  EXPECT_EQ(t.Add(Probe(0, 2, Verdict::kOk)), Verdict::kOk);
}

TEST(Tracker, HungOnlyAfterHungAfterOfFailedProbes) {
  Tracker t(Default());
  t.Add(Probe(0, 2, Verdict::kOk));
  for (int64_t ms = 500; ms < 3000; ms += 500) {
    EXPECT_NE(t.Add(Probe(ms, 400, Verdict::kUnknown)), Verdict::kHung) << ms;
  }
  EXPECT_EQ(t.Add(Probe(3000, 400, Verdict::kUnknown)), Verdict::kHung);
}

TEST(Tracker, OneProofInBetweenStartsTheCountAgain) {
  Tracker t(Default());
  t.Add(Probe(0, 2, Verdict::kOk));
  for (int64_t ms = 500; ms < 2500; ms += 500) t.Add(Probe(ms, 400, Verdict::kUnknown));
  t.Add(Probe(2500, 400, Verdict::kSaturated));
  for (int64_t ms = 3000; ms < 5500; ms += 500) {
    EXPECT_NE(t.Add(Probe(ms, 400, Verdict::kUnknown)), Verdict::kHung) << ms;
  }
}

TEST(Tracker, APauseOfTheAgentIsNotAHangOfTheDatabase) {
  Tracker t(Default());
  t.Add(Probe(0, 2, Verdict::kOk));
  // The agent was stopped for a minute in between, and during a probe.
  EXPECT_NE(t.Add(Probe(60'000, 400, Verdict::kUnknown)), Verdict::kHung);
  Tracker u(Default());
  u.Add(Probe(0, 2, Verdict::kOk));
  EXPECT_NE(u.Add(Probe(500, 60'000, Verdict::kUnknown)), Verdict::kHung);
  u.Add(Probe(61'000, 2, Verdict::kOk));
  EXPECT_EQ(u.Add(Probe(61'500, 2, Verdict::kOk)), Verdict::kOk);
}

TEST(Tracker, OneSlowProbeIsNotHungWhateverItTook) {
  Tracker t({.hung_after = milliseconds(300), .interval = milliseconds(250)});
  t.Add(Probe(0, 2, Verdict::kOk));
  EXPECT_NE(t.Add(Probe(250, 5000, Verdict::kUnknown)), Verdict::kHung);
  EXPECT_EQ(t.Add(Probe(5250, 300, Verdict::kUnknown)), Verdict::kHung);
}

TEST(Tracker, SaturatedIsNeverHung) {
  Tracker t(Default());
  t.Add(Probe(0, 2, Verdict::kOk));
  EXPECT_EQ(t.Add(Probe(500, 900, Verdict::kSaturated)), Verdict::kOk);  // one slow answer is told by nobody
  for (int64_t ms = 1500; ms < 60'000; ms += 1000)
    EXPECT_EQ(t.Add(Probe(ms, 900, Verdict::kSaturated)), Verdict::kSaturated);
  EXPECT_EQ(t.Add(Probe(60'000, 2, Verdict::kOk)), Verdict::kSaturated);
  EXPECT_EQ(t.Add(Probe(60'500, 2, Verdict::kOk)), Verdict::kOk);
}

TEST(Tracker, HungEndsWithAProofButIsNotCalledOkAtOnce) {
  Tracker t(Default());
  t.Add(Probe(0, 2, Verdict::kOk));
  for (int64_t ms = 500; ms <= 4000; ms += 500) t.Add(Probe(ms, 400, Verdict::kUnknown));
  ASSERT_EQ(t.verdict(), Verdict::kHung);
  EXPECT_EQ(t.Add(Probe(4500, 2, Verdict::kOk)), Verdict::kSaturated);
  EXPECT_EQ(t.Add(Probe(5000, 2, Verdict::kOk)), Verdict::kOk);
}

TEST(Tracker, StartingIsNotHung) {
  Tracker t(Default());
  for (int64_t ms = 0; ms < 60'000; ms += 500) {
    EXPECT_EQ(t.Add(Probe(ms, 400, Verdict::kUnknown, DbState::kStarting)), Verdict::kUnknown);
  }
  // The silence of the start does not count against the first seconds of running.
  for (int64_t ms = 60'000; ms < 62'500; ms += 500)
    EXPECT_NE(t.Add(Probe(ms, 400, Verdict::kUnknown)), Verdict::kHung);
}

TEST(Tracker, AProbeThatLearnsNothingCountsAgainstTheLastState) {
  Tracker t(Default());
  t.Add(Probe(0, 2, Verdict::kOk));
  Verdict last = Verdict::kUnknown;
  for (int64_t ms = 500; ms <= 4000; ms += 500)
    last = t.Add(Probe(ms, 400, Verdict::kUnknown, DbState::kUnknown));
  EXPECT_EQ(last, Verdict::kHung);
}

TEST(Tracker, DeathAndResetForget) {
  Tracker t(Default());
  t.Add(Probe(0, 2, Verdict::kOk));
  EXPECT_EQ(t.Add(Probe(500, 2, Verdict::kUnknown, DbState::kDead)), Verdict::kUnknown);
  t.Add(Probe(1000, 2, Verdict::kOk));
  t.Reset();
  EXPECT_EQ(t.verdict(), Verdict::kUnknown);
  EXPECT_EQ(t.silence(), Duration(0));
}

}  // namespace
}  // namespace mainstay::health
