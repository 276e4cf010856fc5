#include "agent/sidecar/redis_watch.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
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

constexpr int kRingsNice = 10;
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

struct RedisWatch::Shared {
  Shared(RedisWatchOptions o, audit::Log* log) : options(std::move(o)), out(log), session(options.login) {}

  void Run();
  absl::Status Turn(MonoTime deadline);
  absl::StatusOr<std::vector<redis::Reply>> Ask(const std::vector<redis::MetricsSession::Words>& commands,
                                                MonoTime deadline);
  absl::Status ReadSlow(const Counters& counters, const redis::Reply& newest, MonoTime deadline);
  absl::Status ReadDenied(const Counters& counters, const redis::Reply& newest, MonoTime deadline);
  absl::Status ReadLatency(const Counters& counters, const redis::Reply& latest, MonoTime deadline);
  void Tell(const redis::RingTurn& turn, const char* ring);
  void Missing(uint64_t lines, const char* reason, std::string msg);
  void Put(const std::function<std::string(const audit::Identity&, uint64_t, int64_t)>& format);

  const RedisWatchOptions options;
  audit::Log* const out;
  std::atomic<bool> stopping{false};
  std::mutex mutex;  // of limits
  std::condition_variable wake, ended;
  LogRelayOptions limits;
  bool changed = false;
  bool done = false;
  std::thread thread;

  // Of the thread alone.
  redis::MetricsSession session;
  redis::SlowReader slow;
  redis::DeniedReader denied;
  redis::LatencyReader latency;
  redis::KillReader kills;
  LogLimit limit;
  audit::LogWeight least = audit::LogWeight::kInfo;
};

void RedisWatch::Shared::Run() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kRingsNice);  // of this thread alone
  LogLimiter limiter(seconds(60));
  while (!stopping) {
    {
      std::unique_lock lock(mutex);
      wake.wait_for(lock, options.interval, [this] { return stopping.load(); });
      if (stopping) break;
      if (std::exchange(changed, false)) {
        least = limits.least;
        limit.Set(limits.rate, limits.burst);
      }
    }
    const absl::Status status = Turn(BootClock().Now() + options.patience);
    // A server that is not there, loads or hangs is the probe's business.
    if (status.ok() || absl::IsDeadlineExceeded(status) || absl::IsUnavailable(status) ||
        absl::IsNotFound(status))  // (no password yet: nothing was founded)
      continue;
    if (uint64_t held = 0; limiter.Allow(BootClock().Now(), &held))
      Log(LogLevel::kWarn, "log", "the slow log and the ACL log cannot be read", {{"error", status}});
  }
  std::lock_guard lock(mutex);
  done = true;
  ended.notify_all();
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

// Waits for the reader of standard output, for as long as it takes.
void RedisWatch::Shared::Put(
    const std::function<std::string(const audit::Identity&, uint64_t, int64_t)>& format) {
  while (!out->Offer(format)) {
    if (stopping) return;
    out->WaitRoom(milliseconds(100));
  }
}

RedisWatch::RedisWatch(RedisWatchOptions options, audit::Log* out)
    : shared_(std::make_shared<Shared>(std::move(options), out)) {
  Configure({});
}

RedisWatch::~RedisWatch() { Stop(seconds(1)); }

void RedisWatch::Configure(const LogRelayOptions& options) {
  std::lock_guard lock(shared_->mutex);
  shared_->limits = options;
  shared_->changed = true;
}

void RedisWatch::Start() {
  shared_->thread = std::thread([shared = shared_] {
    pthread_setname_np(pthread_self(), "redis-rings");
    sigset_t all;  // signals are the loop's business
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    shared->Run();
  });
}

bool RedisWatch::Stop(Duration patience) {
  if (!shared_->thread.joinable()) return true;
  shared_->stopping = true;
  bool in_time = false;
  {
    std::unique_lock lock(shared_->mutex);
    shared_->wake.notify_all();
    in_time = shared_->ended.wait_for(lock, patience, [this] { return shared_->done; });
  }
  in_time ? shared_->thread.join() : shared_->thread.detach();
  return in_time;
}

}  // namespace mainstay::agent
