#include "lib/amqp/verdict.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"

namespace mainstay::amqp {
namespace {

constexpr size_t kLongestText = 300;
constexpr int kAccessRefused = 403;
constexpr int kNotAllowed = 530;

// Broker's words in a log line or a metric's comment: one line, bounded.
std::string Words(absl::string_view text) {
  std::string out = Cut(text, kLongestText);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return out;
}

// "nobody listens", "login refused": what the failure is, without its age.
std::string What(const Verdict& v) {
  const std::string step = ToString(v.step);
  switch (v.trouble.failure) {
    case Failure::kNone:
      return "";
    case Failure::kRefused:
      return "connection refused: nobody listens";
    case Failure::kTls:
      return "no TLS connection";
    case Failure::kAuth:
      return "login refused";
    case Failure::kTimeout:
      return v.step == Step::kConfirm   ? "no confirm of a published message"
             : v.step == Step::kDeliver ? "a confirmed message was not delivered"
                                        : absl::StrCat("no answer (", step, ")");
    case Failure::kNacked:
      return "the broker refused (nacked) a published message";
    case Failure::kReturned:
      return "no queue took the message";
    case Failure::kClosed:
      return absl::StrCat("closed by the broker (", step, ")");
    case Failure::kLost:
      return absl::StrCat("the connection broke (", step, ")");
    case Failure::kProtocol:
      return absl::StrCat("the answer is not AMQP (", step, ")");
    case Failure::kLocal:
      return "the probe cannot work";
  }
  return "";
}

}  // namespace

const char* ToString(Step step) {
  switch (step) {
    case Step::kConnect:
      return "connect";
    case Step::kLogin:
      return "login";
    case Step::kChannel:
      return "channel";
    case Step::kQueue:
      return "queue";
    case Step::kPublish:
      return "publish";
    case Step::kConfirm:
      return "confirm";
    case Step::kDeliver:
      return "deliver";
    case Step::kAck:
      return "ack";
  }
  return "connect";
}

const char* ToString(Failure failure) {
  switch (failure) {
    case Failure::kNone:
      return "none";
    case Failure::kRefused:
      return "refused";
    case Failure::kTls:
      return "tls";
    case Failure::kAuth:
      return "auth";
    case Failure::kTimeout:
      return "timeout";
    case Failure::kNacked:
      return "nacked";
    case Failure::kReturned:
      return "returned";
    case Failure::kClosed:
      return "closed";
    case Failure::kLost:
      return "lost";
    case Failure::kProtocol:
      return "protocol";
    case Failure::kLocal:
      return "local";
  }
  return "none";
}

const char* ToString(State state) {
  switch (state) {
    case State::kUnknown:
      return "unknown";
    case State::kOk:
      return "ok";
    case State::kBlocked:
      return "blocked";
    case State::kFailed:
      return "failed";
  }
  return "unknown";
}

Blocked ReadBlocked(absl::string_view reason, MonoTime now) {
  Blocked out;
  out.on = true;
  out.memory = absl::StrContains(reason, "memory");
  out.disk = absl::StrContains(reason, "disk");
  out.text = Words(reason);
  out.since = now;
  return out;
}

Trouble FromClose(int code, absl::string_view text, Step step) {
  const bool entering = step == Step::kConnect || step == Step::kLogin;
  const bool rights = code == kAccessRefused || (code == kNotAllowed && entering);
  return {.failure = rights ? Failure::kAuth : Failure::kClosed, .code = code, .text = Words(text)};
}

Verdict Fold(const Verdict& before, const Result& result) {
  if (result.skipped) return before;
  Verdict out;
  out.last_ok = before.last_ok;
  out.blocked = result.blocked;
  if (result.delivered) out.last_ok = result.ended;  // whatever the entrance says
  if (!result.trouble.ok()) {
    out.state = State::kFailed;
    out.trouble = result.trouble;
    out.step = result.step;
    out.fresh = result.fresh;
  } else {
    out.state = result.blocked.on ? State::kBlocked : State::kOk;
    out.step = result.step;
  }
  const bool same = out.state == before.state && out.trouble.failure == before.trouble.failure;
  out.since = same ? before.since : out.state == State::kBlocked ? result.blocked.since : result.began;
  out.in_row = same ? std::min(before.in_row + 1, 1'000'000) : 1;
  return out;
}

std::string Sentence(const Verdict& v, MonoTime now) {
  const std::string age = FormatDuration(std::max(Duration::zero(), now - v.since));
  switch (v.state) {
    case State::kUnknown:
      return "not probed yet";
    case State::kOk:
      return "a message makes the whole round";
    case State::kBlocked:
      return absl::StrCat("blocked for ", age, ": ",
                          v.blocked.text.empty() ? "the broker takes no publishes" : v.blocked.text);
    case State::kFailed:
      break;
  }
  std::string out = absl::StrCat(v.fresh ? "a new connection: " : "", What(v), " for ", age);
  if (v.in_row > 1) absl::StrAppend(&out, " (", v.in_row, " checks)");
  if (v.trouble.code != 0) absl::StrAppend(&out, ": ", v.trouble.code);
  if (!v.trouble.text.empty()) absl::StrAppend(&out, v.trouble.code != 0 ? " " : ": ", v.trouble.text);
  return out;
}

}  // namespace mainstay::amqp
