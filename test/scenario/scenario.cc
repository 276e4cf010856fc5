#include "test/scenario/scenario.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "test/sim/runner.h"

namespace mainstay::scenario {
namespace {

using sim::Fault;
using sim::FaultKind;
using sim::Moment;

std::vector<std::string> Words(const std::string& line) {
  std::vector<std::string> out;
  std::string word;
  std::istringstream in(line);
  while (in >> word) {
    while (!word.empty() && word.back() == ',') word.pop_back();
    out.push_back(word);
  }
  return out;
}

bool Time(const std::string& word, int64_t* ms) {
  char* end = nullptr;
  const double v = std::strtod(word.c_str(), &end);
  if (end == word.c_str() || v < 0 || v > 1e6) return false;
  const std::string unit = end;
  if (unit != "s" && unit != "ms") return false;
  *ms = static_cast<int64_t>(unit == "s" ? v * 1000 + 0.5 : v + 0.5);
  return true;
}

std::string Underscored(std::string word) {
  std::replace(word.begin(), word.end(), '-', '_');
  return word;
}

bool Kind(const std::string& word, FaultKind* kind) {
  for (int i = 0; i < sim::kFaultKinds; i++) {
    *kind = static_cast<FaultKind>(i);
    if (Underscored(word) == ToString(*kind)) return true;
  }
  return false;
}

bool When(const std::string& word, Moment* moment) {
  for (int i = 0; i < sim::kMoments; i++) {
    *moment = static_cast<Moment>(i);
    if (Underscored(word) == ToString(*moment)) return true;
  }
  return false;
}

bool Target(const std::string& word, int8_t* target) {
  if (word == "primary")
    *target = sim::kPrimaryTarget;
  else if (word == "doer")
    *target = sim::kMomentTarget;  // whoever reached the moment
  else if (word == "voter")
    *target = sim::kVoterTarget;
  else if (word == "standby")
    *target = sim::kOtherTarget;
  else if (word.size() == 1 && word[0] >= 'a' && word[0] <= 'g')
    *target = static_cast<int8_t>(word[0] - 'a');
  else
    return false;
  return true;
}

// Words that choose the variant of a fault; see test/sim/faults.cc for the bits.
bool Variant(const std::string& word, uint32_t* r, uint32_t* cut) {
  if (word == "databases-only")
    *cut = (*cut & ~3u);
  else if (word == "agents-only")
    *cut = (*cut & ~3u) | 1u;
  else if (word == "outgoing-only")
    *cut = (*cut & ~12u) | 4u;
  else if (word == "incoming-only")
    *cut = (*cut & ~12u);
  else if (word == "store-reachable")
    *cut = (*cut & ~48u);
  else if (word == "blank-holder")
    *r |= 0x100u;
  else if (word == "edit-epoch")
    *r += 0;
  else if (word == "edit-holder")
    *r += 1;
  else if (word == "edit-freeze")
    *r += 2;
  else if (word == "edit-voters")
    *r += 3;
  else if (word == "edit-durability")
    *r += 4;
  else if (word == "async")
    *r += 0;
  else if (word == "guarded")
    *r += 1;
  else if (word == "strict")
    *r += 2;
  else if (word == "no-failover")
    *r |= 4u;
  else if (word == "preferred")
    *r |= 8u;
  else if (word == "older-by-4")
    *r += 3;
  else
    return false;
  return true;
}

bool ParseFault(const std::vector<std::string>& w, Scenario* s, std::string* problem) {
  Fault f;
  int64_t at = 0, dur = 0, delay = 0;
  if (w.size() < 3 || !Time(w[1], &at)) return *problem = "`at TIME FAULT ...` expected", false;
  if (!Kind(w[2], &f.kind))
    return *problem = "no fault \"" + w[2] + "\"; see test/sim/plan.h for the list", false;
  f.at_ms = static_cast<int32_t>(at);
  f.target = sim::kPrimaryTarget;
  uint32_t cut = 2 | 2 << 2 | 1 << 4;  // everything, both ways, the store too
  if (f.kind == FaultKind::switchover) f.r = 1;
  for (size_t i = 3; i < w.size(); i++) {
    if (w[i] == "of" || w[i] == "the" || w[i] == "a") continue;
    if (w[i] == "for" && i + 1 < w.size() && Time(w[i + 1], &dur))
      i++;
    else if (w[i] == "after" && i + 1 < w.size() && Time(w[i + 1], &delay))
      i++;
    else if (w[i] == "when" && i + 1 < w.size() && When(w[i + 1], &f.trigger))
      i++;
    else if (w[i] == "to" && i + 1 < w.size())
      f.r |= 2u | static_cast<uint32_t>(w[++i][0] - 'a') << 20;
    else if (w[i] == "member" && i + 1 < w.size() && Target(w[i + 1], &f.target))
      i++;
    else if (!Target(w[i], &f.target) && !Variant(w[i], &f.r, &cut))
      return *problem = "what is \"" + w[i] + "\"?", false;
  }
  if (f.kind == FaultKind::cut_pair || f.kind == FaultKind::isolate || f.kind == FaultKind::cut_store)
    f.r |= cut << 16;
  f.dur_ms = static_cast<int32_t>(dur);
  f.delay_ms = static_cast<int32_t>(delay);
  if (s->plan.faults.empty()) s->from_ms = std::max<int64_t>(0, at - 1);
  s->plan.faults.push_back(f);
  return true;
}

bool ParseCluster(const std::vector<std::string>& w, Scenario* s, std::string* problem) {
  sim::Plan& p = s->plan;
  for (size_t i = 1; i < w.size(); i++) {
    if (w[i] == "members" || w[i] == "at" || w[i] == "first") continue;
    if (w[i] == "fast")
      p.fast = 1;
    else if (w[i] == "default")
      p.fast = 0;
    else if (w[i] == "async")
      p.durability = 0;
    else if (w[i] == "guarded")
      p.durability = 1;
    else if (w[i] == "strict")
      p.durability = 2;
    else if (w[i] == "lease-takeover")
      p.takeover = 1;
    else if (w[i] == "volatile")  // data that die with their process
      p.volatile_data = 1, p.durability = 0, p.takeover = 1;
    else if (w[i] == "no-failsafe")
      p.failsafe = 0;
    else if (w[i] == "two-acknowledge")
      p.sync_count = 2;
    else if (w[i] == "one-later")
      p.initial = p.members - 1;
    else if (w[i].size() == 1 && std::isdigit(static_cast<unsigned char>(w[i][0])) != 0)
      p.members = p.initial = w[i][0] - '0';
    else
      return *problem = "what is \"" + w[i] + "\"?", false;
  }
  return p.members >= 2 && p.members <= sim::kMaxNodes ? true : (*problem = "members must be 2 to 7", false);
}

bool ParseLine(const std::string& line, Scenario* s, std::string* problem) {
  const std::vector<std::string> w = Words(line);
  if (w.empty() || w[0][0] == '#') return true;
  const std::vector<std::string> rest(w.begin() + 1, w.end());
  if (w[0] == "rules")
    s->rules = rest;
  else if (w[0] == "expect")
    s->expect = rest;
  else if (w[0] == "never")
    s->never = rest;
  else if (w[0] == "cluster")
    return ParseCluster(w, s, problem);
  else if (w[0] == "at")
    return ParseFault(w, s, problem);
  else if (w[0] == "from")
    return w.size() == 2 && Time(w[1], &s->from_ms) ? true : (*problem = "`from TIME` expected", false);
  else if (w[0] == "until")
    return w.size() == 2 && Time(w[1], &s->plan.faults_ms) ? true
                                                           : (*problem = "`until TIME` expected", false);
  else
    return *problem = "unknown word \"" + w[0] + "\"", false;
  return true;
}

// The lines of the trace that tell the story, with times cut to 10 ms.
std::string Story(const std::string& trace, int64_t from_ms, int64_t until_ms,
                  std::vector<std::string>* rows) {
  std::istringstream in(trace);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    const double t = std::strtod(line.c_str(), nullptr);
    if (t * 1000 < static_cast<double>(from_ms) || t * 1000 > static_cast<double>(until_ms)) continue;
    if (line.size() < 14) continue;
    const std::string text = line.substr(11);
    const bool row = text.size() > 3 && text[2] == '[';
    if (!row && text.find("FAULT") == std::string::npos && text.find("WORLD") == std::string::npos &&
        text.find("NODE") == std::string::npos)
      continue;
    if (row) rows->push_back(text.substr(3, text.find(']') - 3));
    char time[16];
    std::snprintf(time, sizeof time, "%7.2f ", t);
    out += time + text + "\n";
  }
  return out;
}

void Never(const Scenario& s, const std::vector<std::string>& rows, Result* r) {
  for (const std::string& bad : s.never)
    if (std::find(rows.begin(), rows.end(), bad) != rows.end())
      r->failure += "row " + bad + " must not fire here\n";
}

}  // namespace

bool Parse(const std::string& text, Scenario* out, std::string* problem) {
  *out = Scenario{};
  out->plan.profile = "scenario";
  std::istringstream in(text);
  int number = 0;
  bool below = false;
  for (std::string line; std::getline(in, line);) {
    number++;
    if (below) {
      out->trace += line + "\n";
      continue;
    }
    if (line == "---") {
      below = true;
      continue;
    }
    out->head += line + "\n";
    if (!ParseLine(line, out, problem))
      return *problem = "line " + std::to_string(number) + ": " + *problem, false;
  }
  if (out->head.empty() || out->head[0] != '#')
    return *problem = "the first line must say in words what the scenario shows (# ...)", false;
  if (out->expect == std::vector<std::string>{"nothing"} && out->never.empty())
    return *problem = "`expect nothing` needs a `never` line: a scenario must be able to fail", false;
  if (out->expect.empty()) return *problem = "no `expect` line: a scenario must be able to fail", false;
  return true;
}

Result Run(const Scenario& s) {
  Result r;
  char* text = nullptr;
  size_t size = 0;
  FILE* f = open_memstream(&text, &size);
  const sim::Outcome o = sim::RunPlan(s.plan, f);
  std::fclose(f);
  std::vector<std::string> rows;
  r.trace = Story(std::string(text, size), s.from_ms, s.plan.faults_ms, &rows);
  std::free(text);
  if (!o.violation.invariant.empty())
    r.failure += "invariant " + o.violation.invariant + ": " + o.violation.detail + "\n" + o.states;
  auto at = rows.begin();
  if (s.expect == std::vector<std::string>{"nothing"}) return Never(s, rows, &r), r;
  for (const std::string& want : s.expect) {
    at = std::find(at, rows.end(), want);
    if (at == rows.end()) {
      r.failure += "row " + want + " did not fire (in this order)\n";
      break;
    }
    ++at;
  }
  Never(s, rows, &r);
  return r;
}

}  // namespace mainstay::scenario
