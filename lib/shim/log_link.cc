#include "lib/shim/log_link.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/shim/connection.h"

namespace mainstay::shim {
namespace {

constexpr uint32_t kHelloSeq = 1, kReadSeq = 2;

// Until `deadline`; for ever when it is never.
int PollMillis(MonoTime deadline) {
  if (deadline == MonoTime::Never()) return -1;
  const Duration left = std::max(deadline - BootClock().Now(), Duration::zero());
  return static_cast<int>(
      std::chrono::ceil<std::chrono::milliseconds>(std::min<Duration>(left, std::chrono::hours(1))).count());
}

}  // namespace

class LogLink::Impl {
 public:
  explicit Impl(std::string socket_path)
      : path(std::move(socket_path)), wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~Impl() {
    if (wake >= 0) close(wake);
  }

  absl::Status Receive(Frame* out, MonoTime deadline) {
    for (;;) {
      if (cancelled) return absl::CancelledError("shim: reading the log was cancelled");
      MAINSTAY_ASSIGN_OR_RETURN(const bool have, connection.Receive(out));
      if (have) return absl::OkStatus();
      if (BootClock().Now() >= deadline) return absl::DeadlineExceededError("shim: nothing came");
      pollfd fds[2] = {{connection.fd(), POLLIN, 0}, {wake, POLLIN, 0}};
      poll(fds, 2, PollMillis(deadline));
    }
  }

  absl::Status Ask(wire::Verb verb, uint32_t seq, const void* payload, size_t size, MonoTime deadline) {
    MAINSTAY_RETURN_IF_ERROR(connection.Send(verb, seq, payload, size));
    Frame frame;
    MAINSTAY_RETURN_IF_ERROR(Receive(&frame, deadline));
    if (frame.header.verb != wire::Verb::kReply || frame.header.seq != seq)
      return absl::InternalError("shim: an unexpected frame on the log's connection");
    return ToStatus(frame.header.code, "to read the database's log");
  }

  const std::string path;
  Connection connection;
  std::atomic<bool> cancelled{false};
  int wake = -1;
};

LogLink::LogLink(std::string socket_path) : impl_(std::make_unique<Impl>(std::move(socket_path))) {}
LogLink::~LogLink() = default;

absl::Status LogLink::Open(MonoTime deadline) {
  if (impl_->cancelled) return absl::CancelledError("shim: reading the log was cancelled");
  MAINSTAY_RETURN_IF_ERROR(impl_->connection.Open(impl_->path));
  const wire::Hello hello{wire::kProtocol, 0};
  MAINSTAY_RETURN_IF_ERROR(impl_->Ask(wire::Verb::kHello, kHelloSeq, &hello, sizeof hello, deadline));
  return impl_->Ask(wire::Verb::kReadLog, kReadSeq, nullptr, 0, deadline);
}

absl::StatusOr<LogBytes> LogLink::Next(MonoTime deadline) {
  Frame frame;
  MAINSTAY_RETURN_IF_ERROR(impl_->Receive(&frame, deadline));
  wire::LogChunk head{};
  const char* bytes = nullptr;
  size_t count = 0;
  if (frame.header.verb != wire::Verb::kLogChunk ||
      !wire::ParseLogChunk(frame.payload.data(), frame.payload.size(), &head, &bytes, &count)) {
    return absl::InternalError(absl::StrCat("shim: unexpected frame ", static_cast<int>(frame.header.verb),
                                            " on the log's connection"));
  }
  LogBytes out{head.lost_bytes, head.lost_lines, std::move(frame.payload)};
  out.bytes.erase(0, sizeof head);
  return out;
}

void LogLink::Close() { impl_->connection.Close(); }

void LogLink::Cancel() {
  impl_->cancelled = true;
  const uint64_t one = 1;
  if (write(impl_->wake, &one, sizeof one) < 0) return;  // full: it is awake already
}

}  // namespace mainstay::shim
