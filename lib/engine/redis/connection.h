// One session with a Redis server over hiredis (0.14 and 1.x), never blocking past its deadline: connects,
// sends and reads with poll(2). A server that is stopped (SIGSTOP), busy or gone costs a call its deadline
// and no more. After any error of the session itself it is closed; Connect makes a new one.
//
// Thread rules: one thread at a time.
// Errors: Cancelled, DeadlineExceeded (no answer in time: unknown whether it was done), Unavailable
// (connection lost, or refused). An error that the server answered is FailedPrecondition (Unauthenticated for
// a refused login) with the server's text; RedisCode(status) gives its first word.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_CONNECTION_H_
#define MAINSTAY_LIB_ENGINE_REDIS_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/file.h"
#include "lib/base/time.h"
#include "lib/engine/parts/canceller.h"
#include "lib/engine/redis/reply.h"

struct redisContext;

namespace mainstay::engine::redis {

// The first word of an error that the server answered ("LOADING"); "" when `status` is not one.
std::string RedisCode(const absl::Status& status);

struct Endpoint {
  std::string path;  // unix socket; "" : host and port
  std::string host;  // an address, or a name (whose look-up the deadline does not bound)
  uint16_t port = 0;
  std::string user, password;  // "" : no login
};

using Command = std::vector<std::string>;

class Connection {
 public:
  explicit Connection(const Canceller* canceller) : canceller_(canceller) {}
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  absl::Status Connect(const Endpoint& endpoint, MonoTime deadline);
  void Close();
  bool open() const { return context_ != nullptr; }

  // One command and its answer; an error that the server answered becomes a status.
  absl::StatusOr<Reply> Call(const Command& command, MonoTime deadline);
  // All in one go; the answers in order, errors of the server among them as replies.
  absl::StatusOr<std::vector<Reply>> CallAll(const std::vector<Command>& commands, MonoTime deadline);

 private:
  absl::Status Broken(const char* doing);
  absl::Status Wait(bool to_write, MonoTime deadline);
  absl::Status Flush(MonoTime deadline);
  absl::StatusOr<Reply> Read(MonoTime deadline);

  const Canceller* const canceller_;
  redisContext* context_ = nullptr;
  std::string name_;  // for messages
};

// The status of an error reply; OK for others.
absl::Status ToStatus(const Reply& reply);

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_CONNECTION_H_
