// The corpus of RabbitMQ's fuzzer, and 20,000 mutations of it, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/rabbitmq_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay::engine::rabbitmq {
namespace {

void Fuzz(const std::string& text) {
  FuzzRabbitmq(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

TEST(RabbitmqFuzz, CorpusAndMutations) {
  const std::vector<std::string> corpus = Corpus("rabbitmq");
  ASSERT_GE(corpus.size(), 6u) << "run from the top of the repository";
  for (const std::string& text : corpus) Fuzz(text);
  std::mt19937 rng(1);
  const std::vector<std::string> words = {"\n",      "# mainstay: cut",
                                          "%2F",     "&vhost=",
                                          "family=", "/metrics/detailed?",
                                          "memory",  "disk",
                                          "\r\n",    "%0A",
                                          "\x01",    "queue="};
  for (int i = 0; i < 20'000; ++i) Fuzz(Mutate(corpus[rng() % corpus.size()], words, rng));
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
