// A session for collecting: commands go out in one write, their answers are waited for until a deadline, and
// what is not answered by then is waited for again later instead of being asked once more: a server that
// hangs has one request of ours in its queue, however many scrapes come.
//
//   MetricsSession session(login);
//   MAINSTAY_RETURN_IF_ERROR(session.Ready(deadline));
//   MAINSTAY_RETURN_IF_ERROR(session.Send({{"INFO", "ALL"}, {"SLOWLOG", "LEN"}}));
//   auto replies = session.Take(deadline);  // DeadlineExceeded: still under way, call Take again
//
// The program ignores SIGPIPE (agent/main.cc does): hiredis 0.14 writes without MSG_NOSIGNAL.
//
// Thread rules: one thread. Errors: DeadlineExceeded (nothing is lost); Unavailable (the session is closed);
// PermissionDenied (the login was refused, the session is closed). What the server answers to a command, also
// an error, is a Reply.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_METRICS_SESSION_H_
#define MAINSTAY_LIB_ENGINE_REDIS_METRICS_SESSION_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/time.h"
#include "lib/engine/redis/reply.h"

struct redisContext;

namespace mainstay::engine::redis {

struct MetricsLogin {
  std::string socket;                                     // unix socket of the server
  std::string user;                                       // "" : none is named
  std::function<absl::StatusOr<std::string>()> password;  // asked for each session; null: no login
};

class MetricsSession {
 public:
  using Words = std::vector<std::string>;

  explicit MetricsSession(MetricsLogin login) : login_(std::move(login)) {}
  ~MetricsSession() { Close(); }
  MetricsSession(const MetricsSession&) = delete;
  MetricsSession& operator=(const MetricsSession&) = delete;

  // Connected and logged in. DeadlineExceeded: not yet, may be called again.
  absl::Status Ready(MonoTime deadline);
  absl::Status Send(const std::vector<Words>& commands);  // not while busy()
  absl::StatusOr<std::vector<Reply>> Take(MonoTime deadline);
  void Close();

  bool ready() const { return ready_; }
  bool busy() const { return expected_ > 0; }
  MonoTime busy_since() const { return since_; }
  Duration connect_took() const { return connect_took_; }

 private:
  absl::Status Connect();
  absl::Status Wait(MonoTime deadline);
  absl::Status Broken(absl::string_view doing);

  const MetricsLogin login_;
  ::redisContext* context_ = nullptr;
  bool ready_ = false;
  size_t expected_ = 0;  // answers that are under way
  std::vector<Reply> replies_;
  MonoTime since_;
  Duration connect_took_{};
};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_METRICS_SESSION_H_
