// Calls to an Erlang node, as rpc:call does them, without an Erlang here: one connection, one call at a time.
//
//   Client client({.node = "rabbit@host", .self = "mainstay-5f3a@host", .cookie_file = "/run/cookie"});
//   MAINSTAY_RETURN_IF_ERROR(client.Connect(3s));
//   MAINSTAY_ASSIGN_OR_RETURN(Term alarms, client.Call("rabbit_alarm", "get_alarms", {}, 3s));
//
// Whoever gets an error of the connection finds it closed and connects anew, with a pause that grows
// (Backoff). Between calls KeepAlive must run at least every 15 s: a node drops who does not answer its ticks
// for 60.
//
// Thread rules: one thread at a time; a call blocks up to its deadline and 10 ms, never longer, whatever the
// node does. Errors name the node, the call and what to do. What they say about the call:
// - kUnavailable: not done: not connected, refused, closed before it was sent, or the node is down.
// - kUnauthenticated, kPermissionDenied, kAlreadyExists, kFailedPrecondition: of the handshake (link.h).
// - kDeadlineExceeded, kUnknown: no answer in time, or the connection ended first; it may have been done.
// - kUnimplemented: that version has no such function.
// - kFailedPrecondition: what answers is not running there (RabbitMQ is stopped or not yet up).
// - kResourceExhausted, kDataLoss, kOutOfRange: an answer that is too large or that cannot be read.
// - kInternal: the function failed; the text is Erlang's reason.
#ifndef MAINSTAY_LIB_ERLANG_CLIENT_H_
#define MAINSTAY_LIB_ERLANG_CLIENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"
#include "lib/erlang/epmd.h"
#include "lib/erlang/link.h"
#include "lib/erlang/protocol.h"
#include "lib/erlang/term.h"

namespace mainstay::erlang {

struct ClientOptions {
  std::string node;                   // "rabbit@host"
  std::string self;                   // ours, by MakeSelf(node); when it is taken, another is made
  std::string address = "127.0.0.1";  // numeric
  uint16_t port = 0;                  // of the node's distribution; 0: epmd is asked
  uint16_t epmd_port = kEpmdPort;
  std::string cookie_file;              // read at each Connect: cookies are rotated
  size_t max_answer = size_t{8} << 20;  // bytes
};

// "mainstay-5f3a21c0@host", with the host of `node`: a new one each time.
std::string MakeSelf(absl::string_view node);

class Client : public Caller {
 public:
  explicit Client(ClientOptions options);

  absl::Status Connect(Duration deadline = kCallDeadline);
  bool connected() const { return link_ != nullptr; }
  void Close() { link_.reset(); }

  absl::StatusOr<Term> Call(absl::string_view module, absl::string_view function, std::vector<Term> arguments,
                            Duration deadline = kCallDeadline) override;
  // Answers the node's ticks. kUnavailable: it has ended the connection.
  absl::Status KeepAlive();

 private:
  absl::Status TryConnect(MonoTime deadline);
  absl::StatusOr<Term> TryCall(absl::string_view module, absl::string_view function,
                               std::vector<Term> arguments, MonoTime deadline);
  absl::StatusOr<Term> Await(const Term& self, MonoTime deadline);
  absl::StatusOr<std::string> ReadFrame(MonoTime deadline);
  // Takes what lies there already.
  absl::Status Drain(MonoTime deadline);

  ClientOptions options_;
  std::unique_ptr<Link> link_;
};

// How long to wait before the next attempt to connect: 0.1 s at first, doubling up to 5 s.
class Backoff {
 public:
  void Failed(MonoTime now);
  void Succeeded() { *this = Backoff(); }
  bool Due(MonoTime now) const { return now >= next_; }
  MonoTime next() const { return next_; }

 private:
  Duration pause_ = std::chrono::milliseconds(100);
  MonoTime next_;
};

}  // namespace mainstay::erlang

#endif  // MAINSTAY_LIB_ERLANG_CLIENT_H_
