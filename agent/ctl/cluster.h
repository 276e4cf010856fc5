// Who belongs to the cluster and what each says of it: found from any member that answers, also when the
// leader is dead.
//
// Thread rules: one thread.
#ifndef MAINSTAY_AGENT_CTL_CLUSTER_H_
#define MAINSTAY_AGENT_CTL_CLUSTER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/ctl/ctl.h"
#include "lib/rpc/tls_files.h"
#include "mainstay/v1/types.pb.h"

namespace mainstay::ctl {

// Where to begin: --address, --config, $MAINSTAY_ADDRESS, $MAINSTAY_CONFIG, $MAINSTAY_LISTEN_ADMIN, the
// configuration at its usual place, the default; in this order, the first that is given. A configuration's
// listen.admin is asked rather than its listen.grpc.
//
// Certificates: --tls-*, $MAINSTAY_TLS_*, those of the configuration. Unix sockets never need any.
struct Seeds {
  std::vector<std::string> addresses;
  std::string from;                    // "--address", for messages
  std::string problem;                 // not empty: the configuration or a certificate cannot be read
  std::shared_ptr<rpc::TlsFiles> tls;  // null: none
};
Seeds FindSeeds(const Common& common, const Program& program);

// One address that was asked.
struct Answer {
  std::string address;
  absl::StatusOr<v1::Status> status;
};

struct Cluster {
  std::vector<Answer> answers;
  // Member name -> the best that is known of it, and where.
  struct Known {
    v1::MemberStatus row;             // merged
    std::string address;              // of its agent; "" when not known
    const v1::Status* own = nullptr;  // its own answer, when it answered
    std::string error;                // why it did not answer
    bool unasked = false;             // for want of a certificate: `row` is what another member told
  };
  std::map<std::string, Known> members;
  const v1::Status* best = nullptr;  // whose view is the newest; null: nobody answered
  std::string leader;                // who leads; "" when nobody is known to
  bool leader_answers = false;
  int64_t epoch = 0;
  std::vector<std::string> warnings;
  bool closed = false;  // members could not be asked for want of a certificate

  bool reachable() const { return best != nullptr; }
  std::vector<std::string> Addresses() const;  // of all members that have one
};

// Asks the seeds, then everybody they know. `patience`: of each of the two rounds.
Cluster Discover(const std::vector<std::string>& seeds, bool decisions, Duration patience,
                 const std::shared_ptr<rpc::TlsFiles>& tls);

// What to print when nobody answers.
std::string UnreachableMessage(const Seeds& seeds, const Cluster& cluster);

}  // namespace mainstay::ctl

#endif  // MAINSTAY_AGENT_CTL_CLUSTER_H_
