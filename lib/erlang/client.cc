#include "lib/erlang/client.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/erlang/cookie.h"

namespace mainstay::erlang {
namespace {

constexpr absl::string_view kTick("\0\0\0\0", 4);

absl::Status Named(const absl::Status& status, absl::string_view who) {
  return absl::Status(status.code(), absl::StrCat(who, ": ", status.message()));
}

}  // namespace

std::string MakeSelf(absl::string_view node) {
  const size_t at = node.find('@');
  return absl::StrCat("mainstay-", RandomHex(4), "@",
                      at == absl::string_view::npos ? absl::string_view("localhost") : node.substr(at + 1));
}

void Backoff::Failed(MonoTime now) {
  next_ = now + pause_;
  pause_ = std::min<Duration>(2 * pause_, std::chrono::seconds(5));
}

Client::Client(ClientOptions options) : options_(std::move(options)) {}

absl::Status Client::Connect(Duration deadline) {
  link_.reset();
  const absl::Status status = TryConnect(BootClock().Now() + deadline);
  // The node counts a connection of ours that ended unseen (it was frozen, or the network lost the end) until
  // its ticks find out: up to 75 s.
  if (absl::IsAlreadyExists(status)) options_.self = MakeSelf(options_.node);
  return status.ok() ? status : Named(status, absl::StrCat(options_.node, ", connecting"));
}

absl::Status Client::TryConnect(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::string cookie, ReadCookie(options_.cookie_file));
  uint16_t port = options_.port;
  if (port == 0) {
    const absl::string_view alive = absl::string_view(options_.node).substr(0, options_.node.find('@'));
    MAINSTAY_ASSIGN_OR_RETURN(port, AskEpmd(options_.address, options_.epmd_port, alive, deadline));
  }
  auto stream = Stream::Connect(options_.address, port, deadline);
  if (!stream.ok()) return Named(stream.status(), absl::StrCat(options_.address, ":", port));
  MAINSTAY_ASSIGN_OR_RETURN(
      link_,
      Link::Open(*std::move(stream), {.node = options_.node, .self = options_.self}, cookie, deadline));
  return absl::OkStatus();
}

absl::StatusOr<Term> Client::Call(absl::string_view module, absl::string_view function,
                                  std::vector<Term> arguments, Duration deadline) {
  const std::string who = absl::StrCat(options_.node, ", ", module, ":", function, "/", arguments.size());
  auto answer = TryCall(module, function, std::move(arguments), BootClock().Now() + deadline);
  if (!answer.ok()) {
    // What came so far cannot be continued, and who does not answer may be gone: a new connection finds out.
    link_.reset();
    return Named(answer.status(), who);
  }
  answer = ToResult(*std::move(answer));
  return answer.ok() ? std::move(answer) : Named(answer.status(), who);
}

absl::StatusOr<Term> Client::TryCall(absl::string_view module, absl::string_view function,
                                     std::vector<Term> arguments, MonoTime deadline) {
  if (link_ == nullptr) return absl::UnavailableError("not connected");
  MAINSTAY_RETURN_IF_ERROR(Drain(deadline));
  const Term self = link_->NewPid();
  const std::string call = EncodeCall(self, module, function, std::move(arguments));
  MAINSTAY_RETURN_IF_ERROR(link_->stream().WriteAll(call, deadline));
  auto answer = Await(self, deadline);
  if (!absl::IsUnavailable(answer.status())) return answer;
  return absl::UnknownError(absl::StrCat("the connection ended before the answer; it may have been done: ",
                                         answer.status().message()));
}

absl::StatusOr<Term> Client::Await(const Term& self, MonoTime deadline) {
  while (true) {
    // Also when the node sends much that is not the answer.
    if (BootClock().Now() >= deadline) return absl::DeadlineExceededError("no answer in time");
    MAINSTAY_ASSIGN_OR_RETURN(const std::string frame, ReadFrame(deadline));
    if (frame.empty()) continue;
    MAINSTAY_ASSIGN_OR_RETURN(std::optional<Term> message, DecodeMessage(frame, self));
    if (message.has_value()) return *std::move(message);
  }
}

// Empty: a tick, which is answered.
absl::StatusOr<std::string> Client::ReadFrame(MonoTime deadline) {
  unsigned char head[4];
  MAINSTAY_RETURN_IF_ERROR(link_->stream().ReadAll(reinterpret_cast<char*>(head), sizeof head, deadline));
  const size_t size = static_cast<size_t>(head[0]) << 24 | head[1] << 16 | head[2] << 8 | head[3];
  if (size == 0) {
    MAINSTAY_RETURN_IF_ERROR(link_->stream().WriteAll(kTick, deadline));
    return std::string();
  }
  if (size > options_.max_answer)
    return absl::ResourceExhaustedError(
        absl::StrCat("an answer of ", size, " bytes; at most ", options_.max_answer, " are taken"));
  std::string frame(size, '\0');
  MAINSTAY_RETURN_IF_ERROR(link_->stream().ReadAll(frame.data(), size, deadline));
  return frame;
}

absl::Status Client::Drain(MonoTime deadline) {
  while (link_->stream().Readable()) {
    // Ticks and late answers end soon; a node that never stops to send is one that does not answer.
    if (BootClock().Now() >= deadline) return absl::DeadlineExceededError("it sends without an end");
    MAINSTAY_RETURN_IF_ERROR(ReadFrame(deadline).status());
  }
  return absl::OkStatus();
}

absl::Status Client::KeepAlive() {
  if (link_ == nullptr) return absl::UnavailableError(absl::StrCat(options_.node, ": not connected"));
  const absl::Status status = Drain(BootClock().Now() + std::chrono::milliseconds(500));
  if (status.ok()) return status;
  link_.reset();
  return Named(status, options_.node);
}

}  // namespace mainstay::erlang
