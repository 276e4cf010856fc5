// One stream of statuses: the newest view at once and after each change, at most one an interval; what a slow
// reader misses is skipped, never queued. Only for lib/rpc: includes gRPC.
#ifndef MAINSTAY_LIB_RPC_WATCH_CALL_H_
#define MAINSTAY_LIB_RPC_WATCH_CALL_H_

#include <grpcpp/alarm.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "lib/rpc/port.h"
#include "mainstay/v1/agent.pb.h"

namespace mainstay::rpc {

class WatchCall : public grpc::ServerWriteReactor<v1::Status>,
                  public std::enable_shared_from_this<WatchCall> {
 public:
  // `watchers` was counted up by the caller and is counted down at the end.
  static WatchCall* Start(Port* port, bool decisions, Duration interval,
                          std::shared_ptr<std::atomic<int>> watchers);
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  WatchCall(Port* port, bool decisions, Duration interval, std::shared_ptr<std::atomic<int>> watchers)
      : port_(port), decisions_(decisions), interval_(interval), watchers_(std::move(watchers)) {}
  void Changed();
  void ScheduleLocked();
  void Write();
  void EndLocked(const grpc::Status& status);

  Port* const port_;
  const bool decisions_;
  const Duration interval_;
  const std::shared_ptr<std::atomic<int>> watchers_;
  uint64_t subscription_ = 0;

  std::mutex mu_;
  bool scheduled_ = false;
  bool writing_ = false;
  bool dirty_ = false;
  bool ended_ = false;
  MonoTime last_;
  v1::Status message_;
  grpc::Alarm alarm_;
  std::shared_ptr<WatchCall> self_;  // until OnDone
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_WATCH_CALL_H_
