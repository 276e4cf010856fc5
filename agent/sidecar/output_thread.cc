#include "agent/sidecar/output_thread.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "lib/base/thread.h"

namespace mainstay::agent {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kNice = 10;

bool LogLimit::Allow(MonoTime now) {
  if (rate_ <= 0) return true;
  if (tokens_ < 0) {
    tokens_ = static_cast<double>(burst_);
  } else {
    const double passed = std::chrono::duration<double>(now - filled_).count();
    tokens_ = std::min(static_cast<double>(burst_), tokens_ + passed * static_cast<double>(rate_));
  }
  filled_ = now;
  if (now < closed_until_) return false;
  if (tokens_ >= 1) {
    tokens_ -= 1;
    return true;
  }
  closed_until_ = now + seconds(1);
  return false;
}

void OutputThread::Configure(const LogRelayOptions& options) {
  std::lock_guard lock(mutex_);
  options_ = options;
  changed_ = true;
}

void OutputThread::Start(const std::shared_ptr<OutputThread>& self, const char* name) {
  self->thread_ = StartThread(name, [self] {
    setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNice);  // of this thread alone
    self->Run();
    std::lock_guard lock(self->mutex_);
    self->done_ = true;
    self->ended_.notify_all();
  });
}

bool OutputThread::Stop(Duration patience) {
  if (!thread_.joinable()) return true;
  stopping = true;
  Interrupt();
  bool in_time = false;
  {
    std::unique_lock lock(mutex_);
    wake_.notify_all();
    in_time = ended_.wait_for(lock, patience, [this] { return done_; });
  }
  in_time ? thread_.join() : thread_.detach();
  return in_time;
}

void OutputThread::Pause(Duration most) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, most, [this] { return stopping.load(); });
}

void OutputThread::TakeOptions() {
  std::lock_guard lock(mutex_);
  if (!std::exchange(changed_, false)) return;
  least = options_.least;
  limit.Set(options_.rate, options_.burst);
}

bool OutputThread::Put(const std::function<std::string(const audit::Identity&, uint64_t, int64_t)>& format) {
  while (!out->Offer(format)) {
    if (stopping) return false;
    out->WaitRoom(milliseconds(100));
  }
  return true;
}

}  // namespace mainstay::agent
