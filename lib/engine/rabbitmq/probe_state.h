// In what state a RabbitMQ node is, by everything that its agent knows of it: one pure function from facts to
// a state, the sentence that says why, and what the three probes answer.
//
//   Judgement j = Judge(facts);
//   j.state == NodeState::kBlocked; j.ready.ok == true; j.sentence == "blocked: low on memory on rabbit@b"
//
// Why the probes are as they are (docs/RABBITMQ.md): a liveness probe that looks at anything but "the process
// is there and its virtual machine answers" kills healthy brokers; an alarm must not take a node out of its
// Service, or the consumers that would end the alarm are cut off; a node that waits for others is started, or
// it is killed for what a restart does not mend.
//
// Facts may be absent: what is not known is never held against the node, and the sentence says what is
// missing.
//
// Thread rules: pure.
#ifndef MAINSTAY_LIB_ENGINE_RABBITMQ_PROBE_STATE_H_
#define MAINSTAY_LIB_ENGINE_RABBITMQ_PROBE_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lib/amqp/verdict.h"
#include "lib/base/time.h"
#include "lib/engine/rabbitmq/boot_state.h"

namespace mainstay::engine::rabbitmq {

struct Facts {
  MonoTime now;
  std::optional<bool> process;  // the shim: beam.smp runs
  MonoTime started;             // when the shim started it

  // Calls by Erlang distribution: when one was last answered, how long it was *looked at* in vain since then
  // (an agent that was paused looked at nothing), and how many tries in a row failed.
  MonoTime answered;
  Duration silence{};
  int failed_tries = 0;

  // What was answered, `answered` ago.
  std::optional<BootState> boot;
  std::optional<bool> running;                          // rabbit:is_running()
  std::optional<bool> draining;                         // rabbit_maintenance: no listener, no client
  std::vector<std::string> alarms_memory;               // nodes of the cluster that lack memory
  std::vector<std::string> alarms_disk;                 // ... disk
  std::optional<std::vector<std::string>> partitions;   // that this node remembers
  std::optional<std::vector<std::string>> unreachable;  // members that it does not see
  std::optional<bool> minority;                         // it sees no majority of its members
  std::vector<std::string> awaited;                     // members whose tables it waits for
  std::string doing;      // what the agent itself does with it: "seeding a new cluster", "joining rabbit@a"
  bool blank = false;     // not to be started: nobody of its cluster answers, and it has no data
  std::string taken_out;  // why it must serve nobody: it is the smaller side of two clusters

  std::optional<bool> listening;  // somebody listens on the AMQP port; absent: as the probe found
  amqp::Verdict amqp;
};

enum class NodeState : uint8_t {
  kUnknown,
  kDead,  // no process
  kStarting,
  kWaiting,  // for peers: it goes on by itself when they come
  kRunning,
  kBlocked,   // running, takes no publishes: an alarm of memory or disk somewhere in the cluster
  kDraining,  // in maintenance: serves nobody, moves its leaders away
  kPaused,    // sees no majority and has closed its listeners: goes on by itself
  kStopped,   // the virtual machine runs, RabbitMQ in it does not
  kFailing,   // says that it runs, and no message makes its round
  kHung,      // there, and answers nobody
};
const char* ToString(NodeState state);  // "waiting"
inline constexpr NodeState kNodeStates[] = {NodeState::kUnknown,  NodeState::kDead,    NodeState::kStarting,
                                            NodeState::kWaiting,  NodeState::kRunning, NodeState::kBlocked,
                                            NodeState::kDraining, NodeState::kPaused,  NodeState::kStopped,
                                            NodeState::kFailing,  NodeState::kHung};

struct Limits {
  Duration hung_after = std::chrono::seconds(15);  // of silence that was looked at
  int hung_tries = 3;
  Duration boot_patience = std::chrono::minutes(2);   // until a start without any answer is called hung
  Duration failing_after = std::chrono::seconds(10);  // of no message making its round
};

struct Answer {
  bool ok = false;
  std::string why;  // one line for people, also when ok
};

struct Judgement {
  NodeState state = NodeState::kUnknown;
  std::string sentence;
  std::vector<std::string> notes;  // true beside the state: partitions, a probe's login that is refused, ...
  Answer live, ready, started;
};

Judgement Judge(const Facts& facts, const Limits& limits = Limits());
// For /readyz?verbose and its like: the sentence and the notes, a line each.
std::string Verbose(const Judgement& judgement);

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_LIB_ENGINE_RABBITMQ_PROBE_STATE_H_
