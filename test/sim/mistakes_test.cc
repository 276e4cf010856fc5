// The simulation is tested too: with any mistake of peers or of the models switched on, it must find a
// violation within ten seconds of one core; and the very run that found it must be clean without the mistake.
#include <gtest/gtest.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>

#include "test/sim/runner.h"

namespace mainstay::sim {
namespace {

using election::M;

double CpuSeconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Case {
  M mistake;
  const char* profile;
};

const Case kCases[] = {
    {M::kRespTime, "lease2"},
    {M::kReadGrant, "lease2"},
    {M::kCreateNow, "delete2"},
    {M::kFastPath, "late3"},
    {M::kReleaseBeforeStop, "release2"},
    {M::kReleaseBlind, "release2"},
    {M::kReleasePost, "post3"},
    {M::kWaitCreate, "delete2"},
    {M::kOwnName, "late2"},
    {M::kNoCas, "lease2"},
    {M::kDupId, "lease2"},
    {M::kTooShort, "lease2"},
    {M::kNoShim, "lease2"},
    {M::kDropBeforeRecord, "quorum3"},
    {M::kNoCatchup, "quorum3"},
    {M::kStartLoose, "quorum2"},
    {M::kIgnoreRecord, "quorum3"},
    {M::kNoSup, "again3"},
    {M::kSupLost, "forget3"},
    {M::kKeepLead, "keep3"},
    {M::kGrowGucFirst, "quorum3"},
    {M::kReloadLag, "quorum3"},
    {M::kFewer, "quorum3"},
    {M::kNotBest, "quorum3"},
    {M::kForget, "forget3"},
    {M::kSoleFirst, "quorum3"},
    {M::kReread, "again3"},
    {M::kLineage, "short3"},
    {M::kKeepActing, "quorum3"},
};

TEST(Mistakes, EachIsFound) {
  const char* only = std::getenv("MISTAKE");
  std::printf("%-18s %-10s %6s %8s  %s\n", "mistake", "profile", "seed", "cpu s", "found");
  for (const Case& c : kCases) {
    if (only != nullptr && std::string(only) != MistakeName(c.mistake)) continue;
    const double start = CpuSeconds();
    bool found = false;
    for (uint64_t seed = 1; !found && CpuSeconds() - start < 10; seed++) {
      Plan plan = MakePlan(seed, c.profile);
      plan.live = 0;  // safety is what the mistakes break
      plan.mistake = static_cast<int64_t>(c.mistake);
      const Outcome o = RunPlan(plan);
      if (o.violation.invariant.empty()) continue;
      found = true;
      std::printf("%-18s %-10s %6llu %8.2f  %s: %s\n", MistakeName(c.mistake), c.profile,
                  static_cast<unsigned long long>(seed), CpuSeconds() - start, o.violation.invariant.c_str(),
                  o.violation.detail.c_str());
      plan.mistake = 0;
      EXPECT_EQ(RunPlan(plan).violation.invariant, "")
          << "not the mistake " << MistakeName(c.mistake) << " was found, but something else: seed " << seed
          << " of " << c.profile;
    }
    if (!found)
      std::printf("%-18s %-10s %6s %8.2f  NOT FOUND\n", MistakeName(c.mistake), c.profile, "-",
                  CpuSeconds() - start);
    EXPECT_TRUE(found) << MistakeName(c.mistake);
  }
}

TEST(Mistakes, AllAreTried) {
  for (int m = 1; m < static_cast<int>(M::kCount); m++)
    EXPECT_TRUE(std::any_of(std::begin(kCases), std::end(kCases), [&](const Case& c) {
      return static_cast<int>(c.mistake) == m;
    })) << MistakeName(static_cast<M>(m));
}

}  // namespace
}  // namespace mainstay::sim
