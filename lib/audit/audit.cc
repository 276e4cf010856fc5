#include "lib/audit/audit.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "lib/base/random.h"

namespace mainstay::audit {
namespace {

constexpr size_t kPipeBuf = 4096;  // a pipe that polls as writable takes this much at once

int64_t UnixMicros() {
  struct timespec ts = {};
  clock_gettime(CLOCK_REALTIME, &ts);
  return int64_t{ts.tv_sec} * 1000000 + ts.tv_nsec / 1000;
}

bool IsFile(int fd) {
  struct stat st = {};
  return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

}  // namespace

class Log::Impl {
 public:
  Impl(int fd, Identity who) : fd_(fd), file_(IsFile(fd)), who_(std::move(who)) {}
  ~Impl() {
    Flush(BootClock().Now() + std::chrono::seconds(1));
    {
      std::lock_guard lock(mu_);
      stop_ = true;
    }
    wake_.notify_all();
    if (writer_.joinable()) writer_.join();
  }

  std::string Write(const Event& event) {
    std::lock_guard lock(mu_);
    std::string id = UuidV7();
    Append(event, id);
    return id;
  }

  bool Flush(MonoTime deadline) {
    std::unique_lock lock(mu_);
    while (!queue_.empty() || writing_) {
      const Duration left = deadline - BootClock().Now();
      if (left <= Duration::zero()) return false;
      idle_.wait_for(lock, std::min<Duration>(left, std::chrono::milliseconds(50)));
    }
    return true;
  }

  uint64_t written() const { return written_.load(); }
  uint64_t dropped() const { return dropped_.load(); }

 private:
  void Append(const Event& event, const std::string& id) {
    const bool idle = queue_.empty() && !writing_;
    std::string line;
    if (unreported_ > 0 && (idle || queued_bytes_ + 2 * kMaxLineBytes < kMaxQueueBytes)) line = DroppedLine();
    line += Format(event, who_, ++seq_, UnixMicros(), id);
    if (idle && TryNow(line)) {
      unreported_ = 0;
      written_.fetch_add(1);
      return;
    }
    if (queued_bytes_ + line.size() > kMaxQueueBytes) {
      dropped_.fetch_add(1);
      ++unreported_;
      return;
    }
    unreported_ = 0;
    queued_bytes_ += line.size();
    queue_.push_back(std::move(line));
    if (!writer_.joinable()) writer_ = std::thread([this] { Run(); });
    wake_.notify_one();
  }

  // A line of its own about lines that are missing before it.
  std::string DroppedLine() {
    Event e;
    e.level = "warn";
    e.action = "audit.dropped";
    e.outcome = Outcome::kFailure;
    e.reason = "slow-reader";
    e.msg = absl::StrCat(unreported_, " audit lines were lost because the reader of the log did not read");
    e.actor.type = "system";
    return Format(e, who_, ++seq_, UnixMicros(), UuidV7());
  }

  // Writes when that cannot block: into a file, or at most one page into a pipe that has room.
  bool TryNow(const std::string& line) {
    if (!file_) {
      struct pollfd p = {fd_, POLLOUT, 0};
      if (line.size() > kPipeBuf || poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0) return false;
    }
    ssize_t n = 0;
    do n = write(fd_, line.data(), line.size());
    while (n < 0 && errno == EINTR);
    if (n == static_cast<ssize_t>(line.size())) return true;
    if (n > 0) {  // the rest goes through the queue, ahead of everything else
      queue_.push_front(line.substr(static_cast<size_t>(n)));
      queued_bytes_ += queue_.front().size();
      if (!writer_.joinable()) writer_ = std::thread([this] { Run(); });
      wake_.notify_one();
      return true;
    }
    return false;
  }

  void Run() {
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
      ok ? written_.fetch_add(1) : dropped_.fetch_add(1);
      if (!ok) ++unreported_;
      idle_.notify_all();
    }
  }

  // One write(2) unless the reader takes it in pieces. Gives up when the log ends or the reader is gone.
  bool WriteAll(const std::string& line) {
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
      const size_t piece = file_ || Empty() ? line.size() - done : std::min(line.size() - done, kPipeBuf);
      const ssize_t n = write(fd_, line.data() + done, piece);
      if (n > 0) {
        done += static_cast<size_t>(n);
      } else if (errno != EINTR && errno != EAGAIN) {
        return false;
      }
    }
    return true;
  }

  bool Empty() const {
    int unread = 1;
    return ioctl(fd_, FIONREAD, &unread) == 0 && unread == 0;
  }

  const int fd_;
  const bool file_;
  const Identity who_;
  std::mutex mu_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<std::string> queue_;
  size_t queued_bytes_ = 0;
  bool writing_ = false;
  bool stop_ = false;
  uint64_t seq_ = 0;
  uint64_t unreported_ = 0;
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> dropped_{0};
  std::thread writer_;
};

Log::Log(int fd, Identity who) : impl_(std::make_unique<Impl>(fd, std::move(who))) {}
Log::~Log() = default;
std::string Log::Write(const Event& event) { return impl_->Write(event); }
bool Log::Flush(MonoTime deadline) { return impl_->Flush(deadline); }
uint64_t Log::written() const { return impl_->written(); }
uint64_t Log::dropped() const { return impl_->dropped(); }

}  // namespace mainstay::audit
