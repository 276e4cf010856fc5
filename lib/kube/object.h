// The Kubernetes API's own shapes: where things are, what a failure says, what a watch delivers.
//
//   std::string path = ResourcePath({"", "v1", "db", "configmaps", "pg-mainstay"});
//   MAINSTAY_ASSIGN_OR_RETURN(WatchEvent event, ParseWatchEvent(line));
//
// Errors: an Error says what the server or the transport said, whether the request may have been executed,
// and when to come again. Never a token, never a header, never more than a few hundred bytes of the server's
// text. Thread rules: plain values and pure functions.
#ifndef MAINSTAY_LIB_KUBE_OBJECT_H_
#define MAINSTAY_LIB_KUBE_OBJECT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/base/json.h"
#include "lib/base/time.h"

namespace mainstay::kube {

// What went wrong with a call.
struct Error {
  // HTTP code; 0: there was no (whole) answer.
  int code = 0;
  // The server's Status.reason ("Conflict", "NotFound", "AlreadyExists", "Forbidden", "Expired", ...), or one
  // of ours (namespace reason) where there is none.
  std::string reason;
  // For people: what was asked, what came back, and what to do.
  std::string message;
  // What the failure is about, from Status.details (kind is the resource: "configmaps"). May be empty.
  std::string details_kind;
  std::string details_name;
  // When the server wants to be asked again (Retry-After or details.retryAfterSeconds; at most an hour).
  std::optional<Duration> retry_after;
  // False: the request certainly had and will have no effect. True: it may have been executed, now or later.
  bool maybe_executed = false;
};

// Reasons of our own: there was no whole answer, or none was asked for.
namespace reason {
inline constexpr char kTimeout[] = "DeadlinePassed";            // the caller's deadline
inline constexpr char kThrottled[] = "ClientThrottled";         // own token bucket; not sent
inline constexpr char kUnreachable[] = "Unreachable";           // name, address, refused, reset, closed
inline constexpr char kTlsFailed[] = "TlsFailed";               // the handshake
inline constexpr char kNotTrusted[] = "CertificateNotTrusted";  // the server's certificate
inline constexpr char kInterrupted[] = "Interrupted";           // Interrupt() of another thread
inline constexpr char kBadAnswer[] = "BadAnswer";               // not HTTP, not JSON, a redirect
inline constexpr char kTooLarge[] = "AnswerTooLarge";
inline constexpr char kNoCredentials[] = "NoCredentials";  // token or certificates cannot be read
}  // namespace reason

// The outcome of a call: an object, or why there is none.
struct Result {
  std::optional<Json> object;
  Error error;  // when there is no object
  bool ok() const { return object.has_value(); }
  // By Status.reason where there is one, by the code otherwise (a proxy's 404 has no Status).
  bool IsConflict() const { return !ok() && error.code == 409; }  // also AlreadyExists
  bool IsNotFound() const { return !ok() && error.code == 404; }
};

// Which thing: {"", "v1", "db", "configmaps", "x"}, {"coordination.k8s.io", "v1", "db", "leases", ""}.
// An empty namespace: a thing of the cluster; an empty name: all of them.
struct Resource {
  std::string group;
  std::string version;
  std::string ns;
  std::string plural;
  std::string name;
  std::string subresource;
};
std::string ResourcePath(const Resource& resource);

// A failed answer. `what`: "PUT configmaps/x"; `body` as it came.
Error ParseFailure(int code, const std::string& body, const std::string& what);

struct WatchEvent {
  enum class Type : uint8_t { kAdded, kModified, kDeleted, kBookmark, kError };
  Type type = Type::kBookmark;
  Json object;  // kDeleted: as it was last; kBookmark: metadata.resourceVersion only
  Error error;  // kError; code 410: expired
};
absl::StatusOr<WatchEvent> ParseWatchEvent(const std::string& line);

// metadata fields of an object; "" when they are not there or no strings.
std::string MetaText(const Json& object, const char* field);
// metadata.annotations[key], data[key], ...: the string at object[a][b] ("" when not there).
std::string TextAt(const Json& object, const char* outer, const char* middle, const std::string& key);

// metav1.MicroTime: exactly six digits of fraction ("2026-11-24T06:18:21.123456Z"), or the API server answers
// 400.
std::string FormatMicroTime(int64_t unix_us);

}  // namespace mainstay::kube

#endif  // MAINSTAY_LIB_KUBE_OBJECT_H_
