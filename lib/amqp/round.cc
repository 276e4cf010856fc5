#include "lib/amqp/round.h"

#include <utility>

#include "lib/base/strings.h"

namespace mainstay::amqp {

void Round::Feed(const Event& event, MonoTime now) {
  using Kind = Event::Kind;
  switch (event.kind) {
    case Kind::kAck:
      if (Covers(event) && !confirmed_) confirmed_ = now - published_;
      return;
    case Kind::kNack:
      if (Covers(event) && !confirmed_)
        trouble_ = {
            .failure = Failure::kNacked, .code = 0, .text = "the queue is full, or its process is gone"};
      return;
    case Kind::kReturn:
      // After it comes an ack: the broker has done all that it could.
      trouble_ = {.failure = Failure::kReturned, .code = event.code, .text = Cut(event.text, 300)};
      return;
    case Kind::kDeliver:
      acks_.push_back(event.tag);
      if (event.body == nonce_ && !delivered_) delivered_ = now - published_;
      return;
    case Kind::kCancel:
      trouble_ = {.failure = Failure::kLost, .code = 0, .text = "the probe's queue was deleted"};
      return;
    case Kind::kChannelClose:
      trouble_ = FromClose(event.code, event.text, step());
      return;
    case Kind::kBlocked:
    case Kind::kUnblocked:
    case Kind::kConnectionClose:
    case Kind::kOther:
      return;  // of the connection
  }
}

std::optional<uint64_t> Round::TakeAck() {
  if (acks_.empty()) return std::nullopt;
  const uint64_t tag = acks_.front();
  acks_.erase(acks_.begin());
  return tag;
}

}  // namespace mainstay::amqp
