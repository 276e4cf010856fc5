// Client's inside, shared by client.cc and tool_call.cc.
#ifndef MAINSTAY_LIB_SHIM_CLIENT_IMPL_H_
#define MAINSTAY_LIB_SHIM_CLIENT_IMPL_H_

#include <atomic>
#include <string>

#include "lib/shim/client.h"
#include "lib/shim/connection.h"

namespace mainstay::shim {

class Client::Impl {
 public:
  explicit Impl(std::string socket_path);
  ~Impl();

  // Connects (again) and says hello.
  absl::Status Connect(MonoTime deadline);
  // Sends a request and waits for its answer. A frame that could not be delivered to a stale connection is
  // sent once more on a fresh one; a connection that breaks afterwards is kUnavailable.
  absl::StatusOr<Frame> Call(wire::Verb verb, const void* payload, size_t size, MonoTime deadline);
  // Call, with an answer that must be a T; a refusal is an error that names `what`.
  template <typename T>
  absl::StatusOr<T> CallFor(wire::Verb verb, const void* payload, size_t size, const std::string& what,
                            MonoTime deadline) {
    absl::StatusOr<Frame> frame = Call(verb, payload, size, deadline);
    if (!frame.ok()) return frame.status();
    if (frame->header.code != wire::Code::kOk) return ToStatus(frame->header.code, what);
    T out;
    if (!frame->As(&out)) return absl::InternalError("shim: an answer of the wrong size to " + what);
    return out;
  }
  // The next frame of `connection`; kDeadlineExceeded, kCancelled, or the connection's error.
  absl::Status Next(Connection* connection, Frame* out, MonoTime deadline, bool cancellable = true);
  absl::Status Hello(Connection* connection, uint64_t* nonce, MonoTime deadline);

  const std::string path;
  Connection connection;
  uint32_t seq = 0;
  uint64_t nonce = 0;
  std::atomic<bool> cancelled{false};
  int wake = -1;  // eventfd: Cancel() from another thread
};

}  // namespace mainstay::shim

#endif  // MAINSTAY_LIB_SHIM_CLIENT_IMPL_H_
