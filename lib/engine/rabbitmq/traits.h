// What differs between the versions of RabbitMQ that Mainstay knows, in one table: which call answers what,
// what there is at all, what metrics are called. The version is asked of the node (rabbit_misc:version/0),
// never guessed.
//
// Thread rules: pure functions; the table is constant. Errors: kInvalidArgument (no version),
// kFailedPrecondition (older than what is known, with the versions that are).
#ifndef MAINSTAY_LIB_ENGINE_RABBITMQ_TRAITS_H_
#define MAINSTAY_LIB_ENGINE_RABBITMQ_TRAITS_H_

#include <compare>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mainstay::engine::rabbitmq {

struct Version {
  int major = 0;
  int minor = 0;
  int patch = 0;
  friend auto operator<=>(const Version&, const Version&) = default;
  std::string ToString() const;
};
// "3.10.8", "4.1.0-rc.1+5": what follows the third number does not count.
absl::StatusOr<Version> ParseVersion(absl::string_view text);

// A function of the node: module and name. Null: that version has none.
struct Function {
  const char* module = nullptr;
  const char* name = nullptr;
  bool exists() const { return module != nullptr; }
};

// Where the cluster's metadata may be kept.
enum class MetadataStore { kMnesia, kEither, kKhepri };

struct Traits {
  int major = 0;
  int minor = 0;
  MetadataStore store = MetadataStore::kMnesia;
  Function members;                    // () -> [Node]
  Function running_members;            // () -> [Node]
  Function disc_members;               // (disc) -> [Node]; none: all members keep the metadata on disk
  Function partitions;                 // () -> [Node]; none: there is no such thing as a partition that stays
  Function cluster_status;             // () -> {All, Disc, RunningAtShutdown} from the node's files
  Function quorum_critical;            // () -> [#{<<"readable_name">> => ...}]
  Function forget;                     // (Node, false) -> ok | {error, _}
  Function forget_streams;             // (Node) -> [_]: stream replicas of a node that is to be forgotten
  Function force_boot;                 // () -> ok, Mnesia only: the next boot waits for nobody
  bool add_member_promotable = false;  // rabbit_quorum_queue:add_member/5 takes `promotable`
  bool unauthenticated_health = false;        // GET /api/health/checks/{is-in-service,ready-to-serve-clients}
  bool unreachable_peers_metric = false;      // rabbitmq_unreachable_cluster_peers_count
  bool file_descriptor_alarm_metric = false;  // rabbitmq_alarms_file_descriptor_limit
  const char* raft_commit_index_metric = nullptr;
  const char* raft_term_metric = nullptr;
};

// Of that version's series. A newer one than the table has gets the newest row's, with *assumed (may be null)
// true.
absl::StatusOr<Traits> TraitsOf(const Version& version, bool* assumed = nullptr);

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_LIB_ENGINE_RABBITMQ_TRAITS_H_
