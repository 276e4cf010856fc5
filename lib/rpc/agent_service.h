// mainstay.v1.Agent over a Port (callback API). Only for lib/rpc: includes gRPC.
#ifndef MAINSTAY_LIB_RPC_AGENT_SERVICE_H_
#define MAINSTAY_LIB_RPC_AGENT_SERVICE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "lib/rpc/answer_book.h"
#include "lib/rpc/server.h"
#include "mainstay/v1/agent.grpc.pb.h"

namespace mainstay::rpc {

inline constexpr int kMaxWatchers = 32;

class AgentService : public v1::Agent::CallbackService {
 public:
  explicit AgentService(Server::Options options);
  ~AgentService() override;

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* Report(Context*, const v1::PeerReport*, v1::PeerReport*) override;
  Reactor* Freeze(Context*, const v1::FreezeRequest*, v1::FreezeReply*) override;
  Reactor* Promise(Context*, const v1::PromiseRequest*, v1::PromiseReply*) override;
  Reactor* BrokerFacts(Context*, const v1::BrokerFactsRequest*, v1::BrokerFactsReply*) override;

  Reactor* GetStatus(Context*, const v1::StatusRequest*, v1::Status*) override;
  Reactor* Why(Context*, const v1::WhyRequest*, v1::WhyReply*) override;
  Reactor* ListMembers(Context*, const v1::ListMembersRequest*, v1::ListMembersReply*) override;
  grpc::ServerWriteReactor<v1::Status>* Watch(Context*, const v1::WatchRequest*) override;

  Reactor* Switchover(Context*, const v1::SwitchoverRequest*, v1::AdminReply*) override;
  Reactor* Failover(Context*, const v1::FailoverRequest*, v1::AdminReply*) override;
  Reactor* Pause(Context*, const v1::PauseRequest*, v1::AdminReply*) override;
  Reactor* Resume(Context*, const v1::ResumeRequest*, v1::AdminReply*) override;
  Reactor* SetDurability(Context*, const v1::SetDurabilityRequest*, v1::AdminReply*) override;
  Reactor* Forget(Context*, const v1::ForgetRequest*, v1::AdminReply*) override;
  Reactor* Fence(Context*, const v1::FenceRequest*, v1::AdminReply*) override;
  Reactor* Unfence(Context*, const v1::UnfenceRequest*, v1::AdminReply*) override;
  Reactor* Restart(Context*, const v1::RestartRequest*, v1::AdminReply*) override;
  Reactor* Reload(Context*, const v1::ReloadRequest*, v1::AdminReply*) override;
  Reactor* Reinit(Context*, const v1::ReinitRequest*, v1::AdminReply*) override;

 private:
  template <typename Asked, typename Request, typename Reply, typename Ask>
  Reactor* Peer(Context* context, const Request* request, Reply* reply, Ask ask);
  template <typename Request>
  Reactor* Admin(Context* context, const Request* request, v1::AdminReply* reply, AdminCommand command);
  template <typename Request>
  Reactor* AdminOfMember(Context* context, const Request* request, v1::AdminReply* reply, AdminVerb verb);
  void TellRead(const Context& context, const char* method);
  void Submit(const AdminCommand& command, const std::string& method);

  // What the loop's late answers need: they may come when the service is gone.
  struct Shared {
    AnswerBook answers;
    std::mutex mu;
    std::function<void(const CallRecord&)> audit;  // emptied when the service goes
    void Audit(const CallRecord& record);
  };

  const Server::Options options_;
  const std::shared_ptr<Shared> shared_;
  std::shared_ptr<std::atomic<int>> watchers_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_AGENT_SERVICE_H_
