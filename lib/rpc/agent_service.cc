#include "lib/rpc/agent_service.h"

#include <grpc/grpc_security_constants.h>
#include <grpc/support/time.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"
#include "lib/rpc/convert.h"
#include "lib/rpc/status.h"
#include "lib/rpc/unary_call.h"
#include "lib/rpc/watch_call.h"

namespace mainstay::rpc {
namespace {

constexpr Duration kLongestCall = std::chrono::minutes(10);
constexpr Duration kShortestInterval = std::chrono::milliseconds(100);

// The caller's deadline on the own clock; an error when there is none or it is too far.
absl::StatusOr<MonoTime> CallDeadline(grpc::CallbackServerContext* context) {
  const gpr_timespec left = gpr_time_sub(gpr_convert_clock_type(context->raw_deadline(), GPR_CLOCK_MONOTONIC),
                                         gpr_now(GPR_CLOCK_MONOTONIC));
  const bool never =
      gpr_time_cmp(context->raw_deadline(), gpr_inf_future(context->raw_deadline().clock_type)) == 0;
  const Duration d = std::chrono::milliseconds(never ? INT32_MAX : gpr_time_to_millis(left));
  if (never || d > kLongestCall) {
    return absl::InvalidArgumentError(
        "deadline: the call has none or one of more than 10 minutes; set the time you are willing to wait");
  }
  return BootClock().Now() + d;
}

grpc::ServerUnaryReactor* EndNow(const absl::Status& status) {
  auto call = UnaryCall::Make();
  call->End(ToGrpc(status));
  return call.get();
}

// A peer that belongs to another cluster is a wrong address, not an enemy: say so.
absl::Status CheckCluster(const std::string& theirs, const std::string& ours) {
  if (theirs == ours) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("this agent belongs to cluster ", ours,
                                                    ", the caller to another one; check the peer addresses"));
}

// Who calls: the name in its certificate, "local" without TLS.
std::string Actor(const grpc::CallbackServerContext& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return "local";
  const std::vector<grpc::string_ref> names = auth->FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME);
  if (names.empty()) return "mtls";
  return Cut(absl::string_view(names[0].data(), names[0].size()), 128);
}

std::string MethodName(AdminVerb verb) {  // "switchover" -> "Switchover"
  if (verb == AdminVerb::kSetDurability) return "SetDurability";
  std::string name = ToString(verb);
  name[0] = absl::ascii_toupper(static_cast<unsigned char>(name[0]));
  return name;
}

std::string Content(const AdminCommand& c) {
  return absl::StrCat(ToString(c.verb), "|", c.target, "|", c.accept_loss, "|",
                      static_cast<int>(c.durability));
}

// "" or why what the caller believes of the cluster is wrong.
std::string CheckExpected(const v1::RequestMeta& meta, const StatusView& now) {
  if (!meta.expected_leader().empty() && meta.expected_leader() != now.leader) {
    return absl::StrCat("you expected ", meta.expected_leader(), " to lead, but ",
                        now.leader.empty() ? "nobody" : now.leader,
                        " does; look at `mainstay status` and ask again");
  }
  if (meta.expected_epoch() != 0 && meta.expected_epoch() != now.epoch) {
    return absl::StrCat("you expected epoch ", meta.expected_epoch(), ", but it is ", now.epoch,
                        "; look at `mainstay status` and ask again");
  }
  return "";
}

}  // namespace

// ---- peers ----

template <typename Asked, typename Request, typename Reply, typename Ask>
AgentService::Reactor* AgentService::Peer(Context* context, const Request* request, Reply* reply, Ask ask) {
  if (auto deadline = CallDeadline(context); !deadline.ok()) return EndNow(deadline.status());
  if (auto status = CheckCluster(request->cluster(), options_.cluster); !status.ok()) return EndNow(status);
  absl::StatusOr<Asked> asked = FromProto(*request);
  if (!asked.ok()) return EndNow(asked.status());
  auto call = UnaryCall::Make();
  ask(*std::move(asked), [call, reply, cluster = options_.cluster](const auto& answer) {
    call->End(grpc::Status::OK, [&] {
      if constexpr (std::is_same_v<Reply, v1::PeerReport>) {
        ToProto(answer, cluster, reply);
      } else {
        ToProto(answer, reply);
      }
    });
  });
  return call.get();
}

AgentService::Reactor* AgentService::Report(Context* context, const v1::PeerReport* request,
                                            v1::PeerReport* reply) {
  // NOLINTNEXTLINE(performance-unnecessary-value-param): moved beside an auto, unseen
  return Peer<election::PeerReport>(context, request, reply, [this](election::PeerReport report, auto done) {
    options_.port->OnReport(std::move(report), std::move(done));
  });
}

AgentService::Reactor* AgentService::Freeze(Context* context, const v1::FreezeRequest* request,
                                            v1::FreezeReply* reply) {
  // NOLINTNEXTLINE(performance-unnecessary-value-param): moved beside an auto, unseen
  return Peer<election::FreezeAsked>(context, request, reply, [this](election::FreezeAsked asked, auto done) {
    options_.port->OnFreeze(std::move(asked), std::move(done));
  });
}

AgentService::Reactor* AgentService::Promise(Context* context, const v1::PromiseRequest* request,
                                             v1::PromiseReply* reply) {
  // NOLINTNEXTLINE(performance-unnecessary-value-param): moved beside an auto, unseen
  const auto ask = [this](election::PromiseAsked asked, auto done) {
    options_.port->OnPromise(std::move(asked), std::move(done));
  };
  return Peer<election::PromiseAsked>(context, request, reply, ask);
}

AgentService::Reactor* AgentService::BrokerFacts(Context* context, const v1::BrokerFactsRequest* request,
                                                 v1::BrokerFactsReply* reply) {
  if (auto deadline = CallDeadline(context); !deadline.ok()) return EndNow(deadline.status());
  if (auto status = CheckCluster(request->cluster(), options_.cluster); !status.ok()) return EndNow(status);
  absl::StatusOr<std::string> facts = options_.port->BrokerFacts();
  if (facts.ok()) reply->set_facts(*std::move(facts));
  return EndNow(facts.status());
}

// ---- people: reading ----

void AgentService::TellRead(const Context& context, const char* method) {
  if (!options_.audit_reads || !options_.audit_reads()) return;
  CallRecord record;
  record.started = false;
  record.read = true;
  record.method = absl::StrCat("/", v1::Agent::service_full_name(), "/", method);
  record.command.actor = Actor(context);
  record.command.peer = context.peer();
  shared_->Audit(record);
}

AgentService::Reactor* AgentService::GetStatus(Context* context, const v1::StatusRequest* request,
                                               v1::Status* reply) {
  if (auto deadline = CallDeadline(context); !deadline.ok()) return EndNow(deadline.status());
  TellRead(*context, "GetStatus");
  ToProto(*options_.port->Snapshot(), BootClock().Now(), UnixMillis(), request->decisions(), reply);
  if (options_.tls != nullptr) reply->set_peer_tls_name(options_.tls->options().peer_name);
  return EndNow(absl::OkStatus());
}

AgentService::Reactor* AgentService::Why(Context* context, const v1::WhyRequest* request,
                                         v1::WhyReply* reply) {
  if (auto deadline = CallDeadline(context); !deadline.ok()) return EndNow(deadline.status());
  TellRead(*context, "Why");
  const auto view = options_.port->Snapshot();
  reply->set_member(view->member);
  const size_t all = view->decisions.size();
  const size_t limit = request->limit() <= 0 ? all : std::min(all, static_cast<size_t>(request->limit()));
  for (size_t i = all - limit; i < all; ++i) ToProto(view->decisions[i], reply->add_decisions());
  return EndNow(absl::OkStatus());
}

AgentService::Reactor* AgentService::ListMembers(Context* context, const v1::ListMembersRequest*,
                                                 v1::ListMembersReply* reply) {
  if (auto deadline = CallDeadline(context); !deadline.ok()) return EndNow(deadline.status());
  TellRead(*context, "ListMembers");
  const auto view = options_.port->Snapshot();
  reply->set_cluster(view->cluster);
  reply->set_leader(view->leader);
  reply->set_epoch(view->epoch);
  for (const MemberView& m : view->members) ToProto(m, BootClock().Now(), reply->add_members());
  return EndNow(absl::OkStatus());
}

grpc::ServerWriteReactor<v1::Status>* AgentService::Watch(Context* context, const v1::WatchRequest* request) {
  TellRead(*context, "Watch");
  const Duration asked(google::protobuf::util::TimeUtil::DurationToNanoseconds(request->interval()));
  if (watchers_->fetch_add(1) >= kMaxWatchers) {
    watchers_->fetch_sub(1);
    class Refusal : public grpc::ServerWriteReactor<v1::Status> {
     public:
      Refusal() {
        Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                            absl::StrCat("there are ", kMaxWatchers, " watchers already")));
      }
      void OnDone() override { delete this; }
    };
    return new Refusal;
  }
  return WatchCall::Start(options_.port, request->decisions(), std::max(asked, kShortestInterval), watchers_);
}

// ---- people: changing ----

AgentService::AgentService(Server::Options options)
    : options_(std::move(options)), shared_(std::make_shared<Shared>()) {
  shared_->audit = options_.audit;
}

AgentService::~AgentService() {
  std::lock_guard lock(shared_->mu);
  shared_->audit = nullptr;
}

void AgentService::Shared::Audit(const CallRecord& record) {
  std::lock_guard lock(mu);
  if (audit) audit(record);
}

void AgentService::Submit(const AdminCommand& command, const std::string& method) {
  const MonoTime began = BootClock().Now();
  CallRecord record;
  record.method = method;
  record.command = command;
  shared_->Audit(record);
  options_.port->Submit(command, [shared = shared_, record, began](const AdminAnswer& answer) mutable {
    record.started = false;
    record.answer = answer;
    record.took = BootClock().Now() - began;
    shared->Audit(record);
    shared->answers.Finish(record.command.id, answer);
  });
}

template <typename Request>
AgentService::Reactor* AgentService::Admin(Context* context, const Request* request, v1::AdminReply* reply,
                                           AdminCommand command) {
  CallRecord record;
  record.method = absl::StrCat("/", v1::Agent::service_full_name(), "/", MethodName(command.verb));
  command.id = request->meta().id();
  command.reason = request->meta().reason();
  command.actor = Actor(*context);
  command.peer = context->peer();
  record.command = command;
  absl::Status status = CheckMeta(request->meta());
  if (status.ok()) status = CheckName(command.target, "target", true);
  if (status.ok()) {
    auto deadline = CallDeadline(context);
    status = deadline.status();
    if (deadline.ok()) command.deadline = *deadline;
  }
  const auto refuse = [&](const absl::Status& why) {
    record.started = false;
    record.refused = why.ToString();
    shared_->Audit(record);
    return EndNow(why);
  };
  if (!status.ok()) return refuse(status);

  auto call = UnaryCall::Make();
  const auto deliver = [call, reply, id = command.id, member = options_.member](const AdminAnswer& answer) {
    call->End(grpc::Status::OK, [&] {
      reply->set_id(id);
      reply->set_status(ToProto(answer.status));
      reply->set_message(answer.message);
      reply->set_member(member);
    });
  };
  AnswerBook::Verdict verdict = AnswerBook::Verdict::kRepeated;
  status = shared_->answers.Begin(command.id, Content(command), BootClock().Now(), deliver, &verdict);
  if (!status.ok()) {
    call->End(ToGrpc(status));
    record.started = false;
    record.refused = status.ToString();
    shared_->Audit(record);
    return call.get();
  }
  if (verdict == AnswerBook::Verdict::kNew) {
    const std::string unexpected = CheckExpected(request->meta(), *options_.port->Snapshot());
    if (unexpected.empty()) {
      Submit(command, record.method);
    } else {
      record.started = false;
      record.answer = {election::AdminStatus::kRefused, unexpected};
      shared_->Audit(record);
      shared_->answers.Finish(command.id, record.answer);
    }
  }
  return call.get();
}

template <typename Request>
AgentService::Reactor* AgentService::AdminOfMember(Context* context, const Request* request,
                                                   v1::AdminReply* reply, AdminVerb verb) {
  AdminCommand command;
  command.verb = verb;
  command.target = request->target().empty() ? options_.member : request->target();
  if (command.target != options_.member && CheckName(command.target, "target").ok()) {
    return EndNow(absl::InvalidArgumentError(absl::StrCat("target: this is ", options_.member, ", not ",
                                                          command.target, "; ask that member's agent")));
  }
  return Admin(context, request, reply, std::move(command));
}

AgentService::Reactor* AgentService::Switchover(Context* context, const v1::SwitchoverRequest* request,
                                                v1::AdminReply* reply) {
  AdminCommand command;
  command.verb = AdminVerb::kSwitchover;
  command.target = request->target();
  return Admin(context, request, reply, std::move(command));
}

AgentService::Reactor* AgentService::Failover(Context* context, const v1::FailoverRequest* request,
                                              v1::AdminReply* reply) {
  AdminCommand command;
  command.verb = AdminVerb::kFailover;
  command.target = request->target();
  command.accept_loss = request->accept_loss();
  return Admin(context, request, reply, std::move(command));
}

AgentService::Reactor* AgentService::Pause(Context* context, const v1::PauseRequest* request,
                                           v1::AdminReply* reply) {
  AdminCommand command;
  command.verb = AdminVerb::kPause;
  return Admin(context, request, reply, std::move(command));
}

AgentService::Reactor* AgentService::Resume(Context* context, const v1::ResumeRequest* request,
                                            v1::AdminReply* reply) {
  AdminCommand command;
  command.verb = AdminVerb::kResume;
  return Admin(context, request, reply, std::move(command));
}

AgentService::Reactor* AgentService::SetDurability(Context* context, const v1::SetDurabilityRequest* request,
                                                   v1::AdminReply* reply) {
  AdminCommand command;
  command.verb = AdminVerb::kSetDurability;
  auto durability = FromProto(request->durability());
  if (!durability.ok()) return EndNow(durability.status());
  command.durability = *durability;
  return Admin(context, request, reply, std::move(command));
}

AgentService::Reactor* AgentService::Forget(Context* context, const v1::ForgetRequest* request,
                                            v1::AdminReply* reply) {
  AdminCommand command;
  command.verb = AdminVerb::kForget;
  command.target = request->target();
  if (auto status = CheckName(command.target, "target"); !status.ok()) return EndNow(status);
  return Admin(context, request, reply, std::move(command));
}

AgentService::Reactor* AgentService::Fence(Context* context, const v1::FenceRequest* request,
                                           v1::AdminReply* reply) {
  return AdminOfMember(context, request, reply, AdminVerb::kFence);
}
AgentService::Reactor* AgentService::Unfence(Context* context, const v1::UnfenceRequest* request,
                                             v1::AdminReply* reply) {
  return AdminOfMember(context, request, reply, AdminVerb::kUnfence);
}
AgentService::Reactor* AgentService::Restart(Context* context, const v1::RestartRequest* request,
                                             v1::AdminReply* reply) {
  return AdminOfMember(context, request, reply, AdminVerb::kRestart);
}
AgentService::Reactor* AgentService::Reload(Context* context, const v1::ReloadRequest* request,
                                            v1::AdminReply* reply) {
  return AdminOfMember(context, request, reply, AdminVerb::kReload);
}
AgentService::Reactor* AgentService::Reinit(Context* context, const v1::ReinitRequest* request,
                                            v1::AdminReply* reply) {
  return AdminOfMember(context, request, reply, AdminVerb::kReinit);
}

}  // namespace mainstay::rpc
