// scenarios [--rewrite] [--quiet] FILE...: runs scenario files (scenario.h) and compares, or writes, their
// traces.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "test/scenario/scenario.h"

namespace {

using mainstay::scenario::Parse;
using mainstay::scenario::Result;
using mainstay::scenario::Run;
using mainstay::scenario::Scenario;

bool Read(const std::string& path, std::string* text) {
  std::ifstream in(path);
  std::stringstream all;
  all << in.rdbuf();
  *text = all.str();
  return in.good();
}

void FirstDifference(const std::string& want, const std::string& got) {
  std::istringstream a(want), b(got);
  std::string x, y;
  for (int line = 1;; line++) {
    const bool more_a = static_cast<bool>(std::getline(a, x));
    const bool more_b = static_cast<bool>(std::getline(b, y));
    if (!more_a && !more_b) return;
    if (more_a && more_b && x == y) continue;
    std::printf("  trace line %d\n  - %s\n  + %s\n", line, more_a ? x.c_str() : "(end)",
                more_b ? y.c_str() : "(end)");
    return;
  }
}

bool One(const std::string& path, bool rewrite, bool quiet) {
  std::string text, problem;
  Scenario s;
  if (!Read(path, &text)) return std::printf("FAIL %s: cannot be read\n", path.c_str()), false;
  if (!Parse(text, &s, &problem)) return std::printf("FAIL %s: %s\n", path.c_str(), problem.c_str()), false;
  const Result r = Run(s);
  if (!r.failure.empty()) {
    std::printf("FAIL %s\n%s\n%s", path.c_str(), r.failure.c_str(), quiet ? "" : r.trace.c_str());
    return false;
  }
  if (rewrite) {
    std::ofstream(path) << s.head << "---\n" << r.trace;
  } else if (r.trace != s.trace) {
    std::printf(
        "FAIL %s: another trace than the one written down (`./dev scenarios --rewrite` if it is right)\n",
        path.c_str());
    FirstDifference(s.trace, r.trace);
    return false;
  }
  if (!quiet) std::printf("ok   %s\n", path.c_str());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  bool rewrite = false, quiet = false;
  std::vector<std::string> paths;
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "--rewrite") == 0)
      rewrite = true;
    else if (std::strcmp(argv[i], "--quiet") == 0)
      quiet = true;
    else
      paths.emplace_back(argv[i]);
  }
  int failed = 0;
  for (const std::string& path : paths) failed += One(path, rewrite, quiet) ? 0 : 1;
  std::printf("%zu passed, %d failed\n", paths.size() - static_cast<size_t>(failed), failed);
  return paths.empty() ? 2 : failed == 0 ? 0 : 1;
}
