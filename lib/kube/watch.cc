// Opening a watch and taking its events.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/kube/client.h"

namespace mainstay::kube {
namespace {

// What may wait in a watch's decoder: the body is taken out after each read of at most 8 KiB.
constexpr size_t kStreamBytes = 256 * 1024;

std::string WatchTarget(const std::string& prefix, const Resource& what, const WatchOptions& options,
                        int64_t seconds) {
  std::string target = absl::StrCat(prefix, ResourcePath(what), "?watch=1&timeoutSeconds=", seconds,
                                    "&allowWatchBookmarks=", options.bookmarks ? "true" : "false");
  if (!options.resource_version.empty())
    absl::StrAppend(&target, "&resourceVersion=", PercentEncode(options.resource_version));
  if (!options.selector.field.empty())
    absl::StrAppend(&target, "&fieldSelector=", PercentEncode(options.selector.field));
  if (!options.selector.label.empty())
    absl::StrAppend(&target, "&labelSelector=", PercentEncode(options.selector.label));
  return target;
}

Error Failure(const std::string& what, const char* reason, absl::string_view text) {
  return {.reason = reason, .message = absl::StrCat(what, ": ", text)};
}

}  // namespace

std::unique_ptr<Watch> Client::OpenWatch(const Resource& what, const WatchOptions& options, const Call& call,
                                         Error* error) {
  const std::string text = absl::StrCat("watch ", what.plural, " in namespace ", what.ns);
  if (!Admit(call, text, error)) return nullptr;
  const int64_t seconds =
      std::max<int64_t>(1, std::chrono::duration_cast<std::chrono::seconds>(options.timeout).count());
  HttpRequest request;
  request.target = WatchTarget(config_.path_prefix, what, options, seconds);
  bool token_tried = false;
  bool ca_tried = false;
  for (;;) {
    std::unique_ptr<Watch> watch(
        new Watch(text, BootClock().Now() + std::chrono::seconds(seconds) + Watch::kGrace));
    const absl::StatusOr<std::string> token = credentials_.Token();
    if (!token.ok()) {
      *error = Failure(text, reason::kNoCredentials, token.status().message());
      return nullptr;
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      busy_.insert(&watch->stream_);
    }
    std::shared_ptr<SSL_CTX> context;
    IoStatus io = Open(&watch->stream_, call.deadline, &context);
    bool sent = false;
    if (io.ok()) {
      requests_++;
      io = watch->stream_.Write(FormatRequest(request, Host(), options_.user_agent, *token), call.deadline,
                                &sent);
    }
    absl::Status decoded;
    const auto whole = [&watch] {
      const ResponseDecoder& d = watch->decoder_;
      return d.header_done() && (d.code() == 200 || d.done());
    };
    while (io.ok() && decoded.ok() && !whole()) {
      std::string bytes;
      io = watch->stream_.Read(&bytes, call.deadline);
      if (io.ok()) decoded = watch->decoder_.Feed(bytes);
      if (io.io == Io::kClosed && watch->decoder_.header_done() && watch->decoder_.End().ok()) io = {};
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      busy_.erase(&watch->stream_);
    }
    if (NewerAuthorities(io.io, context, &ca_tried)) continue;
    if (!io.ok() || !decoded.ok()) {
      failures_++;
      *error = io.ok() ? Failure(text, reason::kBadAnswer, decoded.message())
                       : Failure(text, ReasonOf(io.io), io.text);
      return nullptr;
    }
    const int code = watch->decoder_.code();
    if (code == 200) return watch;
    if (code == 401 && !std::exchange(token_tried, true) && credentials_.TokenRefused(*token)) continue;
    *error = ParseFailure(code, *watch->decoder_.body(), text);
    if (watch->decoder_.retry_after()) error->retry_after = watch->decoder_.retry_after();
    return nullptr;
  }
}

Watch::Watch(std::string what, MonoTime end)
    : what_(std::move(what)), end_(end), decoder_(kStreamBytes, /*stream=*/true) {}
Watch::~Watch() = default;

Watch::Item Watch::End(Got got, std::string reason, const std::string& text) {
  over_ = true;
  Item item;
  item.got = got;
  item.error.reason = std::move(reason);
  item.error.message = absl::StrCat(what_, ": ", text);
  return item;
}

Watch::Item Watch::FromLine(const std::string& line) {
  absl::StatusOr<WatchEvent> event = ParseWatchEvent(line);
  if (!event.ok()) return End(Got::kFailed, reason::kBadAnswer, std::string(event.status().message()));
  Item item;
  if (event->type != WatchEvent::Type::kError) {
    item.got = Got::kEvent;
    item.event = *std::move(event);
    return item;
  }
  over_ = true;
  const bool expired =
      event->error.code == 410 || event->error.reason == "Expired" || event->error.reason == "Gone";
  item.got = expired ? Got::kExpired : Got::kFailed;
  item.error = std::move(event->error);
  return item;
}

Watch::Item Watch::Next(MonoTime deadline) {
  if (over_) return End(Got::kEnded, "", "is over");
  for (;;) {
    if (!decoder_.body()->empty()) {
      const std::string bytes = std::exchange(*decoder_.body(), {});
      const absl::Status fed = lines_.Feed(bytes);
      if (!fed.ok()) return End(Got::kFailed, reason::kTooLarge, std::string(fed.message()));
    }
    if (const std::optional<std::string> line = lines_.Next()) return FromLine(*line);
    if (decoder_.done()) {
      if (lines_.partial())
        return End(Got::kFailed, reason::kBadAnswer, "it ended in the middle of an event");
      return End(Got::kEnded, "", "the server ended it");
    }
    bytes_.clear();
    const IoStatus io = stream_.Read(&bytes_, std::min(deadline, end_));
    if (io.ok()) {
      const absl::Status fed = decoder_.Feed(bytes_);
      if (!fed.ok()) return End(Got::kFailed, reason::kBadAnswer, std::string(fed.message()));
      continue;
    }
    if (io.io == Io::kInterrupted || (io.io == Io::kTimeout && BootClock().Now() < end_)) {
      Item item;
      item.got = io.io == Io::kInterrupted ? Got::kInterrupted : Got::kTimeout;
      return item;
    }
    if (io.io == Io::kTimeout) return End(Got::kEnded, reason::kTimeout, "silent beyond its time");
    return End(Got::kFailed, reason::kUnreachable, io.text);
  }
}

}  // namespace mainstay::kube
