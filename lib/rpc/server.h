// The agent's gRPC server: mainstay.v1.Agent over a Port, health and reflection. Callback API, gRPC's own
// threads (capped to 1 CPU's worth: cpu_cap.cc). Other machines reach it only by mutual TLS (credentials.h);
// a second, local socket may serve the command line beside it.
//
// Bounds: message 256 KiB, 64 streams per connection, 32 watchers, memory quota 8 MiB. Every call needs a
// deadline (unary at most 10 min). Thread rules: Start, SetServing and the destructor from one thread. The
// Port must outlive the server.
#ifndef MAINSTAY_LIB_RPC_SERVER_H_
#define MAINSTAY_LIB_RPC_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/random.h"
#include "lib/rpc/address.h"
#include "lib/rpc/port.h"
#include "lib/rpc/tls_files.h"

namespace mainstay::rpc {

// One call of a changing (or, if asked for, reading) method, for the audit log: before it is done and after.
struct CallRecord {
  bool started = true;              // false: ended
  bool read = false;                // it only reads: told once, when it is answered
  std::string audit_id = UuidV7();  // copies keep it: the same when it began and ended
  std::string method;               // "/mainstay.v1.Agent/Switchover"
  AdminCommand command;
  AdminAnswer answer;   // ended only
  std::string refused;  // ended only: "INVALID_ARGUMENT: ..." when it never reached the loop
  Duration took{};
  std::string authn;  // how the actor is known: "basic"; "" : by the actor's name (certificate, or "local")
};

class Server {
 public:
  struct Options {
    std::string address;            // "127.0.0.1:7400" (port 0: any) or "unix:/path" (mode 0600)
    std::shared_ptr<TlsFiles> tls;  // for `address` unless it is a unix socket; null: plaintext, local only
    std::string admin_address;      // "unix:/path" (mode 0600), plaintext; "" : none
    // With TLS: after about this long a connection is made anew, so that a certificate that expired, or an
    // authority that was taken away, does not live on in it. Calls under way go on. Members' own channels are
    // younger (PeerClient::Options::renew_channel).
    Duration max_connection_age = std::chrono::hours(1);
    std::string cluster;
    std::string member;
    Port* port = nullptr;
    // The loop did not turn for so long (Port::LoopTurnedAt): the health service says NOT_SERVING of all.
    Duration stalled_after = std::chrono::seconds(10);
    std::function<void(const CallRecord&)> audit;  // any thread, must be quick; may be empty
    std::function<bool()> audit_reads;             // whether reading calls are told, too; the same
  };
  static absl::StatusOr<std::unique_ptr<Server>> Start(Options options);
  virtual ~Server() = default;              // ends all calls (at most 1 s)
  virtual std::string address() const = 0;  // with the real port
  // Of the health service: "" and mainstay.v1.Agent; and others by name. Cheap when nothing changes. While
  // the loop stands still all of them are NOT_SERVING, whatever was set.
  virtual void SetServing(bool serving) = 0;
  virtual void SetHealth(const std::string& service, bool serving) = 0;
};

}  // namespace mainstay::rpc

#endif  // MAINSTAY_LIB_RPC_SERVER_H_
