#include "agent/shim/logs.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/shim/shim.h"

namespace mainstay::shimd {
namespace {

constexpr size_t kPipeBuf = 4096;  // a pipe that polls as writable takes this much at once
constexpr int kWantedPipe = 1 << 20;

}  // namespace

// ---- the ring ----

LogSlot* LogRing::Open() {
  if (count_ == kLogSlots) return nullptr;
  LogSlot& slot = slots_[(first_ + count_) % kLogSlots];
  ++count_;
  slot.head = shim::wire::LogChunk{lost_bytes_, lost_lines_, shim::wire::kOutput};
  slot.size = slot.done = 0;
  lost_bytes_ = 0;
  lost_lines_ = 0;
  return &slot;
}

char* LogRing::Room(size_t* size) {
  LogSlot* slot = count_ == 0 ? nullptr : &slots_[(first_ + count_ - 1) % kLogSlots];
  // Behind a loss a new chunk begins, so that the count stands where the bytes are missing.
  if (slot == nullptr || slot->size == sizeof slot->data || lost_bytes_ != 0) slot = Open();
  if (slot == nullptr) return nullptr;
  *size = sizeof slot->data - slot->size;
  return slot->data + slot->size;
}

void LogRing::Filled(size_t size) { slots_[(first_ + count_ - 1) % kLogSlots].size += size; }

void LogRing::Lost(const char* data, size_t size) {
  lost_bytes_ += size;
  for (const char* end = data + size; data < end; ++lost_lines_) {
    data = static_cast<const char*>(memchr(data, '\n', static_cast<size_t>(end - data)));
    if (data == nullptr) return;
    ++data;
  }
}

LogSlot* LogRing::Front() {
  if (count_ == 0 && lost_bytes_ != 0) Open();  // nothing came since: the count alone
  for (; count_ > 0; Pop()) {
    LogSlot& slot = slots_[first_];
    if (slot.size > 0 || slot.head.lost_bytes > 0) return &slot;
  }
  return nullptr;
}

void LogRing::Pop() {
  first_ = (first_ + 1) % kLogSlots;
  --count_;
}

// ---- standard error ----

ErrorOutput KindOfErrorOutput() {
  struct stat st;
  if (fstat(2, &st) != 0) return ErrorOutput::kNone;
  if (S_ISSOCK(st.st_mode)) return ErrorOutput::kSocket;
  return S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) ? ErrorOutput::kPipe : ErrorOutput::kNone;
}

size_t WriteError(ErrorOutput kind, const char* data, size_t size) {
  if (kind == ErrorOutput::kNone) return size;  // nobody is there to read it
  ssize_t n = 0;
  if (kind == ErrorOutput::kSocket) {
    n = send(2, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  } else {
    pollfd p{2, POLLOUT, 0};
    if (poll(&p, 1, 0) != 1 || (p.revents & (POLLOUT | POLLERR)) == 0) return 0;
    n = write(2, data, size < kPipeBuf ? size : kPipeBuf);
  }
  if (n >= 0) return static_cast<size_t>(n);
  return errno == EAGAIN || errno == EINTR ? 0 : size;  // the reader is gone: so is the text
}

// ---- the loop's part ----

// Both ends are ours for as long as we live: the database's end outlives each database.
void Shim::OpenLog() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) Die("no pipe to be had for the database's log");
  fcntl(fds[0], F_SETFL, O_NONBLOCK);
  fcntl(fds[1], F_SETPIPE_SZ, kWantedPipe);  // less is fine, too
  // Of its bytes, as lines can leave half of its pages unused.
  log_high_ = fcntl(fds[1], F_GETPIPE_SZ) / 4;
  log_pipe_ = fds[0];
  log_ = fds[1];
  error_output_ = KindOfErrorOutput();
  WatchLog(true);
}

void Shim::WatchLog(bool on) {
  if (log_watched_ == on) return;
  log_watched_ = on;
  epoll_event event{on ? static_cast<uint32_t>(EPOLLIN) : 0U, {.u64 = Tag(Source::kLog)}};
  epoll_ctl(epoll_, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, log_pipe_, &event);
}

// The ring is full: what came since waits in the pipe as long as that has room for much more.
bool Shim::MayWait() {
  int unread = 0;
  if (ioctl(log_pipe_, FIONREAD, &unread) != 0 || unread > log_high_) return false;
  // Nobody reads and nobody writes: look ever more seldom.
  log_wait_ = unread == log_unread_ && log_wait_ < kLogRetry ? log_wait_ * 2 : kLogPause;
  log_unread_ = unread;
  return true;
}

void Shim::ReadLog() {
  const int64_t now = BootNow();
  int64_t pause = now - log_read_at_ < kLogPause ? kLogPause : 0;  // lines come thick and fast
  log_read_at_ = now;
  bool all = false;
  for (int i = 0; i < kLogReads && !all; ++i) {
    size_t room = sizeof frame_;
    char* to = ring_.Room(&room);
    if (to == nullptr && MayWait()) {
      pause = log_wait_;
      all = true;
      break;
    }
    const ssize_t n = read(log_pipe_, to != nullptr ? to : frame_, room);
    all = n < static_cast<ssize_t>(room);  // that was the end of it, or nothing
    if (n <= 0) break;
    if (to != nullptr) {
      ring_.Filled(static_cast<size_t>(n));
    } else {
      ring_.Lost(frame_, static_cast<size_t>(n));
    }
  }
  FlushLog();
  if (all && pause > 0) {
    WatchLog(false);
    log_again_ = now + pause;
  }
}

// To the agent, as far as its socket takes it; without one to standard error.
void Shim::FlushLog() {
  while (LogSlot* slot = ring_.Front()) {
    if (Alive(log_reader_)) {
      const int index = log_reader_.index;
      const size_t size = sizeof slot->head + slot->size;
      const int sent = Send(index, wire::MakeHeader(wire::Verb::kLogChunk, 0, size), &slot->head);
      peers_[index].wants_log = sent == 0;
      SetInterest(index);
      if (sent == 0) return;
      if (sent < 0) {
        Drop(index);
        continue;
      }
    } else {
      slot->done += WriteError(error_output_, slot->data + slot->done, slot->size - slot->done);
      if (slot->done < slot->size) {
        log_again_ = BootNow() + kLogRetry;
        return;
      }
    }
    ring_.Pop();
  }
}

void Shim::ServeLogTime(int64_t now) {
  if (now >= log_again_) GoOnWithLog();
}

void Shim::GoOnWithLog() {
  if (log_pipe_ < 0) return;
  log_again_ = kNever;
  WatchLog(true);
  FlushLog();
}

bool Shim::DispatchReadLog(int index, uint32_t seq) {
  if (log_pipe_ < 0) return Reply(index, seq, wire::Code::kNoLog);
  if (Alive(log_reader_) && log_reader_.index != index) Drop(log_reader_.index);
  if (!Reply(index, seq, wire::Code::kOk)) return false;
  log_reader_ = RefOf(index);
  SayOnError("mainstay-shim: the database's log goes to the agent, which prints it as JSON lines\n");
  FlushLog();
  return true;
}

void Shim::LogReaderGone() {
  log_reader_ = PeerRef{};
  SayOnError("mainstay-shim: no agent reads the database's log: it follows here\n");
  log_again_ = BootNow();
}

// The last words of a database that ended with us.
void Shim::CloseLog() {
  if (log_pipe_ < 0) return;
  for (int i = 0; i < 4; ++i) ReadLog();
}

void Shim::SayOnError(const char* text) { WriteError(error_output_, text, strlen(text)); }

}  // namespace mainstay::shimd
