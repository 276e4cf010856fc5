// Calls to the other members' agents. One channel per address, made at first use, dropped by Keep() when the
// member is gone.
//
//   PeerClient peers({.cluster = "pg", .post = [&](auto f) { asio::post(loop, std::move(f)); }});
//   peers.Report("127.0.0.1:7400", Describe(state, now), 500ms, [](absl::StatusOr<election::PeerReport> r) {
//   ... });
//
// A broken connection is tried again after 100 ms, at most every second; a call on one fails at once
// (kUnavailable) instead of waiting, so that silence is known within the heartbeat. Thread rules: any thread,
// with Options::at the loop only. Every call is answered exactly once, through `post`, at the latest at its
// timeout; also when the client is destroyed (kCancelled). The destructor waits for the calls' ends (a few
// ms). Bounds: at most kMaxCallsPerPeer calls outstanding per address, then kResourceExhausted.
#ifndef MAINSTAY_LIB_RPC_PEER_CLIENT_H_
#define MAINSTAY_LIB_RPC_PEER_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/election/event.h"
#include "lib/rpc/tls_files.h"

namespace mainstay::rpc {

inline constexpr int kMaxCallsPerPeer = 16;

class PeerClient {
 public:
  struct Options {
    std::string cluster;
    std::function<void(std::function<void()>)>
        post;  // runs the answer's callback where it belongs (the loop)
    // Timers of that loop: `at` returns what `cancel` takes. With them all methods belong to the loop, and a
    // call costs gRPC no timer (its own wakes two threads for each call); without them gRPC keeps the time.
    std::function<uint64_t(MonoTime, std::function<void()>)> at;
    std::function<void(uint64_t)> cancel;
    // Null: plaintext. Otherwise for every address but unix sockets; a change of the files makes new
    // channels, and calls under way end on the old ones.
    std::shared_ptr<TlsFiles> tls;
    // With TLS a channel is made anew after this long, well before the server would end its connection for
    // its age: a call that leaves while the server says so would fail.
    Duration renew_channel = std::chrono::minutes(30);
  };
  explicit PeerClient(Options options);
  ~PeerClient();
  PeerClient(const PeerClient&) = delete;
  PeerClient& operator=(const PeerClient&) = delete;

  template <typename T>
  using Done = std::function<void(absl::StatusOr<T>)>;
  void Report(const std::string& address, const election::PeerReport& report, Duration timeout,
              Done<election::PeerReport> done);
  void Freeze(const std::string& address, const election::FreezeAsked& asked, Duration timeout,
              Done<election::FreezeAnswered> done);
  void Promise(const std::string& address, const election::PromiseAsked& asked, Duration timeout,
               Done<election::PromiseAnswered> done);

  // RabbitMQ's: the JSON of lib/maintenance/facts.h.
  void BrokerFacts(const std::string& address, const std::string& from, Duration timeout,
                   Done<std::string> done);

  // Drops the channels of all other addresses.
  void Keep(const std::vector<std::string>& addresses);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_PEER_CLIENT_H_
