// The corpus of the Sentinel port's fuzzer, and 20,000 mutations of it, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/replay.h"
#include "test/fuzz/sentinel_fuzz.h"

namespace mainstay::sentinel {
namespace {

void Fuzz(const std::string& text) {
  FuzzSentinel(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

TEST(SentinelFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus("sentinel");
  ASSERT_GE(corpus.size(), 6u) << "run from the top of the repository";
  for (const std::string& text : corpus) Fuzz(text);
  std::mt19937 rng(1);
  const std::vector<std::string> words = {"*",          "$",           "\r\n",  "-1",       "SUBSCRIBE",
                                          "PSUBSCRIBE", "*[a-",        "HELLO", "SENTINEL", "9999999999",
                                          "mymaster",   "AUTH pw\r\n", "QUIT"};
  for (int i = 0; i < 20'000; ++i) Fuzz(Mutate(corpus[rng() % corpus.size()], words, rng));
}

}  // namespace
}  // namespace mainstay::sentinel
