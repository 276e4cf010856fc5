// The corpus of the shim's frames and mutations of it, with any compiler. What each seed must lead to:
// test/unit/shim/wire_test.cc.
#include <gtest/gtest.h>

#include "test/fuzz/frames_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay::shimd {
namespace {

TEST(FramesFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus("frames");
  ASSERT_GE(corpus.size(), 10U);
  const std::vector<std::string> words = {
      std::string(1, '\0'), "/../", "-d", "password=", "--dbname=", "=", std::string("\xff\xff\xff\xff", 4)};
  std::mt19937 rng(1);
  for (int i = 0; i < 50'000; ++i) {
    std::string text = corpus[rng() % corpus.size()];
    if (i % 4 != 0) text = Mutate(text, words, rng);
    // A frame says its length: most mutations would end there otherwise.
    shim::wire::Header header;
    if (i % 2 == 0 && text.size() >= sizeof header) {
      memcpy(&header, text.data(), sizeof header);
      header.length = static_cast<decltype(header.length)>(text.size() - sizeof header);
      memcpy(text.data(), &header, sizeof header);
    }
    const std::vector<uint8_t> exact(text.begin(), text.end());
    EatFrame(exact.data(), exact.size());
  }
}

}  // namespace
}  // namespace mainstay::shimd
