// What an end-to-end probe of an AMQP broker found, and what follows from a row of such findings. Pure.
//
//   Verdict v;
//   v = Fold(v, probe.Check(deadline));        // after each check
//   Log(LogLevel::kWarn, "amqp", Sentence(v, now));
//
// Blocked is not failed: while a node of the cluster lacks memory or disk no publish is confirmed anywhere,
// and the broker says so (connection.blocked). A verdict of that kind never counts as a failure.
//
// Thread rules: plain values, pure functions.
#ifndef MAINSTAY_LIB_AMQP_VERDICT_H_
#define MAINSTAY_LIB_AMQP_VERDICT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "lib/base/time.h"

namespace mainstay::amqp {

// Of a check, in their order.
enum class Step : uint8_t { kConnect, kLogin, kChannel, kQueue, kPublish, kConfirm, kDeliver, kAck };
const char* ToString(Step step);  // "connect"

enum class Failure : uint8_t {
  kNone,
  kRefused,   // nobody listens there
  kTls,       // the handshake failed: certificate, name, version
  kAuth,      // user, password, or no right on the virtual host
  kTimeout,   // a step's deadline passed: frozen, or overloaded
  kNacked,    // the broker refused the message, on a new channel as well
  kReturned,  // no queue took the message
  kClosed,    // the broker closed the channel or the connection, and said why
  kLost,      // the connection broke
  kProtocol,  // what came is not AMQP, or not in its order
  kLocal,     // ours: a file that cannot be read, a wrong address, no memory
};
const char* ToString(Failure failure);  // "refused"

// One thing that went wrong; `text` is for people: the broker's words (bounded) or what to look at.
struct Trouble {
  Failure failure = Failure::kNone;
  int code = 0;  // the broker's reply code: 320, 403, ...
  std::string text;
  bool ok() const { return failure == Failure::kNone; }
};

// Why the broker takes no publishes.
struct Blocked {
  bool on = false;
  bool memory = false;
  bool disk = false;
  std::string text;  // "low on memory", as the broker says it
  MonoTime since;
};
// By the reason that connection.blocked carries; any bytes.
Blocked ReadBlocked(absl::string_view reason, MonoTime now);

// A close that the broker sent. 403 is a matter of rights wherever it comes, 530 when the connection is
// opened.
Trouble FromClose(int code, absl::string_view text, Step step);

// One check.
struct Result {
  MonoTime began;
  MonoTime ended;
  Step step = Step::kConnect;  // that it came to
  Trouble trouble;
  Blocked blocked;
  bool skipped = false;            // too early to connect again: nothing was tried, `trouble` is the last one
  bool fresh = false;              // `trouble` is of the second connection, which tests only the entrance
  uint32_t stale_nacks = 0;        // messages refused on a channel whose successor took them
  bool paused = false;             // the round waited out a time of being blocked: its length says nothing
  Trouble earlier;                 // how the last connection ended, when that was before this check
  std::optional<Duration> opened;  // how long it took to connect, log in and have a queue; absent: was there
  std::optional<Duration> confirmed;  // from the publish to its confirm
  std::optional<Duration> delivered;  // from the publish until it came back: the whole round
  bool ok() const { return trouble.ok() && !blocked.on && !skipped; }
};

enum class State : uint8_t { kUnknown, kOk, kBlocked, kFailed };
const char* ToString(State state);

struct Verdict {
  State state = State::kUnknown;
  Trouble trouble;
  Step step = Step::kConnect;
  bool fresh = false;
  Blocked blocked;
  MonoTime since;    // when the state (for kFailed: the kind of failure) began
  MonoTime last_ok;  // when a message last made the whole round; the distant past: never
  int in_row = 0;    // checks in a row with this state and failure
};
Verdict Fold(const Verdict& before, const Result& result);
// "blocked for 40s: low on memory", "no confirm for 12s (deadline passed 3 times)": for people.
std::string Sentence(const Verdict& verdict, MonoTime now);

}  // namespace mainstay::amqp

#endif  // MAINSTAY_LIB_AMQP_VERDICT_H_
