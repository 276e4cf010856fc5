#include "lib/metrics/scraper.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "lib/base/thread.h"

namespace mainstay::metrics {
namespace {

using std::chrono::milliseconds;

// What is left of a scraper's time-out for writing the answer and sending it.
constexpr Duration kMargin = milliseconds(250);
constexpr double kLongestTimeout = 3600;

}  // namespace

MonoTime ScrapeDeadline(absl::string_view header, MonoTime now, Duration patience) {
  double seconds = 0;
  Duration left = patience;
  if (header.size() <= 32 && absl::SimpleAtod(header, &seconds) && seconds > 0 &&
      seconds <= kLongestTimeout) {
    const auto asked = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
    left = std::min(left, std::max<Duration>(asked - kMargin, asked / 2));
  }
  return now + left;
}

struct Scraper::Shared {
  explicit Shared(std::shared_ptr<Collector> c, Options o) : collector(std::move(c)), options(o) {}

  const std::shared_ptr<Collector> collector;
  const Options options;
  mutable std::mutex mutex;
  std::condition_variable changed;
  std::vector<Done> waiting;
  MonoTime deadline;  // of the one that waits first
  SnapshotPtr last;
  Counters counters;
  bool stop = false;
  bool running = false;  // the thread

  void Run();
};

void Scraper::Shared::Run() {
  std::unique_lock<std::mutex> lock(mutex);
  while (!stop) {
    const bool asked =
        changed.wait_for(lock, options.rest_after, [this] { return stop || !waiting.empty(); });
    if (stop) break;
    const MonoTime until = deadline;
    if (!asked) last.reset();
    lock.unlock();
    if (!asked) {
      collector->Rest();
      lock.lock();
      if (waiting.empty()) break;  // else somebody came while it lay down
      continue;
    }
    SnapshotPtr snapshot = collector->Collect(until);
    lock.lock();
    ++counters.collections;
    last = snapshot;
    const std::vector<Done> answer = std::exchange(waiting, {});  // also who came meanwhile
    lock.unlock();
    for (const Done& done : answer) done(snapshot);
    lock.lock();
  }
  running = false;
  changed.notify_all();
}

Scraper::Scraper(std::shared_ptr<Collector> collector, Options options)
    : shared_(std::make_shared<Shared>(std::move(collector), options)) {}

Scraper::~Scraper() {
  if (thread_.joinable()) Stop(std::chrono::seconds(2));
}

void Scraper::Scrape(MonoTime deadline, Done done) {
  std::unique_lock<std::mutex> lock(shared_->mutex);
  if (shared_->stop) return;
  ++shared_->counters.scrapes;
  if (shared_->waiting.empty()) shared_->deadline = deadline;
  shared_->waiting.push_back(std::move(done));
  if (shared_->running) {
    shared_->changed.notify_all();
    return;
  }
  shared_->running = true;
  lock.unlock();
  if (thread_.joinable()) thread_.join();  // it has ended: it said so under the lock
  thread_ = StartThread("metrics", [shared = shared_] { shared->Run(); });
}

SnapshotPtr Scraper::last() const {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  return shared_->last;
}

SnapshotPtr Scraper::late() const {
  SnapshotPtr out = shared_->collector->Late();
  return out == nullptr ? last() : out;
}

bool Scraper::text_only() const { return shared_->collector->text_only(); }

Scraper::Counters Scraper::counters() const {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  return shared_->counters;
}

const char* Scraper::prefix() const { return shared_->collector->prefix(); }

bool Scraper::Stop(Duration patience) {
  std::unique_lock<std::mutex> lock(shared_->mutex);
  shared_->stop = true;
  shared_->changed.notify_all();
  const bool ended = shared_->changed.wait_for(lock, patience, [this] { return !shared_->running; });
  lock.unlock();
  if (thread_.joinable()) {
    if (ended) {
      thread_.join();
    } else {
      thread_.detach();
    }
  }
  return ended;
}

}  // namespace mainstay::metrics
