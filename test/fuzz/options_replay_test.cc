// The corpus of the shim's options and mutations of it, with any compiler.
#include "test/fuzz/options_fuzz.h"

#include <gtest/gtest.h>

#include "test/fuzz/replay.h"

namespace mainstay::shimd {
namespace {

TEST(OptionsFuzz, TheSeedsAreGood) {
  const std::vector<std::string> corpus = Corpus("options");
  ASSERT_GE(corpus.size(), 3U);
  for (const std::string& text : corpus) EXPECT_TRUE(EatOptions(text)) << text;
}

TEST(OptionsFuzz, Mutations) {
  const std::vector<std::string> corpus = Corpus("options");
  const std::vector<std::string> words = {
      "\n", "=", "--set\n", ":", ",", "/", "/../", "4294967295", "-1", "\n---\n", "--options\n/o\n", "#"};
  std::mt19937 rng(1);
  int taken = 0;
  for (int i = 0; i < 20'000; ++i)
    taken += EatOptions(Mutate(corpus[rng() % corpus.size()], words, rng)) ? 1 : 0;
  EXPECT_GT(taken, 100) << "mutations that are all refused look at nothing";
}

}  // namespace
}  // namespace mainstay::shimd
