#include "lib/audit/line.h"

#include <cmath>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/audit/audit.h"
#include "lib/base/strings.h"

namespace mainstay::audit {

void AppendText(std::string* out, absl::string_view text, size_t cap) {
  const size_t begin = out->size();
  AppendJsonString(out, text.size() <= cap ? text : absl::string_view(Cut(text, cap)));
  size_t at = out->find("\xe2\x80", begin);
  while (at != std::string::npos && at + 2 < out->size()) {
    const char last = (*out)[at + 2];
    if (last == '\xa8' || last == '\xa9') out->replace(at, 3, last == '\xa8' ? "\\u2028" : "\\u2029");
    at = out->find("\xe2\x80", at + 3);
  }
}

std::string Timestamp(int64_t unix_us) {
  int64_t seconds = unix_us / 1000000;
  int64_t us = unix_us % 1000000;
  if (us < 0) {
    us += 1000000;
    --seconds;
  }
  const time_t t = static_cast<time_t>(seconds);
  struct tm tm = {};
  gmtime_r(&t, &tm);
  return absl::StrFormat("%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                         tm.tm_hour, tm.tm_min, tm.tm_sec, us);
}

void JsonObject::Key(absl::string_view key) {
  if (!first_) out_->push_back(',');
  first_ = false;
  absl::StrAppend(out_, "\"", key, "\":");
}

void JsonObject::Number(absl::string_view key, int64_t value) {
  Key(key);
  absl::StrAppend(out_, value);
}

void JsonObject::Real(absl::string_view key, double value) {
  Key(key);
  absl::StrAppend(out_, std::isfinite(value) ? absl::StrFormat("%.3f", value) : "0");
}

void JsonObject::Bool(absl::string_view key, bool value) {
  Key(key);
  absl::StrAppend(out_, value ? "true" : "false");
}

void JsonObject::List(absl::string_view key, const std::vector<std::string>& values) {
  Key(key);
  out_->push_back('[');
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out_->push_back(',');
    AppendText(out_, values[i], 64);
  }
  out_->push_back(']');
}

void AppendIdentity(JsonObject& line, const Identity& who) {
  JsonObject o = line.Open("object");
  o.Text("engine", who.engine);
  o.Text("cluster", who.cluster);
  o.TextUnlessEmpty("namespace", who.kube_namespace);
  o.Text("pod", who.member);
  o.TextUnlessEmpty("pod_uid", who.pod_uid);
  o.TextUnlessEmpty("node", who.node);
  o.Close();
}

}  // namespace mainstay::audit
