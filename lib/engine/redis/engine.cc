#include "lib/engine/redis/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"

namespace mainstay::engine::redis {
namespace {

constexpr size_t kMaxSocket = 107;

absl::Status CheckOptions(const Options& o) {
  for (const auto& [name, path] : {std::pair("redis.data_dir", &o.data_dir),
                                   {"redis.socket", &o.socket},
                                   {"redis.replication_password_file", &o.replication_password_file},
                                   {"shim.socket", &o.shim_socket}}) {
    if (path->empty() || path->front() != '/')
      return absl::InvalidArgumentError(absl::StrCat(name, " = '", *path, "': want an absolute path"));
  }
  if (o.socket.size() > kMaxSocket)
    return absl::InvalidArgumentError("redis.socket: longer than a unix socket's name can be (107 bytes)");
  if (o.port == 0) return absl::InvalidArgumentError("redis.port: want 1 to 65535");
  return BuildConf({&o, &o.settings, false}).status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RedisEngine>> RedisEngine::Create(Options options) {
  MAINSTAY_RETURN_IF_ERROR(CheckOptions(options));
  MAINSTAY_RETURN_IF_ERROR(MakeDirs(options.data_dir, 0700));
  std::unique_ptr<RedisEngine> engine(new RedisEngine(std::move(options)));
  // An agent that was just killed may take a moment to go.
  const std::string path = LockPath(engine->options_);
  auto lock = FileLock::Acquire(path, BootClock().Now() + std::chrono::seconds(1));
  if (absl::IsDeadlineExceeded(lock.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("another agent works on ", engine->options_.data_dir, " (it holds ", path,
                     "): stop it, or give this member a data directory of its own"));
  }
  if (!lock.ok()) return lock.status();
  engine->lock_ = *std::move(lock);
  return engine;
}

RedisEngine::RedisEngine(Options options)
    : options_(std::move(options)),
      shim_(options_.shim_socket),
      control_(&canceller_),
      probe_(&canceller_),
      settings_(options_.settings) {}

RedisEngine::~RedisEngine() = default;

void RedisEngine::Cancel() {
  canceller_.Cancel();
  shim_.Cancel();
}

void RedisEngine::BeginOperation() {
  canceller_.Clear();
  shim_.ClearCancel();
}

absl::Status RedisEngine::Configure(Settings settings) {
  MAINSTAY_RETURN_IF_ERROR(BuildConf({&options_, &settings, false}).status());
  MAINSTAY_RETURN_IF_ERROR(WantedUsers(settings).status());
  const std::lock_guard<std::mutex> guard(mutex_);
  wished_ = std::move(settings);
  return absl::OkStatus();
}

Settings RedisEngine::ActiveSettings() {
  const std::lock_guard<std::mutex> guard(mutex_);
  return settings_;
}

void RedisEngine::Members(const std::vector<election::Member>& members) {
  const std::lock_guard<std::mutex> guard(mutex_);
  peers_ = members;
}

std::vector<election::Member> RedisEngine::Peers() {
  const std::lock_guard<std::mutex> guard(mutex_);
  return peers_;
}

// Servers know each other by address only.
election::Name RedisEngine::NameOf(const std::string& host, int64_t port) {
  const std::lock_guard<std::mutex> guard(mutex_);
  for (const election::Member& m : peers_) {
    const std::optional<HostPort> at = ParseHostPort(m.db_address);
    if (at.has_value() && at->host == host && at->port == port) return m.name;
  }
  return "";
}

void RedisEngine::Say(std::string activity) {
  const std::lock_guard<std::mutex> guard(mutex_);
  activity_ = std::move(activity);
}

Details RedisEngine::LastDetails() {
  const std::lock_guard<std::mutex> guard(mutex_);
  Details out = details_;
  losses_.Fill(&out);
  out.activity = activity_;
  out.pending_restart = pending_restart_;
  return out;
}

// ---- memory ----

absl::StatusOr<election::Memory> RedisEngine::LoadMemory() {
  MAINSTAY_RETURN_IF_ERROR(LoadHeld());
  const std::string path = MemoryPath(options_);
  const auto text = ReadFile(path, 256 * 1024);
  if (absl::IsNotFound(text.status())) return election::Memory{};
  if (!text.ok()) return text.status();
  std::string problem;
  std::optional<election::Memory> memory = election::DecodeMemory(*text, &problem);
  if (!memory.has_value()) {
    return absl::DataLossError(absl::StrCat(
        "the election's memory ", path, " is damaged (", problem,
        "): without its promises this member could undo a failover. Move it, ", HeldPath(options_), " and ",
        options_.data_dir, " away: the member is then copied anew"));
  }
  return *std::move(memory);
}

absl::Status RedisEngine::SaveMemory(const election::Memory& memory) {
  return AtomicWriteFile(MemoryPath(options_), election::EncodeMemory(memory), {.mode = 0600});
}

}  // namespace mainstay::engine::redis
