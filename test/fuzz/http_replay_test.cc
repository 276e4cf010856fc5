// Seeds of the HTTP fuzzers and mutations of them, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/http_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay {
namespace {

const std::vector<std::string> kWords = {"\r\n",
                                         "\r\n\r\n",
                                         "\n",
                                         ": ",
                                         "Content-Length: 5\r\n",
                                         "Transfer-Encoding: chunked\r\n",
                                         "Expect: 100-continue\r\n",
                                         "0\r\n\r\n",
                                         "ffffffffffffffff\r\n",
                                         "HTTP/1.0",
                                         "HTTP/9.9",
                                         "GET / HTTP/1.1\r\n",
                                         "%00",
                                         "?lag=",
                                         "&tag_",
                                         "\"",
                                         "{",
                                         "}",
                                         "[",
                                         "null",
                                         "true",
                                         "\"leader\": ",
                                         "\"schedule\": ",
                                         "2030-01-01T00:00:00Z",
                                         "-1",
                                         "1e999",
                                         std::string("\0x", 2),
                                         "\xff"};

TEST(HttpFuzz, Requests) {
  const std::vector<std::string> corpus = Corpus("http");
  ASSERT_FALSE(corpus.empty()) << "run from the top of the repository";
  for (const std::string& seed : corpus) FuzzHttp(seed);
  std::mt19937 rng(1);
  for (int i = 0; i < 20000; ++i) FuzzHttp(Mutate(corpus[rng() % corpus.size()], kWords, rng));
}

TEST(HttpFuzz, SeedsAreRead) {
  size_t good = 0;
  for (const std::string& seed : Corpus("http")) good += ReadAllRequests(seed, seed.size()).size();
  EXPECT_GE(good, 6u);
}

TEST(HttpFuzz, PatroniBodies) {
  const std::vector<std::string> corpus = Corpus("patroni");
  ASSERT_FALSE(corpus.empty());
  for (const std::string& seed : corpus) FuzzPatroni(seed);
  std::mt19937 rng(2);
  for (int i = 0; i < 8000; ++i) FuzzPatroni(Mutate(corpus[rng() % corpus.size()], kWords, rng));
}

}  // namespace
}  // namespace mainstay
