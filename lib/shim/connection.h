// One connection to the shim's socket; non-blocking. Internal to lib/shim: Client and FenceLink are what
// others use.
#ifndef MAINSTAY_LIB_SHIM_CONNECTION_H_
#define MAINSTAY_LIB_SHIM_CONNECTION_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/shim/client.h"
#include "lib/shim/wire.h"

namespace mainstay::shim {

struct Frame {
  wire::Header header{};
  std::string payload;
  // Its payload as T; false unless it has exactly T's size.
  template <typename T>
  bool As(T* out) const {
    return wire::ParsePayload(payload.data(), payload.size(), out);
  }
};

class Connection {
 public:
  Connection() = default;
  ~Connection() { Close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // kUnavailable when nobody listens or the backlog is full: try again later.
  absl::Status Open(const std::string& path);
  void Close();
  int fd() const { return fd_; }
  // The last Open failed because nobody listens at the socket any more: whoever did has ended.
  bool refused() const { return refused_; }

  // kUnavailable: broken (the frame was not delivered), or the shim does not read.
  absl::Status Send(wire::Verb verb, uint32_t seq, const void* payload, size_t size);
  // True: a frame; false: nothing there yet. kUnavailable: closed by the shim; kInternal: not a frame of
  // ours.
  absl::StatusOr<bool> Receive(Frame* out);

 private:
  int fd_ = -1;
  bool refused_ = false;
};

// The shim's refusal as a Status that RefusalCode can read; OK for kOk.
absl::Status ToStatus(wire::Code code, const std::string& what);

MonoTime FromWire(int64_t ns);  // 0 is the distant past
Exited FromWire(const wire::ExitedEvent& event);
Fenced FromWire(const wire::FencedEvent& event);
State FromWire(const wire::State& state);

}  // namespace mainstay::shim

#endif  // MAINSTAY_LIB_SHIM_CONNECTION_H_
