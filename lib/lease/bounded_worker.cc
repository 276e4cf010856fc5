#include "lib/lease/bounded_worker.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "lib/base/thread.h"

namespace mainstay::lease {

struct BoundedWorker::Shared {
  enum class Stage { kWaiting, kRunning, kDone, kGivenUp };
  struct Job {
    std::function<void()> call;
    Stage stage = Stage::kWaiting;
  };
  std::mutex mutex;
  std::condition_variable work;  // something to do
  std::condition_variable done;  // something was done
  std::deque<std::shared_ptr<Job>> queue;
  bool running = false;
  bool stop = false;
};

BoundedWorker::BoundedWorker()
    : shared_(std::make_shared<Shared>()),
      thread_(StartThread("bounded", [shared = shared_] { Loop(shared); })) {}

BoundedWorker::~BoundedWorker() {
  {
    std::unique_lock<std::mutex> lock(shared_->mutex);
    shared_->stop = true;
    shared_->work.notify_all();
    // A healthy call takes milliseconds; one that hangs is left alone: it owns all that it touches.
    shared_->done.wait_for(lock, std::chrono::seconds(1), [&] { return !shared_->running; });
    if (shared_->running) {
      thread_.detach();
      return;
    }
  }
  thread_.join();
}

BoundedWorker::Ran BoundedWorker::Run(std::function<void()> call, MonoTime deadline) {
  auto job = std::make_shared<Shared::Job>();
  job->call = std::move(call);
  std::unique_lock<std::mutex> lock(shared_->mutex);
  if (shared_->queue.size() >= kMaxQueue) return Ran::kNotBegun;
  shared_->queue.push_back(job);
  shared_->work.notify_one();
  while (job->stage != Shared::Stage::kDone) {
    const MonoTime now = BootClock().Now();
    if (now >= deadline) {
      const bool begun = job->stage == Shared::Stage::kRunning;
      job->stage = Shared::Stage::kGivenUp;
      const auto it = std::find(shared_->queue.begin(), shared_->queue.end(), job);
      if (it != shared_->queue.end()) shared_->queue.erase(it);
      return begun ? Ran::kHangs : Ran::kNotBegun;
    }
    // In slices: a condition variable waits on CLOCK_MONOTONIC, which a suspend stops.
    shared_->done.wait_for(lock, std::min<Duration>(deadline - now, std::chrono::milliseconds(500)));
  }
  return Ran::kDone;
}

void BoundedWorker::Loop(std::shared_ptr<Shared> shared) {
  std::unique_lock<std::mutex> lock(shared->mutex);
  for (;;) {
    shared->work.wait(lock, [&] { return shared->stop || !shared->queue.empty(); });
    if (shared->stop) return;
    const std::shared_ptr<Shared::Job> job = shared->queue.front();
    shared->queue.pop_front();
    job->stage = Shared::Stage::kRunning;
    shared->running = true;
    lock.unlock();
    job->call();
    job->call = nullptr;
    lock.lock();
    shared->running = false;
    if (job->stage == Shared::Stage::kRunning) job->stage = Shared::Stage::kDone;
    shared->done.notify_all();
  }
}

}  // namespace mainstay::lease
