// The audit line itself. Keys come in a fixed order and keep their types for ever: a collector maps each
// once.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "lib/audit/audit.h"
#include "lib/audit/line.h"
#include "lib/audit/redact.h"
#include "lib/base/strings.h"

namespace mainstay::audit {
namespace {

constexpr size_t kMaxParams = 16;

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

void AppendStanding(JsonObject& parent, absl::string_view key, const Standing& s) {
  JsonObject o = parent.Open(key);
  o.Text("role", s.role);
  o.Number("epoch", s.epoch);
  if (s.timeline != 0) o.Number("timeline", s.timeline);
  if (s.offset != 0) o.Fixed("lsn", absl::StrFormat("%X/%X", s.offset >> 32, s.offset & 0xffffffffu));
  o.Close();
}

void AppendActor(JsonObject& line, const Actor& a) {
  JsonObject o = line.Open("actor");
  o.Text("type", a.type);
  o.TextUnlessEmpty("name", a.name);
  o.TextUnlessEmpty("ip", a.ip);
  o.TextUnlessEmpty("authn", a.authn);
  o.TextUnlessEmpty("agent", a.agent);
  o.Close();
}

void AppendRequest(JsonObject& line, const Request& r) {
  JsonObject o = line.Open("request");
  o.Text("rpc", r.rpc);
  o.Text("id", r.id);
  JsonObject params = o.Open("params");
  for (size_t i = 0; i < r.params.size() && i < kMaxParams; ++i) {
    // A key is ours, but it is cheap to be sure that it cannot break the line.
    std::string key;
    AppendText(&key, r.params[i].first, 32);
    params.Text(key.substr(1, key.size() - 2), Redact(r.params[i].second));
  }
  params.Close();
  o.Close();
}

void AppendLease(JsonObject& line, const LeaseFacts& l) {
  JsonObject o = line.Open("lease");
  o.Text("lock", l.lock);
  o.Text("holder", l.holder);
  o.TextUnlessEmpty("resource_version", l.resource_version);
  if (l.deadline_ms) o.Number("deadline_ms", *l.deadline_ms);
  o.Close();
}

void AppendLoss(JsonObject& line, const LossFacts& l) {
  std::vector<std::string> unknown;
  JsonObject o = line.Open("loss");
  const auto number = [&](const char* key, const auto& value) {
    if (value.has_value())
      o.Number(key, static_cast<int64_t>(*value));
    else
      unknown.emplace_back(key);
  };
  const auto time = [&](const char* key, int64_t unix_ms) {
    if (unix_ms != 0)
      o.Fixed(key, Timestamp(unix_ms * 1000));
    else
      unknown.emplace_back(key);
  };
  o.Fixed("found", l.found);
  number("epoch", l.epoch != 0 ? std::optional(l.epoch) : std::nullopt);
  o.TextUnlessEmpty("from", l.from);
  o.Text("leader", l.leader);
  number("bytes", l.bytes);
  o.Bool("at_least", l.at_least);
  time("since", l.since_ms);
  time("until", l.until_ms);
  number("changes_at_most", l.changes);
  number("keys_here", l.keys_here);
  number("keys_there", l.keys_there);
  unknown.emplace_back("key_names");  // no engine tells them
  o.List("unknown", unknown);
  o.Close();
}

// The line with every text cut to `cap` bytes.
std::string FormatCapped(const Event& e, const Identity& who, uint64_t seq, int64_t unix_us,
                         const std::string& uuid, size_t cap) {
  std::string out;
  JsonObject line(&out, cap);
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
  line.TextUnlessEmpty("reason", Redact(e.reason));
  line.Text("msg", Redact(e.msg));
  AppendActor(line, e.actor);
  AppendIdentity(line, who);
  if (e.request) AppendRequest(line, *e.request);
  if (e.before) AppendStanding(line, "before", *e.before);
  if (e.after) AppendStanding(line, "after", *e.after);
  if (e.lease) AppendLease(line, *e.lease);
  if (e.took)
    line.Number("duration_ms", std::chrono::duration_cast<std::chrono::milliseconds>(*e.took).count());
  if (e.error) {
    JsonObject o = line.Open("error");
    o.Text("code", e.error->code);
    o.Text("message", Redact(e.error->message));
    o.Close();
  }
  if (e.loss) AppendLoss(line, *e.loss);
  if (e.dropped) {
    JsonObject o = line.Open("dropped");
    o.Number("lines", static_cast<int64_t>(*e.dropped));
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
