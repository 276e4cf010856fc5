#include "agent/sidecar/store_runner.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/thread.h"
#include "lib/base/wall_clock.h"

namespace mainstay::agent {

using election::StoreDone;
using election::StoreOp;
using election::StoreOutcome;

StoreDone ToStoreDone(const lease::StoreAnswer& answer, int64_t* acquire_unix_ms) {
  StoreDone done;
  done.op = StoreOp::kRead;
  done.outcome = answer.outcome;
  done.version = answer.version;
  done.problem = answer.detail;
  if (answer.outcome != StoreOutcome::kOk) return done;
  election::Decoded decoded = election::Decode(answer.document);
  if (decoded.record.has_value()) {
    done.record = std::move(decoded.record);
    *acquire_unix_ms = decoded.acquire_unix_ms;
  } else {
    done.outcome = StoreOutcome::kUnreadable;
  }
  done.problem = std::move(decoded.problem);
  return done;
}

StoreRunner::StoreRunner(Loop* loop, Worker* worker, lease::Store* store, Options options, Sink sink)
    : loop_(loop), worker_(worker), store_(store), options_(options), sink_(std::move(sink)) {}

void StoreRunner::Read(uint64_t id) {
  Request request;
  request.id = id;
  Send(std::move(request));
}

void StoreRunner::Create(uint64_t id, const election::Record& record) {
  Request request;
  request.id = id;
  request.op = StoreOp::kCreate;
  request.document = Encoded(record);
  Send(std::move(request));
}

void StoreRunner::Update(uint64_t id, const election::Record& record, const std::string& if_version) {
  Request request;
  request.id = id;
  request.op = StoreOp::kUpdate;
  request.document = Encoded(record);
  request.if_version = if_version;
  Send(std::move(request));
}

election::Document StoreRunner::Encoded(const election::Record& record) {
  return dates_.Encoded(record, UnixMillis());
}

void StoreRunner::Send(Request request) {
  const uint64_t id = request.id;
  const StoreOp op = request.op;
  request.sent = loop_->Now();
  request.deadline = request.sent + options_.timeout;
  loop_->Cancel(timeout_);
  waiting_ = id;
  sent_ = request.sent;
  // The store keeps its deadline; this one is for a store that does not (a file system that hangs).
  timeout_ = loop_->At(request.deadline + options_.timeout / 4, [this, id, op] {
    StoreDone done;
    done.problem = "no answer within " + std::to_string(options_.timeout.count() / 1'000'000) +
                   " ms, the store's thread hangs: is its file system or network reachable?";
    Answer(id, op, std::move(done));
  });
  const bool queued = worker_->Run([this, id, op, r = std::move(request)] {
    lease::StoreAnswer answer;
    if (loop_->Now() >= r.deadline) {
      answer.detail = "not sent: its deadline passed before the store was free";
    } else if (op == StoreOp::kRead) {
      answer = store_->Read(r.deadline);
    } else if (op == StoreOp::kCreate) {
      answer = store_->Create(r.document, r.deadline);
    } else {
      answer = store_->Update(r.document, r.if_version, r.deadline);
    }
    int64_t acquired = 0;
    StoreDone done;
    if (op == StoreOp::kRead) {
      done = ToStoreDone(answer, &acquired);
    } else {
      done.outcome = answer.outcome;
      done.version = std::move(answer.version);
      done.problem = std::move(answer.detail);
    }
    loop_->Post([this, id, op, acquired, d = std::move(done)]() mutable {
      if (d.record.has_value()) dates_.Read(*d.record, acquired);
      Answer(id, op, std::move(d));
    });
  });
  if (!queued) {
    loop_->Post([this, id, op] {
      StoreDone done;
      done.problem = "not sent: the store's thread hangs in earlier requests";
      Answer(id, op, std::move(done));
    });
  }
}

void StoreRunner::Answer(uint64_t id, StoreOp op, StoreDone done) {
  if (waiting_ != id) return;  // answered already
  waiting_ = 0;
  loop_->Cancel(std::exchange(timeout_, 0));
  done.id = id;
  done.op = op;
  sink_(std::move(done), loop_->Now() - sent_);
}

// ---- the watcher ----

struct StoreWatcher::Shared {
  Loop* loop = nullptr;
  lease::Store* store = nullptr;
  Duration timeout{};
  Sink sink;
  std::mutex mutex;
  std::condition_variable wake;
  bool stopping = false;
  bool done = false;

  bool Stopping() {
    std::lock_guard<std::mutex> lock(mutex);
    return stopping;
  }
  // After a failed look: not at once again, the store may fail at full speed.
  void Rest(Duration d) {
    std::unique_lock<std::mutex> lock(mutex);
    wake.wait_for(lock, d, [this] { return stopping; });
  }
  void Run() {
    std::string seen;  // "" : absent, which is also what WaitChange wants to hear before the first look
    while (!Stopping()) {
      const MonoTime now = loop->Now();
      const auto answer = store->Await(seen, now + std::chrono::seconds(30), timeout);
      if (!answer || Stopping()) continue;
      int64_t ignored = 0;
      StoreDone read = ToStoreDone(*answer, &ignored);
      if (read.outcome == StoreOutcome::kUnknown || read.outcome == StoreOutcome::kConflict) {
        Rest(timeout);
        continue;
      }
      const std::string version = read.outcome == StoreOutcome::kNotFound ? "" : read.version;
      if (version == seen) {
        Rest(std::chrono::milliseconds(20));  // rung for nothing
        continue;
      }
      seen = version;
      election::RecordSeen event;
      event.version = version;
      event.record = std::move(read.record);
      if (read.outcome == StoreOutcome::kUnreadable) event.problem = std::move(read.problem);
      loop->Post([sink = sink, e = std::move(event)]() mutable { sink(std::move(e)); });
    }
    std::lock_guard<std::mutex> lock(mutex);
    done = true;
    wake.notify_all();
  }
};

StoreWatcher::StoreWatcher(Loop* loop, lease::Store* store, Duration timeout, Sink sink)
    : shared_(std::make_shared<Shared>()) {
  shared_->loop = loop;
  shared_->store = store;
  shared_->timeout = timeout;
  shared_->sink = std::move(sink);
  thread_ = StartThread("store-watch", [shared = shared_] { shared->Run(); });
}

StoreWatcher::~StoreWatcher() { Stop(std::chrono::seconds(5)); }

bool StoreWatcher::Stop(Duration patience) {
  if (!thread_.joinable()) return true;
  bool in_time = false;
  {
    std::unique_lock<std::mutex> lock(shared_->mutex);
    shared_->stopping = true;
    shared_->wake.notify_all();
  }
  shared_->store->Interrupt();
  {
    std::unique_lock<std::mutex> lock(shared_->mutex);
    in_time = shared_->wake.wait_for(lock, patience, [this] { return shared_->done; });
  }
  if (in_time) {
    thread_.join();
  } else {
    Log(LogLevel::kWarn, "store", "the watch of the lock did not return; its thread is left behind");
    thread_.detach();
  }
  return in_time;
}

}  // namespace mainstay::agent
