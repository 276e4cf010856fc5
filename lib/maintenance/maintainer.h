// The maintenance of one member: looks at its broker each second, decides about it (member.h), and, while it
// holds the lease, about the cluster (plan.h), and carries it out.
//
//   Maintainer m(options, {lock, memory, broker, peers, caller});
//   MAINSTAY_RETURN_IF_ERROR(m.Start());
//   ... m.Facts() for the peers; m.Wish(), m.Ask() for people ...
//   m.Stop();
//
// The broker is never stopped because the lock, the memory or the agent is gone: Stop ends this, not the
// broker. Thread rules: Start and Stop by one owner; the rest by any thread, at once. Threads of its own:
// one, and the elector's. What it was given is used by these alone until Stop has returned.
#ifndef MAINSTAY_LIB_MAINTENANCE_MAINTAINER_H_
#define MAINSTAY_LIB_MAINTENANCE_MAINTAINER_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "lib/engine/rabbitmq/control.h"
#include "lib/lease/elector.h"
#include "lib/lease/store.h"
#include "lib/maintenance/disk.h"
#include "lib/maintenance/member.h"
#include "lib/maintenance/observer.h"
#include "lib/maintenance/plan.h"
#include "lib/maintenance/ports.h"
#include "lib/maintenance/progress.h"

namespace mainstay::maintenance {

struct MaintainerOptions {
  std::string name, node;  // its own
  struct Peer {
    std::string name, node;
  };
  std::vector<Peer> members;  // all of the configuration, itself among them
  std::string data_dir;       // RabbitMQ's (RABBITMQ_MNESIA_DIR)
  std::string note;           // a file on the same volume, outside of it
  Settings settings;
  lease::ElectorOptions elector;  // act: more than a call's deadline (3 s)
  Duration tick = std::chrono::seconds(1);
  Duration ask = std::chrono::milliseconds(1000);    // a peer's answer
  Duration store = std::chrono::milliseconds(2500);  // one request to the memory's store
  Duration stand_again = std::chrono::seconds(20);   // after the lead was given up
  // One line for each thing that was done or decided, for the log and the audit.
  std::function<void(const char* row, const std::string& sentence)> tell;
};

struct MaintainerStatus {
  bool leading = false;
  std::string leader;
  std::string row, sentence;  // the leader's last step ("" elsewhere)
  std::string own_row, own_sentence;
  bool in_service = true;
  MemberFacts facts;
  std::optional<Memory> memory;
  std::string trouble;                // what failed last; "": nothing
  std::vector<std::string> findings;  // the leader's
};

class Maintainer {
 public:
  struct Ports {
    lease::Store* lock;
    lease::Store* memory;
    BrokerPort* broker;
    PeersPort* peers;
    erlang::Caller* caller;  // to the own broker
  };
  Maintainer(MaintainerOptions options, Ports ports);
  ~Maintainer();
  Maintainer(const Maintainer&) = delete;
  Maintainer& operator=(const Maintainer&) = delete;

  absl::Status Start();
  void Stop();

  // What peers are told. kUnavailable: nothing fresh is known.
  absl::StatusOr<std::string> Facts() const;
  MaintainerStatus Status() const;
  // The broker is to be restarted (true), or not any more.
  void Wish(bool restart);
  // The pod ends: once its broker has stopped it stays down.
  void Ending();
  // What a person asks of the leader; `done` on any thread, once: ok, kFailedPrecondition (refused, with the
  // reason), kUnavailable (this member does not lead, or not any more).
  void Ask(Request request, std::function<void(absl::Status)> done);

 private:
  struct Cell {  // the memory as it was last read
    bool known = false;
    std::string version;
    std::optional<Memory> memory;
    std::string problem;
  };
  struct Asked {
    Request request;
    std::function<void(absl::Status)> done;
  };

  void Run();
  void Tick();
  // The member's part.
  absl::Status TurnOwn(MemberFacts* facts);
  void TakeWishes(MemberFacts* facts);
  Own MakeOwn(const MemberFacts& facts) const;
  absl::Status Carry(const Act& act, const MemberFacts& facts);
  void Publish(const MemberFacts& facts, const Act& act);
  void ReadMemory();
  void Take(const lease::StoreAnswer& answer);
  absl::Status WriteMemory(const Memory& next);
  // The leader's part (maintainer_lead.cc).
  void Lead(const MemberFacts& own);
  View Gather(const MemberFacts& own);
  void AddQueues(View* view);
  absl::Status CarryLead(const Step& step);
  absl::Status Call(const Step& step);
  void Yield(Duration pause);
  void KeepStanding();
  void Answer(const absl::Status& status);
  bool HoldOff(const Step& step, MonoTime now) const;
  void Tell(const char* row, const std::string& sentence);

  const MaintainerOptions options_;
  const Ports ports_;
  engine::rabbitmq::Control control_;
  Disk disk_;
  Observer observer_;

  // The thread's own.
  std::unique_ptr<lease::Elector> elector_;
  MonoTime stand_at_;
  int64_t highest_epoch_ = 0;
  Cell cell_;
  MonoTime read_at_;
  bool forced_ = false;
  std::string seen_founding_;
  std::string last_told_;
  std::string failed_act_;  // what the member's part failed at last
  Progress progress_;
  int64_t progress_epoch_ = 0;
  std::string shape_;
  MonoTime shape_since_;
  std::string failing_;  // the step that failed last
  int failures_ = 0;
  MonoTime try_at_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::optional<bool> wish_;
  bool ending_ = false;
  std::optional<Asked> asked_;
  std::string published_;
  MonoTime published_at_;
  MaintainerStatus status_;
  std::thread thread_;
};

}  // namespace mainstay::maintenance

#endif  // MAINSTAY_LIB_MAINTENANCE_MAINTAINER_H_
