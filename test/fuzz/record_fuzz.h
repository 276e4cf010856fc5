// One input of the record's fuzzer: "<leader>\n<renewal>\n<state>". Also used by the replay test.
#ifndef MAINSTAY_TEST_FUZZ_RECORD_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_RECORD_FUZZ_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "lib/base/json.h"
#include "lib/base/strings.h"
#include "lib/election/action.h"
#include "lib/election/record.h"

namespace mainstay::election {

inline void FuzzFail(const char* what) {
  fprintf(stderr, "record fuzz: %s\n", what);
  abort();
}

// Gives the document a check that fits, so that what lies behind the check is reached, too.
inline void FixCheck(Document* d) {
  const auto leader = ParseJson(d->leader, 16 * 1024);
  auto state = ParseJson(d->state, kMaxDocumentBytes);
  if (!leader.ok() || !state.ok() || !leader->is_object() || !state->is_object()) return;
  const auto holder = JsonView(&*leader, "").StringOr("holderIdentity", 1024, "");
  if (!holder.ok()) return;
  state->erase("check");
  const uint64_t sum = Fnv1a64(DumpJson(*state));
  char text[64];
  snprintf(text, sizeof text, "%016lx-%016lx-%016lx", static_cast<unsigned long>(sum),
           static_cast<unsigned long>(Fnv1a64(*holder, sum)),
           static_cast<unsigned long>(Fnv1a64(d->renewal, ~sum)));
  (*state)["check"] = text;
  d->state = DumpJson(*state);
}

inline void CheckDocument(const Document& d) {
  const Decoded decoded = Decode(d);
  if (decoded.record.has_value() != decoded.problem.empty())
    FuzzFail("neither a record nor a problem, or both");
  if (!decoded.record) return;
  const Document again = Encode(*decoded.record, 0, decoded.acquire_unix_ms);
  if (again.leader.size() + again.renewal.size() + again.state.size() > kMaxDocumentBytes) return;
  const Decoded back = Decode(again);
  if (!back.record || !(*back.record == *decoded.record))
    FuzzFail("what was read cannot be written and read again");
}

// The member's own memory on disk: what is read can be written and read again.
inline void CheckMemory(const std::string& text) {
  std::string problem;
  const std::optional<Memory> memory = DecodeMemory(text, &problem);
  if (memory.has_value() != problem.empty()) FuzzFail("neither a memory nor a problem, or both");
  if (!memory) return;
  const std::optional<Memory> again = DecodeMemory(EncodeMemory(*memory), &problem);
  if (!again || !(*again == *memory)) FuzzFail("a memory that was read cannot be written and read again");
}

inline void FuzzRecord(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  CheckMemory(text);
  Document d;
  const size_t first = text.find('\n');
  const size_t second = first == std::string::npos ? first : text.find('\n', first + 1);
  d.leader = text.substr(0, first);
  if (first != std::string::npos)
    d.renewal = text.substr(first + 1, second == std::string::npos ? second : second - first - 1);
  if (second != std::string::npos) d.state = text.substr(second + 1);
  CheckDocument(d);
  FixCheck(&d);
  CheckDocument(d);
}

}  // namespace mainstay::election

#endif  // MAINSTAY_TEST_FUZZ_RECORD_FUZZ_H_
