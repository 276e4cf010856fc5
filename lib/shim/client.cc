#include "lib/shim/client.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/shim/client_impl.h"

namespace mainstay::shim {
namespace {

constexpr Duration kConnectPause = std::chrono::milliseconds(20);

int PollMillis(MonoTime deadline) {
  const Duration left = deadline - BootClock().Now();
  if (left <= Duration::zero()) return 0;
  const auto ms =
      std::chrono::ceil<std::chrono::milliseconds>(std::min<Duration>(left, std::chrono::hours(1)));
  return static_cast<int>(ms.count());
}

}  // namespace

Client::Impl::Impl(std::string socket_path)
    : path(std::move(socket_path)), wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Client::Impl::~Impl() {
  if (wake >= 0) close(wake);
}

absl::Status Client::Impl::Next(Connection* c, Frame* out, MonoTime deadline, bool cancellable) {
  for (;;) {
    if (cancellable && cancelled) return absl::CancelledError("shim: the call was cancelled");
    MAINSTAY_ASSIGN_OR_RETURN(const bool have, c->Receive(out));
    if (have) return absl::OkStatus();
    if (BootClock().Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("shim: no answer in time on ", path, "; whether it was carried out is unknown"));
    }
    pollfd fds[2] = {{c->fd(), POLLIN, 0}, {wake, POLLIN, 0}};
    poll(fds, cancellable ? 2 : 1, PollMillis(deadline));
  }
}

absl::Status Client::Impl::Hello(Connection* c, uint64_t* nonce_out, MonoTime deadline) {
  const wire::Hello hello{wire::kProtocol, 0};
  const uint32_t mine = ++seq;
  MAINSTAY_RETURN_IF_ERROR(c->Send(wire::Verb::kHello, mine, &hello, sizeof hello));
  Frame frame;
  do {
    MAINSTAY_RETURN_IF_ERROR(Next(c, &frame, deadline));
  } while (frame.header.verb != wire::Verb::kReply || frame.header.seq != mine);
  wire::Welcome welcome;
  if (frame.header.code != wire::Code::kOk) return ToStatus(frame.header.code, "hello");
  if (!frame.As(&welcome)) return absl::InternalError("shim: malformed welcome");
  *nonce_out = welcome.nonce;
  return absl::OkStatus();
}

absl::Status Client::Impl::Connect(MonoTime deadline) {
  if (connection.fd() >= 0) return absl::OkStatus();
  for (;;) {
    absl::Status status = connection.Open(path);
    if (status.ok()) {
      status = Hello(&connection, &nonce, deadline);
      if (status.ok()) return status;
      connection.Close();
    }
    // A shim that is just starting is worth waiting for; a refusal is not.
    if (!absl::IsUnavailable(status) || BootClock().Now() + kConnectPause >= deadline) return status;
    if (cancelled) return absl::CancelledError("shim: the call was cancelled");
    pollfd wait{wake, POLLIN, 0};
    poll(&wait, 1, static_cast<int>(kConnectPause / std::chrono::milliseconds(1)));
  }
}

absl::StatusOr<Frame> Client::Impl::Call(wire::Verb verb, const void* payload, size_t size,
                                         MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(Connect(deadline));
  const uint32_t mine = ++seq;
  absl::Status sent = connection.Send(verb, mine, payload, size);
  if (absl::IsUnavailable(sent)) {
    MAINSTAY_RETURN_IF_ERROR(Connect(deadline));
    sent = connection.Send(verb, mine, payload, size);
  }
  MAINSTAY_RETURN_IF_ERROR(sent);
  Frame frame;
  for (;;) {  // answers to requests given up on, and rests of a cancelled tool, may come first
    MAINSTAY_RETURN_IF_ERROR(Next(&connection, &frame, deadline));
    if (frame.header.verb == wire::Verb::kReply && frame.header.seq == mine) return frame;
  }
}

Client::Client(std::string socket_path) : impl_(std::make_unique<Impl>(std::move(socket_path))) {}
Client::~Client() = default;

absl::Status Client::Connect(MonoTime deadline) { return impl_->Connect(deadline); }
uint64_t Client::nonce() const { return impl_->nonce; }

void Client::Cancel() {
  impl_->cancelled = true;
  const uint64_t one = 1;
  if (write(impl_->wake, &one, sizeof one) < 0) return;  // full: it is awake already
}

void Client::ClearCancel() {
  uint64_t count;
  while (read(impl_->wake, &count, sizeof count) > 0) {
  }
  impl_->cancelled = false;
}

absl::StatusOr<State> Client::GetState(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const auto state,
                            impl_->CallFor<wire::State>(wire::Verb::kState, nullptr, 0, "state", deadline));
  return FromWire(state);
}

absl::Status Client::Arm(MonoTime until, Epoch epoch, MonoTime deadline) {
  const int64_t sent = BootClock().Now().nanos();
  const wire::Arm arm{until.nanos(), epoch, sent, until.nanos() - sent};
  return impl_
      ->CallFor<wire::ArmedEvent>(wire::Verb::kArm, &arm, sizeof arm, absl::StrCat("to arm epoch ", epoch),
                                  deadline)
      .status();
}

absl::StatusOr<uint32_t> Client::Start(StartKind kind, Epoch epoch, MonoTime deadline) {
  const wire::Start start{kind, wire::kAnyStart, epoch};
  MAINSTAY_ASSIGN_OR_RETURN(const Frame frame,
                            impl_->Call(wire::Verb::kStart, &start, sizeof start, deadline));
  wire::Started started{};
  if (!frame.As(&started)) return absl::InternalError("shim: an answer of the wrong size to start");
  if (frame.header.code == wire::Code::kExec) {
    return ToStatus(frame.header.code,
                    absl::StrCat("to start the database (", strerror(started.detail), ")"));
  }
  MAINSTAY_RETURN_IF_ERROR(ToStatus(frame.header.code, "to start the database"));
  return started.starts;
}

absl::Status Client::Signal(SignalKind kind, std::optional<uint32_t> starts, MonoTime deadline) {
  const wire::Signal signal{kind, starts.value_or(wire::kAnyStart)};
  MAINSTAY_ASSIGN_OR_RETURN(const Frame frame,
                            impl_->Call(wire::Verb::kSignal, &signal, sizeof signal, deadline));
  return ToStatus(frame.header.code, "to signal the database");
}

absl::StatusOr<Exited> Client::Stop(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const State state, GetState(deadline));
  if (!state.running()) return state.last_exit.value_or(Exited{});
  absl::Status status = Signal(SignalKind::kFast, state.starts, deadline);
  // Gone in between is as good.
  if (!status.ok() && RefusalCode(status) != wire::Code::kNotRunning) return status;
  return WaitExit(state.starts, deadline);
}

absl::Status Client::Disarm(Epoch epoch, MonoTime deadline) {
  const wire::Disarm disarm{epoch};
  MAINSTAY_ASSIGN_OR_RETURN(const Frame frame,
                            impl_->Call(wire::Verb::kDisarm, &disarm, sizeof disarm, deadline));
  return ToStatus(frame.header.code, "to end the deadline");
}

absl::Status Client::Kill(MonoTime deadline) {
  const wire::Kill kill{wire::kAnyStart, 0};
  absl::StatusOr<Frame> frame = impl_->Call(wire::Verb::kKill, &kill, sizeof kill, deadline);
  if (!frame.ok()) {
    impl_->connection
        .Close();  // the shim answers a kill late; a second one on the same connection would be refused
    return frame.status();
  }
  return ToStatus(frame->header.code, "to kill");
}

absl::StatusOr<Exited> Client::WaitExit(uint32_t starts, MonoTime deadline) {
  // On a connection of its own: this one stays free of events.
  Connection events;
  uint64_t nonce = 0;
  MAINSTAY_RETURN_IF_ERROR(events.Open(impl_->path));
  MAINSTAY_RETURN_IF_ERROR(impl_->Hello(&events, &nonce, deadline));
  MAINSTAY_RETURN_IF_ERROR(events.Send(wire::Verb::kSubscribe, ++impl_->seq, nullptr, 0));
  MAINSTAY_RETURN_IF_ERROR(events.Send(wire::Verb::kState, ++impl_->seq, nullptr, 0));
  const uint32_t state_seq = impl_->seq;
  for (;;) {
    Frame frame;
    MAINSTAY_RETURN_IF_ERROR(impl_->Next(&events, &frame, deadline));
    wire::ExitedEvent exited;
    if (frame.header.verb == wire::Verb::kExited && frame.As(&exited) && exited.starts == starts)
      return FromWire(exited);
    wire::State raw;
    if (frame.header.verb != wire::Verb::kReply || frame.header.seq != state_seq || !frame.As(&raw)) continue;
    const State state = FromWire(raw);
    if (state.last_exit.has_value() && state.last_exit->starts == starts) return *state.last_exit;
    if (!state.running() || state.starts != starts) {
      return absl::FailedPreconditionError(
          absl::StrCat("shim: start ", starts, " does not run and its end is not the last one known"));
    }
  }
}

}  // namespace mainstay::shim
