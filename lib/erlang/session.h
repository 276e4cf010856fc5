// A Client that connects by itself when a call needs it, with a growing pause after what failed.
//
// Thread rules and errors as Client; within the pause a call fails at once with the error of the last
// attempt. A call's deadline covers the connecting.
#ifndef MAINSTAY_LIB_ERLANG_SESSION_H_
#define MAINSTAY_LIB_ERLANG_SESSION_H_

#include <vector>

#include "lib/erlang/client.h"

namespace mainstay::erlang {

class Session : public Caller {
 public:
  explicit Session(ClientOptions options) : client_(std::move(options)) {}

  absl::StatusOr<Term> Call(absl::string_view module, absl::string_view function, std::vector<Term> arguments,
                            Duration deadline = kCallDeadline) override;
  // At least every 15 s; does nothing without a connection.
  void KeepAlive();
  bool connected() const { return client_.connected(); }
  void Close() { client_.Close(); }

 private:
  absl::Status EnsureConnected(Duration deadline);

  Client client_;
  Backoff backoff_;
  absl::Status last_;  // why the last attempt to connect failed
};

}  // namespace mainstay::erlang

#endif  // MAINSTAY_LIB_ERLANG_SESSION_H_
