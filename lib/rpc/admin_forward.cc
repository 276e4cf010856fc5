#include "lib/rpc/admin_forward.h"

#include <grpcpp/client_context.h>

#include <condition_variable>
#include <mutex>
#include <unordered_set>

#include "absl/strings/str_cat.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/convert.h"
#include "lib/rpc/status.h"
#include "mainstay/v1/agent.grpc.pb.h"

namespace mainstay::rpc {
namespace {

using Done = std::function<void(absl::StatusOr<AdminAnswer>)>;

AdminAnswer ToAnswer(const v1::AdminReply& reply) {
  switch (reply.status()) {
    case v1::ADMIN_STATUS_DONE:
      return {election::AdminStatus::kDone, reply.message()};
    case v1::ADMIN_STATUS_ACCEPTED:
      return {election::AdminStatus::kAccepted, reply.message()};
    case v1::ADMIN_STATUS_REFUSED:
      return {election::AdminStatus::kRefused, reply.message()};
    default:
      return {election::AdminStatus::kFailed, reply.message()};
  }
}

struct CallBase {
  virtual ~CallBase() = default;
  grpc::ClientContext context;
  std::unique_ptr<v1::Agent::Stub> stub;
  v1::AdminReply reply;
};
template <typename Request>
struct OneCall : CallBase {
  Request request;
};

}  // namespace

struct ForwardCalls {
  std::shared_ptr<TlsFiles> tls;
  std::mutex mu;
  std::condition_variable idle;
  std::unordered_set<CallBase*> running;
  bool closed = false;

  void Ended(CallBase* call) {
    std::lock_guard lock(mu);
    running.erase(call);
    idle.notify_all();
  }
};

namespace {

template <typename Request, typename Start>
void Run(const std::shared_ptr<ForwardCalls>& calls, std::shared_ptr<OneCall<Request>> call, Start start,
         const Done& done) {
  {
    std::lock_guard lock(calls->mu);
    if (!calls->closed && calls->running.size() < static_cast<size_t>(kMaxForwards)) {
      calls->running.insert(call.get());
    } else {
      call.reset();
    }
  }
  if (call == nullptr)
    return done(absl::ResourceExhaustedError("too many requests are being handed on; try again later"));
  start(call->stub->async(), &call->context, &call->request, &call->reply,
        [calls, call, done](const grpc::Status& status) {
          if (status.ok()) {
            done(ToAnswer(call->reply));
          } else {
            done(FromGrpc(status));
          }
          calls->Ended(call.get());
        });
}

}  // namespace

AdminForward::AdminForward(std::shared_ptr<TlsFiles> tls) : calls_(std::make_shared<ForwardCalls>()) {
  calls_->tls = std::move(tls);
}

AdminForward::~AdminForward() {
  std::unique_lock lock(calls_->mu);
  calls_->closed = true;
  for (CallBase* call : calls_->running) call->context.TryCancel();
  calls_->idle.wait(lock, [this] { return calls_->running.empty(); });  // cancelled calls end at once
}

void AdminForward::Call(const std::string& address, const AdminCommand& command,
                        const std::string& expected_leader, Duration timeout, Done done) {
  const auto make = [&](auto request) {
    auto call = std::make_shared<OneCall<decltype(request)>>();
    call->request = std::move(request);
    v1::RequestMeta* meta = call->request.mutable_meta();
    meta->set_id(command.id);
    meta->set_reason(command.reason);
    meta->set_expected_leader(expected_leader);
    call->stub = v1::Agent::NewStub(MakeChannel(address, calls_->tls.get()));
    call->context.set_deadline(DeadlineIn(timeout));
    return call;
  };
#define MAINSTAY_FORWARD(METHOD)                                                                      \
  [](auto* async, grpc::ClientContext* context, const auto* asked, v1::AdminReply* reply, auto end) { \
    async->METHOD(context, asked, reply, std::move(end));                                             \
  }
  switch (command.verb) {
    case AdminVerb::kSwitchover: {
      v1::SwitchoverRequest request;
      request.set_target(command.target);
      return Run(calls_, make(std::move(request)), MAINSTAY_FORWARD(Switchover), done);
    }
    case AdminVerb::kFailover: {
      v1::FailoverRequest request;
      request.set_target(command.target);
      request.set_accept_loss(command.accept_loss);
      return Run(calls_, make(std::move(request)), MAINSTAY_FORWARD(Failover), done);
    }
    case AdminVerb::kPause:
      return Run(calls_, make(v1::PauseRequest()), MAINSTAY_FORWARD(Pause), done);
    case AdminVerb::kResume:
      return Run(calls_, make(v1::ResumeRequest()), MAINSTAY_FORWARD(Resume), done);
    case AdminVerb::kSetDurability: {
      v1::SetDurabilityRequest request;
      request.set_durability(ToProto(command.durability));
      return Run(calls_, make(std::move(request)), MAINSTAY_FORWARD(SetDurability), done);
    }
    default:
      return done(absl::InternalError(absl::StrCat(ToString(command.verb), " is not handed on")));
  }
#undef MAINSTAY_FORWARD
}

}  // namespace mainstay::rpc
