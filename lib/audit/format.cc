// The audit line itself. Keys come in a fixed order and keep their types for ever: a collector maps each
// once.
#include <ctime>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/audit/audit.h"
#include "lib/base/strings.h"

namespace mainstay::audit {
namespace {

constexpr size_t kMaxParams = 16;

// JSON string of at most `cap` bytes of `text`. U+2028 and U+2029 end a line for some readers: escaped.
void AppendText(std::string* out, absl::string_view text, size_t cap) {
  std::string quoted;
  AppendJsonString(&quoted, Cut(text, cap));
  for (size_t i = 0; i < quoted.size(); ++i) {
    const bool separator = i + 2 < quoted.size() && quoted[i] == '\xe2' && quoted[i + 1] == '\x80' &&
                           (quoted[i + 2] == '\xa8' || quoted[i + 2] == '\xa9');
    if (!separator) {
      out->push_back(quoted[i]);
      continue;
    }
    *out += quoted[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
    i += 2;
  }
}

// An object under construction: writes the commas.
class Object {
 public:
  Object(std::string* out, size_t cap) : out_(out), cap_(cap) { out_->push_back('{'); }
  void Close() { out_->push_back('}'); }
  void Key(absl::string_view key) {
    if (!first_) out_->push_back(',');
    first_ = false;
    absl::StrAppend(out_, "\"", key, "\":");
  }
  void Text(absl::string_view key, absl::string_view value) {
    Key(key);
    AppendText(out_, value, cap_);
  }
  // Our own words: never cut.
  void Fixed(absl::string_view key, absl::string_view value) {
    Key(key);
    AppendText(out_, value, 64);
  }
  void TextUnlessEmpty(absl::string_view key, absl::string_view value) {
    if (!value.empty()) Text(key, value);
  }
  void Number(absl::string_view key, int64_t value) {
    Key(key);
    absl::StrAppend(out_, value);
  }
  Object Open(absl::string_view key) {
    Key(key);
    return Object(out_, cap_);
  }

 private:
  std::string* out_;
  size_t cap_;
  bool first_ = true;
};

const char* ToString(Stage s) {
  switch (s) {
    case Stage::kStarted:
      return "started";
    case Stage::kCompleted:
      return "completed";
    case Stage::kFailed:
      return "failed";
  }
  return "?";
}

const char* ToString(Outcome o) {
  switch (o) {
    case Outcome::kUnknown:
      return "unknown";
    case Outcome::kSuccess:
      return "success";
    case Outcome::kFailure:
      return "failure";
  }
  return "?";
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

void AppendStanding(Object& parent, absl::string_view key, const Standing& s) {
  Object o = parent.Open(key);
  o.Text("role", s.role);
  o.Number("epoch", s.epoch);
  o.Number("timeline", s.timeline);
  o.Fixed("lsn", absl::StrFormat("%X/%X", s.offset >> 32, s.offset & 0xffffffffu));
  o.Close();
}

void AppendActor(Object& line, const Actor& a) {
  Object o = line.Open("actor");
  o.Text("type", a.type);
  o.TextUnlessEmpty("name", a.name);
  o.TextUnlessEmpty("ip", a.ip);
  o.TextUnlessEmpty("authn", a.authn);
  o.TextUnlessEmpty("agent", a.agent);
  o.Close();
}

void AppendIdentity(Object& line, const Identity& who) {
  Object o = line.Open("object");
  o.Text("engine", who.engine);
  o.Text("cluster", who.cluster);
  o.TextUnlessEmpty("namespace", who.kube_namespace);
  o.Text("pod", who.member);
  o.TextUnlessEmpty("pod_uid", who.pod_uid);
  o.TextUnlessEmpty("node", who.node);
  o.Close();
}

void AppendRequest(Object& line, const Request& r) {
  Object o = line.Open("request");
  o.Text("rpc", r.rpc);
  o.Text("id", r.id);
  Object params = o.Open("params");
  for (size_t i = 0; i < r.params.size() && i < kMaxParams; ++i) {
    // A key is ours, but it is cheap to be sure that it cannot break the line.
    std::string key;
    AppendText(&key, r.params[i].first, 32);
    params.Text(key.substr(1, key.size() - 2), r.params[i].second);
  }
  params.Close();
  o.Close();
}

void AppendLease(Object& line, const LeaseFacts& l) {
  Object o = line.Open("lease");
  o.Text("lock", l.lock);
  o.Text("holder", l.holder);
  o.TextUnlessEmpty("resource_version", l.resource_version);
  if (l.deadline_ms) o.Number("deadline_ms", *l.deadline_ms);
  o.Close();
}

// The line with every text cut to `cap` bytes.
std::string FormatCapped(const Event& e, const Identity& who, uint64_t seq, int64_t unix_us,
                         const std::string& uuid, size_t cap) {
  std::string out;
  Object line(&out, cap);
  line.Fixed("ts", Timestamp(unix_us));
  line.Fixed("level", e.level);
  line.Fixed("logger", "audit");
  line.Fixed("schema", "mainstay.audit/v1");
  line.Fixed("id", uuid);
  line.Number("seq", static_cast<int64_t>(seq));
  line.Fixed("boot", who.boot);
  line.Fixed("stage", ToString(e.stage));
  line.Text("action", e.action);
  line.Fixed("outcome", ToString(e.outcome));
  line.TextUnlessEmpty("reason", e.reason);
  line.Text("msg", e.msg);
  AppendActor(line, e.actor);
  AppendIdentity(line, who);
  if (e.request) AppendRequest(line, *e.request);
  if (e.before) AppendStanding(line, "before", *e.before);
  if (e.after) AppendStanding(line, "after", *e.after);
  if (e.lease) AppendLease(line, *e.lease);
  if (e.took)
    line.Number("duration_ms", std::chrono::duration_cast<std::chrono::milliseconds>(*e.took).count());
  if (e.error) {
    Object o = line.Open("error");
    o.Text("code", e.error->code);
    o.Text("message", e.error->message);
    o.Close();
  }
  line.Close();
  out.push_back('\n');
  return out;
}

}  // namespace

std::string Format(const Event& event, const Identity& who, uint64_t seq, int64_t unix_us,
                   const std::string& uuid) {
  std::string line;
  // A control character takes six bytes: with 40 the longest possible line (some 45 texts of 240 bytes) may
  // still be too long, with 16 never.
  for (size_t cap : {size_t{2048}, size_t{512}, size_t{160}, size_t{64}, size_t{16}}) {
    line = FormatCapped(event, who, seq, unix_us, uuid, std::max(cap, size_t{16}));
    if (line.size() <= kMaxLineBytes) break;
  }
  return line;
}

}  // namespace mainstay::audit
