// The fence, for real: the shim's connection on the loop, and a way to kill past everything.
//
// Arming never blocks (a frame on a unix socket); a lost connection is tried again (FenceLink::next_try), the
// shim holds its deadline meanwhile. Kill uses a connection and a thread of its own, made at first use:
// killing waits for the last process.
//
// Thread rules: loop only.
#ifndef MAINSTAY_AGENT_SIDECAR_FENCE_KEEPER_H_
#define MAINSTAY_AGENT_SIDECAR_FENCE_KEEPER_H_

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "agent/sidecar/loop.h"
#include "agent/sidecar/ports.h"
#include "agent/sidecar/worker.h"
#include "lib/shim/client.h"

namespace mainstay::agent {

class FenceKeeper : public FencePort {
 public:
  FenceKeeper(boost::asio::io_context& io, Loop* loop, std::string socket);
  ~FenceKeeper() override;

  // `on_shim` hears the nonce of each shim that connects, before the sink does.
  void Start(FenceSink* sink, std::function<void(uint64_t)> on_shim);
  // Told to nobody from here on. False: a kill is still under way and its thread was left behind.
  bool Stop(Duration patience);

  void Arm(MonoTime until, election::Epoch epoch) override;
  void Kill(Duration patience, std::function<void(bool)> done) override;
  void Shutdown() override;

 private:
  void NeedKiller();
  void Turn();   // reads what is there, reconnects
  void Watch();  // for the next event
  void Told(const shim::FenceEvent& event);

  Loop* const loop_;
  const std::string socket_;
  shim::FenceLink link_;
  boost::asio::posix::stream_descriptor descriptor_;
  FenceSink* sink_ = nullptr;
  std::function<void(uint64_t)> on_shim_;
  TimerId retry_ = 0;
  ShimFacts facts_;
  uint64_t nonce_ = 0;
  std::unique_ptr<ThreadWorker> killer_;
  std::shared_ptr<shim::Client> kill_client_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_FENCE_KEEPER_H_
