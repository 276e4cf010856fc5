// The corpus of the fuzzer of the maintenance's texts and 20,000 mutations of it, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/maintenance_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay::maintenance {
namespace {

void Fuzz(const std::string& text) {
  FuzzMaintenance(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

TEST(MaintenanceFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus("maintenance");
  ASSERT_GE(corpus.size(), 3u) << "run from the top of the repository";
  for (const std::string& text : corpus) {
    EXPECT_TRUE(DecodeNote(text).ok() || DecodeFacts(text).ok() || DecodeMemory(Signed(text)).ok()) << text;
    Fuzz(text);
  }
  std::mt19937 rng(1);
  const std::vector<std::string> words = {"{",           "}",          "[",   "]",   "null",
                                          "true",        "\"v\":1",    "-1",  "1e9", "\"check\":\"\"",
                                          "\"\\u0000\"", "\"member\"", "\xff"};
  for (int i = 0; i < 20'000; ++i) Fuzz(Mutate(corpus[rng() % corpus.size()], words, rng));
}

}  // namespace
}  // namespace mainstay::maintenance
