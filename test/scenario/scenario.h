// A scenario: one behaviour of a whole cluster in a text file that can be read aloud to an operator, with the
// trace of the decisions that it leads to. `scenarios --rewrite` writes the traces anew; they are reviewed as
// diffs.
//
//   # The primary's machine dies: its standbys freeze it out and take over without waiting for the lease.
//   rules Q1 Q3 S7
//   cluster 3 members, fast, guarded
//   at 12s node-death of the primary for 30s
//   until 20s
//   expect replica.suspect candidate.take open.done
//   ---
//   (the trace)
//
// `expect` names rows that must fire after the first fault, in this order (`expect nothing`: none need);
// `never` names rows that must not. Both stand above the
// line, so a rewrite cannot change them. Every scenario is also judged by all invariants of the simulation,
// and by its liveness phase after the end. Times are of the simulated cluster; noise is off, so a trace is
// exact.
#ifndef MAINSTAY_TEST_SCENARIO_SCENARIO_H_
#define MAINSTAY_TEST_SCENARIO_SCENARIO_H_

#include <string>
#include <vector>

#include "test/sim/plan.h"

namespace mainstay::scenario {

struct Scenario {
  std::string head;  // everything above the line, verbatim
  std::string trace;
  sim::Plan plan;
  std::vector<std::string> rules;
  std::vector<std::string> expect;
  std::vector<std::string> never;
  int64_t from_ms = 0;  // the trace begins here
};

// False and what is wrong, with the line's number, when the text is no scenario.
bool Parse(const std::string& text, Scenario* out, std::string* problem);

struct Result {
  std::string trace;
  std::string failure;  // "" = all well
};
Result Run(const Scenario& scenario);

}  // namespace mainstay::scenario

#endif  // MAINSTAY_TEST_SCENARIO_SCENARIO_H_
