#include "test/sim/runner.h"

#include <algorithm>
#include <cstdlib>

#include "lib/base/time.h"

namespace mainstay::sim {

double Now() { return static_cast<double>(BootClock().Now().nanos()) / 1e9; }

Outcome RunPlan(const Plan& plan, FILE* trace, uint64_t max_steps) {
  SetMistake(plan.Mistake());
  World world(plan, trace);
  world.Run(max_steps);
  SetMistake(election::M::kNone);
  Outcome o{world.violation(), world.stats(), ""};
  if (!o.violation.invariant.empty()) {
    char* text = nullptr;
    size_t size = 0;
    FILE* f = open_memstream(&text, &size);
    world.PrintStates(f);
    std::fclose(f);
    o.states.assign(text, size);
    std::free(text);
  }
  return o;
}

namespace {

class Shrinker {
 public:
  Shrinker(Plan plan, std::string invariant, double seconds)
      : best_(std::move(plan)), invariant_(std::move(invariant)), end_(Now() + seconds) {}

  Plan Run() {
    for (bool again = true; again && Now() < end_;) {
      again = Faults();
      again = Times() || again;
      again = Noise() || again;
      again = Members() || again;
    }
    return best_;
  }

 private:
  bool Try(const Plan& p) {
    if (Now() >= end_) return false;
    const Outcome o = RunPlan(p);
    if (o.violation.invariant != invariant_) return false;
    best_ = p;
    // Nothing after the violation matters.
    if (invariant_ != "liveness" && o.violation.at / kMs < best_.faults_ms) {
      Plan q = best_;
      q.faults_ms = o.violation.at / kMs + 1;
      std::erase_if(q.faults, [&](const Fault& f) { return f.at_ms > q.faults_ms; });
      if (RunPlan(q).violation.invariant == invariant_) best_ = q;
    }
    return true;
  }

  bool Faults() {  // halves, quarters, ..., single ones
    bool any = false;
    for (size_t chunk = std::max<size_t>(1, best_.faults.size() / 2); chunk >= 1; chunk /= 2) {
      for (size_t i = 0; i < best_.faults.size() && Now() < end_;) {
        Plan p = best_;
        const size_t n = std::min(chunk, p.faults.size() - i);
        p.faults.erase(p.faults.begin() + static_cast<long>(i), p.faults.begin() + static_cast<long>(i + n));
        if (Try(p))
          any = true;
        else
          i += n;
      }
    }
    return any;
  }

  bool Times() {
    bool any = false;
    for (const double part : {0.25, 0.5, 0.75, 0.9}) {
      Plan p = best_;
      p.faults_ms = static_cast<int64_t>(static_cast<double>(p.faults_ms) * part);
      if (p.faults_ms < 1000 || p.faults_ms == best_.faults_ms) continue;
      std::erase_if(p.faults, [&](const Fault& f) { return f.at_ms > p.faults_ms; });
      if (Try(p)) {
        any = true;
        break;
      }
    }
    return any;
  }

  bool Noise() {
    bool any = false;
    const Plan calm;
    const auto quiet = [&](int64_t Plan::*field) {
      if (best_.*field == calm.*field) return;
      Plan p = best_;
      p.*field = calm.*field;
      any = Try(p) || any;
    };
    for (auto f : {&Plan::rate_ppm, &Plan::msg_loss_pm, &Plan::msg_dup_pm, &Plan::msg_slow_pm,
                   &Plan::store_lost_pm, &Plan::store_mute_pm, &Plan::store_zombie_pm, &Plan::store_409_pm,
                   &Plan::store_slow_pm, &Plan::watch_loss_pm, &Plan::wal_slow_pm, &Plan::engine_fail_pm,
                   &Plan::no_failover, &Plan::priority})
      quiet(f);
    return any;
  }

  bool Members() {
    if (best_.members <= 2) return false;
    Plan p = best_;
    p.members--;
    p.initial = std::min(p.initial, p.members);
    std::erase_if(p.faults, [&](const Fault& f) { return f.target >= p.members; });
    return Try(p);
  }

  Plan best_;
  std::string invariant_;
  double end_;
};

}  // namespace

Plan Shrink(const Plan& plan, const std::string& invariant, double seconds) {
  return Shrinker(plan, invariant, seconds).Run();
}

void Totals::Add(const Outcome& o) {
  runs++;
  steps += o.stats.steps;
  events += o.stats.events;
  opens += o.stats.opens;
  acks += o.stats.acks;
  acquired += o.stats.acquired;
  faults += o.stats.faults;
  kills += o.stats.kills;
  gone += o.stats.gone;
  sim_hours += static_cast<double>(o.stats.sim_ns) / 3.6e12;
  converge_max = std::max(converge_max, static_cast<double>(o.stats.converge_ns) / 1e9);
}

}  // namespace mainstay::sim
