// One input through the readers of what agents tell each other, what lies in the lock's store and beside the
// data.
#ifndef MAINSTAY_TEST_FUZZ_MAINTENANCE_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_MAINTENANCE_FUZZ_H_

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lib/base/json.h"
#include "lib/base/strings.h"
#include "lib/maintenance/disk.h"
#include "lib/maintenance/facts.h"
#include "lib/maintenance/memory.h"
#include "lib/maintenance/plan.h"

namespace mainstay::maintenance {

// With the sum that belongs to it: what lies behind the sum is to be reached too.
inline std::string Signed(absl::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text, kMaxMemoryBytes);
  if (!json.ok() || !json->is_object()) return std::string(text);
  json->erase("check");
  (*json)["check"] = std::string(absl::StrCat(absl::Hex(Fnv1a64(DumpJson(*json)), absl::kZeroPad16)));
  return DumpJson(*json);
}

// What can be read comes back the same, and can be planned with.
inline void FuzzMaintenance(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto note = DecodeNote(text); note.ok() && *DecodeNote(EncodeNote(*note)) != *note) std::abort();
  const auto facts = DecodeFacts(text);
  if (facts.ok() && *DecodeFacts(EncodeFacts(*facts)) != *facts) std::abort();
  const auto memory = DecodeMemory(Signed(text));
  if (!memory.ok()) return;
  if (*DecodeMemory(EncodeMemory(*memory)) != *memory) std::abort();
  View view;
  view.self = "n1";
  view.epoch = memory->epoch;
  for (const MemberEntry& e : memory->members) view.members.push_back({.name = e.name, .node = e.node});
  (void)Plan(view, *memory, Settings());
  (void)Findings(view, *memory);
}

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_TEST_FUZZ_MAINTENANCE_FUZZ_H_
