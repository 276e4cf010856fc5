#include "test/sim/plan.h"

#include <cstdio>
#include <sstream>

namespace mainstay::sim {
namespace {

const char* const kFaultNames[] = {
#define X(n) #n,
    MAINSTAY_SIM_FAULTS(X)
#undef X
};
const char* const kMomentNames[] = {
#define X(n) #n,
    MAINSTAY_SIM_MOMENTS(X)
#undef X
};

template <size_t N>
int Find(const char* const (&names)[N], const std::string& name) {
  for (size_t i = 0; i < N; i++)
    if (name == names[i]) return static_cast<int>(i);
  return -1;
}

bool ReadFault(std::istringstream& in, Plan* plan) {
  std::string kind, trigger;
  int target = 0;
  Fault f;
  if (!(in >> f.at_ms >> kind >> target >> f.dur_ms >> trigger >> f.delay_ms >> f.r)) return false;
  const int k = Find(kFaultNames, kind), t = Find(kMomentNames, trigger);
  if (k < 0 || t < 0 || target < kOtherTarget || target >= kMaxNodes) return false;
  f.kind = static_cast<FaultKind>(k);
  f.trigger = static_cast<Moment>(t);
  f.target = static_cast<int8_t>(target);
  plan->faults.push_back(f);
  return true;
}

bool ReadField(const std::string& name, int64_t value, Plan* plan) {
#define X(n, d)      \
  if (name == #n) {  \
    plan->n = value; \
    return true;     \
  }
  MAINSTAY_SIM_FIELDS(X)
#undef X
  return false;
}

}  // namespace

const char* ToString(FaultKind kind) { return kFaultNames[static_cast<int>(kind)]; }
const char* ToString(Moment moment) { return kMomentNames[static_cast<int>(moment)]; }

std::string PlanToText(const Plan& plan) {
  std::ostringstream out;
  out << "# a run of mainstay-sim; play it with: mainstay-sim --replay FILE\nprofile " << plan.profile
      << "\n";
#define X(n, d) out << #n << " " << plan.n << "\n";
  MAINSTAY_SIM_FIELDS(X)
#undef X
  out << "# fault at_ms kind target dur_ms trigger delay_ms r   (target -1 primary, -2 who reached the "
         "moment, -3 a voter, -4 another)\n";
  for (const Fault& f : plan.faults) {
    out << "fault " << f.at_ms << " " << ToString(f.kind) << " " << static_cast<int>(f.target) << " "
        << f.dur_ms << " " << ToString(f.trigger) << " " << f.delay_ms << " " << f.r << "\n";
  }
  return out.str();
}

bool PlanFromText(const std::string& text, Plan* plan, std::string* problem) {
  std::istringstream lines(text);
  std::string line;
  for (int number = 1; std::getline(lines, line); number++) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream in(line);
    std::string word;
    int64_t value = 0;
    in >> word;
    bool ok = true;
    if (word == "profile") {
      in >> plan->profile;
    } else if (word == "fault") {
      ok = ReadFault(in, plan);
    } else {
      ok = static_cast<bool>(in >> value) && ReadField(word, value, plan);
    }
    if (!ok) {
      *problem = "line " + std::to_string(number) + " is not understood: " + line;
      return false;
    }
  }
  if (plan->members < 1 || plan->members > kMaxNodes) {
    *problem = "members must be 1.." + std::to_string(kMaxNodes);
    return false;
  }
  return true;
}

const char* MistakeName(election::M m) {
  static const char* const kNames[] = {
      "none",         "RespTime",    "ReadGrant",        "CreateNow",    "FastPath",   "ReleaseBeforeStop",
      "ReleaseBlind", "ReleasePost", "WaitCreate",       "OwnName",      "NoCas",      "DupId",
      "TooShort",     "NoShim",      "DropBeforeRecord", "NoCatchup",    "StartLoose", "IgnoreRecord",
      "NoSup",        "SupLost",     "KeepLead",         "GrowGucFirst", "ReloadLag",  "Fewer",
      "NotBest",      "Forget",      "SoleFirst",        "Reread",       "Lineage",    "KeepActing",
  };
  static_assert(sizeof(kNames) / sizeof(kNames[0]) == static_cast<size_t>(election::M::kCount),
                "a mistake has no name here");
  return kNames[static_cast<int>(m)];
}

}  // namespace mainstay::sim
