// The corpus of the file store's fuzzer and mutations of it, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/replay.h"
#include "test/fuzz/store_fuzz.h"

namespace mainstay::lease {
namespace {

TEST(StoreFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus("store");
  ASSERT_GE(corpus.size(), 3U);
  StoreFuzz fuzz;
  for (const std::string& text : corpus) fuzz.Eat(text);
  const std::vector<std::string> words = {"\"", "{",  "}",  "null", "\\u0000", "\"sum\":\"0\"",
                                          ",",  "\n", "[[", "1e99", "\xff",    "\"version\":\"\","};
  std::mt19937 rng(1);
  for (int i = 0; i < 1000; ++i) fuzz.Eat(Mutate(corpus[rng() % corpus.size()], words, rng));
}

}  // namespace
}  // namespace mainstay::lease
