// The pure half of talking to an Erlang node: what is sent, and what the bytes that come mean.
//
// Errors as in client.h. Thread rules: pure functions.
#ifndef MAINSTAY_LIB_ERLANG_PROTOCOL_H_
#define MAINSTAY_LIB_ERLANG_PROTOCOL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"
#include "lib/erlang/term.h"

namespace mainstay::erlang {

inline constexpr uint16_t kEpmdPort = 4369;
inline constexpr Duration kCallDeadline = std::chrono::seconds(3);

// Who calls; tests bring their own.
class Caller {
 public:
  virtual ~Caller() = default;
  virtual absl::StatusOr<Term> Call(absl::string_view module, absl::string_view function,
                                    std::vector<Term> arguments, Duration deadline) = 0;
};

// A call as it is sent, its four bytes of length included.
std::string EncodeCall(const Term& self, absl::string_view module, absl::string_view function,
                       std::vector<Term> arguments);
// What a call of `self` is answered by, out of a message as it came, without its length; nothing: it is
// another one.
absl::StatusOr<std::optional<Term>> DecodeMessage(absl::string_view frame, const Term& self);
// What the answer means: the value, or why there is none.
absl::StatusOr<Term> ToResult(Term answer);

// The question to epmd, and the port in the first bytes of its answer (4 are enough).
std::string EpmdQuestion(absl::string_view alive);
absl::StatusOr<uint16_t> ParseEpmdAnswer(absl::string_view bytes);

// What the node said during a handshake, for its errors: the status ("ok", "nok", "alive", ...; "" when it
// said none) and its name ("" when it did not get that far). `bytes` are those it sent, possibly cut.
struct HandshakeSeen {
  std::string status;
  std::string name;
};
HandshakeSeen ParseHandshake(absl::string_view bytes);

}  // namespace mainstay::erlang

#endif  // MAINSTAY_LIB_ERLANG_PROTOCOL_H_
