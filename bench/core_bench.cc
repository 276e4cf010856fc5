// How many steps a second the core makes: Step alone, on what really happened to one member of a simulated
// cluster.
//
// The events of a member are recorded in a run of the simulation (its faults included) and then stepped
// through again with nothing else in between. `items_per_second` are steps. bench/budgets.json wants at
// least 500,000.
#include <benchmark/benchmark.h>

#include <vector>

#include "test/sim/runner.h"

namespace mainstay::sim {
namespace {

struct Recording {
  std::shared_ptr<const election::Settings> settings;
  election::Memory memory;
  MonoTime start;
  std::vector<std::pair<election::Event, MonoTime>> events;
};

Recording Record(const char* profile, uint64_t seed) {
  Plan plan = MakePlan(seed, profile);
  Recording out;
  World world(plan);
  world.RecordFirstLife(
      [&](int, std::shared_ptr<const election::Settings> settings, const election::Memory& memory,
          MonoTime start) {
        out = Recording{std::move(settings), memory, start, {}};
      },
      [&](const election::Event& event, MonoTime now) { out.events.emplace_back(event, now); });
  world.Run();
  return out;
}

void Replay(benchmark::State& state, const char* profile, uint64_t seed) {
  const Recording r = Record(profile, seed);
  uint64_t steps = 0;
  for (auto _ : state) {
    election::State s = election::Start(r.settings, r.memory, r.start);
    for (const auto& [event, now] : r.events) {
      election::Result result = election::Step(std::move(s), event, now);
      benchmark::DoNotOptimize(result.actions.data());
      s = std::move(result.state);
    }
    steps += r.events.size();
  }
  state.SetItemsProcessed(static_cast<int64_t>(steps));
  state.counters["recorded"] = static_cast<double>(r.events.size());
}
BENCHMARK_CAPTURE(Replay, calm, "calm", 3);
BENCHMARK_CAPTURE(Replay, faults, "takeover", 5);

}  // namespace
}  // namespace mainstay::sim

BENCHMARK_MAIN();
