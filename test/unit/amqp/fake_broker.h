// A broker for tests that speaks as much AMQP 0-9-1 as the probe asks for, and misbehaves on demand. Not what
// a broker is: what a client must survive.
#ifndef MAINSTAY_TEST_UNIT_AMQP_FAKE_BROKER_H_
#define MAINSTAY_TEST_UNIT_AMQP_FAKE_BROKER_H_

#include <atomic>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>

namespace mainstay::amqp {

enum class Mode : uint8_t {
  kWell,
  kSilentHeader,  // accepts, says nothing
  kGarbage,       // answers something else
  kHalfFrame,     // begins a frame and never ends it
  kRefuseLogin,   // connection.close 403
  kRefuseVhost,   // connection.close 530
  kSilentLogin,   // says nothing to the login
  kHangUpLogin,   // closes the socket instead
  kSilentChannel,
  kRefuseQueue,    // channel.close 403
  kSilentConfirm,  // takes publishes, confirms none, delivers none
  kSilentDeliver,  // confirms, delivers nothing
  kNackOnce,       // refuses on the first channel of a connection only
  kNack,
  kReturn,           // no queue, then confirmed
  kMultiple,         // confirms and delivers an older message first
  kBlocked,          // connection.blocked at the first publish; takes no publish
  kCloseChannel,     // channel.close 406 at a publish
  kCloseConnection,  // connection.close 320 at a publish
  kHangUp,           // closes the socket at a publish
  kFlood,            // answers a publish with frames of another channel, for ever
};

class FakeBroker {
 public:
  FakeBroker();
  ~FakeBroker();
  uint16_t port() const { return port_; }
  void set(Mode mode) { mode_ = mode; }
  // Of all connections: the publishes that wait are answered now, and connection.unblocked is said.
  void Unblock() { unblock_ = true; }
  void Deliver() { release_ = true; }
  // The queue of every connection is deleted: basic.cancel.
  void Cancel() { cancel_ = true; }
  int connections() const { return connections_; }
  int publishes() const { return publishes_; }
  int acks() const { return acks_; }
  int queues() const { return queues_; }
  int close_oks() const { return close_oks_; }
  bool saw_password() const { return saw_password_; }
  bool claimed_blocked() const { return claimed_blocked_; }

 private:
  class Session;
  void Accept();

  int listen_ = -1;
  uint16_t port_ = 0;
  std::atomic<Mode> mode_{Mode::kWell};
  std::atomic<bool> stop_{false}, unblock_{false}, release_{false}, cancel_{false};
  std::atomic<int> connections_{0}, publishes_{0}, acks_{0}, queues_{0}, close_oks_{0};
  std::atomic<bool> saw_password_{false}, claimed_blocked_{false};
  std::list<std::thread> sessions_;
  std::thread accept_;
};

}  // namespace mainstay::amqp

#endif  // MAINSTAY_TEST_UNIT_AMQP_FAKE_BROKER_H_
