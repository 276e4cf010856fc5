// The end-to-end probe of an AMQP broker: does a message that a client publishes come back to it? One message
// a check, over one connection that is kept: published (mandatory), confirmed, delivered, acknowledged, known
// by its nonce.
//
//   Probe probe({.endpoint = {.port = 5672, .vhost = "_mainstay", .name = "mainstay-probe@rabbit@a"},
//                .login = [] { return ReadLogin(user_file, password_file); }});
//   Result r = probe.Check(BootClock().Now() + 5s);      // every 5 to 10 s
//   verdict = Fold(verdict, r);
//
// - The queue is exclusive, named by the broker, classic: it lives on the node that is asked, needs no
//   right to place it, and is gone with the connection.
// - Blocked (alarm of memory or disk) is found, named and waited out without publishing more.
// - A refused (nacked) or returned message is tried once more on a new channel before it counts: brokers 3.10
//   and 3.11 refuse for ever on a channel whose queue's leader died (Result::stale_nacks).
// - A message that is not answered stays on its way; the next check waits for it. So a frozen broker has
//   one of ours to answer, however long it stands, and is seen to live again at once. After `silence` in at
//   least four checks the connection is given up.
// - Connecting is repeated with a growing pause; a check meanwhile returns at once (Result::skipped).
// - Once in `fresh_every` a second connection is made and closed: the entrance is still open to newcomers.
//
// A check ends by its deadline. Nothing here starts a process or resolves a name, and no secret is in any
// text.
//
// Thread rules: one thread at a time.
#ifndef MAINSTAY_LIB_AMQP_PROBE_H_
#define MAINSTAY_LIB_AMQP_PROBE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "lib/amqp/connection.h"
#include "lib/amqp/login.h"
#include "lib/amqp/round.h"
#include "lib/amqp/verdict.h"
#include "lib/base/time.h"

namespace mainstay::amqp {

struct ProbeOptions {
  Endpoint endpoint;
  LoginSource login;
  Duration open_timeout = std::chrono::seconds(3);     // connect, log in, have a queue
  Duration confirm_timeout = std::chrono::seconds(2);  // from the publish, or from the check's begin
  Duration deliver_timeout = std::chrono::seconds(2);  // from the confirm
  Duration silence = std::chrono::seconds(20);
  Duration first_pause = std::chrono::seconds(1);
  Duration longest_pause = std::chrono::seconds(10);
  Duration fresh_every = std::chrono::minutes(1);  // zero: never
};

class Probe {
 public:
  explicit Probe(ProbeOptions options);

  Result Check(MonoTime deadline);
  // The broker was seen to answer somebody: the next check connects without waiting.
  void Hurry() { next_try_ = MonoTime(); }
  // Gives the connection back, and with it the queue.
  void Close(MonoTime deadline);
  // "3.10.8", of the last login; "" when there was none.
  const std::string& server_version() const { return server_version_; }
  uint64_t connections() const { return connections_; }

 private:
  void Run(Result* r, MonoTime deadline);
  bool Enter(Result* r, MonoTime deadline);
  Trouble Prepare(MonoTime deadline, Step* step);
  bool Listen(Result* r);
  bool Turn(Result* r, MonoTime deadline);
  bool Publish(Result* r, MonoTime deadline);
  void Await(Result* r, MonoTime deadline);
  void TimedOut(Result* r);
  Trouble Handle(const Event& event);
  void TestEntrance(Result* r, MonoTime deadline);
  void PutOff(const Result& r);

  const ProbeOptions options_;
  Connection connection_;
  std::string queue_;  // "": there is none
  std::optional<Round> round_;
  bool paused_ = false;  // the round was blocked for a while
  int silent_ = 0;       // checks in a row that the round was waited for in vain
  Blocked blocked_;
  const std::string nonce_;
  uint64_t messages_ = 0;
  uint64_t connections_ = 0;
  std::string server_version_;
  Duration pause_;
  MonoTime next_try_;
  MonoTime entrance_at_;  // of the last connection that was made
  Trouble last_;          // of the last try to connect
  Step last_step_ = Step::kConnect;
};

}  // namespace mainstay::amqp

#endif  // MAINSTAY_LIB_AMQP_PROBE_H_
