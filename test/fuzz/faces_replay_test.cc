// Seeds of the faces' fuzzers and mutations of them, with any compiler.
#include <gtest/gtest.h>

#include "test/fuzz/faces_fuzz.h"
#include "test/fuzz/replay.h"

namespace mainstay {
namespace {

const std::vector<std::string> kWords = {"\n",
                                         ": ",
                                         "- ",
                                         "[",
                                         "]",
                                         "{",
                                         "}",
                                         "&a ",
                                         "*a",
                                         "!!str ",
                                         "'",
                                         "\"",
                                         "%",
                                         "%00",
                                         "?",
                                         "&",
                                         "=",
                                         "\x00x",
                                         "\xff\xff\xff\xff\x0f",
                                         "18446744073709551616",
                                         "-1s",
                                         "1e9GB",
                                         "<<: ",
                                         "\t",
                                         "|\n",
                                         "#"};

TEST(FacesFuzz, TheYamlSeedIsGood) {
  for (const std::string& seed : Corpus("yaml"))
    EXPECT_EQ(agent::LoadConfigText(seed, "seed", {}, nullptr).Problems(), "");
}

TEST(FacesFuzz, Yaml) {
  const std::vector<std::string> corpus = Corpus("yaml");
  ASSERT_FALSE(corpus.empty()) << "run from the top of the repository";
  std::mt19937 rng(1);
  for (int i = 0; i < 1000; ++i) FuzzYaml(Mutate(corpus[rng() % corpus.size()], kWords, rng));
}

TEST(FacesFuzz, Targets) {
  const std::vector<std::string> corpus = Corpus("target");
  ASSERT_FALSE(corpus.empty());
  std::mt19937 rng(2);
  for (int i = 0; i < 20000; ++i) FuzzTarget(Mutate(corpus[rng() % corpus.size()], kWords, rng));
}

TEST(FacesFuzz, Messages) {
  election::PeerReport report;
  report.name = report.self.name = "a";
  report.self.peer_address = report.self.db_address = "127.0.0.1:1";
  report.position = {.lineage = 3, .offset = 4, .timeline = 5};
  report.record_age = report.stream_age = std::chrono::seconds(1);
  v1::PeerReport m;
  rpc::ToProto(report, "demo", &m);
  v1::FreezeReply f;
  rpc::ToProto(election::FreezeAnswered{.ask = 1,
                                        .from = "a",
                                        .epoch = 2,
                                        .frozen = true,
                                        .refusal = "no",
                                        .promised = 2,
                                        .position = report.position,
                                        .known = {"a", "b"}},
               &f);
  std::mt19937 rng(3);
  for (int i = 0; i < 20000; ++i) {
    FuzzConvert(Mutate(m.SerializeAsString(), kWords, rng));
    FuzzConvert(Mutate(f.SerializeAsString(), kWords, rng));
  }
}

}  // namespace
}  // namespace mainstay
