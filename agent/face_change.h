// Patroni's changing requests (POST, PUT, PATCH, DELETE): who may, what is asked, whom to ask, and the
// answer. What the leader must do is handed on to its agent over gRPC; what was scheduled is kept in a file
// and done when its time has come. Every request leaves the audit lines of the same gRPC call.
//
// Thread rules: loop only. Replies come on the loop. Nothing here waits: files are written on a thread of
// their own, which lives only for that.
#ifndef MAINSTAY_AGENT_FACE_CHANGE_H_
#define MAINSTAY_AGENT_FACE_CHANGE_H_

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "agent/config.h"
#include "agent/face_access.h"
#include "agent/patroni_ask.h"
#include "agent/schedule.h"
#include "lib/base/log.h"
#include "lib/http/server.h"
#include "lib/rpc/admin_forward.h"
#include "lib/rpc/port.h"
#include "lib/rpc/server.h"

namespace mainstay::agent {

class HttpChanges {
 public:
  struct Parts {
    boost::asio::io_context* loop = nullptr;
    rpc::Port* port = nullptr;
    std::function<void(const rpc::CallRecord&)> audit;  // may be empty
    std::shared_ptr<rpc::TlsFiles> tls;                 // of the members' connections; null: none
    std::string schedule_file;                          // "" : schedules end with the agent
    const patroni::Options* options = nullptr;
  };
  explicit HttpChanges(Parts parts);
  ~HttpChanges();

  // Reads what was scheduled; blocks on the disk: at the start only.
  void Load();
  absl::Status Configure(const Config& config) { return access_.Configure(config); }
  // A request that is not safe, to one of Patroni's paths.
  void Answer(const http::Request& request, http::Reply reply);
  const Schedules& schedules() const { return schedules_; }

 private:
  // One request until its answer.
  struct Job {
    http::Request request;
    http::Reply reply;
    HttpActor actor;
    std::shared_ptr<const rpc::StatusView> view;
    std::string method;  // "POST /switchover", for the audit log
  };
  using Answered = std::function<void(const rpc::AdminAnswer&)>;

  patroni::Facts FactsNow(const rpc::StatusView& view) const;
  void Denied(const http::Request& request, const http::Response& refused);
  void Dispatch(const std::shared_ptr<Job>& job);
  void Switchover(const std::shared_ptr<Job>& job, bool failover);
  void Switch(const std::shared_ptr<Job>& job, const patroni::SwitchoverAsk& ask);
  void Restart(const std::shared_ptr<Job>& job);
  void Reload(const std::shared_ptr<Job>& job);
  void Reinitialize(const std::shared_ptr<Job>& job);
  void Config(const std::shared_ptr<Job>& job, bool replace);
  void Unschedule(const std::shared_ptr<Job>& job, bool restart);

  // Does `verb` here, or with `of_leader` at the leader (at `of_member` when that is named), with its audit
  // lines.
  void Run(const std::shared_ptr<Job>& job, rpc::AdminCommand command, bool of_leader, Answered answered);
  void Hand(const rpc::AdminCommand& command, const std::string& to, const std::string& expected,
            const Answered& answered);

  void Keep(Schedules next, std::function<void(const absl::Status&)> done);
  void ArmSchedule();
  void Due();
  void RunRestart(const ScheduledRestart& what);
  std::shared_ptr<Job> ScheduledJob(const char* method, const std::string& actor);
  void Drop(const std::shared_ptr<Job>& job, rpc::AdminVerb verb, const std::string& why);
  void RunSwitchover(const ScheduledSwitchover& what);

  const Parts parts_;
  HttpAccess access_;
  Schedules schedules_;
  bool saving_ = false;
  std::unique_ptr<boost::asio::steady_timer> timer_;  // only while something is scheduled
  rpc::AdminForward forward_;
  LogLimiter denied_{std::chrono::seconds(1)};
  // How another thread comes back: to the loop, while there is one.
  struct Gate {
    std::mutex mu;
    boost::asio::io_context* loop = nullptr;  // null: we are gone
  };
  static bool Gone(const std::weak_ptr<Gate>& gate);
  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_FACE_CHANGE_H_
