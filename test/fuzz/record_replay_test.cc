// The corpus of the record's fuzzer, and 2,000 mutations of it, with any compiler.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "test/fuzz/record_fuzz.h"

namespace mainstay::election {
namespace {

std::vector<std::string> Corpus() {
  std::vector<std::string> out;
  for (const auto& file : std::filesystem::directory_iterator("test/fuzz/record_corpus")) {
    std::ifstream in(file.path(), std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return out;
}

void Fuzz(const std::string& text) { FuzzRecord(reinterpret_cast<const uint8_t*>(text.data()), text.size()); }

TEST(RecordFuzz, Corpus) {
  const std::vector<std::string> corpus = Corpus();
  ASSERT_GE(corpus.size(), 5u) << "run from the top of the repository";
  for (const std::string& text : corpus) Fuzz(text);
}

TEST(RecordFuzz, Mutations) {
  const std::vector<std::string> corpus = Corpus();
  ASSERT_FALSE(corpus.empty());
  std::mt19937 rng(1);
  const std::vector<std::string> words = {
      "null", "-1", "18446744073709551616", "1e999", "{}", "[]", "\"\"", "true", "\\u0000", "\xff",
      "\n",   ","};
  for (int i = 0; i < 2'000; ++i) {
    std::string text = corpus[rng() % corpus.size()];
    for (unsigned n = rng() % 4; n > 0 && !text.empty(); --n) {
      const size_t at = rng() % text.size();
      switch (rng() % 4) {
        case 0:
          text[at] = static_cast<char>(rng());
          break;
        case 1:
          text.erase(at, rng() % 20);
          break;
        case 2:
          text.insert(at, words[rng() % words.size()]);
          break;
        default:
          text.insert(at, text.substr(rng() % text.size(), rng() % 30));
          break;
      }
    }
    Fuzz(text);
  }
}

}  // namespace
}  // namespace mainstay::election
