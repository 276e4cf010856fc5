// The inside of Elector: drives the election core (lib/election/core.h) with a store and two threads.
//
// Thread rules: state_ and everything of a reign belong to the loop thread; the rest is guarded by mutex_.
#ifndef MAINSTAY_LIB_LEASE_ELECTOR_LOOP_H_
#define MAINSTAY_LIB_LEASE_ELECTOR_LOOP_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "lib/election/core.h"
#include "lib/election/history_dates.h"
#include "lib/lease/elector.h"

namespace mainstay::lease {

class ElectorLoop {
 public:
  ElectorLoop(Store* store, ElectorOptions options, std::shared_ptr<const election::Settings> settings,
              ElectorCallbacks callbacks);
  ~ElectorLoop();

  void Start();
  bool Stop(Duration patience);
  Permission CurrentPermission() const;
  ElectorStatus Status() const;

 private:
  // A request that the store thread works on; the core has one at a time.
  struct Request {
    uint64_t id = 0;
    election::StoreOp op = election::StoreOp::kRead;
    Document document;
    std::string if_version;
    MonoTime deadline;
  };

  void LoopThread();
  void StoreThread();
  void WatchThread();

  void Handle(const election::Event& event);
  void Execute(const election::Action& action);
  void SendRequest(uint64_t id, election::StoreOp op, const election::Record* record,
                   const std::string& if_version);
  bool LeadsNow() const;
  void SyncReign();
  void EndReign(const std::string& why);
  void PublishStatus();
  bool Wound() const;  // stopping, and nothing is left to give up
  std::optional<election::Event> NextEvent(MonoTime until);
  void Post(election::Event event);
  election::StoreDone Perform(const Request& request);

  Store* const store_;
  const ElectorOptions options_;
  const std::shared_ptr<const election::Settings> settings_;
  const ElectorCallbacks callbacks_;

  // Loop thread only.
  bool started_ = false;  // the owner's thread only
  election::State state_;
  MonoTime wake_;
  bool leading_ = false;
  Permission reign_;  // the current or last one
  bool stop_seen_ = false;
  std::string last_row_;  // of the last decision: why a reign ended
  election::HistoryDates dates_;

  mutable std::mutex mutex_;
  std::condition_variable events_ready_;
  std::condition_variable request_ready_;
  std::deque<election::Event> events_;
  std::optional<Request> request_;
  bool stopping_ = false;  // give up and end
  bool quit_ = false;      // the helpers shall end
  bool gave_up_ = false;   // the loop ended with nothing left to give up
  MonoTime stop_deadline_ = MonoTime::Never();
  Permission permission_;
  ElectorStatus status_;

  std::thread loop_thread_, store_thread_, watch_thread_;
};

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_ELECTOR_LOOP_H_
