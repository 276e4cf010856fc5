// The corpus of the record's fuzzer, and 2,000 mutations of it, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/record_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay::election {
namespace {

void Fuzz(const std::string& text) { FuzzRecord(reinterpret_cast<const uint8_t*>(text.data()), text.size()); }

TEST(RecordFuzz, CorpusAndMutations) {
  std::vector<std::string> corpus = Corpus("record");
  ASSERT_GE(corpus.size(), 5u) << "run from the top of the repository";
  Memory memory;
  memory.max_epoch = 7;
  memory.known = {"a", "b"};
  corpus.push_back(EncodeMemory(memory));
  for (const std::string& text : corpus) Fuzz(text);
  std::mt19937 rng(1);
  const std::vector<std::string> words = {
      "null", "-1", "18446744073709551616", "1e999", "{}", "[]", "\"\"", "true", "\\u0000", "\xff",
      "\n",   ","};
  for (int i = 0; i < 2'000; ++i) Fuzz(Mutate(corpus[rng() % corpus.size()], words, rng));
}

}  // namespace
}  // namespace mainstay::election
