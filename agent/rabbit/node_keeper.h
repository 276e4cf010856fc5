// Starts and ends this node's process through the shim, with its files written before. One thing at a time,
// on a worker: a volume that hangs holds up nothing else.
//
// Thread rules: made, called and stopped on the loop; answers come there.
#ifndef MAINSTAY_AGENT_RABBIT_NODE_KEEPER_H_
#define MAINSTAY_AGENT_RABBIT_NODE_KEEPER_H_

#include <functional>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/sidecar/loop.h"
#include "agent/sidecar/worker.h"
#include "lib/audit/audit.h"
#include "lib/engine/rabbitmq/conf.h"
#include "lib/shim/client.h"

namespace mainstay::agent {

class NodeKeeper {
 public:
  using Done = std::function<void(const absl::Status&)>;
  // `log` may be null.
  NodeKeeper(Loop* loop, const Config& config, audit::Log* log);

  void Start(const engine::rabbitmq::StartPlan& plan, Done done);
  void Stop(Duration patience, Done done);
  void SetDataAside(Done done);
  bool busy() const { return busy_; }
  // False: something hangs and its thread was left behind.
  bool End(Duration patience);

  // There is nothing in the data directory that RabbitMQ would call data. Touches the disk.
  static bool IsBlank(const std::string& data_dir);

 private:
  struct Work;
  void Run(const char* action, std::string msg, std::function<absl::Status()> job, Done done);

  Loop* const loop_;
  const RabbitmqConfig config_;
  const std::string cluster_;
  audit::Log* const log_;
  const std::shared_ptr<shim::Client> shim_;
  ThreadWorker worker_;
  bool busy_ = false;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_NODE_KEEPER_H_
