// What a Sentinel would know of a cluster, as its owner sees it: pushed into the Server whenever it changes.
//
// Thread rules: plain values. Bounded by the owner (members of a cluster).
#ifndef MAINSTAY_LIB_SENTINEL_VIEW_H_
#define MAINSTAY_LIB_SENTINEL_VIEW_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mainstay::sentinel {

struct Address {
  std::string host;  // an address, or a name that clients can resolve; without brackets
  uint16_t port = 0;
  friend bool operator==(const Address&, const Address&) = default;
};

struct ReplicaView {
  Address address;
  std::string run_id;      // 40 digits; "" : not known
  bool reachable = false;  // it answers its agent, and that is heard of
  bool link_up = false;    // follows the primary
  int64_t offset = 0;
  int64_t priority = 100;
  friend bool operator==(const ReplicaView&, const ReplicaView&) = default;
};

// Another member's port of this protocol.
struct PeerView {
  std::string id;  // 40 hexadecimal digits (IdOf)
  Address address;
  bool reachable = false;
  friend bool operator==(const PeerView&, const PeerView&) = default;
};

struct View {
  // Whom clients shall write to: absent from the moment it is not certain any more until the next one is.
  std::optional<Address> primary;
  std::string primary_run_id;
  uint64_t epoch = 0;
  std::vector<ReplicaView> replicas;
  std::vector<PeerView> peers;
  int voters = 1;         // members that take part, with this one
  bool can_elect = true;  // a failover would find who it needs
  friend bool operator==(const View&, const View&) = default;
};

// The 40 digits under which a member is known here: the same in each start, another for each name.
std::string IdOf(const std::string& cluster, const std::string& member);

}  // namespace mainstay::sentinel

#endif  // MAINSTAY_LIB_SENTINEL_VIEW_H_
