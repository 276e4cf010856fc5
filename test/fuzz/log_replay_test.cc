// The corpus of the database's log and mutations of it, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/log_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay::audit {
namespace {

TEST(LogFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus("log");
  ASSERT_GE(corpus.size(), 4U);
  const std::vector<std::string> words = {"\n",  "\t",      "@mainstay ", "LOG:  ",   "\"", "\"\"", ",",
                                          "\\u", "\\ud83d", "AUDIT: ",    "password", "'",  "''",   "$x$",
                                          "=",   "://",     "@",          "/*",       "|"};
  std::mt19937 rng(1);
  for (int i = 0; i < 10'000; ++i) {
    std::string text = corpus[rng() % corpus.size()];
    if (i % 8 != 0) text = Mutate(text, words, rng);
    if (text.size() > 2) text[1] = static_cast<char>(rng());
    FuzzLog(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  }
}

}  // namespace
}  // namespace mainstay::audit
