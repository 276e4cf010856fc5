// Frames: what parses and what closes the connection; and the fuzzer's corpus as a regression test.
#include "lib/shim/wire.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "lib/shim/connection.h"
#include "test/fuzz/frames_fuzz.h"

namespace mainstay::shim {
namespace {

std::string Packet(wire::Verb verb, const std::string& payload) {
  const wire::Header header = wire::MakeHeader(verb, 7, payload.size());
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + payload;
}

TEST(WireTest, AWholeFrameParses) {
  const std::string packet = Packet(wire::Verb::kState, "abc");
  wire::Header header;
  ASSERT_TRUE(wire::ParseHeader(packet.data(), packet.size(), &header));
  EXPECT_EQ(header.verb, wire::Verb::kState);
  EXPECT_EQ(header.length, 3);
  EXPECT_EQ(header.seq, 7u);
}

TEST(WireTest, ShortLongAndForeignPacketsDoNot) {
  std::string packet = Packet(wire::Verb::kState, "abc");
  wire::Header header;
  for (size_t n = 0; n < packet.size(); ++n) EXPECT_FALSE(wire::ParseHeader(packet.data(), n, &header)) << n;
  EXPECT_FALSE(wire::ParseHeader((packet + "x").data(), packet.size() + 1, &header));
  packet[0] ^= 1;
  EXPECT_FALSE(wire::ParseHeader(packet.data(), packet.size(), &header));
  const std::string big(sizeof(wire::Header) + wire::kMaxPayload + 1, 0);
  EXPECT_FALSE(wire::ParseHeader(big.data(), big.size(), &header));
}

std::string RunTool(uint16_t argc, const std::string& strings) {
  const wire::RunTool head{wire::Tool::kInitdb, 0, argc, 0, 5};
  return std::string(reinterpret_cast<const char*>(&head), sizeof head) + strings;
}

TEST(WireTest, RunToolHasExactlyItsStrings) {
  wire::ToolRequest request;
  const std::string good = RunTool(2, std::string("pass\0-D\0/x\0", 11));
  ASSERT_TRUE(wire::ParseRunTool(good.data(), good.size(), &request));
  EXPECT_STREQ(request.passfile, "pass");
  EXPECT_STREQ(request.args[0], "-D");
  EXPECT_STREQ(request.args[1], "/x");
  EXPECT_EQ(request.args[2], nullptr);
  for (const std::string& bad :
       {RunTool(1, std::string("pass\0-D\0/x\0", 11)), RunTool(3, std::string("pass\0-D\0/x\0", 11)),
        RunTool(2, std::string("pass\0-D\0/x", 10)), RunTool(0, ""), RunTool(65535, std::string(8000, 0)),
        RunTool(wire::kMaxToolArgs + 1, std::string(wire::kMaxToolArgs + 2, 0)), std::string("short")}) {
    EXPECT_FALSE(wire::ParseRunTool(bad.data(), bad.size(), &request));
  }
  const std::string most = RunTool(wire::kMaxToolArgs, std::string(wire::kMaxToolArgs + 1, 0));
  EXPECT_TRUE(wire::ParseRunTool(most.data(), most.size(), &request));
}

TEST(WireTest, EveryCodeHasASentenceAndAStatus) {
  for (uint32_t i = 1; i <= static_cast<uint32_t>(wire::Code::kNoTool); ++i) {
    const auto code = static_cast<wire::Code>(i);
    EXPECT_STRNE(wire::ToString(code), "unknown code") << i;
    const absl::Status status = ToStatus(code, "a test");
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(RefusalCode(status), code);
  }
  EXPECT_TRUE(ToStatus(wire::Code::kOk, "x").ok());
  EXPECT_EQ(RefusalCode(absl::InternalError("x")), std::nullopt);
}

TEST(WireTest, CorpusStaysHarmless) {
  int files = 0, accepted = 0;
  for (const auto& entry : std::filesystem::directory_iterator(MAINSTAY_FRAMES_CORPUS)) {
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string data((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const int depth = shimd::EatFrame(reinterpret_cast<const uint8_t*>(data.data()), data.size());
    const std::string name = entry.path().filename().string();
    if (name.rfind("ok_", 0) == 0) {
      EXPECT_EQ(depth, 3) << name;
      ++accepted;
    }
    if (name.rfind("bad_", 0) == 0) {
      EXPECT_LT(depth, 3) << name;
    }
    ++files;
  }
  EXPECT_GE(files, 10);
  EXPECT_GE(accepted, 4);
}

}  // namespace
}  // namespace mainstay::shim
