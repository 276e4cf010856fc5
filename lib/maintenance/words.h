// Enumerations as words of a JSON document: the words in the order of the enumerators.
//
//   MAINSTAY_RETURN_IF_ERROR(ReadWord(in, "step", kRepairSteps, &repair.step));
//
// Thread rules: pure. Errors: InvalidArgument, as JsonView says them, with what is wanted.
#ifndef MAINSTAY_LIB_MAINTENANCE_WORDS_H_
#define MAINSTAY_LIB_MAINTENANCE_WORDS_H_

#include <array>
#include <cstddef>
#include <string>

#include "lib/base/json.h"
#include "lib/base/result.h"

namespace mainstay::maintenance {

inline constexpr size_t kMaxText = 512;  // of a text in facts, memory and note
inline constexpr std::array<const char*, 3> kBegunWords = {"no", "found", "join"};

template <typename E, size_t N>
absl::Status ReadWord(const JsonView& from, const char* key, const std::array<const char*, N>& words, E* out,
                      const char* want = "a known word") {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string word, from.String(key, kMaxText));
  for (size_t i = 0; i < N; ++i) {
    if (word != words[i]) continue;
    *out = static_cast<E>(i);
    return absl::OkStatus();
  }
  return from.Wrong(key, want);
}

template <typename E, size_t N>
const char* WordOf(const std::array<const char*, N>& words, E value) {
  return words[static_cast<size_t>(value)];
}

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_WORDS_H_
