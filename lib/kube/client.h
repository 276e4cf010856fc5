// A small Kubernetes client: get, list, create, replace, patch, delete, watch. Blocking calls for worker
// threads, each with a deadline; nothing is retried behind the caller's back but what certainly did nothing.
//
//   MAINSTAY_ASSIGN_OR_RETURN(ClusterConfig config, LoadConfig(""));
//   MAINSTAY_ASSIGN_OR_RETURN(std::unique_ptr<Client> client, Client::Create(config, {}));
//   Result r = client->Get({"", "v1", "db", "configmaps", "pg-mainstay"}, {.deadline = now + 2s});
//   if (!r.ok()) Log(LogLevel::kWarn, "kube", r.error.message);
//
// Compare-and-swap: Replace sends the object's own metadata.resourceVersion (and uid) along; 409 is a
// conflict. Get sends none, so it is a consistent read of etcd.
// Time: a call returns at its deadline at the latest. One that was given no (whole) answer has
// Error::maybe_executed set when any of it may have left. Tried again inside the deadline, once each: a GET
// whose kept connection had been closed; a call that was answered 401 when there is a newer token; a
// handshake that failed on the certificate when there are newer authorities. Redirects are errors. Rate: a
// token bucket (Options::rate, burst). Priority::kLease never waits for it; others wait, or get
// reason::kThrottled at once when their deadline comes first. A server's Retry-After holds back the others,
// too, for kMaxBackOff at most, and is handed to the caller; lease calls are the caller's to pace.
// Connections: kept alive, one idle one for each priority; none is used again after an error or a time-out. A
// watch has one of its own.
// Memory: one SSL_CTX for all; about 45 kB for each open connection.
//
// Thread rules: thread-safe; calls of several threads run side by side on connections of their own. The
// client outlives its watches; Interrupt and wait for the calls before destroying it.
#ifndef MAINSTAY_LIB_KUBE_CLIENT_H_
#define MAINSTAY_LIB_KUBE_CLIENT_H_

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/kube/bucket.h"
#include "lib/kube/config.h"
#include "lib/kube/credentials.h"
#include "lib/kube/http.h"
#include "lib/kube/object.h"
#include "lib/kube/tls.h"

namespace mainstay::kube {

enum class Priority : uint8_t {
  kLease,   // renewals of the lock: never delayed by others
  kNormal,  // labels, Events, everything else
};
struct Call {
  MonoTime deadline;
  Priority priority = Priority::kNormal;
};

struct Selector {
  std::string field;  // "metadata.name=x"
  std::string label;  // "app=pg,mainstay.io/role=primary"
};
struct ListOptions {
  Selector selector;
  int64_t limit = 0;          // 0: the server's own
  std::string continue_from;  // metadata.continue of the page before
};
struct WatchOptions {
  Selector selector;
  // Changes after this version; "": what is there now comes first as kAdded, read consistently.
  std::string resource_version;
  Duration timeout = std::chrono::seconds(300);  // the server ends it then (whole seconds)
  bool bookmarks = true;
};

enum class PatchType : uint8_t {
  kMerge,  // application/merge-patch+json: null removes a key
  kJson,   // application/json-patch+json: a list of operations; "test" makes it conditional
};

struct Counters {
  uint64_t requests = 0;    // sent, retries included
  uint64_t handshakes = 0;  // new connections
  uint64_t failures = 0;    // calls without a whole answer
  uint64_t throttled = 0;   // calls that waited for the bucket, or were refused by it
};

// The reason (namespace reason) for how a connection failed.
const char* ReasonOf(Io io);

class Watch;

class Client {
 public:
  static constexpr Duration kMaxBackOff = std::chrono::seconds(30);

  struct Options {
    std::string user_agent = "mainstay-agent/0";  // mainstay-agent/VERSION
    double rate = 5;                              // calls a second that are not the lease's
    double burst = 10;
    Duration connect_timeout = std::chrono::milliseconds(1500);  // for each address of the server
  };
  // Sends nothing. Fails when tokens or certificates cannot be read.
  static absl::StatusOr<std::unique_ptr<Client>> Create(ClusterConfig config, Options options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  Result Get(const Resource& what, const Call& call);
  Result List(const Resource& what, const ListOptions& options, const Call& call);
  // POST; `where` has no name: the object has.
  Result Create(const Resource& where, const Json& object, const Call& call);
  // PUT: a full update.
  Result Replace(const Resource& what, const Json& object, const Call& call);
  Result Patch(const Resource& what, PatchType type, const Json& patch, const Call& call);
  // Only the object with this uid ("": whichever is there).
  Result Delete(const Resource& what, const std::string& uid, const Call& call);
  // Returns when the server has begun to answer. Null: `*error` says why.
  std::unique_ptr<Watch> OpenWatch(const Resource& what, const WatchOptions& options, const Call& call,
                                   Error* error);

  // Calls that run now (not watches) return reason::kInterrupted soon; a later call is not concerned.
  void Interrupt();

  const ClusterConfig& config() const { return config_; }
  Counters counters() const;

 private:
  friend class Watch;
  struct Pooled {
    TlsStream stream;
    MonoTime idle_since;
  };
  struct Exchange;

  Client(ClusterConfig config, Options options);
  Result Run(const HttpRequest& request, const std::string& what, const Call& call);
  bool Admit(const Call& call, const std::string& what, Error* error);
  // One attempt. True: over, `x` says how; false: try again.
  bool Attempt(const HttpRequest& request, const Call& call, Exchange* x);
  void Converse(const HttpRequest& request, const std::string& token, const Call& call, Exchange* x);
  std::unique_ptr<Pooled> TakeIdle(Priority priority);
  void PutBack(Priority priority, std::unique_ptr<Pooled> connection);
  IoStatus Open(TlsStream* stream, MonoTime deadline, std::shared_ptr<SSL_CTX>* context);
  // `io` of a connection that is being opened: worth one more try with newer authorities?
  bool NewerAuthorities(Io io, const std::shared_ptr<SSL_CTX>& context, bool* tried);
  std::string Host() const;

  const ClusterConfig config_;
  const Options options_;
  Credentials credentials_;
  TokenBucket bucket_;

  std::mutex mutex_;
  std::condition_variable interrupted_;
  uint64_t interrupts_ = 0;
  std::array<std::unique_ptr<Pooled>, 2> idle_;
  std::unordered_set<TlsStream*> busy_;

  std::atomic<uint64_t> requests_{0}, handshakes_{0}, failures_{0}, throttled_{0};
};

// Changes as they happen, on a connection of its own. Ends: the server's timeout, a silence beyond it, an
// error; then open another.
class Watch {
 public:
  // How long after the server's own timeout a silent watch is given up.
  static constexpr Duration kGrace = std::chrono::seconds(10);

  enum class Got : uint8_t {
    kEvent,
    kTimeout,      // the caller's deadline; the watch goes on
    kInterrupted,  // the watch goes on
    kEnded,        // in good order, or silent beyond its time
    kExpired,      // 410: the version is too old; watch again without one
    kFailed,       // `error` says what
  };
  struct Item {
    Got got = Got::kFailed;
    WatchEvent event;
    Error error;
  };
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  Item Next(MonoTime deadline);
  // The running or the next Next returns kInterrupted. Any thread.
  void Interrupt() { stream_.Interrupt(); }

 private:
  friend class Client;
  Watch(std::string what, MonoTime end);
  Item FromLine(const std::string& line);
  Item End(Got got, std::string reason, const std::string& text);

  const std::string what_;
  const MonoTime end_;  // given up then
  TlsStream stream_;
  ResponseDecoder decoder_;
  LineSplitter lines_;
  std::string bytes_;
  bool over_ = false;
};

}  // namespace mainstay::kube

#endif  // MAINSTAY_LIB_KUBE_CLIENT_H_
