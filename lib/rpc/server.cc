#include "lib/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "lib/base/file.h"
#include "lib/rpc/agent_service.h"
#include "lib/rpc/channel.h"
#include "lib/rpc/credentials.h"
#include "lib/rpc/health.h"

namespace mainstay::rpc {
namespace {

constexpr size_t kMemoryQuota = 8 << 20;
constexpr int kMaxConnectionGraceMs = 10 * 60 * 1000;  // the longest call

// gRPC unlinks whatever socket it finds at a path before it binds: find out first whether somebody answers on
// it.
bool SomebodyListens(const std::string& path) {
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return fd.valid() && connect(fd.get(), reinterpret_cast<struct sockaddr*>(&address), sizeof address) == 0;
}

void SetBounds(grpc::ServerBuilder* builder) {
  grpc::ResourceQuota quota("agent");
  quota.Resize(kMemoryQuota);
  builder->SetResourceQuota(quota);
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->SetMaxSendMessageSize(kMaxMessageBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 64);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 8192);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 5000);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, 10 * 60 * 1000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 3000);
  // Peers ping every 10 s while a call is under way (channel.cc).
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // as in channel.cc
  // The caller keeps its deadline and resets the stream; a caller that vanished is found by keepalive. A
  // timer of the server for the same moment wakes two threads for each report.
  builder->AddChannelArgument(GRPC_ARG_ENABLE_DEADLINE_CHECKS, 0);
  builder->AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
  // By default two agents could share a port, each getting half of the calls.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

class ServerImpl : public Server {
 public:
  explicit ServerImpl(const Options& options)
      : service_(options),
        address_(options.address),
        admin_(options.admin_address),
        tls_(options.tls),
        max_age_(options.max_connection_age),
        port_of_loop_(options.port),
        stalled_after_(options.stalled_after) {}
  ~ServerImpl() override {
    if (!server_) return;
    health_.reset();
    server_->Shutdown(DeadlineIn(std::chrono::seconds(1)));  // then cancels what still runs
    server_->Wait();
  }

  absl::Status Listen() {
    grpc::ServerBuilder builder;
    SetBounds(&builder);
    int admin_port = 1;
    if (absl::Status status = Add(&builder, address_, tls_, &port_); !status.ok()) return status;
    if (!admin_.empty()) {
      if (absl::Status status = Add(&builder, admin_, nullptr, &admin_port); !status.ok()) return status;
    }
    builder.RegisterService(&service_);
    const mode_t before = umask(0177);  // a unix socket is born 0600: no moment at which others may connect
    server_ = builder.BuildAndStart();
    umask(before);
    if (!server_ || port_ <= 0 || admin_port <= 0) {
      server_.reset();
      return absl::UnavailableError(
          absl::StrCat("gRPC server on ", address_, admin_.empty() ? "" : " and ", admin_,
                       " did not start; is another agent running, or is the port taken?"));
    }
    if (!IsUnix(address_)) address_ = absl::StrCat(address_.substr(0, address_.rfind(':')), ":", port_);
    health_ = std::make_unique<Health>(server_->GetHealthCheckService(), port_of_loop_, stalled_after_);
    return absl::OkStatus();
  }

  std::string address() const override { return address_; }
  void SetServing(bool serving) override {
    SetHealth("", serving);
    SetHealth(v1::Agent::service_full_name(), serving);
  }
  void SetHealth(const std::string& service, bool serving) override { health_->Set(service, serving); }

 private:
  static bool IsUnix(const std::string& address) { return absl::StartsWith(address, "unix:"); }

  absl::Status Add(grpc::ServerBuilder* builder, const std::string& address,
                   const std::shared_ptr<TlsFiles>& tls, int* port) const {
    if (IsUnix(address) && SomebodyListens(address.substr(5))) {
      return absl::AlreadyExistsError(
          absl::StrCat("gRPC server on ", address, ": somebody listens there; stop the other agent"));
    }
    if (tls != nullptr && !IsUnix(address)) {
      builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                                  static_cast<int>(max_age_ / std::chrono::milliseconds(1)));
      builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kMaxConnectionGraceMs);
      builder->AddListeningPort(address, ServerTls(tls), port);
    } else {
      builder->AddListeningPort(address, grpc::InsecureServerCredentials(), port);
    }
    return absl::OkStatus();
  }

  AgentService service_;
  std::string address_;
  const std::string admin_;
  const std::shared_ptr<TlsFiles> tls_;
  const Duration max_age_;
  const Port* const port_of_loop_;
  const Duration stalled_after_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Health> health_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(Options options) {
  const std::string problem = CheckListenAddress(options.address);
  if (!problem.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("gRPC address ", options.address, " ", problem));
  }
  if (options.tls == nullptr && !IsLocalAddress(options.address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("gRPC address ", options.address, " is not loopback, and there is no TLS; set tls"));
  }
  if (!options.admin_address.empty() && !absl::StartsWith(options.admin_address, "unix:/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("gRPC address ", options.admin_address, " is no unix socket; write unix:/path"));
  }
  RouteGrpcLog(false);
  grpc::EnableDefaultHealthCheckService(true);
  static const bool once = [] {
    // Debian's Abseil is built with its checks: a graph of all locks held, kept for each lock taken.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)once;
  auto server = std::make_unique<ServerImpl>(options);
  if (absl::Status status = server->Listen(); !status.ok()) return status;
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace mainstay::rpc
