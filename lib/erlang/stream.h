// A TCP connection on which no operation outlasts its deadline: the socket never blocks, poll(2) waits.
//
// Also against a frozen process (the kernel still accepts for it) and a peer whose machine is gone.
// Thread rules: one thread at a time. Errors: kUnavailable (refused, unreachable, closed by the other side),
// kDeadlineExceeded, kInvalidArgument (no address). None names more than the address: callers say what for.
#ifndef MAINSTAY_LIB_ERLANG_STREAM_H_
#define MAINSTAY_LIB_ERLANG_STREAM_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/file.h"
#include "lib/base/time.h"

namespace mainstay::erlang {

class Stream {
 public:
  Stream() = default;
  // `address` is numeric (IPv4 or IPv6) or "localhost" (127.0.0.1): looking up names has no deadline.
  static absl::StatusOr<Stream> Connect(const std::string& address, uint16_t port, MonoTime deadline);

  bool valid() const { return fd_.valid(); }
  int fd() const { return fd_.get(); }
  void Close() { fd_.reset(); }

  absl::Status WriteAll(absl::string_view data, MonoTime deadline);
  // One to `size` bytes.
  absl::StatusOr<size_t> ReadSome(char* buffer, size_t size, MonoTime deadline);
  absl::Status ReadAll(char* buffer, size_t size, MonoTime deadline);
  // Something is there to be read (also: the end).
  bool Readable() const;

 private:
  explicit Stream(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace mainstay::erlang

#endif  // MAINSTAY_LIB_ERLANG_STREAM_H_
