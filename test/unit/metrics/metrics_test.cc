#include "lib/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <sstream>

namespace mainstay::metrics {
namespace {

using ::testing::HasSubstr;

TEST(Writer, PrintsTheTextFormat) {
  Writer w;
  w.Family("a_total", Type::kCounter, "Help with \\ and\nnewline.");
  w.Sample({{"x", "q\"\\\n"}}, 1.5);
  w.Family("b", Type::kGauge, "B.");
  w.Sample(std::numeric_limits<double>::quiet_NaN());
  w.Sample(-std::numeric_limits<double>::infinity());
  EXPECT_EQ(w.Finish(),
            "# HELP a_total Help with \\\\ and\\nnewline.\n# TYPE a_total "
            "counter\na_total{x=\"q\\\"\\\\\\n\"} 1.5\n"
            "# HELP b B.\n# TYPE b gauge\nb NaN\nb -Inf\n");
  EXPECT_EQ(w.Finish(), "");
}

TEST(Writer, OpenMetricsNamesCounterFamiliesWithoutTotalAndEnds) {
  Writer w(Negotiate("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"));
  w.Family("a_total", Type::kCounter, "A \"quoted\".");
  w.Sample(1);
  EXPECT_EQ(w.Finish(), "# HELP a A \\\"quoted\\\".\n# TYPE a counter\na_total 1\n# EOF\n");
  EXPECT_THAT(ContentType(Negotiate("*/*")), HasSubstr("version=0.0.4"));
}

TEST(Histogram, BucketsAreCumulativeAndBoundsAreInside) {
  Histogram h({0.1, 1});
  h.ObserveValue(0.1);
  h.ObserveValue(0.5);
  h.Observe(std::chrono::seconds(3));
  Writer w;
  h.Write(w, "h", "H.");
  EXPECT_EQ(w.Finish(),
            "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"0.1\"} 1\nh_bucket{le=\"1\"} "
            "2\nh_bucket{le=\"+Inf\"} 3\nh_sum 3.6\nh_count 3\n");
}

TEST(CounterBy, IsBounded) {
  CounterBy c({"k"});
  for (int i = 0; i < 1000; ++i) c.Add({"v" + std::to_string(i)});
  EXPECT_EQ(c.Get({"v0"}), 1);
  EXPECT_EQ(c.Get({"v999"}), 0);
  EXPECT_EQ(c.Get({"other"}), 1000 - (CounterBy::kMaxSeries - 1.0));
}

TEST(AgentInstruments, EveryFamilyHasHelpTypeAndAUniqueName) {
  AgentInstruments all;
  all.role_changes.Add({"replica", "primary", "takeover"});
  Writer w;
  all.Write(w);
  std::set<std::string> names;
  std::istringstream in(w.Finish());
  std::string line;
  std::string family;
  while (std::getline(in, line)) {
    if (line.rfind("# HELP ", 0) == 0) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(names.insert(family).second) << family;
      EXPECT_EQ(family.rfind("mainstay_", 0), 0u) << family;
      EXPECT_EQ(line.back(), '.') << line;
    } else if (line.rfind("# TYPE ", 0) == 0) {
      const bool counter = line.find(" counter") != std::string::npos;
      EXPECT_EQ(counter, family.size() > 6 && family.substr(family.size() - 6) == "_total") << line;
    } else {
      EXPECT_EQ(line.rfind(family, 0), 0u) << line;
    }
  }
  EXPECT_GE(names.size(), 14u);
}

}  // namespace
}  // namespace mainstay::metrics
