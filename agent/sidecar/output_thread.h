// A thread that takes lines to standard output beside the audit log: at a lower priority, never in anybody's
// way, left behind when it does not end in time (so it is held by a shared pointer, and by itself).
//
// Thread rules: Configure from any thread; Start and Stop once, from the loop's; the protected part from Run.
#ifndef MAINSTAY_AGENT_SIDECAR_OUTPUT_THREAD_H_
#define MAINSTAY_AGENT_SIDECAR_OUTPUT_THREAD_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "lib/audit/audit.h"
#include "lib/audit/database_log.h"
#include "lib/base/time.h"

namespace mainstay::agent {

// Lines a second, with a burst. What is over it is held back until a second later.
class LogLimit {
 public:
  void Set(int64_t rate, int64_t burst) {
    rate_ = rate;
    burst_ = burst;
  }
  bool Allow(MonoTime now);

 private:
  int64_t rate_ = 0, burst_ = 0;  // rate 0: no limit
  double tokens_ = -1;            // < 0: not begun
  MonoTime filled_;
  MonoTime closed_until_;
};

struct LogRelayOptions {
  audit::LogWeight least = audit::LogWeight::kInfo;
  int64_t rate = 1000;  // of classes log and slow_query; 0: no limit
  int64_t burst = 5000;
};

class OutputThread {
 public:
  explicit OutputThread(audit::Log* log) : out(log) {}
  virtual ~OutputThread() = default;
  OutputThread(const OutputThread&) = delete;
  OutputThread& operator=(const OutputThread&) = delete;

  void Configure(const LogRelayOptions& options);
  static void Start(const std::shared_ptr<OutputThread>& self, const char* name);
  // False: it did not end in time and was left behind.
  bool Stop(Duration patience);

 protected:
  virtual void Run() = 0;      // until `stopping`
  virtual void Interrupt() {}  // what Run may wait in, by Stop
  void Pause(Duration most);   // or until Stop
  void TakeOptions();          // into `least` and `limit`, if they changed
  // Waits for the reader of standard output, for as long as it takes. False: told to end.
  bool Put(const std::function<std::string(const audit::Identity&, uint64_t, int64_t)>& format);

  audit::Log* const out;
  std::atomic<bool> stopping{false};
  audit::LogWeight least = audit::LogWeight::kInfo;
  LogLimit limit;

 private:
  std::mutex mutex_;
  std::condition_variable wake_, ended_;
  LogRelayOptions options_;
  bool changed_ = true;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_OUTPUT_THREAD_H_
