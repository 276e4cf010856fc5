// How a fuzzer says what it found: one line, then the end of the program, which libFuzzer and the replay
// tests both take for a finding.
#ifndef MAINSTAY_TEST_FUZZ_FAIL_H_
#define MAINSTAY_TEST_FUZZ_FAIL_H_

#include <cstdio>
#include <cstdlib>
#include <string>

namespace mainstay {

[[noreturn]] inline void FuzzFailed(const char* what, const char* problem, const std::string& input) {
  fprintf(stderr, "%s fuzz: %s: %.2000s\n", what, problem, input.c_str());
  abort();
}

}  // namespace mainstay

#endif  // MAINSTAY_TEST_FUZZ_FAIL_H_
