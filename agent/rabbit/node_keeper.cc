#include "agent/rabbit/node_keeper.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lib/base/file.h"
#include "lib/base/result.h"
#include "lib/base/wall_clock.h"
#include "lib/erlang/cookie.h"

namespace mainstay::agent {

namespace rabbitmq = engine::rabbitmq;
using std::chrono::seconds;

namespace {

constexpr Duration kExecuted = seconds(10);  // until the program runs
constexpr Duration kKilled = seconds(5);

rabbitmq::ConfInput InputOf(const RabbitmqConfig& c, const std::string& cluster) {
  rabbitmq::ConfInput in;
  in.cluster = cluster;
  in.node = c.node;
  in.bind = c.bind;
  in.port = c.port;
  in.prometheus_port = c.prometheus_port;
  in.parameters = c.parameters;
  in.plugins = c.plugins;
  return in;
}

absl::Status WriteFiles(const RabbitmqConfig& c, const std::string& cluster,
                        const rabbitmq::StartPlan& plan) {
  // As the server's own home has it: mode 0400, or Erlang refuses it.
  MAINSTAY_ASSIGN_OR_RETURN(const std::string cookie, erlang::ReadCookie(c.cookie_file));
  MAINSTAY_RETURN_IF_ERROR(AtomicWriteFile(rabbitmq::CookiePath(c.data_dir), cookie, {.mode = 0400}));
  // What a user has set may be a secret (of LDAP, of a default user).
  MAINSTAY_RETURN_IF_ERROR(AtomicWriteFile(rabbitmq::ConfPath(c.data_dir),
                                           rabbitmq::BuildConf(InputOf(c, cluster), plan), {.mode = 0600}));
  MAINSTAY_RETURN_IF_ERROR(
      AtomicWriteFile(rabbitmq::PluginsPath(c.data_dir), rabbitmq::BuildPlugins(c.plugins), {.mode = 0600}));
  if (!plan.force_boot) return absl::OkStatus();
  // What rabbitmqctl force_boot leaves for the next start.
  return AtomicWriteFile(absl::StrCat(c.data_dir, "/force_load"), "", {.mode = 0600});
}

absl::Status StopOrKill(shim::Client* shim, Duration patience) {
  const absl::Status stopped = shim->Stop(BootClock().Now() + patience).status();
  if (stopped.ok() || absl::IsCancelled(stopped)) return stopped;
  return shim->Kill(BootClock().Now() + kKilled);
}

absl::Status Aside(const std::string& data_dir) {
  if (NodeKeeper::IsBlank(data_dir)) return absl::OkStatus();
  const std::string to = absl::StrCat(data_dir, ".old-", UnixMillis() / 1000);
  if (rename(data_dir.c_str(), to.c_str()) != 0) return ErrnoStatus(errno, "cannot rename", data_dir);
  // What RabbitMQ keeps beside its data, of the node that is no more.
  unlink(absl::StrCat(data_dir, "-feature_flags").c_str());
  return absl::OkStatus();
}

}  // namespace

NodeKeeper::NodeKeeper(Loop* loop, const Config& config, audit::Log* log)
    : loop_(loop),
      config_(config.rabbitmq),
      cluster_(config.cluster),
      log_(log),
      shim_(std::make_shared<shim::Client>(config.shim_socket)),
      worker_("broker", 2) {}

bool NodeKeeper::IsBlank(const std::string& data_dir) {
  const std::unique_ptr<DIR, int (*)(DIR*)> d(opendir(data_dir.c_str()), &closedir);
  if (d == nullptr) return errno == ENOENT;
  while (const dirent* entry = readdir(d.get())) {
    const absl::string_view name = entry->d_name;
    // As rabbit_mnesia:is_virgin_node/0: what a plugin or a refused start leaves is no data.
    if (name != "." && name != ".." && name != "force_load" && !absl::EndsWith(name, "-feature_flags") &&
        !absl::EndsWith(name, "-plugins-expand"))
      return false;
  }
  return true;
}

void NodeKeeper::Run(const char* action, std::string msg, std::function<absl::Status()> job, Done done) {
  if (busy_) return done(absl::FailedPreconditionError("the node is being started or stopped"));
  busy_ = true;
  audit::Event event;
  event.action = action;
  event.msg = std::move(msg);
  event.stage = audit::Stage::kStarted;
  if (log_ != nullptr) event.id = log_->Write(event);
  const MonoTime began = loop_->Now();
  auto ended = [this, event, began, done](const absl::Status& status) mutable {
    busy_ = false;
    event.took = loop_->Now() - began;
    event.stage = status.ok() ? audit::Stage::kCompleted : audit::Stage::kFailed;
    event.outcome = status.ok() ? audit::Outcome::kSuccess : audit::Outcome::kFailure;
    if (!status.ok()) {
      event.level = "error";
      event.error = audit::Problem{absl::StatusCodeToString(status.code()), std::string(status.message())};
    }
    if (log_ != nullptr) log_->Write(event);
    done(status);
  };
  const bool queued = worker_.Run([loop = loop_, job = std::move(job), ended]() mutable {
    loop->Post([ended, status = job()]() mutable { ended(status); });
  });
  if (!queued) ended(absl::ResourceExhaustedError("the worker is busy"));
}

void NodeKeeper::Start(const rabbitmq::StartPlan& plan, Done done) {
  Run(
      "broker.start", absl::StrCat("start ", config_.node),
      [shim = shim_, config = config_, cluster = cluster_, plan]() -> absl::Status {
        MAINSTAY_RETURN_IF_ERROR(WriteFiles(config, cluster, plan));
        return shim->Start(shim::StartKind::kStandby, 0, BootClock().Now() + kExecuted).status();
      },
      std::move(done));
}

void NodeKeeper::Stop(Duration patience, Done done) {
  Run(
      "broker.stop", absl::StrCat("stop ", config_.node),
      [shim = shim_, patience] { return StopOrKill(shim.get(), patience); }, std::move(done));
}

void NodeKeeper::SetDataAside(Done done) {
  Run(
      "broker.data-aside", absl::StrCat("set the data of ", config_.node, " aside"),
      [shim = shim_, dir = config_.data_dir]() -> absl::Status {
        MAINSTAY_ASSIGN_OR_RETURN(const shim::State state, shim->GetState(BootClock().Now() + seconds(2)));
        if (state.running()) return absl::FailedPreconditionError("the broker runs: stop it first");
        return Aside(dir);
      },
      std::move(done));
}

bool NodeKeeper::End(Duration patience) {
  shim_->Cancel();
  return worker_.Stop(patience);
}

}  // namespace mainstay::agent
