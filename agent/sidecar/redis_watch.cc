#include "agent/sidecar/redis_watch.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/audit/redis_text.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/engine/redis/info.h"
#include "lib/engine/redis/rings.h"

namespace mainstay::agent {

namespace redis = engine::redis;
using redis::RingEvent;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr size_t kSteps = std::size(redis::kRingSteps);

// What the rings are read with.
struct Counters {
  std::string run_id;
  int64_t now_ms = 0;
  int64_t refused = 0;
  redis::KillReader::Counters kills;
};

// Of the first `sections` replies, which are INFO's.
Counters ReadCounters(const std::vector<redis::Reply>& replies, size_t sections) {
  Counters out;
  const auto number = [](absl::string_view text) {
    int64_t n = 0;
    return absl::SimpleAtoi(text, &n) ? n : 0;
  };
  for (size_t i = 0; i < sections; ++i) {
    const redis::Reply& reply = replies[i];
    if (!reply.is_text()) continue;
    redis::ForEachInfoLine(reply.text, [&](const redis::InfoLine& line) {
      if (line.key == "run_id") out.run_id = std::string(line.value);
      if (line.key == "server_time_usec") out.now_ms = number(line.value) / 1000;
      if (line.key == "evicted_clients") out.kills.evicted = number(line.value);
      if (line.key == "errorstat_NOPERM" || line.key == "errorstat_WRONGPASS")
        out.refused += number(redis::InfoField(line.value, "count").value_or(""));
      if (line.key == "cmdstat_client|kill")
        out.kills.kill_calls = number(redis::InfoField(line.value, "calls").value_or(""));
    }).IgnoreError();
  }
  return out;
}

std::string Message(const RingEvent& e) {
  switch (e.kind) {
    case RingEvent::Kind::kSlow:
      return audit::RedisCommandText(e.words);
    case RingEvent::Kind::kDenied:
      return absl::StrCat(e.reason == "auth" ? "login refused" : absl::StrCat("refused: ", e.reason),
                          e.count > 1 ? absl::StrCat(", ", e.count, " times") : "");
    case RingEvent::Kind::kLatency:
      return absl::StrCat("latency event ", e.object);
    case RingEvent::Kind::kKill:
      return absl::StrCat(e.count, e.object == "CLIENT KILL" ? " calls of CLIENT KILL; who asked is not told"
                                                             : " clients were cut by maxmemory-clients");
  }
  return "";
}

audit::DatabaseLine ToLine(const RingEvent& e) {
  audit::DatabaseLine line;
  line.unix_us = e.unix_ms * 1000;
  line.severity = e.kind == RingEvent::Kind::kDenied ? "warning" : "notice";
  line.user = e.user;
  line.remote = e.address;
  line.application = e.name;
  line.message.Append(Message(e));
  audit::RingFacts ring;
  ring.id = e.id;
  ring.count = e.count;
  ring.reason = e.reason;
  ring.context = e.context;
  ring.object = e.object;
  ring.completeness = e.kind == RingEvent::Kind::kKill ? "sampled" : e.gapped ? "gapped" : "full";
  switch (e.kind) {
    case RingEvent::Kind::kSlow:
      line.clazz = audit::LogClass::kSlowQuery;
      line.duration_ms = e.took_ms;
      break;
    case RingEvent::Kind::kDenied:
      line.clazz = audit::LogClass::kDenied;
      break;
    case RingEvent::Kind::kLatency:
      line.clazz = audit::LogClass::kLatency;
      line.duration_ms = e.took_ms;
      break;
    case RingEvent::Kind::kKill:
      line.clazz = audit::LogClass::kKill;
      break;
  }
  line.ring = std::move(ring);
  return line;
}

}  // namespace

struct RedisWatch::Shared : OutputThread {
  Shared(RedisWatchOptions o, audit::Log* log)
      : OutputThread(log), options(std::move(o)), session(options.login) {}

  void Run() override;
  absl::Status Turn(MonoTime deadline);
  absl::StatusOr<std::vector<redis::Reply>> Ask(const std::vector<redis::MetricsSession::Words>& commands,
                                                MonoTime deadline);
  absl::Status ReadSlow(const Counters& counters, const redis::Reply& newest, MonoTime deadline);
  absl::Status ReadDenied(const Counters& counters, const redis::Reply& newest, MonoTime deadline);
  absl::Status ReadLatency(const Counters& counters, const redis::Reply& latest, MonoTime deadline);
  void Tell(const redis::RingTurn& turn, const char* ring);
  void Missing(uint64_t lines, const char* reason, std::string msg);

  const RedisWatchOptions options;

  // Of the thread alone.
  redis::MetricsSession session;
  redis::SlowReader slow;
  redis::DeniedReader denied;
  redis::LatencyReader latency;
  redis::KillReader kills;
};

void RedisWatch::Shared::Run() {
  LogLimiter limiter(seconds(60));
  while (!stopping) {
    Pause(options.interval);
    if (stopping) break;
    TakeOptions();
    const absl::Status status = Turn(BootClock().Now() + options.patience);
    // A server that is not there, loads or hangs is the probe's business.
    if (status.ok() || absl::IsDeadlineExceeded(status) || absl::IsUnavailable(status) ||
        absl::IsNotFound(status))  // (no password yet: nothing was founded)
      continue;
    if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held))
      Log(LogLevel::kWarn, "log", "the slow log and the ACL log cannot be read", {{"error", status}});
  }
}

absl::StatusOr<std::vector<redis::Reply>> RedisWatch::Shared::Ask(
    const std::vector<redis::MetricsSession::Words>& commands, MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(session.Send(commands));
  return session.Take(deadline);
}

absl::Status RedisWatch::Shared::Turn(MonoTime deadline) {
  MAINSTAY_RETURN_IF_ERROR(session.Ready(deadline));
  // Answers to a turn that was given up are of no use.
  if (session.busy()) MAINSTAY_RETURN_IF_ERROR(session.Take(deadline).status());
  // All of a quiet turn in one round trip, so that it wakes this process up once. The counters come first.
  const std::string few = absl::StrCat(redis::kRingSteps[0]);
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<redis::Reply> replies, Ask({{"INFO", "server"},
                                                                          {"INFO", "stats"},
                                                                          {"INFO", "errorstats"},
                                                                          {"INFO", "commandstats"},
                                                                          {"SLOWLOG", "GET", few},
                                                                          {"ACL", "LOG", few},
                                                                          {"LATENCY", "LATEST"}},
                                                                         deadline));
  const Counters counters = ReadCounters(replies, 4);
  if (counters.run_id.empty()) return absl::OkStatus();  // BUSY, or it loads
  const int64_t own = options.own_kills == nullptr ? 0 : options.own_kills->load();
  redis::RingTurn turn;
  kills.Read(counters.run_id, counters.kills, own, &turn);
  Tell(turn, "");
  MAINSTAY_RETURN_IF_ERROR(ReadSlow(counters, replies[4], deadline));
  MAINSTAY_RETURN_IF_ERROR(ReadDenied(counters, replies[5], deadline));
  return ReadLatency(counters, replies[6], deadline);
}

absl::Status RedisWatch::Shared::ReadSlow(const Counters& counters, const redis::Reply& newest,
                                          MonoTime deadline) {
  redis::RingTurn turn;
  const auto enough = [&](size_t i, const redis::Reply& reply) {
    return slow.Read(counters.run_id, static_cast<size_t>(redis::kRingSteps[i]), i + 1 == kSteps, reply,
                     &turn) == redis::Want::kNothing;
  };
  bool all = enough(0, newest);
  for (size_t i = 1; i < kSteps && !all; ++i) {
    MAINSTAY_ASSIGN_OR_RETURN(const std::vector<redis::Reply> replies,
                              Ask({{"SLOWLOG", "GET", absl::StrCat(redis::kRingSteps[i])}}, deadline));
    all = enough(i, replies[0]);
  }
  Tell(turn, "slow log");
  return absl::OkStatus();
}

absl::Status RedisWatch::Shared::ReadDenied(const Counters& counters, const redis::Reply& newest,
                                            MonoTime deadline) {
  redis::RingTurn turn;
  const auto enough = [&](size_t i, const Counters& at, const redis::Reply& reply) {
    return denied.Read(counters.run_id, static_cast<size_t>(redis::kRingSteps[i]), i + 1 == kSteps, at.now_ms,
                       at.refused, reply, &turn) == redis::Want::kNothing;
  };
  bool all = enough(0, counters, newest);
  for (size_t i = 1; i < kSteps && !all; ++i) {
    MAINSTAY_ASSIGN_OR_RETURN(
        const std::vector<redis::Reply> replies,
        Ask({{"INFO", "server"}, {"INFO", "errorstats"}, {"ACL", "LOG", absl::StrCat(redis::kRingSteps[i])}},
            deadline));
    const Counters now = ReadCounters(replies, 2);
    if (now.run_id.empty()) break;
    all = enough(i, now, replies[2]);
  }
  Tell(turn, "ACL log");
  return absl::OkStatus();
}

absl::Status RedisWatch::Shared::ReadLatency(const Counters& counters, const redis::Reply& latest,
                                             MonoTime deadline) {
  const std::vector<std::string> events = latency.Changed(counters.run_id, latest);
  if (events.empty()) return absl::OkStatus();
  std::vector<redis::MetricsSession::Words> commands;
  for (const std::string& event : events) commands.push_back({"LATENCY", "HISTORY", event});
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<redis::Reply> replies, Ask(commands, deadline));
  redis::RingTurn turn;
  for (size_t i = 0; i < events.size(); ++i) latency.Read(events[i], counters.now_ms, replies[i], &turn);
  Tell(turn, "latency monitor");
  return absl::OkStatus();
}

void RedisWatch::Shared::Tell(const redis::RingTurn& turn, const char* ring) {
  if (turn.missing > 0)
    Missing(turn.missing, "ring-overflow",
            absl::StrCat(turn.missing, " entries of the ", ring,
                         " are missing here: the server forgot them before they were read"));
  uint64_t limited = 0;
  for (const RingEvent& e : turn.events) {
    if (stopping) return;
    const audit::DatabaseLine line = ToLine(e);
    if (audit::WeightOf(line) < least) continue;
    if (e.kind != RingEvent::Kind::kDenied && !limit.Allow(BootClock().Now())) {
      ++limited;
      continue;
    }
    Put([&line](const audit::Identity& who, uint64_t seq, int64_t unix_us) {
      return audit::Format(line, who, seq, unix_us);
    });
  }
  if (limited > 0)
    Missing(limited, "rate-limit",
            absl::StrCat(limited, " entries of the ", ring,
                         " are missing here: there were more than audit.database_log_rate lets through"));
}

void RedisWatch::Shared::Missing(uint64_t lines, const char* reason, std::string msg) {
  audit::Dropped dropped;
  dropped.lines = lines;
  dropped.reason = reason;
  dropped.msg = std::move(msg);
  out->CountMissing(lines, 0);
  Put([&dropped](const audit::Identity& who, uint64_t seq, int64_t unix_us) {
    return audit::Format(dropped, who, seq, unix_us);
  });
}

RedisWatch::RedisWatch(RedisWatchOptions options, audit::Log* out)
    : shared_(std::make_shared<Shared>(std::move(options), out)) {}

RedisWatch::~RedisWatch() { Stop(seconds(1)); }

void RedisWatch::Configure(const LogRelayOptions& options) { shared_->Configure(options); }
void RedisWatch::Start() { OutputThread::Start(shared_, "redis-rings"); }
bool RedisWatch::Stop(Duration patience) { return shared_->Stop(patience); }

}  // namespace mainstay::agent
