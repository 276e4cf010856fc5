// One look at a RabbitMQ node by Erlang's distribution: everything that its state is judged by. Blocks up to
// a few seconds, so it has a thread of its own; the connection is kept.
//
//   Looker looker(options);
//   Looked l = looker.Look({.members = true});
//   known.Add(l);                               // known.h
//
// Thread rules: one thread.
#ifndef MAINSTAY_AGENT_RABBIT_LOOKER_H_
#define MAINSTAY_AGENT_RABBIT_LOOKER_H_

#include <optional>
#include <string>
#include <vector>

#include "lib/engine/rabbitmq/control.h"
#include "lib/erlang/client.h"

namespace mainstay::agent {

// What was learned; absent: not asked, or no answer.
struct Looked {
  MonoTime began;
  MonoTime ended;
  absl::Status status;  // of the boot state; all else hangs on it
  engine::rabbitmq::BootState boot = engine::rabbitmq::BootState::kStopped;
  std::optional<bool> running;
  std::optional<bool> draining;
  std::optional<std::vector<engine::rabbitmq::Alarm>> alarms;
  std::optional<std::vector<std::string>> partitions;
  std::optional<std::vector<std::string>> connected;  // Erlang nodes that it is connected to
  std::optional<std::vector<std::string>> at_shutdown;
  std::optional<engine::rabbitmq::ClusterMembers> members;
  std::optional<std::string> version;
  std::optional<std::string> cluster_id;
};

class Looker {
 public:
  explicit Looker(erlang::ClientOptions options);

  // `all`: also what changes rarely and costs more (members).
  Looked Look(bool all);

 private:
  absl::Status Reach();
  void Ask(Looked* out, bool all);

  const std::string node_;
  erlang::Client client_;
  engine::rabbitmq::Control control_;
  erlang::Backoff backoff_;
  bool introduced_ = false;  // version and cluster id of this connection are known
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_LOOKER_H_
