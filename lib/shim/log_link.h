// The agent's connection for the database's output (standard output and error), as bytes in their order.
//
//   LogLink link(socket);
//   MAINSTAY_RETURN_IF_ERROR(link.Open(deadline));
//   for (;;) { auto chunk = link.Next(deadline); ... }
//
// A connection of its own: one that is not read fills up, and the shim then drops what comes and counts it,
// without touching the fence's connection or the database. Errors: kUnavailable (no shim, or the connection
// broke), kFailedPrecondition (the database's log goes to a file: RefusalCode kNoLog), kDeadlineExceeded
// (nothing came), kCancelled. Thread rules: one thread, except Cancel().
#ifndef MAINSTAY_LIB_SHIM_LOG_LINK_H_
#define MAINSTAY_LIB_SHIM_LOG_LINK_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"

namespace mainstay::shim {

struct LogBytes {
  uint64_t lost_bytes = 0;  // dropped directly before `bytes`
  uint32_t lost_lines = 0;  // line breaks in it
  std::string bytes;
};

class LogLink {
 public:
  explicit LogLink(std::string socket_path);
  ~LogLink();
  LogLink(const LogLink&) = delete;
  LogLink& operator=(const LogLink&) = delete;

  absl::Status Open(MonoTime deadline);
  // The next bytes; MonoTime::Never() waits without ever waking up for nothing.
  absl::StatusOr<LogBytes> Next(MonoTime deadline);
  void Close();

  // Any thread: the running call and all later ones return kCancelled.
  void Cancel();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace mainstay::shim

#endif  // MAINSTAY_LIB_SHIM_LOG_LINK_H_
