// One message on its way: published, confirmed by the broker, delivered back to us. Takes what comes from the
// broker as data and says what to do next: no I/O, no clock. Used by the probe and its tests.
//
//   Round round(1, "c0ffee-7", now);
//   round.Feed(event, now);
//   while (auto tag = round.TakeAck()) connection.Ack(*tag);   // also what came of earlier rounds
//   if (round.done()) ...; if (!round.trouble().ok()) ...
//
// Confirm and delivery come in either order, confirms may be `multiple`, and a message of an earlier round
// that timed out may still come: it is acknowledged and is nobody's.
//
// Thread rules: plain value, one thread.
#ifndef MAINSTAY_LIB_AMQP_ROUND_H_
#define MAINSTAY_LIB_AMQP_ROUND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/amqp/verdict.h"
#include "lib/base/time.h"

namespace mainstay::amqp {

// What the broker sent that is not an answer to a call.
struct Event {
  enum class Kind : uint8_t {
    kAck,
    kNack,
    kReturn,   // code, text
    kDeliver,  // tag, body
    kCancel,   // our consumer: its queue is gone
    kBlocked,  // text
    kUnblocked,
    kChannelClose,     // code, text
    kConnectionClose,  // code, text
    kOther,
  };
  Kind kind = Kind::kOther;
  uint64_t tag = 0;
  bool multiple = false;
  int code = 0;
  std::string text;
  std::string body;
  std::string key;                                           // kDeliver: the routing key
  std::vector<std::pair<std::string, std::string>> headers;  // kDeliver: as text (table.h), the first 64
};

class Round {
 public:
  // `tag`: the number of the publish on its channel, from 1.
  Round(uint64_t tag, std::string nonce, MonoTime published)
      : tag_(tag), nonce_(std::move(nonce)), published_(published) {}

  void Feed(const Event& event, MonoTime now);

  bool confirmed() const { return confirmed_.has_value(); }
  bool delivered() const { return delivered_.has_value(); }
  bool done() const { return confirmed() && delivered(); }
  // Since the publish.
  std::optional<Duration> confirm_took() const { return confirmed_; }
  std::optional<Duration> deliver_took() const { return delivered_; }
  MonoTime published() const { return published_; }
  // kNacked, kReturned, kClosed (the channel), kLost (the consumer was cancelled).
  const Trouble& trouble() const { return trouble_; }
  Step step() const { return confirmed() ? Step::kDeliver : Step::kConfirm; }
  // Deliveries to acknowledge, one after the other.
  std::optional<uint64_t> TakeAck();

 private:
  bool Covers(const Event& event) const {
    return event.multiple ? event.tag == 0 || event.tag >= tag_ : event.tag == tag_;
  }

  const uint64_t tag_;
  const std::string nonce_;
  const MonoTime published_;
  std::optional<Duration> confirmed_;
  std::optional<Duration> delivered_;
  std::vector<uint64_t> acks_;
  Trouble trouble_;
};

}  // namespace mainstay::amqp

#endif  // MAINSTAY_LIB_AMQP_ROUND_H_
