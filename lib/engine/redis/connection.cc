#include "lib/engine/redis/connection.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/redis/hiredis_reply.h"

namespace mainstay::engine::redis {
namespace {

constexpr char kPayload[] = "mainstay.redis/code";

int PollMillis(MonoTime deadline) {
  const Duration left = deadline - BootClock().Now();
  if (left <= Duration::zero()) return 0;
  return static_cast<int>(
      std::chrono::ceil<std::chrono::milliseconds>(std::min<Duration>(left, std::chrono::minutes(1)))
          .count());
}

}  // namespace

// ---- errors ----

std::string RedisCode(const absl::Status& status) {
  const auto code = status.GetPayload(kPayload);
  return code.has_value() ? std::string(*code) : "";
}

absl::Status ToStatus(const Reply& reply) {
  if (!reply.is_error()) return absl::OkStatus();
  const std::string code(reply.ErrorCode());
  const bool login = code == "WRONGPASS" || code == "NOAUTH";
  absl::Status out(login ? absl::StatusCode::kUnauthenticated : absl::StatusCode::kFailedPrecondition,
                   absl::StrCat("redis answers: ", Cut(reply.text, 300)));
  out.SetPayload(kPayload, absl::Cord(code));
  return out;
}

// ---- Connection ----

Connection::~Connection() { Close(); }

void Connection::Close() {
  if (context_ != nullptr) redisFree(context_);
  context_ = nullptr;
}

absl::Status Connection::Broken(const char* doing) {
  const std::string why = context_ == nullptr        ? "not connected"
                          : context_->errstr[0] != 0 ? context_->errstr
                                                     : "connection lost";
  Close();
  return absl::UnavailableError(absl::StrCat("redis at ", name_, ": ", doing, ": ", why));
}

absl::Status Connection::Wait(bool to_write, MonoTime deadline) {
  for (;;) {
    if (canceller_ != nullptr && canceller_->cancelled()) {
      Close();  // what was asked may still be answered: the session is of no use any more
      return absl::CancelledError("redis: the operation was cancelled");
    }
    pollfd fds[2] = {{context_->fd, static_cast<short>(to_write ? POLLOUT : POLLIN), 0},
                     {canceller_ == nullptr ? -1 : canceller_->fd(), POLLIN, 0}};
    const int n = poll(fds, 2, PollMillis(deadline));
    if (n < 0 && errno != EINTR) return Broken("poll");
    if (n > 0 && fds[0].revents != 0) return absl::OkStatus();
    if (BootClock().Now() >= deadline) {
      Close();
      return absl::DeadlineExceededError(absl::StrCat("redis at ", name_, ": no answer in time"));
    }
  }
}

absl::Status Connection::Connect(const Endpoint& e, MonoTime deadline) {
  Close();
  name_ = e.path.empty() ? absl::StrCat(e.host, ":", e.port) : e.path;
  context_ = e.path.empty() ? redisConnectNonBlock(e.host.c_str(), e.port)
                            : redisConnectUnixNonBlock(e.path.c_str());
  if (context_ == nullptr) return absl::ResourceExhaustedError("redis: out of memory");
  if (context_->err != 0) return Broken("connecting");
  MAINSTAY_RETURN_IF_ERROR(Wait(true, deadline));
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(context_->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) {
    Close();
    return absl::UnavailableError(absl::StrCat("redis at ", name_, ": connecting: ", strerror(error)));
  }
  if (e.user.empty()) return absl::OkStatus();
  const absl::Status login = Call({"AUTH", e.user, e.password}, deadline).status();
  if (!login.ok()) Close();
  return login;
}

absl::Status Connection::Flush(MonoTime deadline) {
  int done = 0;
  while (done == 0) {
    if (redisBufferWrite(context_, &done) != REDIS_OK) return Broken("sending");
    if (done == 0) MAINSTAY_RETURN_IF_ERROR(Wait(true, deadline));
  }
  return absl::OkStatus();
}

absl::StatusOr<Reply> Connection::Read(MonoTime deadline) {
  for (;;) {
    void* raw = nullptr;
    if (redisGetReplyFromReader(context_, &raw) != REDIS_OK) return Broken("reading");
    if (raw != nullptr) {
      const auto* reply = static_cast<redisReply*>(raw);
      Reply out = FromHiredis(reply);
      freeReplyObject(raw);
      return out;
    }
    MAINSTAY_RETURN_IF_ERROR(Wait(false, deadline));
    if (redisBufferRead(context_) != REDIS_OK) return Broken("reading");
  }
}

absl::StatusOr<std::vector<Reply>> Connection::CallAll(const std::vector<Command>& commands,
                                                       MonoTime deadline) {
  if (context_ == nullptr) return absl::UnavailableError("redis: not connected");
  for (const Command& command : commands) {
    std::vector<const char*> words;
    std::vector<size_t> sizes;
    for (const std::string& word : command) {
      words.push_back(word.data());
      sizes.push_back(word.size());
    }
    if (redisAppendCommandArgv(context_, static_cast<int>(words.size()), words.data(), sizes.data()) !=
        REDIS_OK)
      return Broken("sending");
  }
  MAINSTAY_RETURN_IF_ERROR(Flush(deadline));
  std::vector<Reply> out;
  for (size_t i = 0; i < commands.size(); ++i) {
    MAINSTAY_ASSIGN_OR_RETURN(Reply reply, Read(deadline));
    out.push_back(std::move(reply));
  }
  return out;
}

absl::StatusOr<Reply> Connection::Call(const Command& command, MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(std::vector<Reply> replies, CallAll({command}, deadline));
  MAINSTAY_RETURN_IF_ERROR(ToStatus(replies[0]));
  return std::move(replies[0]);
}

}  // namespace mainstay::engine::redis
