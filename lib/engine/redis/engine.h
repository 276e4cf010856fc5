// Redis 6.2 and later (and Valkey) as an engine: sessions over the unix socket, the process through
// mainstay-shim, files beside the data directory (docs/REDIS.md tells the how and why of every operation).
//
//   absl::StatusOr<std::unique_ptr<RedisEngine>> engine = RedisEngine::Create(options);
//
// The server always starts closed (a replica of nobody that answers no client); only Promote and Reopen open
// it, under an armed fence, and only for the process whose data the election judged. Replicas log in as the
// user of the epoch that they follow, which exists in the primary of that epoch alone (names.h).
//
// Thread rules: as engine.h: one thread, except Cancel, LastDetails, Members and Configure.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_ENGINE_H_
#define MAINSTAY_LIB_ENGINE_REDIS_ENGINE_H_

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lib/base/file.h"
#include "lib/engine/engine.h"
#include "lib/engine/parts/canceller.h"
#include "lib/engine/parts/loss_book.h"
#include "lib/engine/parts/shim_word.h"
#include "lib/engine/parts/standing_fence.h"
#include "lib/engine/redis/conf.h"
#include "lib/engine/redis/connection.h"
#include "lib/engine/redis/held.h"
#include "lib/engine/redis/info.h"
#include "lib/engine/redis/names.h"
#include "lib/engine/redis/options.h"
#include "lib/engine/redis/tail.h"
#include "lib/shim/client.h"

namespace mainstay::engine::redis {

class RedisEngine : public Engine {
 public:
  // InvalidArgument: the options are not usable. FailedPrecondition: another agent holds this data directory.
  static absl::StatusOr<std::unique_ptr<RedisEngine>> Create(Options options);
  ~RedisEngine() override;

  // Takes effect at the next Reload, if the server accepts it. Any thread. InvalidArgument names what is
  // refused; nothing is taken then.
  absl::Status Configure(Settings settings);

  election::DbReport Probe(MonoTime deadline) override;
  Details LastDetails() override;
  absl::StatusOr<election::Memory> LoadMemory() override;
  absl::Status SaveMemory(const election::Memory& memory) override;
  absl::StatusOr<std::string> Found(MonoTime deadline) override;
  absl::Status Follow(const election::Member& leader, election::Epoch epoch, const std::string& cluster_id,
                      MonoTime deadline) override;
  absl::StatusOr<LogEnd> Freeze(const election::Memory& memory, MonoTime deadline) override;
  absl::StatusOr<LogEnd> Promote(const election::Engine& op, MonoTime deadline) override;
  absl::StatusOr<LogEnd> Reopen(const election::Engine& op, MonoTime deadline) override;
  absl::StatusOr<LogEnd> SetSync(const election::Engine& op, MonoTime deadline) override;
  absl::StatusOr<LogEnd> Stop(MonoTime deadline) override;
  absl::Status Kill(MonoTime deadline) override;
  absl::Status Checkpoint(MonoTime deadline) override;
  absl::Status Reload(MonoTime deadline) override;
  absl::Status Restart(MonoTime deadline) override;
  absl::Status Reinit(MonoTime deadline) override;
  void Members(const std::vector<election::Member>& members) override;
  void Cancel() override;

 private:
  struct Target {  // whom to follow
    election::Name name;
    HostPort address;
    std::string address_text;
    election::Epoch epoch = 0;
  };

  explicit RedisEngine(Options options);

  // engine.cc: the frame of an operation
  void BeginOperation();
  void Say(std::string activity);  // "" : nothing runs
  Settings ActiveSettings();
  std::vector<election::Member> Peers();
  election::Name NameOf(const std::string& host, int64_t port);

  // files.cc
  absl::Status LoadHeld();  // once; what is damaged stays an error
  absl::Status SaveHeld(const Held& held);
  absl::StatusOr<AclUsers> WantedUsers(const Settings& settings) const;
  absl::Status WriteFiles(bool late_aof);
  bool LateAof();
  void CleanUp();
  void RemoveData();

  // server.cc: the own server
  absl::StatusOr<Endpoint> Own() const;
  absl::Status Control(MonoTime deadline);  // control_ is connected
  absl::StatusOr<Reply> Ask(const Command& command, MonoTime deadline);
  absl::StatusOr<Info> Facts(MonoTime deadline, const char* section = nullptr);
  absl::StatusOr<Info> Ready(MonoTime deadline);  // waits until the data are loaded
  absl::Status Start(MonoTime deadline);
  absl::Status EnsureStarted(MonoTime deadline);
  absl::Status Detach(MonoTime deadline);  // a replica of nobody
  absl::Status CutClients(MonoTime deadline);
  absl::Status KeepReplicationUser(election::Epoch epoch, MonoTime deadline);  // 0: none at all
  absl::Status Disarm(MonoTime deadline);
  absl::Status StopProcess(MonoTime deadline);
  absl::Status Fence(MonoTime deadline);

  // promote.cc
  absl::StatusOr<LogEnd> Opened(election::Epoch epoch, MonoTime deadline);
  absl::StatusOr<uint64_t> Drain(MonoTime deadline);

  // leader.cc: other members' servers
  absl::Status AwaitLeader(const Target& target, MonoTime deadline);
  absl::StatusOr<Info> AskMember(const HostPort& address, MonoTime deadline);
  void CountLost(const Target& target, const Info& own, bool had_data, MonoTime deadline);
  void TellLost(Loss loss, const Target& target, const Info& own, const Info& theirs);
  void DialReplicas(const ReplicationFacts& facts, MonoTime deadline);
  absl::Status AwaitReplicas(uint64_t offset, MonoTime deadline);

  // follow.cc
  absl::Status Attach(const Target& target, MonoTime deadline);
  absl::Status AwaitSync(const Target& target, bool had_data, MonoTime deadline);
  bool AttachedTo(const Target& target, const Info& info, MonoTime deadline);
  void NoteLastReign();
  absl::Status Commit(const Info& info, const std::function<void(Held*)>& change);

  // probe.cc
  void ProbeStopped(const shim::State& state, election::DbReport* report);
  void ProbeRunning(const shim::State& state, MonoTime deadline, election::DbReport* report);
  void JudgeSilence(const absl::Status& status, const shim::State& state, election::DbReport* report);
  void ReadPrimary(const Info& info, const Reply& written, election::DbReport* report, Details* details);
  void ReadReplica(const Info& info, const Reply& user, election::DbReport* report);
  void KeepFloor(const Info& info);
  void Identify(election::DbReport* report) const;
  Verdict JudgeSaved(const Info& info) const;  // with what was appended to the file since it was noted
  Verdict Judge(const Info& info) const;

  // lifecycle.cc
  absl::Status ApplySettings(const Settings& before, const Settings& next, MonoTime deadline);
  absl::Status ApplyUsers(const AclUsers& before, const AclUsers& next, MonoTime deadline);
  absl::StatusOr<LogEnd> HandOver(MonoTime deadline);

  const Options options_;
  std::optional<FileLock> lock_;
  Canceller canceller_;
  shim::Client shim_;
  Connection control_;                                           // actions
  Connection probe_;                                             // the reserved one
  std::map<std::string, std::unique_ptr<Connection>> replicas_;  // dialled for a handover, "host:port"

  Held held_;
  bool held_known_ = false;
  std::string frozen_run_;  // the process whose position the last Freeze told
  StandingFence standing_;
  ShimWord shim_word_;
  std::optional<AclUsers> users_;  // as last told to the server
  uint32_t accepted_starts_ = 0;   // the last start of which a session was had
  election::DbReport last_;        // of the last probe that was answered
  uint64_t floor_seen_ = 0;        // a position, and when it was seen
  AofMark aof_seen_;
  MonoTime floor_seen_at_;
  int64_t floor_seen_ms_ = 0;
  bool floor_keys_ = false;
  Tail tail_;                 // of the last reign here, until what it lost was told
  bool handed_over_ = false;  // the last reign here was closed in good order
  std::string counted_;       // the end of other data whose loss was told last
  LossBook losses_;

  std::mutex mutex_;  // guards what follows
  Settings settings_;
  std::optional<Settings> wished_;
  std::vector<election::Member> peers_;
  Details details_;
  std::vector<std::string> pending_restart_;
  std::string activity_;
};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_ENGINE_H_
