// The corpus of the fuzzer of Redis' answers, and 20,000 mutations of it, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/redis_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay::engine::redis {
namespace {

void Fuzz(const std::string& text) { FuzzRedis(reinterpret_cast<const uint8_t*>(text.data()), text.size()); }

TEST(RedisFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus("redis");
  ASSERT_GE(corpus.size(), 6u) << "run from the top of the repository";
  for (const std::string& text : corpus) Fuzz(text);
  std::mt19937 rng(1);
  const std::vector<std::string> words = {":",   "=",     ",",    "\r\n", "\n", "#", "# Replication\n",
                                          "-1",  "slave", "db0:", "[",    "]",  "!", "9223372036854775807",
                                          "\xff"};
  for (int i = 0; i < 20'000; ++i) Fuzz(Mutate(corpus[rng() % corpus.size()], words, rng));
}

}  // namespace
}  // namespace mainstay::engine::redis
