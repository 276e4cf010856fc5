// mainstay-sim: simulated clusters from seeds. `mainstay-sim --help` tells the options; docs/SIMULATION.md
// the rest. Exit codes: 0 nothing found, 1 a violation, 2 usage.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "test/sim/runner.h"

namespace mainstay::sim {
namespace {

constexpr char kHelp[] =
    "mainstay-sim: runs simulated clusters and checks what must always hold.\n"
    "  --seed N        first seed (1)\n"
    "  --runs N        clusters to run (100), each from its own seed\n"
    "  --steps N       stop after that many steps of the core in all\n"
    "  --hours H       run for H hours of this machine's time, whatever --runs says\n"
    "  --members N     2..7 members instead of what the profile draws\n"
    "  --profile NAME  what happens: see --profiles (swarm)\n"
    "  --jobs N        processes, each with every N-th seed (1)\n"
    "  --mistake NAME  switch a mistake of the core on (mainstay-sim-mistakes only)\n"
    "  --shrink S      seconds to make a failing run small (20)\n"
    "  --keep-going    do not stop at the first violation\n"
    "  --out FILE      where to write the replay of a failing run (sim-<seed>.replay)\n"
    "  --replay FILE   play one run and print its trace\n"
    "  --trace         print the trace of each run\n"
    "  --json          totals as JSON\n";

struct Options {
  uint64_t seed = 1, runs = 100, steps = UINT64_MAX;
  double hours = 0, shrink = 20;
  int64_t members = 0, jobs = 1;
  std::string profile = "swarm", replay, out, mistake;
  bool trace = false, json = false, keep = false;
};

int Usage(const std::string& problem) {
  std::fprintf(stderr, "mainstay-sim: %s\n%s", problem.c_str(), kHelp);
  return 2;
}

bool Parse(int argc, char** argv, Options* o, std::string* problem) {
  for (int i = 1; i < argc; i++) {
    const std::string a = argv[i];
    const char* v = i + 1 < argc ? argv[i + 1] : "";
    if (a == "--trace")
      o->trace = true;
    else if (a == "--json")
      o->json = true;
    else if (a == "--keep-going")
      o->keep = true;
    else if (i + 1 >= argc)
      return *problem = a + " is unknown or needs a value", false;
    else {
      i++;
      if (a == "--seed")
        o->seed = strtoull(v, nullptr, 10);
      else if (a == "--runs")
        o->runs = strtoull(v, nullptr, 10);
      else if (a == "--steps")
        o->steps = strtoull(v, nullptr, 10), o->runs = UINT64_MAX;
      else if (a == "--hours")
        o->hours = strtod(v, nullptr), o->runs = UINT64_MAX;
      else if (a == "--members")
        o->members = strtoll(v, nullptr, 10);
      else if (a == "--jobs")
        o->jobs = strtoll(v, nullptr, 10);
      else if (a == "--shrink")
        o->shrink = strtod(v, nullptr);
      else if (a == "--profile")
        o->profile = v;
      else if (a == "--mistake")
        o->mistake = v;
      else if (a == "--replay")
        o->replay = v;
      else if (a == "--out")
        o->out = v;
      else
        return *problem = a + " is unknown", false;
    }
  }
  if (!HasProfile(o->profile))
    return *problem = "there is no profile " + o->profile + "; see --profiles", false;
  if (o->members != 0 && (o->members < 2 || o->members > kMaxNodes))
    return *problem = "--members takes 2..7", false;
  if (o->jobs < 1 || o->jobs > 64) return *problem = "--jobs takes 1..64", false;
  return true;
}

int FindMistake(const std::string& name) {
  for (int i = 0; i < static_cast<int>(election::M::kCount); i++)
    if (name == MistakeName(static_cast<election::M>(i))) return i;
  return -1;
}

void Tell(const Plan& plan, const Outcome& o) {
  std::printf("VIOLATION %s at %.3f s, seed %lld, profile %s: %s\n%s", o.violation.invariant.c_str(),
              static_cast<double>(o.violation.at) / 1e9, static_cast<long long>(plan.seed),
              plan.profile.c_str(), o.violation.detail.c_str(), o.states.c_str());
}

void TellSmall(const Options& o, const Plan& plan, const Outcome& outcome) {
  Tell(plan, outcome);
  if (o.shrink <= 0) return;
  const Plan small = Shrink(plan, outcome.violation.invariant, o.shrink);
  const std::string file = o.out.empty() ? "sim-" + std::to_string(plan.seed) + ".replay" : o.out;
  std::ofstream(file) << PlanToText(small);
  std::printf("shrunk from %zu to %zu faults, %lld to %lld members, %.1f to %.1f s: %s\n", plan.faults.size(),
              small.faults.size(), static_cast<long long>(plan.members),
              static_cast<long long>(small.members), static_cast<double>(plan.faults_ms) / 1e3,
              static_cast<double>(small.faults_ms) / 1e3, file.c_str());
  Tell(small, RunPlan(small));
}

int Replay(const Options& o) {
  std::ifstream in(o.replay);
  if (!in) return Usage("cannot read " + o.replay);
  std::stringstream text;
  text << in.rdbuf();
  Plan plan;
  std::string problem;
  if (!PlanFromText(text.str(), &plan, &problem)) return Usage(o.replay + ": " + problem);
  if (!SetMistake(plan.Mistake())) return Usage(o.replay + " needs mainstay-sim-mistakes");
  const Outcome outcome = RunPlan(plan, stdout);
  if (outcome.violation.invariant.empty()) {
    std::printf("no violation; converged %.2f s after the last fault; hash %016llx\n",
                static_cast<double>(outcome.stats.converge_ns) / 1e9,
                static_cast<unsigned long long>(outcome.stats.hash));
    return 0;
  }
  Tell(plan, outcome);
  return 1;
}

void Print(const Options& o, const Totals& t, uint64_t found) {
  const char* const kText =
      "%llu runs, %llu core steps (%.0f/s), %llu events (%.0f/s), %.1f cluster-hours (%.0f per hour), %llu "
      "faults, %llu openings, %llu acknowledgements, %llu fence kills, "
      "slowest recovery %.1f s, %llu violations\n";
  const char* const kJson =
      "{\"runs\":%llu,\"steps\":%llu,\"steps_per_s\":%.0f,\"events\":%llu,\"events_per_s\":%.0f,\"cluster_"
      "hours\":%.2f,\"cluster_hours_per_hour\":%.0f,\"faults\":%llu,\"opens\":%llu,"
      "\"acks\":%llu,\"fence_kills\":%llu,\"slowest_recovery_s\":%.2f,\"violations\":%llu}\n";
  using U = unsigned long long;
  std::printf(o.json ? kJson : kText, static_cast<U>(t.runs), static_cast<U>(t.steps),
              static_cast<double>(t.steps) / t.wall, static_cast<U>(t.events),
              static_cast<double>(t.events) / t.wall, t.sim_hours, t.sim_hours * 3600 / t.wall,
              static_cast<U>(t.faults), static_cast<U>(t.opens), static_cast<U>(t.acks),
              static_cast<U>(t.kills), t.converge_max, static_cast<U>(found));
}

int Batch(const Options& o, int64_t job) {
  Totals t;
  uint64_t found = 0;
  const double start = Now();
  const int mistake = o.mistake.empty() ? 0 : FindMistake(o.mistake);
  for (uint64_t i = static_cast<uint64_t>(job); i < o.runs && t.steps < o.steps;
       i += static_cast<uint64_t>(o.jobs)) {
    if (o.hours > 0 && Now() - start > o.hours * 3600) break;
    Plan plan = MakePlan(o.seed + i, o.profile);
    if (o.members != 0) plan.members = plan.initial = o.members;
    plan.mistake = mistake;
    const Outcome outcome = RunPlan(plan, o.trace ? stdout : nullptr, o.steps - t.steps);
    t.Add(outcome);
    if (outcome.violation.invariant.empty()) continue;
    found++;
    TellSmall(o, plan, outcome);
    if (!o.keep) break;
  }
  t.wall = Now() - start;
  Print(o, t, found);
  return found == 0 ? 0 : 1;
}

int Main(int argc, char** argv) {
  Options o;
  std::string problem;
  if (argc > 1 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0))
    return std::fputs(kHelp, stdout), 0;
  if (argc > 1 && std::strcmp(argv[1], "--profiles") == 0) {
    for (const auto& n : ProfileNames()) std::printf("%s\n", n.c_str());
    return 0;
  }
  if (!Parse(argc, argv, &o, &problem)) return Usage(problem);
  if (!o.replay.empty()) return Replay(o);
  if (!o.mistake.empty()) {
    const int m = FindMistake(o.mistake);
    if (m < 0) return Usage("there is no mistake " + o.mistake);
    if (!SetMistake(static_cast<election::M>(m))) return Usage("mistakes need mainstay-sim-mistakes");
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::vector<pid_t> children;
  for (int64_t j = 1; j < o.jobs; j++) {
    const pid_t pid = fork();
    if (pid == 0) _exit(Batch(o, j));
    if (pid > 0) children.push_back(pid);
  }
  int rc = Batch(o, 0);
  for (const pid_t pid : children) {
    int status = 0;
    waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) rc = 1;
  }
  return rc;
}

}  // namespace
}  // namespace mainstay::sim

int main(int argc, char** argv) { return mainstay::sim::Main(argc, argv); }
