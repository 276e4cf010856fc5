#include "agent/sidecar/worker.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/thread.h"

namespace mainstay::agent {

struct ThreadWorker::Shared {
  explicit Shared(size_t queue) : bound(queue) {}
  const size_t bound;
  std::mutex mutex;
  std::condition_variable wake;
  std::condition_variable ended;
  std::deque<std::function<void()>> jobs;
  bool stopping = false;
  bool done = false;

  void Loop() {
    std::unique_lock<std::mutex> lock(mutex);
    for (;;) {
      wake.wait(lock, [this] { return stopping || !jobs.empty(); });
      if (stopping) break;
      std::function<void()> job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      job();
      job = nullptr;  // what it holds is freed outside the lock
      lock.lock();
    }
    done = true;
    ended.notify_all();
  }
};

ThreadWorker::ThreadWorker(std::string name, size_t queue) : shared_(std::make_shared<Shared>(queue)) {
  thread_ = StartThread(std::move(name), [shared = shared_] { shared->Loop(); });
}

ThreadWorker::~ThreadWorker() { Stop(std::chrono::seconds(5)); }

bool ThreadWorker::Run(std::function<void()> job) {
  {
    std::lock_guard<std::mutex> lock(shared_->mutex);
    if (shared_->stopping || shared_->jobs.size() >= shared_->bound) return false;
    shared_->jobs.push_back(std::move(job));
  }
  shared_->wake.notify_one();
  return true;
}

bool ThreadWorker::Stop(Duration patience) {
  if (!thread_.joinable()) return true;
  std::deque<std::function<void()>> dropped;
  bool in_time = false;
  {
    std::unique_lock<std::mutex> lock(shared_->mutex);
    shared_->stopping = true;
    dropped.swap(shared_->jobs);
    shared_->wake.notify_all();
    in_time = shared_->ended.wait_for(lock, patience, [this] { return shared_->done; });
  }
  if (in_time) {
    thread_.join();
  } else {
    Log(LogLevel::kWarn, "worker", "a job did not return at its deadline; its thread is left behind");
    thread_.detach();
  }
  return in_time;
}

}  // namespace mainstay::agent
