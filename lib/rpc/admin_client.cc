#include "lib/rpc/admin_client.h"

#include <grpcpp/client_context.h>

#include <condition_variable>
#include <mutex>

#include "google/protobuf/util/time_util.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/convert.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/status.h"
#include "mainstay/v1/agent.grpc.pb.h"

namespace mainstay::rpc {

struct AdminClient::Impl {
  std::string address;
  std::unique_ptr<v1::Agent::Stub> stub;

  template <typename Request, typename Reply>
  absl::StatusOr<Reply> Run(grpc::Status (v1::Agent::Stub::*method)(grpc::ClientContext*, const Request&,
                                                                    Reply*),
                            const Request& request, Duration timeout) {
    grpc::ClientContext context;
    context.set_deadline(DeadlineIn(timeout));
    Reply reply;
    const grpc::Status status = (stub.get()->*method)(&context, request, &reply);
    if (!status.ok()) return FromGrpc(status);
    return reply;
  }
};

AdminClient::AdminClient(const std::string& address, const std::shared_ptr<TlsFiles>& tls)
    : impl_(std::make_unique<Impl>()) {
  RouteGrpcLog(true);
  impl_->address = address;
  impl_->stub = v1::Agent::NewStub(MakeChannel(address, tls.get()));
}
AdminClient::~AdminClient() = default;
AdminClient::AdminClient(AdminClient&&) noexcept = default;
const std::string& AdminClient::address() const { return impl_->address; }

absl::StatusOr<v1::Status> AdminClient::GetStatus(bool decisions, Duration timeout) {
  v1::StatusRequest request;
  request.set_decisions(decisions);
  return impl_->Run(&v1::Agent::Stub::GetStatus, request, timeout);
}

absl::StatusOr<v1::WhyReply> AdminClient::Why(int limit, Duration timeout) {
  v1::WhyRequest request;
  request.set_limit(limit);
  return impl_->Run(&v1::Agent::Stub::Why, request, timeout);
}

absl::StatusOr<v1::ListMembersReply> AdminClient::ListMembers(Duration timeout) {
  return impl_->Run(&v1::Agent::Stub::ListMembers, v1::ListMembersRequest(), timeout);
}

absl::StatusOr<v1::AdminReply> AdminClient::Call(const AdminCommand& command, const v1::RequestMeta& meta,
                                                 Duration timeout) {
  const auto run = [&](auto request, auto method) {
    *request.mutable_meta() = meta;
    request.mutable_meta()->set_id(command.id);
    return impl_->Run(method, request, timeout);
  };
  const auto targeted = [&](auto request, auto method) {
    request.set_target(command.target);
    return run(std::move(request), method);
  };
  using Stub = v1::Agent::Stub;
  switch (command.verb) {
    case AdminVerb::kSwitchover:
      return targeted(v1::SwitchoverRequest(), &Stub::Switchover);
    case AdminVerb::kFailover: {
      v1::FailoverRequest request;
      request.set_accept_loss(command.accept_loss);
      return targeted(std::move(request), &Stub::Failover);
    }
    case AdminVerb::kPause:
      return run(v1::PauseRequest(), &Stub::Pause);
    case AdminVerb::kResume:
      return run(v1::ResumeRequest(), &Stub::Resume);
    case AdminVerb::kFence:
      return targeted(v1::FenceRequest(), &Stub::Fence);
    case AdminVerb::kUnfence:
      return targeted(v1::UnfenceRequest(), &Stub::Unfence);
    case AdminVerb::kSetDurability: {
      v1::SetDurabilityRequest request;
      request.set_durability(ToProto(command.durability));
      return run(std::move(request), &Stub::SetDurability);
    }
    case AdminVerb::kForget:
      return targeted(v1::ForgetRequest(), &Stub::Forget);
    case AdminVerb::kRestart:
      return targeted(v1::RestartRequest(), &Stub::Restart);
    case AdminVerb::kReload:
      return targeted(v1::ReloadRequest(), &Stub::Reload);
    case AdminVerb::kReinit:
      return targeted(v1::ReinitRequest(), &Stub::Reinit);
  }
  return absl::InternalError("unknown verb");
}

absl::Status AdminClient::Watch(bool decisions, Duration interval, Duration timeout,
                                const std::function<bool(const v1::Status&)>& each) {
  v1::WatchRequest request;
  request.set_decisions(decisions);
  *request.mutable_interval() = google::protobuf::util::TimeUtil::NanosecondsToDuration(interval.count());
  grpc::ClientContext context;
  context.set_deadline(DeadlineIn(timeout));
  auto reader = impl_->stub->Watch(&context, request);
  v1::Status status;
  while (reader->Read(&status)) {
    if (!each(status)) context.TryCancel();
  }
  return FromGrpc(reader->Finish());
}

std::vector<absl::StatusOr<v1::Status>> GetStatuses(const std::vector<std::string>& addresses, bool decisions,
                                                    Duration timeout, const std::shared_ptr<TlsFiles>& tls) {
  RouteGrpcLog(true);
  struct One {
    std::unique_ptr<v1::Agent::Stub> stub;
    grpc::ClientContext context;
    v1::Status reply;
    grpc::Status status;
  };
  std::vector<std::unique_ptr<One>> calls;
  std::mutex mu;
  std::condition_variable all;
  size_t left = addresses.size();
  v1::StatusRequest request;
  request.set_decisions(decisions);
  for (const std::string& address : addresses) {
    auto one = std::make_unique<One>();
    one->stub = v1::Agent::NewStub(MakeChannel(address, tls.get()));
    one->context.set_deadline(DeadlineIn(timeout));
    calls.push_back(std::move(one));
  }
  for (auto& one : calls) {
    one->stub->async()->GetStatus(&one->context, &request, &one->reply,
                                  [&, call = one.get()](grpc::Status status) {
                                    std::lock_guard lock(mu);
                                    call->status = std::move(status);
                                    if (--left == 0) all.notify_all();
                                  });
  }
  std::unique_lock lock(mu);
  all.wait(lock, [&] { return left == 0; });  // each call has its deadline
  std::vector<absl::StatusOr<v1::Status>> out;
  for (auto& one : calls) {
    if (one->status.ok()) {
      out.emplace_back(std::move(one->reply));
    } else {
      out.emplace_back(FromGrpc(one->status));
    }
  }
  return out;
}

}  // namespace mainstay::rpc
