// What the other members' agents say of their brokers, over gRPC.
//
// Thread rules: the maintenance's thread. Bounds and errors: rpc::PeerClient.
#ifndef MAINSTAY_AGENT_RABBIT_PEER_FACTS_H_
#define MAINSTAY_AGENT_RABBIT_PEER_FACTS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "lib/maintenance/ports.h"
#include "lib/rpc/peer_client.h"

namespace mainstay::agent {

class PeerFacts : public maintenance::PeersPort {
 public:
  // `addresses`: by member.
  PeerFacts(std::string cluster, std::string self, std::map<std::string, std::string> addresses,
            std::shared_ptr<rpc::TlsFiles> tls);

  std::vector<absl::StatusOr<std::string>> AskFacts(const std::vector<std::string>& names,
                                                    Duration timeout) override;

 private:
  const std::string self_;
  const std::map<std::string, std::string> addresses_;
  rpc::PeerClient client_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_PEER_FACTS_H_
