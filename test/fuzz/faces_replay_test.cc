// Seeds of the faces' fuzzers and mutations of them, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/faces_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay {
namespace {

const std::vector<std::string> kWords = {"\n",
                                         ": ",
                                         "- ",
                                         "[",
                                         "]",
                                         "{",
                                         "}",
                                         "&a ",
                                         "*a",
                                         "!!str ",
                                         "'",
                                         "\"",
                                         "%",
                                         "%00",
                                         "?",
                                         "&",
                                         "=",
                                         std::string("\0x", 2),
                                         "\xff\xff\xff\xff\x0f",
                                         "18446744073709551616",
                                         "-1s",
                                         "1e9GB",
                                         "<<: ",
                                         "\t",
                                         "|\n",
                                         "#"};

TEST(FacesFuzz, TheYamlSeedIsGood) {
  for (const std::string& seed : Corpus("yaml"))
    EXPECT_EQ(agent::LoadConfigText(seed, "seed", {}, nullptr).Problems(), "");
}

TEST(FacesFuzz, Yaml) {
  const std::vector<std::string> corpus = Corpus("yaml");
  ASSERT_FALSE(corpus.empty()) << "run from the top of the repository";
  std::mt19937 rng(1);
  for (int i = 0; i < 1000; ++i) FuzzYaml(Mutate(corpus[rng() % corpus.size()], kWords, rng));
}

TEST(FacesFuzz, Targets) {
  const std::vector<std::string> corpus = Corpus("target");
  ASSERT_FALSE(corpus.empty());
  std::mt19937 rng(2);
  for (int i = 0; i < 20000; ++i) FuzzTarget(Mutate(corpus[rng() % corpus.size()], kWords, rng));
}

TEST(FacesFuzz, Queries) {
  const std::vector<std::string> corpus = Corpus("queries");
  ASSERT_FALSE(corpus.empty());
  for (const std::string& seed : corpus) FuzzQueries(seed);
  std::mt19937 rng(4);
  for (int i = 0; i < 1000; ++i) FuzzQueries(Mutate(corpus[rng() % corpus.size()], kWords, rng));
}

TEST(FacesFuzz, Messages) {
  const std::vector<std::string> corpus = Corpus("convert");
  ASSERT_FALSE(corpus.empty());
  for (const std::string& seed : corpus) FuzzConvert(seed);
  std::mt19937 rng(3);
  for (int i = 0; i < 40000; ++i) FuzzConvert(Mutate(corpus[rng() % corpus.size()], kWords, rng));
}

}  // namespace
}  // namespace mainstay
