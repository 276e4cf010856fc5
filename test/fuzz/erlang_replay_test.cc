// The corpus of the fuzzer of what an Erlang node sends (recorded from RabbitMQ 3.10.8), and 20,000 mutations
// of it, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/erlang_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay::engine::rabbitmq {
namespace {

void Fuzz(const std::string& text) { FuzzErlang(reinterpret_cast<const uint8_t*>(text.data()), text.size()); }

TEST(ErlangFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus("erlang");
  ASSERT_GE(corpus.size(), 10u) << "run from the top of the repository";
  for (const std::string& text : corpus) Fuzz(text);
  std::mt19937 rng(1);
  const std::vector<std::string> words = {"h\x02",
                                          "l",
                                          "j",
                                          "t",
                                          "m",
                                          "k",
                                          "\x83",
                                          "w\x02ok",
                                          "n",
                                          "o",
                                          "X",
                                          "p",
                                          "q",
                                          std::string("\0\0\0\x01", 4),
                                          "\xff\xff\xff\xff",
                                          "M",
                                          "Z"};
  for (int i = 0; i < 20'000; ++i) Fuzz(Mutate(corpus[rng() % corpus.size()], words, rng));
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
