// Seeds of the Kubernetes client's fuzzers and mutations of them, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/kube_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay {
namespace {

const std::vector<std::string> kWords = {"\r\n",
                                         "\n",
                                         "\r\n\r\n",
                                         "0\r\n\r\n",
                                         "ffffffff\r\n",
                                         "Content-Length: ",
                                         "Transfer-Encoding: chunked\r\n",
                                         "HTTP/1.1 ",
                                         "\"",
                                         "\\u0000",
                                         "{",
                                         "}",
                                         "[",
                                         "null",
                                         "-1",
                                         "99999999999999999999",
                                         ": ",
                                         "- ",
                                         "&a ",
                                         "*a",
                                         "https://[",
                                         "@",
                                         "\xc3",
                                         std::string("\0", 1)};

void Replay(const char* corpus_name, int times, void (*fuzz)(const std::string&)) {
  const std::vector<std::string> corpus = Corpus(corpus_name);
  ASSERT_FALSE(corpus.empty()) << "run from the top of the repository";
  for (const std::string& seed : corpus) fuzz(seed);
  std::mt19937 rng(1);
  for (int i = 0; i < times; ++i) fuzz(Mutate(corpus[rng() % corpus.size()], kWords, rng));
}

TEST(KubeFuzz, Http) { Replay("kube_http", 20000, &FuzzKubeHttp); }
TEST(KubeFuzz, Watch) { Replay("kube_watch", 20000, &FuzzKubeWatch); }
TEST(KubeFuzz, Config) { Replay("kube_config", 1000, &FuzzKubeConfig); }
TEST(KubeFuzz, Object) { Replay("kube_object", 10000, &FuzzKubeObject); }

TEST(KubeFuzz, TheKubeconfigSeedsAreGood) {
  for (const std::string& seed : Corpus("kube_config"))
    EXPECT_TRUE(kube::ParseKubeconfig(seed, "/dir", "", "seed").ok());
}

}  // namespace
}  // namespace mainstay
