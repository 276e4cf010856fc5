#include "lib/kube/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"

namespace mainstay::kube {
namespace {

// Servers and load balancers drop idle connections after a minute or more: not worth a doubt.
constexpr Duration kMaxIdle = std::chrono::seconds(45);
constexpr char kManager[] = "fieldManager=mainstay";
constexpr char kJsonType[] = "application/json";

const char* RemedyOf(Io io) {
  switch (io) {
    case Io::kUnreachable:
      return "; is the API server up, and do NetworkPolicy and routes let this pod reach it?";
    case Io::kNotTrusted:
      return "; does the authority (ca.crt) belong to this API server, and is its address in the "
             "certificate's SANs?";
    case Io::kTlsFailed:
      return "; is it an API server, with TLS 1.2 or newer?";
    default:
      return "";
  }
}

void AddQuery(std::string* target, absl::string_view key, absl::string_view value) {
  absl::StrAppend(target, absl::StrContains(*target, '?') ? "&" : "?", key, "=", PercentEncode(value));
}

void AddSelector(std::string* target, const Selector& selector) {
  if (!selector.field.empty()) AddQuery(target, "fieldSelector", selector.field);
  if (!selector.label.empty()) AddQuery(target, "labelSelector", selector.label);
}

// "get configmaps/x in db", in the words of a Role.
std::string Describe(const char* verb, const Resource& r) {
  return absl::StrCat(verb, " ", r.plural, r.subresource.empty() ? "" : "/", r.subresource,
                      r.name.empty() ? "" : " ", r.name, r.ns.empty() ? "" : " in namespace ", r.ns);
}

}  // namespace

const char* ReasonOf(Io io) {
  switch (io) {
    case Io::kOk:
      return "";
    case Io::kTimeout:
      return reason::kTimeout;
    case Io::kInterrupted:
      return reason::kInterrupted;
    case Io::kNotTrusted:
      return reason::kNotTrusted;
    case Io::kTlsFailed:
      return reason::kTlsFailed;
    case Io::kClosed:
    case Io::kUnreachable:
      break;
  }
  return reason::kUnreachable;
}

// How one call goes.
struct Client::Exchange {
  std::string what;
  ResponseDecoder decoder{kMaxBodyBytes};
  bool have_answer = false;
  bool sent = false;  // any of it may have left in an attempt that was not refused
  Error error;        // when there is no answer
  bool fresh_tried = false, token_tried = false, ca_tried = false;
};

absl::StatusOr<std::unique_ptr<Client>> Client::Create(ClusterConfig config, Options options) {
  std::unique_ptr<Client> client(new Client(std::move(config), std::move(options)));
  MAINSTAY_RETURN_IF_ERROR(client->credentials_.Token().status());
  MAINSTAY_RETURN_IF_ERROR(client->credentials_.Context().status());
  return client;
}

Client::Client(ClusterConfig config, Options options)
    : config_(std::move(config)),
      options_(std::move(options)),
      credentials_(config_),
      bucket_(options_.rate, options_.burst) {}
Client::~Client() = default;

Counters Client::counters() const {
  return {requests_.load(), handshakes_.load(), failures_.load(), throttled_.load()};
}

std::string Client::Host() const {
  const bool v6 = absl::StrContains(config_.host, ':');
  return absl::StrCat(v6 ? "[" : "", config_.host, v6 ? "]" : "", ":", config_.port);
}

// ---- connections ----

std::unique_ptr<Client::Pooled> Client::TakeIdle(Priority priority) {
  std::unique_ptr<Pooled> idle;
  const std::lock_guard<std::mutex> lock(mutex_);
  idle = std::move(idle_[static_cast<size_t>(priority)]);
  if (idle == nullptr) return nullptr;
  if (BootClock().Now() > idle->idle_since + kMaxIdle || !idle->stream.LooksAlive()) return nullptr;
  idle->stream.ClearInterrupt();
  busy_.insert(&idle->stream);
  return idle;
}

void Client::PutBack(Priority priority, std::unique_ptr<Pooled> connection) {
  std::unique_ptr<Pooled> old;  // closed outside of the lock
  const std::lock_guard<std::mutex> lock(mutex_);
  connection->idle_since = BootClock().Now();
  old = std::exchange(idle_[static_cast<size_t>(priority)], std::move(connection));
}

IoStatus Client::Open(TlsStream* stream, MonoTime deadline, std::shared_ptr<SSL_CTX>* context) {
  const absl::StatusOr<std::shared_ptr<SSL_CTX>> made = credentials_.Context();
  if (!made.ok()) return {Io::kTlsFailed, std::string(made.status().message())};
  *context = *made;
  TlsTarget target;
  target.host = config_.host;
  target.port = config_.port;
  target.server_name = config_.tls_server_name.empty() ? config_.host : config_.tls_server_name;
  target.connect_timeout = options_.connect_timeout;
  handshakes_++;
  return stream->Connect(target, *context, deadline);
}

bool Client::NewerAuthorities(Io io, const std::shared_ptr<SSL_CTX>& context, bool* tried) {
  if (io != Io::kNotTrusted || std::exchange(*tried, true)) return false;
  return credentials_.ServerNotTrusted(context);
}

void Client::Interrupt() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++interrupts_;
  for (TlsStream* stream : busy_) stream->Interrupt();
  interrupted_.notify_all();
}

// ---- one call ----

bool Client::Admit(const Call& call, const std::string& what, Error* error) {
  if (BootClock().Now() >= call.deadline) {
    *error = {.reason = reason::kTimeout,
              .message = absl::StrCat(what, ": not sent: the deadline had passed")};
    return false;
  }
  if (call.priority == Priority::kLease) {
    bucket_.TakeUrgent(BootClock().Now());
    return true;
  }
  std::unique_lock<std::mutex> lock(mutex_);
  const uint64_t interrupts = interrupts_;
  for (bool counted = false;; counted = true) {
    const MonoTime now = BootClock().Now();
    const Duration wait = bucket_.Take(now);
    if (wait == Duration::zero()) return true;
    if (!counted) throttled_++;
    if (now + wait >= call.deadline) {
      *error = {.reason = reason::kThrottled,
                .message = absl::StrCat(what, ": not sent: more than ", options_.rate,
                                        " calls a second; a free place comes in ", FormatDuration(wait)),
                .retry_after = wait};
      return false;
    }
    interrupted_.wait_for(lock, std::min<Duration>(wait, std::chrono::seconds(1)));
    if (interrupts_ != interrupts) {
      *error = {.reason = reason::kInterrupted, .message = absl::StrCat(what, ": not sent: interrupted")};
      return false;
    }
  }
}

// Writes the request and reads the answer on `x`'s connection.
void Client::Converse(const HttpRequest& request, const std::string& token, const Call& call, Exchange* x) {
  std::unique_ptr<Pooled> connection = TakeIdle(call.priority);
  const bool reused = connection != nullptr;
  IoStatus io;
  std::shared_ptr<SSL_CTX> context;
  if (!reused) {
    connection = std::make_unique<Pooled>();
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      busy_.insert(&connection->stream);
    }
    io = Open(&connection->stream, call.deadline, &context);
  }
  x->decoder = ResponseDecoder(kMaxBodyBytes);
  absl::Status decoded;
  if (io.ok()) {
    requests_++;
    const std::string wire = FormatRequest(request, Host(), options_.user_agent, token);
    io = connection->stream.Write(wire, call.deadline, &x->sent);
  }
  std::string bytes;
  while (io.ok() && decoded.ok() && !x->decoder.done()) {
    bytes.clear();
    io = connection->stream.Read(&bytes, call.deadline);
    if (io.ok()) decoded = x->decoder.Feed(bytes);
    if (io.io == Io::kClosed && x->decoder.header_done() && x->decoder.End().ok()) io = {};
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    busy_.erase(&connection->stream);
  }
  x->have_answer = io.ok() && decoded.ok();
  if (x->have_answer) {
    if (x->decoder.keep_alive()) PutBack(call.priority, std::move(connection));
    return;
  }
  x->error = Error{};
  if (!decoded.ok()) {
    x->error.reason = absl::IsResourceExhausted(decoded) ? reason::kTooLarge : reason::kBadAnswer;
    x->error.message = absl::StrCat(x->what, ": ", std::string(decoded.message()));
    return;
  }
  x->error.reason = ReasonOf(io.io);
  x->error.message = absl::StrCat(x->what, ": ", io.text, RemedyOf(io.io));
  // What decides whether another try is due.
  const bool stale = reused && io.io == Io::kClosed && !x->decoder.begun();
  const bool get = absl::string_view(request.method) == "GET";
  if (stale && get && !std::exchange(x->fresh_tried, true)) x->error.reason.clear();
  if (NewerAuthorities(io.io, context, &x->ca_tried)) x->error.reason.clear();
}

bool Client::Attempt(const HttpRequest& request, const Call& call, Exchange* x) {
  const absl::StatusOr<std::string> token = credentials_.Token();
  if (!token.ok()) {
    x->error = {.reason = reason::kNoCredentials,
                .message = absl::StrCat(x->what, ": not sent: ", std::string(token.status().message()))};
    return true;
  }
  Converse(request, *token, call, x);
  if (!x->have_answer) return !x->error.reason.empty();
  if (x->decoder.code() != 401 || std::exchange(x->token_tried, true)) return true;
  x->sent = false;  // 401 is said before anything is done
  return !credentials_.TokenRefused(*token);
}

Result Client::Run(const HttpRequest& request, const std::string& what, const Call& call) {
  Result out;
  if (!Admit(call, what, &out.error)) return out;
  Exchange x;
  x.what = what;
  while (!Attempt(request, call, &x)) {
  }
  if (!x.have_answer) {
    failures_++;
    out.error = std::move(x.error);
    out.error.maybe_executed = x.sent;
    if (x.sent) out.error.message += " (it may have been executed)";
    return out;
  }
  const int code = x.decoder.code();
  const std::string& body = *x.decoder.body();
  if (code >= 300 && code < 400) {
    out.error = {
        .code = code,
        .reason = reason::kBadAnswer,
        .message = absl::StrCat(what, ": ", code, ": redirected to ", Cut(x.decoder.Header("Location"), 200),
                                ", which is not followed; name the API server itself")};
    return out;
  }
  if (code >= 200 && code < 300) {
    absl::StatusOr<Json> json = ParseJson(body, kMaxBodyBytes);
    if (json.ok()) {
      out.object = *std::move(json);
      return out;
    }
    out.error = {.code = code,
                 .reason = reason::kBadAnswer,
                 .message = absl::StrCat(what, ": ", code, ", but its body is no JSON: ",
                                         std::string(json.status().message()), "; is it an API server?"),
                 .maybe_executed = true};
    return out;
  }
  out.error = ParseFailure(code, body, what);
  if (x.decoder.retry_after()) out.error.retry_after = x.decoder.retry_after();
  if ((code == 429 || code == 503) && out.error.retry_after)
    bucket_.Block(BootClock().Now() + std::min<Duration>(*out.error.retry_after, kMaxBackOff));
  return out;
}

// ---- verbs ----

Result Client::Get(const Resource& what, const Call& call) {
  return Run({"GET", config_.path_prefix + ResourcePath(what), "", ""}, Describe("get", what), call);
}

Result Client::List(const Resource& what, const ListOptions& options, const Call& call) {
  std::string target = config_.path_prefix + ResourcePath(what);
  AddSelector(&target, options.selector);
  if (options.limit > 0) AddQuery(&target, "limit", absl::StrCat(options.limit));
  if (!options.continue_from.empty()) AddQuery(&target, "continue", options.continue_from);
  return Run({"GET", target, "", ""}, Describe("list", what), call);
}

Result Client::Create(const Resource& where, const Json& object, const Call& call) {
  return Run({"POST", absl::StrCat(config_.path_prefix, ResourcePath(where), "?", kManager), DumpJson(object),
              kJsonType},
             Describe("create", where), call);
}

Result Client::Replace(const Resource& what, const Json& object, const Call& call) {
  return Run({"PUT", absl::StrCat(config_.path_prefix, ResourcePath(what), "?", kManager), DumpJson(object),
              kJsonType},
             Describe("update", what), call);
}

Result Client::Patch(const Resource& what, PatchType type, const Json& patch, const Call& call) {
  const char* content =
      type == PatchType::kMerge ? "application/merge-patch+json" : "application/json-patch+json";
  return Run({"PATCH", absl::StrCat(config_.path_prefix, ResourcePath(what), "?", kManager), DumpJson(patch),
              content},
             Describe("patch", what), call);
}

Result Client::Delete(const Resource& what, const std::string& uid, const Call& call) {
  Json options = {{"apiVersion", "v1"}, {"kind", "DeleteOptions"}};
  if (!uid.empty()) options["preconditions"] = {{"uid", uid}};
  return Run({"DELETE", config_.path_prefix + ResourcePath(what), DumpJson(options), kJsonType},
             Describe("delete", what), call);
}

}  // namespace mainstay::kube
