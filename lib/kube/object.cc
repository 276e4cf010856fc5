#include "lib/kube/object.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"
#include "lib/kube/http.h"

namespace mainstay::kube {
namespace {

constexpr size_t kMaxMessageBytes = 400;
constexpr size_t kMaxWordBytes = 128;

std::string Text(const JsonView& from, const char* key, size_t max) {
  const absl::StatusOr<std::string> s = from.StringOr(key, kMaxBodyBytes, "");
  return s.ok() ? Cut(*s, max) : "";
}

// One line: the server's text goes into logs.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string Remedy(const Error& e, const std::string& what) {
  switch (e.code) {
    case 401:
      return "; the token is not accepted: is it of this cluster, and does its ServiceAccount still exist?";
    case 403:
      return absl::StrCat("; give this ServiceAccount a Role and RoleBinding that allow: ", what);
    case 404:
      if (e.details_kind == "namespaces") return "; create the namespace or correct its name";
      return "";
    case 413:
      return "; the object is too large";
    case 422:
      return "; the API server does not accept the object: is it of a version that this program knows?";
    case 429:
      return "; the API server is overloaded or limits this client";
    default:
      return e.code >= 500 ? "; look at the API server, its admission webhooks and its etcd" : "";
  }
}

void FillDetails(const JsonView& status, Error* out) {
  const absl::StatusOr<JsonView> details = status.Object("details");
  if (!details.ok()) return;
  out->details_kind = OneLine(Text(*details, "kind", kMaxWordBytes));
  out->details_name = OneLine(Text(*details, "name", kMaxWordBytes));
  const absl::StatusOr<int64_t> seconds = details->IntOr("retryAfterSeconds", 0, 3600, 0);
  if (seconds.ok() && *seconds > 0) out->retry_after = std::chrono::seconds(*seconds);
}

// 4xx is said before anything is done, but 408 and 429 can come from a proxy between.
bool MayHaveBeenExecuted(int code) { return code >= 500 || code == 408; }

Error FromStatus(int code, const Json* json, const std::string& body, const std::string& what) {
  Error out;
  out.code = code;
  out.maybe_executed = MayHaveBeenExecuted(code);
  std::string said;
  if (json != nullptr && json->is_object()) {
    const JsonView status(json, "status");
    if (Text(status, "kind", kMaxWordBytes) == "Status") {
      out.reason = OneLine(Text(status, "reason", kMaxWordBytes));
      said = OneLine(Text(status, "message", kMaxMessageBytes));
      FillDetails(status, &out);
    }
  }
  if (said.empty() && !body.empty()) said = OneLine(Cut(body, 120));
  out.message = absl::StrCat(what, ": ", code, out.reason.empty() ? "" : " ", out.reason,
                             said.empty() ? "" : ": ", said, Remedy(out, what));
  return out;
}

}  // namespace

std::string ResourcePath(const Resource& r) {
  std::string path = r.group.empty()
                         ? absl::StrCat("/api/", PercentEncode(r.version))
                         : absl::StrCat("/apis/", PercentEncode(r.group), "/", PercentEncode(r.version));
  if (!r.ns.empty()) absl::StrAppend(&path, "/namespaces/", PercentEncode(r.ns));
  absl::StrAppend(&path, "/", PercentEncode(r.plural));
  if (!r.name.empty()) absl::StrAppend(&path, "/", PercentEncode(r.name));
  if (!r.subresource.empty()) absl::StrAppend(&path, "/", PercentEncode(r.subresource));
  return path;
}

Error ParseFailure(int code, const std::string& body, const std::string& what) {
  const absl::StatusOr<Json> json = ParseJson(body, kMaxBodyBytes);
  return FromStatus(code, json.ok() ? &*json : nullptr, body, what);
}

absl::StatusOr<WatchEvent> ParseWatchEvent(const std::string& line) {
  MAINSTAY_ASSIGN_OR_RETURN(Json json, ParseJson(line, kMaxWatchLineBytes));
  const JsonView view(&json, "watch");
  MAINSTAY_ASSIGN_OR_RETURN(const std::string type, view.String("type", kMaxWordBytes));
  MAINSTAY_ASSIGN_OR_RETURN(const JsonView object, view.Object("object"));
  WatchEvent out;
  if (type == "ADDED") {
    out.type = WatchEvent::Type::kAdded;
  } else if (type == "MODIFIED") {
    out.type = WatchEvent::Type::kModified;
  } else if (type == "DELETED") {
    out.type = WatchEvent::Type::kDeleted;
  } else if (type == "BOOKMARK") {
    out.type = WatchEvent::Type::kBookmark;
  } else if (type == "ERROR") {
    out.type = WatchEvent::Type::kError;
    const absl::StatusOr<int64_t> code = object.IntOr("code", 0, 999, 0);
    out.error = FromStatus(code.ok() ? static_cast<int>(*code) : 0, &object.json(), "", "watch");
    return out;
  } else {
    return view.Wrong("type", "ADDED, MODIFIED, DELETED, BOOKMARK or ERROR");
  }
  if (MetaText(object.json(), "resourceVersion").empty())
    return absl::InvalidArgumentError("watch.object.metadata.resourceVersion: is missing");
  out.object = std::move(json["object"]);
  return out;
}

std::string MetaText(const Json& object, const char* field) {
  if (!object.is_object()) return "";
  const auto meta = object.find("metadata");
  if (meta == object.end() || !meta->is_object()) return "";
  const auto it = meta->find(field);
  return it != meta->end() && it->is_string() ? it->get<std::string>() : "";
}

std::string TextAt(const Json& object, const char* outer, const char* middle, const std::string& key) {
  const Json* at = &object;
  for (const char* step : {outer, middle}) {
    if (step == nullptr) continue;
    if (!at->is_object()) return "";
    const auto it = at->find(step);
    if (it == at->end()) return "";
    at = &*it;
  }
  if (!at->is_object()) return "";
  const auto it = at->find(key);
  return it != at->end() && it->is_string() ? it->get<std::string>() : "";
}

std::string FormatMicroTime(int64_t unix_us) {
  const int64_t seconds = unix_us >= 0 ? unix_us / 1'000'000 : -((-unix_us + 999'999) / 1'000'000);
  std::string text = FormatUtcSeconds(seconds * 1000);
  text.pop_back();  // the Z
  return absl::StrFormat("%s.%06dZ", text, unix_us - seconds * 1'000'000);
}

}  // namespace mainstay::kube
