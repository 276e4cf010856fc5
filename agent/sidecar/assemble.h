// The parts that the sidecar takes from the configuration: settings with an identity, the engine, its
// deadlines.
//
// Thread rules: plain functions; before the loop runs, or on it.
#ifndef MAINSTAY_AGENT_SIDECAR_ASSEMBLE_H_
#define MAINSTAY_AGENT_SIDECAR_ASSEMBLE_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agent/config.h"
#include "agent/sidecar/driver.h"
#include "agent/sidecar/role_publisher.h"
#include "lib/engine/redis/metrics_session.h"
#include "lib/kube/client.h"
#include "lib/rpc/peer_client.h"

namespace mainstay::agent {

struct BuiltEngine {
  std::unique_ptr<engine::Engine> engine;
  // Takes over reloadable parameters (in force at the next Reload); what is wrong, or OK.
  std::function<absl::Status(const Config&)> configure;
  std::shared_ptr<const std::atomic<int64_t>> own_kills;  // Redis: calls of CLIENT KILL by the engine
};
// `log` may be null: nobody is told of clones and the like then.
absl::StatusOr<BuiltEngine> BuildEngine(const Config& config, audit::Log* log);
// Of the agent's user over the unix socket.
engine::redis::MetricsLogin RedisLogin(const Config& config);

// The client of the API server, the lock over it and what it is told of our role.
absl::StatusOr<std::unique_ptr<kube::Client>> BuildKubeClient(const Config& config);
absl::StatusOr<std::unique_ptr<lease::Store>> BuildKubeStore(const Config& config, kube::Client* client);
std::unique_ptr<LabelPublisher> BuildLabelPublisher(const Config& config, kube::Client* client);

// Peer addresses of the members that the configuration names.
std::map<election::Name, std::string> ConfiguredPeers(const Config& config);
DriverOptions BuildDriverOptions(const Config& config, const std::string& incarnation);
EngineDeadlines BuildDeadlines(const Config& config);

// PeerLink over gRPC.
class RpcPeerLink : public PeerLink {
 public:
  RpcPeerLink(Loop* loop, std::string cluster, std::shared_ptr<rpc::TlsFiles> tls)
      : client_({.cluster = std::move(cluster),
                 .post = [loop](std::function<void()> task) { loop->Post(std::move(task)); },
                 .at = [loop](MonoTime when,
                              std::function<void()> task) { return loop->At(when, std::move(task)); },
                 .cancel = [loop](TimerId id) { loop->Cancel(id); },
                 .tls = std::move(tls)}) {}
  void Report(const std::string& address, const election::PeerReport& report, Duration timeout,
              Done<election::PeerReport> done) override {
    client_.Report(address, report, timeout, std::move(done));
  }
  void Freeze(const std::string& address, const election::FreezeAsked& asked, Duration timeout,
              Done<election::FreezeAnswered> done) override {
    client_.Freeze(address, asked, timeout, std::move(done));
  }
  void Promise(const std::string& address, const election::PromiseAsked& asked, Duration timeout,
               Done<election::PromiseAnswered> done) override {
    client_.Promise(address, asked, timeout, std::move(done));
  }
  void Keep(const std::vector<std::string>& addresses) override { client_.Keep(addresses); }

 private:
  rpc::PeerClient client_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_ASSEMBLE_H_
