#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/shim/client.h"
#include "lib/shim/connection.h"

namespace mainstay::shim {
namespace {

constexpr Duration kReconnectPause = std::chrono::milliseconds(200);
// A process that is being killed closes its socket some milliseconds after its connections.
constexpr Duration kLookPause = std::chrono::milliseconds(20);
constexpr int kLooks = 10;
constexpr int kFramesPerCall = 64;

// What a sequence number was used for is in its low two bits, so that an answer needs no table to be
// understood.
enum Kind : uint32_t { kHelloSeq = 0, kSubscribeSeq = 1, kStateSeq = 2, kArmSeq = 3 };

}  // namespace

class FenceLink::Impl {
 public:
  Impl(std::string socket_path, const Clock& time) : path(std::move(socket_path)), clock(time) {}

  uint32_t Next(Kind kind) { return (++count << 2) | kind; }
  absl::Status SendState() { return connection.Send(wire::Verb::kState, Next(kStateSeq), nullptr, 0); }

  // Connects when it is time to; says everything at once, as the shim answers in order.
  absl::Status TryConnect() {
    const MonoTime now = clock.Now();
    if (now < next_try) return absl::UnavailableError("shim: waiting before the next attempt to connect");
    const bool look = lost_mode.has_value() && looks > 0;
    if (look) looks--;
    next_try = now + (look ? kLookPause : kReconnectPause);
    MAINSTAY_RETURN_IF_ERROR(connection.Open(path));
    const wire::Hello hello{wire::kProtocol, 0};
    MAINSTAY_RETURN_IF_ERROR(connection.Send(wire::Verb::kHello, Next(kHelloSeq), &hello, sizeof hello));
    MAINSTAY_RETURN_IF_ERROR(connection.Send(wire::Verb::kSubscribe, Next(kSubscribeSeq), nullptr, 0));
    return SendState();
  }

  void Lost(const absl::Status& why, std::vector<FenceEvent>* out) {
    connection.Close();
    // Told once; nobody was told of a connection that never came to be.
    if (told) {
      out->push_back(Disconnected{std::string(why.message())});
      next_try = MonoTime();  // at once: whether anybody still listens there tells much
      lost_mode = mode;
      looks = kLooks;
    }
    told = false;
  }

  void SeeEnd(std::vector<FenceEvent>* out) {
    if (!lost_mode.has_value() || !connection.refused()) return;
    out->push_back(Ended{*lost_mode != wire::Mode::kSession});
    lost_mode.reset();
  }

  absl::Status OnReply(const Frame& frame, std::vector<FenceEvent>* out) {
    switch (static_cast<Kind>(frame.header.seq & 3)) {
      case kHelloSeq:
        return ToStatus(frame.header.code, "hello");
      case kSubscribeSeq:
        return ToStatus(frame.header.code, "events");
      case kStateSeq: {
        wire::State state;
        if (!frame.As(&state)) return absl::InternalError("shim: malformed state");
        told = true;
        mode = state.mode;
        lost_mode.reset();
        out->push_back(Connected{FromWire(state)});
        return absl::OkStatus();
      }
      case kArmSeq: {
        wire::ArmedEvent armed;
        if (!frame.As(&armed)) return absl::InternalError("shim: malformed answer to arm");
        if (frame.header.code == wire::Code::kOk) {
          out->push_back(Armed{FromWire(armed.until), armed.epoch});
        } else {
          out->push_back(Refused{FromWire(armed.until), armed.epoch, frame.header.code});
        }
        return absl::OkStatus();
      }
    }
    return absl::OkStatus();
  }

  absl::Status OnFrame(const Frame& frame, std::vector<FenceEvent>* out) {
    wire::ArmedEvent armed;
    wire::ExitedEvent exited;
    wire::FencedEvent fenced;
    wire::Terminating terminating;
    switch (frame.header.verb) {
      case wire::Verb::kReply:
        return OnReply(frame, out);
      case wire::Verb::kArmed:
        if (!frame.As(&armed)) break;
        out->push_back(Armed{FromWire(armed.until), armed.epoch});
        return absl::OkStatus();
      case wire::Verb::kExited:
        if (!frame.As(&exited)) break;
        out->push_back(FromWire(exited));
        return absl::OkStatus();
      case wire::Verb::kFenced:
        if (!frame.As(&fenced)) break;
        out->push_back(FromWire(fenced));
        return absl::OkStatus();
      case wire::Verb::kTerminating:
        if (!frame.As(&terminating)) break;
        out->push_back(Terminating{FromWire(terminating.stop_at), FromWire(terminating.kill_at)});
        return absl::OkStatus();
      default:
        break;
    }
    return absl::InternalError(absl::StrCat("shim: unexpected event ", static_cast<int>(frame.header.verb)));
  }

  const std::string path;
  const Clock& clock;
  Connection connection;
  uint32_t count = 0;
  bool told = false;  // Connected was reported
  wire::Mode mode = wire::Mode::kSession;
  int looks = 0;                        // more that may be taken in quick succession
  std::optional<wire::Mode> lost_mode;  // of the shim that was lost and not heard of since
  MonoTime next_try;
};

FenceLink::FenceLink(std::string socket_path, const Clock& clock)
    : impl_(std::make_unique<Impl>(std::move(socket_path), clock)) {}
FenceLink::~FenceLink() = default;

int FenceLink::fd() const { return impl_->connection.fd(); }
MonoTime FenceLink::next_try() const { return impl_->next_try; }

absl::Status FenceLink::Arm(MonoTime until, Epoch epoch) {
  if (!impl_->told) return absl::UnavailableError("shim: not connected");
  const int64_t sent = impl_->clock.Now().nanos();
  const wire::Arm arm{until.nanos(), epoch, sent, until.nanos() - sent};
  return impl_->connection.Send(wire::Verb::kArm, impl_->Next(kArmSeq), &arm, sizeof arm);
}

absl::Status FenceLink::Refresh() {
  if (!impl_->told) return absl::UnavailableError("shim: not connected");
  return impl_->SendState();
}

std::vector<FenceEvent> FenceLink::OnReadable() {
  std::vector<FenceEvent> out;
  if (fd() < 0) {
    const absl::Status status = impl_->TryConnect();
    if (!status.ok()) {
      impl_->Lost(status, &out);
      impl_->SeeEnd(&out);
      return out;
    }
  }
  for (int i = 0; i < kFramesPerCall; ++i) {
    Frame frame;
    const absl::StatusOr<bool> have = impl_->connection.Receive(&frame);
    if (!have.ok()) {
      impl_->Lost(have.status(), &out);
      break;
    }
    if (!*have) break;
    const absl::Status status = impl_->OnFrame(frame, &out);
    if (status.ok()) continue;
    impl_->Lost(status, &out);
    break;
  }
  return out;
}

}  // namespace mainstay::shim
