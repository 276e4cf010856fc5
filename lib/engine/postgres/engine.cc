#include "lib/engine/postgres/engine.h"

#include <pwd.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/engine/postgres/names.h"

namespace mainstay::engine::postgres {
namespace {

// The server's peer authentication asks the same question: without an entry in the user database it cannot
// work.
std::string OsUser() {
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) != 0 || found == nullptr) return "";
  return found->pw_name;
}

absl::Status CheckOptions(const Options& o) {
  const auto wrong = [](absl::string_view what) { return absl::InvalidArgumentError(std::string(what)); };
  if (!IsMemberName(o.member)) return wrong("the member's name: want [a-z0-9-], 1 to 40 characters");
  for (const auto& [name, path] : {std::pair("postgresql.data_dir", &o.data_dir),
                                   {"postgresql.socket_dir", &o.socket_dir},
                                   {"postgresql.password_file", &o.password_file},
                                   {"shim.socket", &o.shim_socket}}) {
    if (path->empty() || path->front() != '/')
      return wrong(absl::StrCat(name, " = '", *path, "': want an absolute path"));
  }
  if (o.socket_dir.find(',') != std::string::npos)
    return wrong("postgresql.socket_dir: one directory, without a comma");
  if (o.socket_dir.size() + 20 > 107)
    return wrong("postgresql.socket_dir: longer than a unix socket's name can be (107 bytes)");
  if (o.port == 0) return wrong("postgresql.port: want 1 to 65535");
  MAINSTAY_RETURN_IF_ERROR(BuildHba(o, o.settings, "x").status());
  const RoleState role;
  return BuildConf({&o, &o.settings, 15}, role).status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresEngine>> PostgresEngine::Create(Options options) {
  MAINSTAY_RETURN_IF_ERROR(CheckOptions(options));
  MAINSTAY_RETURN_IF_ERROR(MakeDirs(DirName(options.data_dir), 0700));
  std::unique_ptr<PostgresEngine> engine(new PostgresEngine(std::move(options)));
  // An agent that was just killed may take a moment to go.
  auto lock = FileLock::Acquire(engine->dir_.LockPath(), BootClock().Now() + std::chrono::seconds(1));
  if (absl::IsDeadlineExceeded(lock.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("another agent works on ", engine->dir_.path(), " (it holds ", engine->dir_.LockPath(),
                     "): stop it, or give this member a data directory of its own"));
  }
  if (!lock.ok()) return lock.status();
  engine->lock_ = *std::move(lock);
  return engine;
}

PostgresEngine::PostgresEngine(Options options)
    : options_(std::move(options)),
      os_user_(OsUser()),
      dir_(options_.data_dir, options_.member),
      shim_(options_.shim_socket),
      control_(&canceller_),
      probe_(&canceller_),
      login_(&canceller_),
      background_(nullptr),
      accounts_([this](const std::string& database) { return AccountSession(database); }),
      settings_(options_.settings) {
  accounts_.Wish(settings_.users, settings_.databases);
}

PostgresEngine::~PostgresEngine() = default;

void PostgresEngine::Cancel() {
  canceller_.Cancel();
  shim_.Cancel();
}

void PostgresEngine::BeginOperation() {
  canceller_.Clear();
  shim_.ClearCancel();
}

absl::Status PostgresEngine::Configure(Settings settings) {
  const RoleState role;
  MAINSTAY_RETURN_IF_ERROR(BuildConf({&options_, &settings, 15}, role).status());
  MAINSTAY_RETURN_IF_ERROR(BuildHba(options_, settings, "x").status());
  const std::lock_guard<std::mutex> guard(mutex_);
  wished_ = std::move(settings);
  return absl::OkStatus();
}

Settings PostgresEngine::ActiveSettings() {
  const std::lock_guard<std::mutex> guard(mutex_);
  return settings_;
}

void PostgresEngine::Say(std::string activity) {
  const std::lock_guard<std::mutex> guard(mutex_);
  activity_ = std::move(activity);
}

Details PostgresEngine::LastDetails() {
  const std::lock_guard<std::mutex> guard(mutex_);
  Details out = details_;
  losses_.Fill(&out);
  out.activity = activity_.empty() ? account_problem_ : activity_;
  return out;
}

// ---- memory ----

absl::StatusOr<election::Memory> PostgresEngine::LoadMemory() {
  const auto text = ReadFile(dir_.MemoryPath(), 256 * 1024);
  if (absl::IsNotFound(text.status())) return election::Memory{};
  if (!text.ok()) return text.status();
  std::string problem;
  std::optional<election::Memory> memory = election::DecodeMemory(*text, &problem);
  if (!memory.has_value()) {
    return absl::DataLossError(absl::StrCat(
        "the election's memory ", dir_.MemoryPath(), " is damaged (", problem,
        "): without its promises this member could undo a failover. Clone the member anew: move ",
        dir_.path(), " and this file away"));
  }
  return *std::move(memory);
}

absl::Status PostgresEngine::SaveMemory(const election::Memory& memory) {
  return AtomicWriteFile(dir_.MemoryPath(), election::EncodeMemory(memory), {.mode = 0600});
}

// ---- whose data, which version ----

absl::Status PostgresEngine::Foreign(const std::string& cluster_id) {
  if (cluster_id.empty() || dir_.Empty()) return absl::OkStatus();
  MAINSTAY_ASSIGN_OR_RETURN(const std::string own, dir_.SystemId());
  if (own == cluster_id || dir_.Unopened()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the data in ", dir_.path(), " have system identifier ", own, ", the cluster has ",
                   cluster_id, ": they are of another cluster. Move the directory away to clone anew"));
}

absl::StatusOr<int> PostgresEngine::BinaryMajor(MonoTime deadline) {
  if (binary_major_ != 0) return binary_major_;
  shim::ToolRequest request;
  request.tool = shim::Tool::kControldata;
  request.args = {"--version"};
  MAINSTAY_ASSIGN_OR_RETURN(const shim::ToolResult result, shim_.RunTool(request, nullptr, deadline));
  if (!result.ok())
    return absl::InternalError(
        absl::StrCat("pg_controldata --version: ", result.Describe(), ": ", Cut(result.err, 200)));
  MAINSTAY_ASSIGN_OR_RETURN(binary_major_, MajorOfVersionText(result.out));
  return binary_major_;
}

int PostgresEngine::ConfMajor() { return binary_major_ != 0 ? binary_major_ : dir_.Major().value_or(15); }

absl::Status PostgresEngine::CheckVersions(MonoTime deadline) {
  MAINSTAY_ASSIGN_OR_RETURN(const int binaries, BinaryMajor(deadline));
  if (binaries < 13)
    return absl::FailedPreconditionError(
        absl::StrCat("PostgreSQL ", binaries, " is too old: 13 or newer is needed"));
  if (dir_.Empty()) return absl::OkStatus();
  MAINSTAY_ASSIGN_OR_RETURN(const int data, dir_.Major());
  if (data == binaries) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the data in ", dir_.path(), " are of PostgreSQL ", data, ", the programs of ", binaries,
                   data > binaries ? ": use the newer image" : ": upgrade the data with pg_upgrade first"));
}

absl::StatusOr<ControlData> PostgresEngine::ReadControlData(MonoTime deadline) {
  shim::ToolRequest request;
  request.tool = shim::Tool::kControldata;
  request.args = {dir_.path()};
  MAINSTAY_ASSIGN_OR_RETURN(const shim::ToolResult result, shim_.RunTool(request, nullptr, deadline));
  if (!result.ok()) {
    return absl::DataLossError(
        absl::StrCat("pg_controldata ", dir_.path(), ": ", result.Describe(), ": ", Cut(result.err, 200)));
  }
  return ParseControlData(result.out);
}

}  // namespace mainstay::engine::postgres
