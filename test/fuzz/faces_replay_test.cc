// Seeds of the faces' fuzzers and mutations of them, with any compiler.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "test/fuzz/faces_fuzz.h"

namespace mainstay {
namespace {

constexpr char kYaml[] = R"(cluster: demo
name: a
profile: fast
election: {path: /run/demo, renew: 500ms}
shim: {socket: /s}
members:
  - {name: b, peer: "127.0.0.1:7410"}
postgresql:
  data_dir: /d
  socket_dir: /r
  password_file: /p
  parameters: {work_mem: 8MB, a.b: "x\ty"}
  hba: ["host all all all scram-sha-256"]
  slot_wal_cap: 64MB
tags: {priority: 3, no_failover: true}
)";

std::string Mutate(std::string text, std::mt19937& rng) {
  static const std::vector<std::string> kWords = {"\n",
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
  for (unsigned n = 1 + rng() % 4; n > 0 && !text.empty(); --n) {
    const size_t at = rng() % text.size();
    switch (rng() % 4) {
      case 0:
        text[at] = static_cast<char>(rng());
        break;
      case 1:
        text.erase(at, rng() % 20);
        break;
      case 2:
        text.insert(at, kWords[rng() % kWords.size()]);
        break;
      default:
        text.insert(at, text.substr(rng() % text.size(), rng() % 40));
        break;
    }
  }
  return text;
}

TEST(FacesFuzz, TheYamlSeedIsGood) {
  EXPECT_EQ(agent::LoadConfigText(kYaml, "seed", {}, nullptr).Problems(), "");
}

TEST(FacesFuzz, Yaml) {
  std::mt19937 rng(1);
  for (int i = 0; i < 1000; ++i) FuzzYaml(Mutate(kYaml, rng));
}

TEST(FacesFuzz, Targets) {
  std::mt19937 rng(2);
  for (int i = 0; i < 20000; ++i) FuzzTarget(Mutate("/replica?lag=16kB&tag_zone=a%20b&verbose", rng));
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
    FuzzConvert(Mutate(m.SerializeAsString(), rng));
    FuzzConvert(Mutate(f.SerializeAsString(), rng));
  }
}

}  // namespace
}  // namespace mainstay
