// The corpus of the PostgreSQL parsers' fuzzer, and 20,000 mutations of it, with any compiler.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "test/fuzz/postgres_fuzz.h"

namespace mainstay::engine::postgres {
namespace {

std::vector<std::string> Corpus() {
  std::vector<std::string> out;
  for (const auto& file : std::filesystem::directory_iterator("test/fuzz/postgres_corpus")) {
    std::ifstream in(file.path(), std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return out;
}

void Fuzz(const std::string& text) {
  FuzzPostgres(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

TEST(PostgresFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus();
  ASSERT_GE(corpus.size(), 6u) << "run from the top of the repository";
  for (const std::string& text : corpus) Fuzz(text);
  std::mt19937 rng(1);
  const std::vector<std::string> words = {
      "'",    "\\", "\"", "=", "\n",      "\r",  "/", "0/0", "18446744073709551616",
      "kB (", ":",  "-1", "_", "include", "\xff"};
  for (int i = 0; i < 20'000; ++i) {
    std::string text = corpus[rng() % corpus.size()];
    for (int n = static_cast<int>(rng() % 4) + 1; n > 0 && !text.empty(); --n) {
      const size_t at = rng() % text.size();
      switch (rng() % 4) {
        case 0:
          text[at] = static_cast<char>(rng());
          break;
        case 1:
          text.erase(at, rng() % 8 + 1);
          break;
        case 2:
          text.insert(at, words[rng() % words.size()]);
          break;
        default:
          text.insert(at, text.substr(at, rng() % 16));
          break;
      }
    }
    Fuzz(text);
  }
}

}  // namespace
}  // namespace mainstay::engine::postgres
