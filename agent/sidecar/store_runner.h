// Requests to the lock, run on the store's worker: each is answered exactly once, at the latest at its
// deadline.
//
//   StoreRunner runner(&loop, &worker, &store, {.timeout = 2s}, [&](election::StoreDone d) {
//   driver.Handle(d); }); runner.Update(action.id, action.record, action.if_version);
//
// A request that could not be sent before its deadline (the worker hung in an earlier one) is not sent at
// all; one that hangs is answered kUnknown. Nothing is sent twice: whether to try again is the core's
// decision. acquireTime: kept per epoch, as read; the first write of an epoch that was not read stamps it.
//
// Thread rules: loop only; the store is called on the worker only. Outlives the worker's jobs (stop the
// worker first).
#ifndef MAINSTAY_AGENT_SIDECAR_STORE_RUNNER_H_
#define MAINSTAY_AGENT_SIDECAR_STORE_RUNNER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "agent/sidecar/loop.h"
#include "agent/sidecar/worker.h"
#include "lib/election/event.h"
#include "lib/election/history_dates.h"
#include "lib/election/record.h"
#include "lib/lease/store.h"

namespace mainstay::agent {

class StoreRunner {
 public:
  struct Options {
    Duration timeout = std::chrono::seconds(2);
  };
  using Sink = std::function<void(election::StoreDone, Duration took)>;

  StoreRunner(Loop* loop, Worker* worker, lease::Store* store, Options options, Sink sink);

  void Read(uint64_t id);
  void Create(uint64_t id, const election::Record& record);
  void Update(uint64_t id, const election::Record& record, const std::string& if_version);
  const election::HistoryDates& dates() const { return dates_; }

 private:
  struct Request {
    uint64_t id = 0;
    election::StoreOp op = election::StoreOp::kRead;
    election::Document document;
    std::string if_version;
    MonoTime sent;
    MonoTime deadline;
  };
  void Send(Request request);
  void Answer(uint64_t id, election::StoreOp op, election::StoreDone done);
  election::Document Encoded(const election::Record& record);

  Loop* const loop_;
  Worker* const worker_;
  lease::Store* const store_;
  const Options options_;
  const Sink sink_;

  uint64_t waiting_ = 0;  // id of the request that is to be answered; 0: none
  MonoTime sent_;
  TimerId timeout_ = 0;
  election::HistoryDates dates_;
};

// Decodes what a store answered to a Read.
election::StoreDone ToStoreDone(const lease::StoreAnswer& answer, int64_t* acquire_unix_ms);

// Waits for changes of the lock on a thread of its own and posts what is there. A hint only; runs until
// stopped.
class StoreWatcher {
 public:
  using Sink = std::function<void(election::RecordSeen)>;
  StoreWatcher(Loop* loop, lease::Store* store, Duration timeout, Sink sink);
  ~StoreWatcher();
  StoreWatcher(const StoreWatcher&) = delete;
  StoreWatcher& operator=(const StoreWatcher&) = delete;
  // False: the store did not return in time; the thread was left behind.
  bool Stop(Duration patience);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_STORE_RUNNER_H_
