// One AMQP connection over librabbitmq 0.11 that never waits past a deadline. What that library leaves to its
// users, and where that is done here:
//
//   - its calls wait for ever by default, and its sends always: every call is given what is left of the
//     deadline, and a send is begun only when the socket has room for it;
//   - it resolves names without a deadline: only addresses are taken ("localhost" is 127.0.0.1);
//   - it has no thread, so heartbeats are sent only while somebody waits: none are asked for, as every
//     step has a deadline of its own and the kernel tells when the other end dies;
//   - it claims few capabilities, and a broker says connection.blocked only to those who claim it: all are;
//   - it knows no confirms, and its reader of deliveries waits for ever: frames become Events here;
//   - closes must be answered, or the broker keeps the channel's number: they are.
//
//   Connection c;
//   Trouble t = c.Open(options, deadline);
//   t = c.OpenChannel(deadline); ...; t = c.Publish(queue, nonce, deadline);
//   Event e; t = c.Next(deadline, &e);      // kTimeout: nothing came
//
// After kTimeout of Next the connection is as good as before; after any other trouble it is closed, but for a
// channel that the broker closed.
//
// Thread rules: one thread at a time. Nothing is ever started or resolved.
#ifndef MAINSTAY_LIB_AMQP_CONNECTION_H_
#define MAINSTAY_LIB_AMQP_CONNECTION_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "lib/amqp/login.h"
#include "lib/amqp/round.h"
#include "lib/amqp/tls.h"
#include "lib/amqp/verdict.h"
#include "lib/base/time.h"

struct amqp_connection_state_t_;
struct amqp_frame_t_;
struct amqp_rpc_reply_t_;

namespace mainstay::amqp {

struct Endpoint {
  std::string address = "127.0.0.1";  // or "::1", "localhost"; no names
  uint16_t port = 5672;
  std::string vhost = "/";
  std::string name;             // what the broker's lists call the connection
  std::optional<TlsFiles> tls;  // plain text without
  int frame_max = 8192;         // bytes; a message's headers must fit into one frame
};

// A queue for members that all consume from it, one at a time: durable, replicated (quorum), with a single
// active consumer; what is over `max_length` is dropped, the oldest first.
struct SharedQueue {
  std::string name;
  int64_t max_length = 100000;
};

class Connection {
 public:
  Connection() = default;
  ~Connection() { Close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Connected and logged in; `step` tells how far it came.
  Trouble Open(const Endpoint& endpoint, const Login& login, MonoTime deadline, Step* step);
  bool open() const { return state_ != nullptr; }
  int fd() const;  // of the socket, for who wants to shut it down from another thread; -1: not open
  // Says goodbye when there is time for it; a second of patience at most.
  void CloseKindly(MonoTime deadline);
  void Close();

  // A channel with publisher confirms; the last one, if any, is given up.
  Trouble OpenChannel(MonoTime deadline);
  bool channel() const { return channel_ != 0; }
  // A queue of this connection alone, named by the broker, gone with it: it lives on the node that we talk
  // to, whatever the placement of queues is set to.
  Trouble DeclareQueue(MonoTime deadline, std::string* name);
  // Fine when it is there already with the same arguments.
  Trouble DeclareShared(const SharedQueue& queue, MonoTime deadline);
  Trouble Bind(const std::string& queue, const std::string& exchange, const std::string& key,
               MonoTime deadline);
  Trouble Consume(const std::string& queue, MonoTime deadline, bool exclusive = true);

  // To the default exchange, mandatory. Numbers of publishes on a channel count from 1: published().
  Trouble Publish(const std::string& queue, const std::string& body, MonoTime deadline);
  uint64_t published() const { return published_; }
  Trouble Ack(uint64_t delivery, MonoTime deadline);
  // The next event of the connection or of its channel; those of channels that were given up are left out.
  Trouble Next(MonoTime deadline, Event* event);

  // "3.10.8"; "" before Open.
  const std::string& server_version() const { return server_version_; }

 private:
  Trouble Connect(const Endpoint& endpoint, MonoTime deadline);
  Trouble ConnectPlain(const Endpoint& endpoint, const std::string& address, MonoTime deadline);
  Trouble ConnectTls(const Endpoint& endpoint, const std::string& address, MonoTime deadline);
  Trouble LogIn(const Endpoint& endpoint, const Login& login, MonoTime deadline);
  void ReadServer();
  Trouble Room(MonoTime deadline);
  Trouble Broken(int status, Step step);
  Trouble Judge(const amqp_rpc_reply_t_& reply, Step step);
  void SetPatience(MonoTime deadline);
  bool Take(const amqp_frame_t_& frame, Event* event);
  bool TakeMethod(const amqp_frame_t_& frame, Event* event);
  bool TakeContent(const amqp_frame_t_& frame, Event* event);
  void AnswerClose(uint16_t channel, uint32_t method);

  amqp_connection_state_t_* state_ = nullptr;
  uint16_t channel_ = 0;  // 0: none
  uint16_t last_channel_ =
      0;  // numbers go round, so that a late frame of a channel that was given up is known
  uint64_t published_ = 0;
  std::string server_version_;
  // A delivery or a return whose content is on its way.
  std::optional<Event> partial_;
  uint64_t missing_ = 0;
  bool header_seen_ = false;
};

}  // namespace mainstay::amqp

#endif  // MAINSTAY_LIB_AMQP_CONNECTION_H_
