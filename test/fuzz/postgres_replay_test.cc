// The corpus of the PostgreSQL parsers' fuzzer, and 20,000 mutations of it, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/postgres_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay::engine::postgres {
namespace {

void Fuzz(const std::string& text) {
  FuzzPostgres(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

TEST(PostgresFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus("postgres");
  ASSERT_GE(corpus.size(), 6u) << "run from the top of the repository";
  for (const std::string& text : corpus) Fuzz(text);
  std::mt19937 rng(1);
  const std::vector<std::string> words = {
      "'",    "\\", "\"", "=", "\n",      "\r",  "/", "0/0", "18446744073709551616",
      "kB (", ":",  "-1", "_", "include", "\xff"};
  for (int i = 0; i < 20'000; ++i) Fuzz(Mutate(corpus[rng() % corpus.size()], words, rng));
}

}  // namespace
}  // namespace mainstay::engine::postgres
