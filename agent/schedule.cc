#include "agent/schedule.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lib/base/file.h"
#include "lib/base/json.h"
#include "lib/base/result.h"

namespace mainstay::agent {
namespace {

constexpr size_t kMaxBytes = 8192;
constexpr size_t kMaxText = 128;

Json ToJson(const ScheduledSwitchover& s) {
  return {{"at_unix_ms", s.at_unix_ms}, {"leader", s.leader}, {"candidate", s.candidate}, {"actor", s.actor}};
}
Json ToJson(const ScheduledRestart& r) {
  return {{"at_unix_ms", r.at_unix_ms},       {"role", r.role},
          {"below_version", r.below_version}, {"pending_only", r.pending_only},
          {"timeout_ms", r.timeout_ms},       {"actor", r.actor}};
}

absl::StatusOr<ScheduledSwitchover> ReadSwitchover(const JsonView& v) {
  ScheduledSwitchover s;
  MAINSTAY_ASSIGN_OR_RETURN(s.at_unix_ms, v.Int("at_unix_ms", 0, INT64_MAX / 2));
  MAINSTAY_ASSIGN_OR_RETURN(s.leader, v.String("leader", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(s.candidate, v.String("candidate", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(s.actor, v.String("actor", kMaxText));
  return s;
}
absl::StatusOr<ScheduledRestart> ReadRestart(const JsonView& v) {
  ScheduledRestart r;
  MAINSTAY_ASSIGN_OR_RETURN(r.at_unix_ms, v.Int("at_unix_ms", 0, INT64_MAX / 2));
  MAINSTAY_ASSIGN_OR_RETURN(r.role, v.String("role", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(r.below_version, v.String("below_version", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(r.pending_only, v.Bool("pending_only"));
  MAINSTAY_ASSIGN_OR_RETURN(r.timeout_ms, v.Int("timeout_ms", 0, INT64_MAX / 2));
  MAINSTAY_ASSIGN_OR_RETURN(r.actor, v.String("actor", kMaxText));
  return r;
}

}  // namespace

std::string EncodeSchedules(const Schedules& schedules) {
  Json out = Json::object();
  if (schedules.switchover) out["switchover"] = ToJson(*schedules.switchover);
  if (schedules.restart) out["restart"] = ToJson(*schedules.restart);
  return DumpJson(out) + "\n";
}

absl::StatusOr<Schedules> DecodeSchedules(const std::string& text) {
  MAINSTAY_ASSIGN_OR_RETURN(const Json json, ParseJson(text, kMaxBytes));
  if (!json.is_object()) return absl::InvalidArgumentError("want an object");
  const JsonView view(&json, "schedule");
  Schedules out;
  if (view.Has("switchover")) {
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView v, view.Object("switchover"));
    MAINSTAY_ASSIGN_OR_RETURN(out.switchover, ReadSwitchover(v));
  }
  if (view.Has("restart")) {
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView v, view.Object("restart"));
    MAINSTAY_ASSIGN_OR_RETURN(out.restart, ReadRestart(v));
  }
  return out;
}

absl::StatusOr<Schedules> LoadSchedules(const std::string& file) {
  if (file.empty()) return Schedules();
  const absl::StatusOr<std::string> text = ReadFile(file, kMaxBytes);
  if (absl::IsNotFound(text.status())) return Schedules();
  if (!text.ok()) return text.status();
  absl::StatusOr<Schedules> out = DecodeSchedules(*text);
  if (!out.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(file, " is damaged (", out.status().message(),
                                                      "): what was scheduled is lost; remove it"));
  }
  return out;
}

absl::Status SaveSchedules(const std::string& file, const Schedules& schedules) {
  if (file.empty()) return absl::OkStatus();
  if (!schedules.empty()) return AtomicWriteFile(file, EncodeSchedules(schedules));
  if (unlink(file.c_str()) != 0)
    return errno == ENOENT ? absl::OkStatus() : ErrnoStatus(errno, "remove", file);
  return SyncDir(DirName(file));
}

std::string FormatWhen(int64_t unix_ms) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E*S%Ez", absl::FromUnixMillis(unix_ms), absl::UTCTimeZone());
}

}  // namespace mainstay::agent
