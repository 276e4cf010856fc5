// What the fuzzer and the corpus regression test both do with a packet: everything the shim does to it before
// it acts.
#ifndef MAINSTAY_TEST_FUZZ_FRAMES_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_FRAMES_FUZZ_H_

#include <stdlib.h>

#include "agent/shim/deadline.h"
#include "agent/shim/tools.h"
#include "lib/shim/wire.h"

namespace mainstay::shimd {

inline void Require(bool condition) {
  if (!condition) abort();
}

// Parses like the shim and checks what must hold of everything that passes. Returns how far it came (for the
// corpus test).
inline int EatFrame(const uint8_t* data, size_t size) {
  namespace wire = shim::wire;
  static const PathRules rules = [] {
    PathRules r;
    r.data_dir = "/vol/pg/data";
    r.parent = "/vol/pg";
    return r;
  }();
  wire::Header header;
  if (!wire::ParseHeader(data, size, &header)) return 0;
  Require(header.length <= wire::kMaxPayload && header.length + sizeof header == size);
  const char* payload = reinterpret_cast<const char*>(data) + sizeof header;
  if (header.verb == wire::Verb::kArm) {
    wire::Arm arm;
    if (!wire::ParsePayload(payload, header.length, &arm)) return 1;
    Deadline deadline(600'000'000'000);
    const wire::Code code = deadline.Arm(arm, 1'000'000'000'000, false);
    Require((code == wire::Code::kOk) == deadline.armed());
    if (deadline.armed())
      Require(deadline.until() > 1'000'000'000'000 && deadline.until() <= 1'600'000'000'000 &&
              deadline.epoch() > 0);
    return code == wire::Code::kOk ? 3 : 2;
  }
  if (header.verb == wire::Verb::kLogChunk) {
    wire::LogChunk chunk;
    const char* bytes = nullptr;
    size_t count = 0;
    if (!wire::ParseLogChunk(payload, header.length, &chunk, &bytes, &count)) return 1;
    Require(bytes + count == payload + header.length && count <= wire::kMaxLogChunk);
    return 3;
  }
  if (header.verb != wire::Verb::kRunTool) return 1;
  wire::ToolRequest request;
  if (!wire::ParseRunTool(payload, header.length, &request)) return 1;
  Require(request.args[request.head.argc] == nullptr);
  const ToolSpec* spec = FindTool(request.head.tool);
  if (spec == nullptr || CheckArguments(*spec, rules, request.args, request.head.argc) != kAllowed) return 2;
  // What passed names no parent directory, and no connection string has a password.
  const char* before = "";
  for (size_t i = 0; i < request.head.argc; before = request.args[i++]) {
    const char* arg = request.args[i];
    Require(strstr(arg, "/../") == nullptr);
    const bool conninfo = strcmp(before, "-d") == 0 || strcmp(before, "--dbname") == 0 ||
                          strcmp(before, "--source-server") == 0 || strncmp(arg, "--dbname=", 9) == 0 ||
                          strncmp(arg, "--source-server=", 16) == 0;
    const bool checksums = request.head.tool == wire::Tool::kChecksums;  // its -d has no value
    Require(!conninfo || checksums || strstr(arg, "password=") == nullptr);
  }
  return 3;
}

}  // namespace mainstay::shimd

#endif  // MAINSTAY_TEST_FUZZ_FRAMES_FUZZ_H_
