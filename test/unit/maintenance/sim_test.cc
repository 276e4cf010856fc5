// Hundreds of simulated clusters: never two of them, never two members down by our hand, no disk joined
// twice, whole in the end. SIM_SEED=N replays one with its trace; SIM_SEEDS=N runs so many.
#include "test/unit/maintenance/sim.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace mainstay::maintenance::sim {
namespace {

TEST(MaintenanceSim, WhateverHappens) {
  if (const char* seed = std::getenv("SIM_SEED")) {
    World world(static_cast<uint32_t>(std::atoi(seed)), true);
    const std::string failure = world.Run();
    EXPECT_EQ(failure, "");
    return;
  }
  const char* many = std::getenv("SIM_SEEDS");
  const uint32_t seeds = many != nullptr ? static_cast<uint32_t>(std::atoi(many)) : 300;
  int repairs = 0, restarts = 0, failed = 0;
  for (uint32_t seed = 1; seed <= seeds && failed < 3; ++seed) {
    World world(seed, false);
    const std::string failure = world.Run();
    EXPECT_EQ(failure, "");
    failed += failure.empty() ? 0 : 1;
    repairs += world.repairs();
    restarts += world.restarts();
  }
  // The simulation must reach what it is for.
  EXPECT_GT(repairs, static_cast<int>(seeds) * 2);
  EXPECT_GT(restarts, static_cast<int>(seeds));
  RecordProperty("repairs", repairs);
  RecordProperty("restarts", restarts);
}

}  // namespace
}  // namespace mainstay::maintenance::sim
