#include "lib/erlang/link.h"

#include <ei.h>

#include <algorithm>
#include <cerrno>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/erlang/protocol.h"

namespace mainstay::erlang {
namespace {

constexpr size_t kSeen = 1024;    // bytes of the handshake kept for its errors
constexpr size_t kMaxName = 255;  // bytes of a node's name: it is an atom

// What libei's callbacks work on.
struct Wire {
  Stream stream;
  MonoTime deadline;
  std::string seen;       // the first bytes that the node sent
  absl::Status failed;    // the first operation that did not succeed
  bool finished = false;  // the handshake: libei has no further business with the connection
};

int Note(Wire* wire, const absl::Status& status) {
  if (wire->failed.ok()) wire->failed = status;
  return absl::IsDeadlineExceeded(status) ? ETIMEDOUT : EIO;
}

int OnSocket(void** context, void* wire) {
  *context = wire;  // connected already
  return 0;
}
int OnClose(void* /*context*/) { return 0; }  // the Wire's owner does
int OnListen(void* /*context*/, void* /*address*/, int* /*size*/, int /*backlog*/) { return ENOTSUP; }
int OnAccept(void** /*context*/, void* /*address*/, int* /*size*/, unsigned /*ms*/) { return ENOTSUP; }
int OnConnect(void* /*context*/, void* /*address*/, int /*size*/, unsigned /*ms*/) { return 0; }

int OnWrite(void* context, const char* data, ssize_t* size, unsigned /*ms*/) {
  auto* wire = static_cast<Wire*>(context);
  const absl::Status sent =
      wire->stream.WriteAll(absl::string_view(data, static_cast<size_t>(*size)), wire->deadline);
  return sent.ok() ? 0 : Note(wire, sent);
}

int OnRead(void* context, char* buffer, ssize_t* size, unsigned /*ms*/) {
  auto* wire = static_cast<Wire*>(context);
  // A node that sends byte after byte must not stretch the handshake.
  if (BootClock().Now() >= wire->deadline)
    return Note(wire, absl::DeadlineExceededError("no answer in time"));
  const auto n = wire->stream.ReadSome(buffer, static_cast<size_t>(*size), wire->deadline);
  if (!n.ok()) return Note(wire, n.status());
  if (wire->seen.size() < kSeen) wire->seen.append(buffer, std::min(*n, kSeen - wire->seen.size()));
  *size = static_cast<ssize_t>(*n);
  return 0;
}

int OnHeaderSize(void* /*context*/, int* size) {
  *size = 2;
  return 0;
}
int OnComplete(void* /*context*/) { return 0; }
int OnGetFd(void* context, int* fd) {
  *fd = static_cast<Wire*>(context)->stream.fd();
  return 0;
}

ei_socket_callbacks* Callbacks() {
  static ei_socket_callbacks callbacks{
      .flags = EI_SCLBK_FLG_FULL_IMPL,
      .socket = OnSocket,
      .close = OnClose,
      .listen = OnListen,
      .accept = OnAccept,
      .connect = OnConnect,
      .writev = nullptr,
      .write = OnWrite,
      .read = OnRead,
      .handshake_packet_header_size = OnHeaderSize,
      .connect_handshake_complete = OnComplete,
      .accept_handshake_complete = OnComplete,
      .get_fd = OnGetFd,
  };
  return &callbacks;
}

absl::Status CheckName(const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '@');
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty() || name.size() > kMaxName)
    return absl::InvalidArgumentError(absl::StrCat("\"", name, "\" is no node's name; one is alive@host"));
  return absl::OkStatus();
}

absl::Status Refused(const Wire& wire, const LinkNames& names) {
  const HandshakeSeen seen = ParseHandshake(wire.seen);
  if (seen.status == "nok" || seen.status == "alive")
    return absl::AlreadyExistsError(absl::StrCat(
        "a node named ", names.self, " is connected there already; it answered \"", seen.status, "\""));
  if (!seen.status.empty() && seen.status != "ok" && seen.status != "ok_simultaneous")
    return absl::PermissionDeniedError(
        absl::StrCat("it does not let ", names.self, " in: \"", seen.status, "\""));
  if (absl::IsDeadlineExceeded(wire.failed))
    return absl::DeadlineExceededError("it accepts connections but does not answer the handshake");
  if (!seen.name.empty())
    return absl::UnauthenticatedError(absl::StrCat(seen.name,
                                                   " ended the handshake when it had what the cookie makes: "
                                                   "the cookie is not its own (or it died just then)"));
  return absl::UnavailableError(
      absl::StrCat("the handshake ended early", wire.failed.ok() ? "" : ": ", wire.failed.message()));
}

}  // namespace

struct Link::Impl {
  Wire wire;
  ei_cnode node{};
};

Link::Link(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Link::~Link() {
  if (impl_->wire.finished) ei_close_connection(impl_->wire.stream.fd());  // forgets the descriptor
}

Stream& Link::stream() { return impl_->wire.stream; }

absl::StatusOr<std::unique_ptr<Link>> Link::Open(Stream stream, const LinkNames& names,
                                                 const std::string& cookie, MonoTime deadline) {
  static std::once_flag once;
  std::call_once(once, [] { ei_init(); });
  MAINSTAY_RETURN_IF_ERROR(CheckName(names.node));
  MAINSTAY_RETURN_IF_ERROR(CheckName(names.self));
  auto impl = std::make_unique<Impl>();
  impl->wire.stream = std::move(stream);
  impl->wire.deadline = deadline;
  const std::vector<std::string> self = absl::StrSplit(names.self, '@');
  in_addr nowhere{};
  const auto creation = static_cast<unsigned>(RandomUint64() | 4);  // 0 to 3 mean something to old nodes
  if (ei_connect_xinit_ussi(&impl->node, self[1].c_str(), self[0].c_str(), names.self.c_str(), &nowhere,
                            cookie.c_str(), creation, Callbacks(), sizeof(ei_socket_callbacks),
                            &impl->wire) != 0)
    return absl::InvalidArgumentError(absl::StrCat("libei does not take the name ", names.self));
  const int fd = ei_xconnect_host_port_tmo(&impl->node, &nowhere, 0, 0);
  if (fd < 0) return Refused(impl->wire, names);
  impl->wire.finished = true;
  std::unique_ptr<Link> link(new Link(std::move(impl)));
  const HandshakeSeen seen = ParseHandshake(link->impl_->wire.seen);
  if (seen.name != names.node)
    return absl::FailedPreconditionError(absl::StrCat("there answers ", seen.name, ", not ", names.node));
  return link;
}

Term Link::NewPid() {
  erlang_pid pid{};
  ei_make_pid(&impl_->node, &pid);
  int size = 0;
  ei_encode_pid(nullptr, &size, &pid);
  std::string bytes(static_cast<size_t>(size), '\0');
  size = 0;
  ei_encode_pid(bytes.data(), &size, &pid);
  return Term::Opaque(bytes);
}

}  // namespace mainstay::erlang
