// Runs plans, many of them, and makes a failing one small.
#ifndef MAINSTAY_TEST_SIM_RUNNER_H_
#define MAINSTAY_TEST_SIM_RUNNER_H_

#include <cstdio>
#include <string>
#include <vector>

#include "test/sim/plan.h"
#include "test/sim/world.h"

namespace mainstay::sim {

// Switches a mistake of the core on or off in this thread; false when this program was built with the
// product's core.
bool SetMistake(election::M m);

struct Outcome {
  Violation violation;
  Stats stats;
  std::string states;  // of the members at the end, when it failed
};

Outcome RunPlan(const Plan& plan, FILE* trace = nullptr, uint64_t max_steps = UINT64_MAX);

// The smallest plan that was found within `seconds` and still breaks the same invariant: fewer faults, a
// shorter time, fewer members, less noise.
Plan Shrink(const Plan& plan, const std::string& invariant, double seconds);

struct Totals {
  uint64_t runs = 0, steps = 0, events = 0, opens = 0, acks = 0, acquired = 0, faults = 0, kills = 0,
           gone = 0;
  double sim_hours = 0, wall = 0, converge_max = 0;
  void Add(const Outcome& o);
};

double Now();  // seconds, for budgets and rates

}  // namespace mainstay::sim

#endif  // MAINSTAY_TEST_SIM_RUNNER_H_
