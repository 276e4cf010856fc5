#include "lib/audit/output.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "lib/audit/audit.h"
#include "lib/base/thread.h"

namespace mainstay::audit {
namespace {

constexpr size_t kPipeBuf = 4096;  // a pipe that polls as writable takes this much at once

}  // namespace

Output::Output(int fd, std::function<void()> drained)
    : fd_(fd),
      kind_([fd] {
        struct stat st = {};
        if (fstat(fd, &st) != 0) return Kind::kPipe;
        return S_ISREG(st.st_mode) ? Kind::kFile : S_ISSOCK(st.st_mode) ? Kind::kSocket : Kind::kPipe;
      }()),
      drained_(std::move(drained)) {}

Output::~Output() {
  Flush(BootClock().Now() + std::chrono::seconds(1));
  {
    std::lock_guard lock(mu_);
    stop_ = true;
  }
  wake_.notify_all();
  if (writer_.joinable()) writer_.join();
}

Output::Put Output::Write(std::string line) {
  std::lock_guard lock(mu_);
  if (queue_.empty() && !writing_ && TryNow(line)) return queue_.empty() ? Put::kWritten : Put::kQueued;
  if (queued_bytes_ + line.size() > kMaxQueueBytes) return Put::kRefused;
  Queue(std::move(line), false);
  return Put::kQueued;
}

bool Output::Offer(const std::string& line) {
  std::lock_guard lock(mu_);
  return queue_.empty() && !writing_ && TryNow(line);
}

void Output::WaitRoom(Duration most) const {
  struct pollfd p = {fd_, POLLOUT, 0};
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(most).count();
  if (poll(&p, 1, static_cast<int>(us / 1000)) != 1) return;
  // Writable, and yet it was not taken: a longer line than there is room for, or others come first. Or the
  // reader is gone for good.
  usleep((p.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0 ? static_cast<useconds_t>(us) : 2000);
}

bool Output::HasRoom(size_t room) {
  std::lock_guard lock(mu_);
  return (queue_.empty() && !writing_) || queued_bytes_ + room < kMaxQueueBytes;
}

uint64_t Output::TakeFailed() {
  std::lock_guard lock(mu_);
  return std::exchange(failed_, 0);
}

bool Output::Flush(MonoTime deadline) {
  std::unique_lock lock(mu_);
  while (!queue_.empty() || writing_) {
    const Duration left = deadline - BootClock().Now();
    if (left <= Duration::zero()) return false;
    idle_.wait_for(lock, std::min<Duration>(left, std::chrono::milliseconds(50)));
  }
  return true;
}

void Output::Queue(std::string line, bool front) {
  queued_bytes_ += line.size();
  front ? queue_.push_front(std::move(line)) : queue_.push_back(std::move(line));
  if (!writer_.joinable()) {
    writer_ = StartThread("audit", [this] { Run(); });
  }
  wake_.notify_one();
}

ssize_t Output::WriteSome(const char* data, size_t size) const {
  ssize_t n = 0;
  do n = kind_ == Kind::kSocket ? send(fd_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) : write(fd_, data, size);
  while (n < 0 && errno == EINTR);
  return n;
}

// Writes when that cannot block: into a file, into an empty pipe, or at most one page into a pipe that has
// room.
bool Output::TryNow(const std::string& line) {
  if (kind_ == Kind::kPipe) {
    struct pollfd p = {fd_, POLLOUT, 0};
    if (poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0) return false;
    if (line.size() > kPipeBuf && !Empty()) return false;
  }
  const ssize_t n = WriteSome(line.data(), line.size());
  if (n <= 0) return false;
  const size_t done = static_cast<size_t>(n);
  if (done < line.size()) Queue(line.substr(done), true);  // the rest, ahead of everything else
  return true;
}

void Output::Run() {
  std::unique_lock lock(mu_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;  // Flush has had its time
    const std::string line = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= line.size();
    writing_ = true;
    lock.unlock();
    const bool ok = WriteAll(line);
    lock.lock();
    writing_ = false;
    if (!ok) ++failed_;
    if (ok && queue_.empty() && drained_ && !stop_) {
      lock.unlock();
      drained_();
      lock.lock();
    }
    idle_.notify_all();
  }
}

// One write(2) unless the reader takes it in pieces. Gives up when the log ends or the reader is gone.
bool Output::WriteAll(const std::string& line) {
  size_t done = 0;
  while (done < line.size()) {
    struct pollfd p = {fd_, POLLOUT, 0};
    const int ready = poll(&p, 1, 100);
    if (ready == 0 || (ready < 0 && errno == EINTR)) {
      std::lock_guard lock(mu_);
      if (stop_) return false;
      continue;
    }
    // Into an empty pipe or a file in one write; otherwise page by page, so that no write blocks for ever
    // (the destructor waits for us).
    const size_t left = line.size() - done;
    const size_t piece = kind_ != Kind::kPipe || Empty() ? left : std::min(left, kPipeBuf);
    const ssize_t n = WriteSome(line.data() + done, piece);
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (errno != EAGAIN) {
      return false;
    }
  }
  return true;
}

bool Output::Empty() const {
  int unread = 1;
  return ioctl(fd_, FIONREAD, &unread) == 0 && unread == 0;
}

}  // namespace mainstay::audit
