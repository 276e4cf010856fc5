// Terms from and to bytes: Erlang's external term format.
//
// Written here and not taken from libei: its decoders are not told where the buffer ends, so a cut or wrong
// answer makes them read past it. Everything is bounded: bytes, number of terms, depth.
//
// Thread rules: pure functions. Errors of Decode: kDataLoss (cut, or no such form), kOutOfRange (an integer
// that has no room in 64 bits), kUnimplemented (a form that no node sends to a client such as ours),
// kResourceExhausted (more terms or deeper than allowed); each names the offset.
#ifndef MAINSTAY_LIB_ERLANG_CODEC_H_
#define MAINSTAY_LIB_ERLANG_CODEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/erlang/term.h"

namespace mainstay::erlang {

struct DecodeLimits {
  size_t terms = 200'000;  // 80 bytes of memory each, and their text
  int depth = 64;
};

// One term with its version byte (131). `used`: where it ended; null: the bytes must end there.
absl::StatusOr<Term> Decode(absl::string_view bytes, const DecodeLimits& limits = {}, size_t* used = nullptr);

// Atoms must have at most 255 bytes (a longer one is cut); the rest is bounded by memory.
void AppendTerm(const Term& term, std::string* out);  // without the version byte
std::string Encode(const Term& term);                 // with it

}  // namespace mainstay::erlang

#endif  // MAINSTAY_LIB_ERLANG_CODEC_H_
