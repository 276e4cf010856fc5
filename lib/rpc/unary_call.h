// One unary call that may be answered later, from any thread, or never. Only for lib/rpc: includes gRPC.
//
// gRPC waits for Finish for ever, also after the client is gone; here a cancelled call (deadline, lost
// connection, shutdown) ends by itself and a late answer is dropped.
#ifndef MAINSTAY_LIB_RPC_UNARY_CALL_H_
#define MAINSTAY_LIB_RPC_UNARY_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <mutex>

namespace mainstay::rpc {

class UnaryCall : public grpc::ServerUnaryReactor, public std::enable_shared_from_this<UnaryCall> {
 public:
  static std::shared_ptr<UnaryCall> Make() {
    auto call = std::shared_ptr<UnaryCall>(new UnaryCall);
    call->self_ = call;
    return call;
  }
  // `fill` writes the reply: only when the call is still there. True: it was.
  bool End(const grpc::Status& status, const std::function<void()>& fill = {}) {
    std::lock_guard lock(mu_);
    if (ended_) return false;
    ended_ = true;
    if (fill) fill();
    Finish(status);
    return true;
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    const auto last = std::move(self_);  // may destroy this
  }

 private:
  UnaryCall() = default;
  std::mutex mu_;
  bool ended_ = false;
  std::shared_ptr<UnaryCall> self_;  // until OnDone
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_UNARY_CALL_H_
