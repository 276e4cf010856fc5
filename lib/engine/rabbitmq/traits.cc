#include "lib/engine/rabbitmq/traits.h"

#include <array>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace mainstay::engine::rabbitmq {
namespace {

// Read off the export lists and bodies in the sources of rabbitmq-server at the tags v3.10.8, v3.11.28,
// v3.12.14, v3.13.7, v4.0.9, v4.1.8, v4.2.9 and v4.3.5. The same in all of them, so not in the table:
// rabbit_misc:version/0, rabbit_boot_state:get/0, rabbit:is_running/0, rabbit:is_booting/0,
// rabbit_alarm:get_alarms/0, rabbit_nodes:persistent_cluster_id/0, rabbit_maintenance:{drain,revive}/0 and
// :is_being_drained_local_read/1, rabbit_quorum_queue:{grow/4, shrink_all/1, delete_member/3,
// all_replica_states/0}, rabbit_amqqueue:list_by_type/1 and :rebalance/3, rabbit_ff_extra:cli_info/0; and the
// record of a queue (amqqueue.erl, fields 2, 7 and the last).

// deps/rabbit/src/rabbit_nodes.erl: all/0 and all_running/0 are in all, list_running/0 from 3.11 on,
// list_members/0 from 3.12 on (the older two are called deprecated there).
constexpr Function kAll{"rabbit_nodes", "all"};
constexpr Function kAllRunning{"rabbit_nodes", "all_running"};
constexpr Function kListMembers{"rabbit_nodes", "list_members"};
constexpr Function kListRunning{"rabbit_nodes", "list_running"};
// deps/rabbit/src/rabbit_mnesia.erl: cluster_nodes/1 up to 4.2; of use as long as there is Mnesia alone.
constexpr Function kDisc{"rabbit_mnesia", "cluster_nodes"};
// deps/rabbit/src/rabbit_node_monitor.erl: partitions/0 and read_cluster_status/0 up to 4.2, neither in 4.3.
constexpr Function kPartitions{"rabbit_node_monitor", "partitions"};
constexpr Function kClusterStatus{"rabbit_node_monitor", "read_cluster_status"};
// list_with_minimum_quorum_for_cli/0: rabbit_quorum_queue.erl in 3.10, rabbit_upgrade_preparation.erl
// from 3.11 on (there with streams and the cluster's own Raft groups).
constexpr Function kCriticalQueues{"rabbit_quorum_queue", "list_with_minimum_quorum_for_cli"};
constexpr Function kCriticalAll{"rabbit_upgrade_preparation", "list_with_minimum_quorum_for_cli"};
// rabbit_mnesia:forget_cluster_node/2 up to 4.2; rabbit_db_cluster.erl (from 3.13 on) serves both stores.
constexpr Function kForgetMnesia{"rabbit_mnesia", "forget_cluster_node"};
constexpr Function kForget{"rabbit_db_cluster", "forget_member"};
// deps/rabbit/src/rabbit_stream_queue.erl: from 3.12 on.
constexpr Function kForgetStreams{"rabbit_stream_queue", "delete_all_replicas"};
// rabbit_mnesia:force_load_next_boot/0 up to 4.2; rabbit_db:force_load_on_next_boot/0 from 3.13 on, which
// does nothing on Khepri.
constexpr Function kForceBoot{"rabbit_mnesia", "force_load_next_boot"};

// deps/rabbitmq_prometheus: prometheus_rabbitmq_core_metrics_collector.erl up to 4.1, from 4.2 on
// prometheus_rabbitmq_raft_metrics_collector.erl and metrics.md.
constexpr const char* kCommitIndexOld = "rabbitmq_raft_log_commit_index";
constexpr const char* kTermOld = "rabbitmq_raft_term_total";
constexpr const char* kCommitIndex = "rabbitmq_raft_commit_index";
constexpr const char* kTerm = "rabbitmq_raft_term";

// unauthenticated_health: rabbit_mgmt_dispatcher.erl, from 4.1 on. unreachable_peers_metric:
// prometheus_rabbitmq_dynamic_collector.erl, from 3.12 on. file_descriptor_alarm_metric:
// prometheus_rabbitmq_alarm_metrics_collector.erl, up to 4.2. add_member_promotable: rabbit_quorum_queue.erl,
// from 3.13 on.
Traits Mnesia310() {
  return {.major = 3,
          .minor = 10,
          .members = kAll,
          .running_members = kAllRunning,
          .disc_members = kDisc,
          .partitions = kPartitions,
          .cluster_status = kClusterStatus,
          .quorum_critical = kCriticalQueues,
          .forget = kForgetMnesia,
          .force_boot = kForceBoot,
          .file_descriptor_alarm_metric = true,
          .raft_commit_index_metric = kCommitIndexOld,
          .raft_term_metric = kTermOld};
}

Traits Next(Traits t, int major, int minor) {
  t.major = major;
  t.minor = minor;
  return t;
}

std::array<Traits, 8> MakeTable() {
  const Traits v310 = Mnesia310();
  Traits v311 = Next(v310, 3, 11);
  v311.running_members = kListRunning;
  v311.quorum_critical = kCriticalAll;
  Traits v312 = Next(v311, 3, 12);
  v312.members = kListMembers;
  v312.forget_streams = kForgetStreams;
  v312.unreachable_peers_metric = true;
  Traits v313 = Next(v312, 3, 13);
  v313.store = MetadataStore::kEither;
  v313.disc_members = {};
  v313.forget = kForget;
  v313.add_member_promotable = true;
  const Traits v40 = Next(v313, 4, 0);
  Traits v41 = Next(v40, 4, 1);
  v41.unauthenticated_health = true;
  Traits v42 = Next(v41, 4, 2);
  v42.raft_commit_index_metric = kCommitIndex;
  v42.raft_term_metric = kTerm;
  Traits v43 = Next(v42, 4, 3);
  v43.store = MetadataStore::kKhepri;
  v43.partitions = {};
  v43.cluster_status = {};
  v43.force_boot = {};
  v43.file_descriptor_alarm_metric = false;
  return {v310, v311, v312, v313, v40, v41, v42, v43};
}

}  // namespace

std::string Version::ToString() const { return absl::StrCat(major, ".", minor, ".", patch); }

absl::StatusOr<Version> ParseVersion(absl::string_view text) {
  const absl::string_view numbers = text.substr(0, text.find_first_not_of("0123456789."));
  const std::vector<absl::string_view> parts = absl::StrSplit(numbers, '.', absl::SkipEmpty());
  Version out;
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[0], &out.major) ||
      !absl::SimpleAtoi(parts[1], &out.minor) ||
      (parts.size() > 2 && !absl::SimpleAtoi(parts[2], &out.patch))) {
    return absl::InvalidArgumentError(absl::StrCat("no version of RabbitMQ: \"", text.substr(0, 40), "\""));
  }
  return out;
}

absl::StatusOr<Traits> TraitsOf(const Version& version, bool* assumed) {
  static const std::array<Traits, 8>& table = *new std::array<Traits, 8>(MakeTable());
  if (assumed != nullptr) *assumed = false;
  for (const Traits& t : table)
    if (t.major == version.major && t.minor == version.minor) return t;
  const Traits& newest = table.back();
  if (version > Version{newest.major, newest.minor, 0}) {
    if (assumed != nullptr) *assumed = true;
    return newest;
  }
  return absl::FailedPreconditionError(
      absl::StrCat("RabbitMQ ", version.ToString(), " is not known; 3.10 to 3.13 and 4.0 to 4.3 are"));
}

}  // namespace mainstay::engine::rabbitmq
