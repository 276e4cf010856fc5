// What RabbitMQ answers to the calls of control.h, as plain values. Without I/O: for unit tests and the
// fuzzer.
//
// Strict where a wrong reading could be taken for "all is well": a term of another shape than known is
// kDataLoss with the term in it, never an empty list. Thread rules: pure functions.
#ifndef MAINSTAY_LIB_ENGINE_RABBITMQ_PARSE_H_
#define MAINSTAY_LIB_ENGINE_RABBITMQ_PARSE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/engine/rabbitmq/boot_state.h"
#include "lib/erlang/term.h"

namespace mainstay::engine::rabbitmq {

absl::StatusOr<BootState> ParseBootState(const erlang::Term& term);

absl::StatusOr<bool> ParseBoolean(const erlang::Term& term);

struct Alarm {
  std::string resource;  // "memory", "disk", "file_descriptor_limit"
  std::string node;      // whose; "": of the node that was asked
  friend bool operator==(const Alarm&, const Alarm&) = default;
};
absl::StatusOr<std::vector<Alarm>> ParseAlarms(const erlang::Term& term);

// A list of atoms, sorted.
absl::StatusOr<std::vector<std::string>> ParseNodes(const erlang::Term& term);

// {All, Disc, Running}, each a list of nodes.
struct ClusterFiles {
  std::vector<std::string> all;
  std::vector<std::string> disc;
  std::vector<std::string> running_at_shutdown;
};
absl::StatusOr<ClusterFiles> ParseClusterFiles(const erlang::Term& term);
// The same list of the file nodes_running_at_shutdown in the data directory: "[rabbit@a,'rabbit@b-1'].".
absl::StatusOr<std::vector<std::string>> ParseNodesFile(absl::string_view text);

// Queues that lose their quorum when the node that was asked stops; also other Raft groups (type "process").
struct CriticalQueue {
  std::string name;  // as people read it: "queue 'orders' in vhost '/'"
  std::string type;  // "quorum", "stream", "process"
};
absl::StatusOr<std::vector<CriticalQueue>> ParseCritical(const erlang::Term& term);

struct QuorumQueue {
  std::string vhost;
  std::string name;
  std::string raft_name;             // of its Raft group, the same on all members
  std::vector<std::string> members;  // nodes, sorted
  std::vector<std::string> online;   // those of them where a replica runs
  std::vector<std::string> unknown;  // those of them that did not answer
  std::string leader;                // "": none, or unknown
};
// Records of queues, without who is online.
absl::StatusOr<std::vector<QuorumQueue>> ParseQueueRecords(const erlang::Term& term);
// The answers of `nodes` (erpc:multicall, in that order) to rabbit_quorum_queue:all_replica_states/0, into
// the queues.
absl::Status AddReplicaStates(const std::vector<std::string>& nodes, const erlang::Term& answers,
                              std::vector<QuorumQueue>* queues);

// Of grow and shrink, per queue.
struct MemberChange {
  std::string vhost;
  std::string queue;
  int members = 0;    // after it
  std::string error;  // "": done
};
absl::StatusOr<std::vector<MemberChange>> ParseMemberChanges(const erlang::Term& term);

// How far a queue's replica is: indices of its Raft log.
struct ReplicaProgress {
  std::string node;
  bool running = false;  // false: nobody answers there, the indices mean nothing
  bool leader = false;
  int64_t last = 0;    // of the last entry it has
  int64_t commit = 0;  // of the last one that it knows a majority to have
};
// Of rabbit_quorum_queue:status(VHost, Name).
absl::StatusOr<std::vector<ReplicaProgress>> ParseProgress(const erlang::Term& term);

struct FeatureFlag {
  std::string name;
  bool enabled = false;
};
absl::StatusOr<std::vector<FeatureFlag>> ParseFeatureFlags(const erlang::Term& term);

// ok, {ok, _} -> ok; {error, Reason} -> kFailedPrecondition with the reason; the rest is kDataLoss.
absl::Status ParseDone(const erlang::Term& term);

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_LIB_ENGINE_RABBITMQ_PARSE_H_
