// The socket: who may connect, what each frame does, and how much of a client is served in one turn.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ctime>

#include "agent/shim/procs.h"
#include "agent/shim/shim.h"

namespace mainstay::shimd {
namespace {

constexpr uid_t kOverflowUid = 65534;

// Makes and checks the socket's directory: nobody but the shim's and the database's user may get in.
void PrepareDirectory(const Options& o) {
  char dir[128];
  Text(dir, sizeof dir).Add(o.socket);
  char* slash = strrchr(dir, '/');
  if (slash == dir) Die("--socket: must be in a private directory, not in /");
  *slash = 0;
  if (mkdir(dir, 0700) == 0) {
    if (o.drop && chown(dir, o.uid, o.gid) != 0)
      Die("cannot give the socket's directory to the database's user: ", dir);
  }
  struct stat st;
  if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode))
    Die("--socket: its directory cannot be made or is not one: ", dir);
  if ((st.st_mode & 077) != 0) Die("--socket: others can enter its directory; it must have mode 0700: ", dir);
  if (st.st_uid != geteuid() && st.st_uid != o.uid)
    Die("--socket: its directory belongs to somebody else: ", dir);
}

bool Served(const sockaddr& address, socklen_t size) {
  const int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (probe < 0) Die("no unix socket to be had");
  const bool served = connect(probe, &address, size) == 0 || errno == EAGAIN;
  close(probe);
  return served;
}

}  // namespace

void Shim::Listen() {
  PrepareDirectory(*options_);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, options_->socket, sizeof address.sun_path - 1);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  // One that is started anew at once (by a supervisor) meets the remains of the one before it: killed, its
  // inner process still listens for some milliseconds.
  for (int tries = 0; Served(*generic, sizeof address); ++tries) {
    if (tries == 100) Die("--socket: another shim serves it: ", options_->socket);
    const timespec pause{.tv_sec = 0, .tv_nsec = 10'000'000};
    nanosleep(&pause, nullptr);
  }
  unlink(options_->socket);
  listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const mode_t before = umask(0177);
  if (listener_ < 0 || bind(listener_, generic, sizeof address) != 0 || listen(listener_, kMaxPeers) != 0) {
    Die("--socket: cannot listen on ", options_->socket);
  }
  umask(before);
  if (options_->drop && chown(options_->socket, options_->uid, options_->gid) != 0)
    Die("--socket: cannot give it to the database's user");
  epoll_event event{EPOLLIN, {.u64 = Tag(Source::kListener)}};
  epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
}

void Shim::Accept() {
  const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  ucred peer{};
  socklen_t size = sizeof peer;
  bool allowed = false;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
    for (size_t i = 0; i < options_->allowed_count; ++i)
      allowed = allowed || options_->allowed[i] == peer.uid;
    if (peer.uid == kOverflowUid)
      allowed = false;  // somebody of outside our user namespace: could be anybody
    // The database (and whoever got into it) must not be able to extend its own life. In our own PID
    // namespace its processes show a number, those of the agent's container show 0.
    const bool inside = mode_ == wire::Mode::kSession ? DescendsFromUs(peer.pid) : peer.pid != 0;
    if (inside && !options_->allow_inside) allowed = false;
  }
  int slot = -1;
  for (int i = 0; i < kMaxPeers && slot < 0; ++i) {
    if (peers_[i].fd < 0) slot = i;
  }
  if (!allowed || slot < 0) {
    close(fd);
    return;
  }
  Peer fresh;
  fresh.fd = fd;
  fresh.gen = static_cast<uint16_t>(peers_[slot].gen + 1);
  fresh.budget = kFrameBudget;
  fresh.interest = EPOLLIN;
  peers_[slot] = fresh;
  epoll_event event{EPOLLIN, {.u64 = Tag(Source::kPeer, slot, fresh.gen)}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) Drop(slot);
}

void Shim::Drop(int index) {
  Peer& peer = peers_[index];
  if (peer.fd < 0) return;
  const PeerRef ref = RefOf(index);
  close(peer.fd);
  const uint16_t gen = peer.gen;
  peer = Peer{};
  peer.gen = gen;
  if (tool_.id != 0 && tool_.owner.index == ref.index && tool_.owner.gen == ref.gen) {
    tool_.owner = PeerRef{};
    tool_.chunk_size = 0;
    WatchTool(true);  // goes on being read, into nothing
    if (!tool_.keep) EndTool(wire::ToolEnd::kOwnerGone, BootNow());
  }
  if (log_reader_.index == ref.index && log_reader_.gen == ref.gen) LogReaderGone();
}

void Shim::SetInterest(int index) {
  Peer& peer = peers_[index];
  if (peer.fd < 0) return;
  const uint32_t want = (peer.budget > 0 ? static_cast<uint32_t>(EPOLLIN) : 0U) |
                        (peer.wants_out || peer.wants_log ? static_cast<uint32_t>(EPOLLOUT) : 0U);
  if (want == peer.interest) return;
  peer.interest = want;
  epoll_event event{want, {.u64 = Tag(Source::kPeer, index, peer.gen)}};
  epoll_ctl(epoll_, EPOLL_CTL_MOD, peer.fd, &event);
}

int Shim::Send(int index, const wire::Header& header, const void* payload) {
  iovec iov[2] = {{const_cast<wire::Header*>(&header), sizeof header},
                  {const_cast<void*>(payload), header.length}};
  msghdr message{};
  message.msg_iov = iov;
  message.msg_iovlen = header.length > 0 ? 2 : 1;
  if (sendmsg(peers_[index].fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return 1;
  return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
}

bool Shim::Reply(int index, uint32_t seq, wire::Code code, const void* payload, size_t size) {
  // A client that does not read its answers is dropped by the caller.
  return Send(index, wire::MakeHeader(wire::Verb::kReply, seq, size, code), payload) == 1;
}

void Shim::Push(wire::Verb verb, const void* payload, size_t size, int except) {
  for (int i = 0; i < kMaxPeers; ++i) {
    if (peers_[i].fd < 0 || !peers_[i].subscribed || i == except) continue;
    if (Send(i, wire::MakeHeader(verb, 0, size), payload) != 1) Drop(i);
  }
}

void Shim::ServePeer(int index) {
  for (int i = 0; i < kFramesPerTurn && peers_[index].fd >= 0; ++i) {
    Peer& peer = peers_[index];
    if (peer.budget == 0) {
      if (refill_at_ == kNever) refill_at_ = BootNow() + kBudgetPeriod;
      return SetInterest(index);
    }
    const ssize_t n = recv(peer.fd, frame_, sizeof frame_, MSG_DONTWAIT | MSG_TRUNC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    --peer.budget;
    wire::Header header;
    if (n <= 0 || !wire::ParseHeader(frame_, static_cast<size_t>(n), &header)) return Drop(index);
    if (!Dispatch(index, header, frame_ + sizeof header)) return Drop(index);
  }
}

// False: close the connection.
bool Shim::Dispatch(int index, const wire::Header& header, const char* payload) {
  using wire::Verb;
  if (header.version != wire::kProtocol || header.verb == Verb::kHello) {
    const bool same = header.version == wire::kProtocol;
    const wire::Welcome welcome{nonce_, wire::kProtocol, db_.starts};
    wire::Hello hello;
    if (same && !wire::ParsePayload(payload, header.length, &hello)) return false;
    peers_[index].hello = same;
    return Reply(index, header.seq, same ? wire::Code::kOk : wire::Code::kVersion, &welcome,
                 sizeof welcome) &&
           same;
  }
  if (!peers_[index].hello) return false;
  switch (header.verb) {
    case Verb::kState:
      return header.length == 0 && DispatchState(index, header.seq);
    case Verb::kArm:
      return DispatchArm(index, header, payload);
    case Verb::kStart: {
      wire::Start start;
      if (!wire::ParsePayload(payload, header.length, &start)) return false;
      if (start.kind < wire::StartKind::kStandby || start.kind > wire::StartKind::kIsolated) return false;
      StartDatabase(index, header.seq, start);
      return true;
    }
    case Verb::kSignal: {
      wire::Signal signal;
      return wire::ParsePayload(payload, header.length, &signal) &&
             Reply(index, header.seq, SignalDatabase(signal));
    }
    case Verb::kKill:
      return DispatchKill(index, header, payload);
    case Verb::kDisarm:
      return DispatchDisarm(index, header, payload);
    case Verb::kRunTool:
      StartTool(index, header.seq, payload, header.length);
      return true;
    case Verb::kCancelTool: {
      wire::CancelTool cancel;
      return wire::ParsePayload(payload, header.length, &cancel) &&
             Reply(index, header.seq, CancelTool(cancel.id));
    }
    case Verb::kSubscribe:
      peers_[index].subscribed = true;
      return header.length == 0 && Reply(index, header.seq, wire::Code::kOk);
    case Verb::kReadLog:
      return header.length == 0 && DispatchReadLog(index, header.seq);
    default:
      return false;
  }
}

bool Shim::DispatchArm(int index, const wire::Header& header, const char* payload) {
  wire::Arm arm;
  if (!wire::ParsePayload(payload, header.length, &arm)) return false;
  // No broker is ever stopped because somebody lost a lock.
  if (options_->engine == Engine::kRabbitmq) return Reply(index, header.seq, wire::Code::kNotAllowed);
  wire::Code code = deadline_.Arm(arm, BootNow(), fencing_);
  if (code == wire::Code::kOk && terminating_ && !Running()) code = wire::Code::kTerminating;
  const wire::ArmedEvent event{arm.until, arm.epoch};
  if (code == wire::Code::kOk) Push(wire::Verb::kArmed, &event, sizeof event, index);
  return Reply(index, header.seq, code, &event, sizeof event);
}

bool Shim::DispatchDisarm(int index, const wire::Header& header, const char* payload) {
  wire::Disarm request;
  if (!wire::ParsePayload(payload, header.length, &request)) return false;
  if (options_->engine != Engine::kRedis) return Reply(index, header.seq, wire::Code::kNotAllowed);
  const bool armed = deadline_.armed();
  const wire::Code code = deadline_.Disarm(request.epoch, BootNow(), fencing_);
  const wire::ArmedEvent event{0, deadline_.epoch()};
  if (code == wire::Code::kOk && armed) Push(wire::Verb::kArmed, &event, sizeof event, index);
  return Reply(index, header.seq, code);
}

bool Shim::DispatchKill(int index, const wire::Header& header, const char* payload) {
  wire::Kill request;
  if (!wire::ParsePayload(payload, header.length, &request)) return false;
  if (request.expect_starts != wire::kAnyStart && request.expect_starts != db_.starts)
    return Reply(index, header.seq, wire::Code::kStale);
  if (peers_[index].kill_waits) return false;  // one at a time
  peers_[index].kill_waits = true;
  peers_[index].kill_seq = header.seq;
  KillEverything(wire::Cause::kKill);  // the end of this turn reaps and answers
  return true;
}

bool Shim::DispatchState(int index, uint32_t seq) {
  wire::State state{};
  FillState(&state);
  return Reply(index, seq, wire::Code::kOk, &state, sizeof state);
}

void Shim::FillState(wire::State* out) const {
  out->nonce = nonce_;
  out->now = BootNow();
  out->until = deadline_.until();
  out->epoch = deadline_.epoch();
  out->started_at = db_.started_at;
  out->starts = db_.starts;
  out->pid = db_.pid;
  if (db_.pending) {
    out->phase = db_.exec_fd >= 0
                     ? wire::Phase::kStarting
                     : (db_.pid != 0 && !killing_ ? wire::Phase::kRunning : wire::Phase::kEmptying);
  }
  out->mode = mode_;
  out->kind = db_.kind;
  out->flags = protection_ | (db_.pending && db_.stop_asked ? static_cast<uint32_t>(wire::kStopAsked) : 0U) |
               (terminating_ ? static_cast<uint32_t>(wire::kIsTerminating) : 0U);
  out->tool_id = tool_.id;
  out->last_tool_id = last_tool_.id;
  out->last_tool_end = last_tool_.end;
  out->last_tool_status = last_tool_.wait_status;
  out->last_exit = last_exit_;
  out->last_fence = fencing_ ? wire::FencedEvent{} : fence_;
  out->fences = fences_;
  for (const Peer& p : peers_) out->clients += p.fd >= 0 ? 1 : 0;
  out->max_lateness = max_lateness_;
  out->max_emptying = max_emptying_;
}

}  // namespace mainstay::shimd
