#include "lib/engine/redis/metrics.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"
#include "lib/engine/redis/info.h"

namespace mainstay::engine::redis {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// A session without an answer for this long is given up: the server may have lost it.
constexpr Duration kGiveUpAfter = seconds(30);
// Prometheus forgets a series without samples after as long.
constexpr Duration kForgetAfter = minutes(5);

double ToSeconds(Duration d) { return std::chrono::duration<double>(d).count(); }

const char* StateOf(const absl::Status& status, bool loading) {
  if (status.ok()) return loading ? "loading" : "ok";
  if (absl::IsDeadlineExceeded(status)) return "silent";
  if (absl::IsResourceExhausted(status)) return "busy";
  return absl::IsUnavailable(status) ? "unreachable" : "refused";
}

// The status of an INFO: busy is told apart from refused.
absl::Status StatusOf(const Reply& info) {
  if (info.is_text() && !info.text.empty()) return absl::OkStatus();
  const std::string why = info.is_error() ? Cut(info.text, 200) : std::string("no text");
  if (info.ErrorCode() == "BUSY") return absl::ResourceExhaustedError(why);
  return absl::PermissionDeniedError(absl::StrCat("INFO was answered with: ", why));
}

}  // namespace

RedisMetrics::RedisMetrics(MetricsLogin login) : next_(RedisMetricsSettings()), session_(std::move(login)) {}

void RedisMetrics::Configure(const RedisMetricsSettings& settings) {
  const std::lock_guard<std::mutex> lock(mutex_);
  next_ = settings;
}

void RedisMetrics::TakeSettings() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!next_.has_value()) return;
  settings_ = *std::exchange(next_, std::nullopt);
  config_changed_ = true;
  parts_[kHistograms] = PartState();
}

std::vector<MetricsSession::Words> RedisMetrics::Commands(MonoTime now) {
  std::vector<MetricsSession::Words> out = {{"INFO", "ALL"}, {"LATENCY", "LATEST"}};
  asked_ = {kInfo, kLatency};
  if (settings_.histograms) {
    out.push_back({"LATENCY", "HISTOGRAM"});
    asked_.push_back(kHistograms);
  }
  out.insert(out.end(), {{"SLOWLOG", "LEN"}, {"SLOWLOG", "GET", "1"}});
  asked_.insert(asked_.end(), {kSlowlog, kSlowlog});
  if (config_changed_ || now - config_asked_at_ >= settings_.slow_interval) {
    for (const char* name : kConfigNames) {  // one each: several at a time are new in 7.0
      out.push_back({"CONFIG", "GET", name});
      asked_.push_back(kConfig);
    }
  }
  asked_at_ = now;
  return out;
}

void RedisMetrics::Keep(Part part, bool ok, Families* families) {
  PartState& state = parts_[part];
  state.ok = ok;
  state.tried = true;
  for (const auto& [family, n] : families->dropped()) dropped_[family] += n;
  if (!ok) return;
  state.families = families->Take();
  state.at = asked_at_;
}

void RedisMetrics::TakeConfig(const std::vector<Reply>& replies, size_t from) {
  Families out;
  int64_t databases = 0;
  bool ok = from < replies.size();
  for (size_t i = from; i < replies.size(); ++i) {
    ok = ok && !replies[i].is_error();
    databases = std::max(databases, AddConfig(replies[i], &out));
  }
  if (from >= replies.size()) return;
  if (databases > 0) databases_ = databases;
  Keep(kConfig, ok, &out);
  config_changed_ = false;
  config_asked_at_ = asked_at_;  // also when it was refused: asked again at its pace, not with each scrape
}

absl::Status RedisMetrics::Answered(const std::vector<Reply>& replies) {
  const auto first = [&](Part part) {
    return static_cast<size_t>(std::find(asked_.begin(), asked_.end(), part) - asked_.begin());
  };
  MAINSTAY_RETURN_IF_ERROR(StatusOf(replies.at(first(kInfo))));
  const bool with_config = first(kConfig) < replies.size();
  TakeConfig(replies, first(kConfig));

  InfoOptions options;
  options.commands = settings_.commands;
  options.databases = databases_ > 0 ? databases_ : 16;
  options.now_unix_usec = UnixMillis() * 1000;
  Families info;
  const std::string& text = replies[first(kInfo)].text;
  if (text.size() > kMaxInfoBytes) return absl::PermissionDeniedError("INFO is larger than 4 MiB");
  const InfoSummary summary = AddInfo(text, options, &info);
  Keep(kInfo, true, &info);
  loading_ = summary.loading;
  const bool same =
      summary.run_id == config_run_id_ && summary.maxclients == seen_[0] && summary.maxmemory == seen_[1];
  if (!same && !with_config) config_changed_ = true;
  config_run_id_ = summary.run_id;
  seen_[0] = summary.maxclients;
  seen_[1] = summary.maxmemory;

  Families latency;
  AddSpikes(replies[first(kLatency)], &latency);
  Keep(kLatency, !replies[first(kLatency)].is_error(), &latency);
  if (const size_t at = first(kHistograms); at < replies.size()) {
    Families histograms;
    AddHistograms(replies[at], summary, &histograms);
    Keep(kHistograms, !replies[at].is_error(), &histograms);
  }
  const size_t slow = first(kSlowlog);
  Families slowlog;
  AddSlowlog(replies[slow], replies[slow + 1], &slowlog);
  Keep(kSlowlog, !replies[slow].is_error() && !replies[slow + 1].is_error(), &slowlog);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Reply>> RedisMetrics::RoundTrip(MonoTime now, MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(session_.Ready(deadline));
  MAINSTAY_RETURN_IF_ERROR(session_.Send(Commands(now)));
  return session_.Take(deadline);
}

absl::Status RedisMetrics::Ask(MonoTime deadline) {
  const MonoTime now = BootClock().Now();
  if (session_.busy() && now - session_.busy_since() >= kGiveUpAfter) session_.Close();
  // What an earlier scrape left: its answers are old by now, and are only taken out of the way.
  if (session_.ready() && session_.busy()) {
    const absl::Status status = session_.Take(deadline).status();
    if (!status.ok() && !absl::IsUnavailable(status)) return status;
  }
  const bool kept = session_.ready();
  absl::StatusOr<std::vector<Reply>> replies = RoundTrip(now, deadline);
  // The server was restarted, or cut the session, since the last scrape: that is no trouble of this one.
  if (kept && absl::IsUnavailable(replies.status())) replies = RoundTrip(now, deadline);
  MAINSTAY_RETURN_IF_ERROR(replies.status());
  return Answered(*replies);
}

// Values of a server that is long gone tell nothing any more.
void RedisMetrics::Forget(MonoTime now) {
  if (now - up_at_ < kForgetAfter) return;
  for (PartState& part : parts_) part = PartState();
  config_changed_ = true;
}

metrics::FamiliesPtr RedisMetrics::Own(const absl::Status& status, Duration took) {
  Families out;
  metrics::LabelText labels;
  labels.Add("state", StateOf(status, loading_));
  out.Add(FamilyId::kAnswer, labels, "1");
  labels.Clear();
  labels.Add("err", status.ok() ? "" : Cut(ToAbsl({status.message().data(), status.message().size()}), 200));
  out.Add(FamilyId::kScrapeError, labels, status.ok() ? "0" : "1");
  out.AddNumber(FamilyId::kScrapes, static_cast<double>(scrapes_));
  out.AddNumber(FamilyId::kScrapeSeconds, ToSeconds(took));
  out.AddNumber(FamilyId::kConnectSeconds, ToSeconds(session_.connect_took()));
  for (const auto& [family, n] : dropped_) {
    labels.Clear();
    labels.Add("family", family);
    out.Add(FamilyId::kDropped, labels, absl::StrCat(n));
  }
  return out.Take();
}

metrics::SnapshotPtr RedisMetrics::Collect(MonoTime deadline) {
  static constexpr const char* kNames[kParts] = {"info", "latency", "histograms", "slowlog", "config"};
  const MonoTime began = BootClock().Now();
  TakeSettings();
  ++scrapes_;
  const absl::Status status = Ask(deadline);
  auto out = std::make_shared<metrics::Snapshot>();
  out->up = status.ok();
  out->began = began;
  if (status.ok()) {
    up_at_ = began;
  } else {
    out->problem = std::string(status.message());
    Forget(began);
    static LogLimiter limiter(minutes(1));
    if (uint64_t held = 0; limiter.Allow(began, &held))
      Log(LogLevel::kWarn, "metrics", "the metrics were not answered",
          {{"error", status}, {"held_back", held}});
  }
  out->took = BootClock().Now() - began;
  for (size_t part = 0; part < kParts; ++part) {
    const PartState& state = parts_[part];
    if (state.families != nullptr) out->families.push_back(state.families);
    const bool ok = state.ok && (status.ok() || part == kConfig);
    if (state.tried) out->collectors.push_back({kNames[part], "", ok, out->took, state.at});
  }
  out->families.push_back(Own(status, out->took));
  return out;
}

void RedisMetrics::Rest() {
  session_.Close();
  for (PartState& part : parts_) part = PartState();
  config_changed_ = true;
}

}  // namespace mainstay::engine::redis
