#include "lib/engine/redis/metrics_session.h"

#include <hiredis/hiredis.h>
#include <poll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/redis/hiredis_reply.h"

namespace mainstay::engine::redis {

void MetricsSession::Close() {
  if (context_ != nullptr) redisFree(std::exchange(context_, nullptr));
  ready_ = false;
  expected_ = 0;
  replies_.clear();
}

absl::Status MetricsSession::Broken(absl::string_view doing) {
  const std::string why = context_ == nullptr ? "no memory" : context_->errstr;
  Close();
  return absl::UnavailableError(absl::StrCat(doing, " ", login_.socket, ": ", why));
}

absl::Status MetricsSession::Connect() {
  since_ = BootClock().Now();
  std::vector<Words> commands;
  if (login_.password != nullptr) {
    MAINSTAY_ASSIGN_OR_RETURN(const std::string password, login_.password());
    commands.push_back(login_.user.empty() ? Words{"AUTH", password} : Words{"AUTH", login_.user, password});
  }
  commands.push_back({"CLIENT", "SETNAME", "mainstay_metrics"});
  // A unix socket connects at once, or says at once that its queue is full.
  context_ = redisConnectUnixNonBlock(login_.socket.c_str());
  if (context_ == nullptr || context_->err != 0) return Broken("connecting to");
  return Send(commands);
}

absl::Status MetricsSession::Ready(MonoTime deadline) {
  if (ready_) return absl::OkStatus();
  if (context_ == nullptr) MAINSTAY_RETURN_IF_ERROR(Connect());
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<Reply> replies, Take(deadline));
  // The name is a courtesy; the login is not.
  if (login_.password != nullptr && replies.front().is_error()) {
    const std::string why = Cut(replies.front().text, 200);
    Close();
    return absl::PermissionDeniedError(absl::StrCat("the login of the metrics was refused: ", why));
  }
  connect_took_ = BootClock().Now() - since_;
  ready_ = true;
  return absl::OkStatus();
}

absl::Status MetricsSession::Send(const std::vector<Words>& commands) {
  if (context_ == nullptr || busy()) return absl::FailedPreconditionError("the session is not ready");
  for (const Words& words : commands) {
    std::vector<const char*> at;
    std::vector<size_t> length;
    for (const std::string& word : words) {
      at.push_back(word.data());
      length.push_back(word.size());
    }
    if (redisAppendCommandArgv(context_, static_cast<int>(words.size()), at.data(), length.data()) !=
        REDIS_OK)
      return Broken("writing to");
  }
  expected_ = commands.size();
  since_ = BootClock().Now();
  return absl::OkStatus();
}

// Until something was written or read.
absl::Status MetricsSession::Wait(MonoTime deadline) {
  int all_written = 0;
  if (redisBufferWrite(context_, &all_written) != REDIS_OK) return Broken("writing to");
  const Duration left = deadline - BootClock().Now();
  if (left <= Duration::zero()) return absl::DeadlineExceededError("the server did not answer in time");
  pollfd p{context_->fd, static_cast<short>(all_written != 0 ? POLLIN : POLLIN | POLLOUT), 0};
  const int64_t ms = std::min<int64_t>(left.count() / 1'000'000 + 1, 1000);
  if (poll(&p, 1, static_cast<int>(ms)) > 0 && (p.revents & (POLLIN | POLLHUP | POLLERR)) != 0 &&
      redisBufferRead(context_) != REDIS_OK) {
    return Broken("reading from");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Reply>> MetricsSession::Take(MonoTime deadline) {
  while (expected_ > 0) {
    void* raw = nullptr;
    if (redisGetReplyFromReader(context_, &raw) != REDIS_OK) return Broken("reading from");
    if (raw == nullptr) {
      MAINSTAY_RETURN_IF_ERROR(Wait(deadline));
      continue;
    }
    replies_.push_back(FromHiredis(static_cast<::redisReply*>(raw)));
    freeReplyObject(raw);
    --expected_;
  }
  return std::exchange(replies_, {});
}

}  // namespace mainstay::engine::redis
