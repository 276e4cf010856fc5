// PostgreSQL 13 to 17 as an engine: sessions over the unix socket, processes through mainstay-shim, files of
// the data directory (docs/POSTGRES.md tells the how and why of every operation).
//
//   absl::StatusOr<std::unique_ptr<PostgresEngine>> engine = PostgresEngine::Create(options);
//
// The engine never leaves a database running that could acknowledge writes without the election's word: every
// start is as a standby, or (Reopen, Restart of a primary) under a synchronous rule that nobody can fulfil,
// lifted once proven in force.
//
// Thread rules: as engine.h: one thread, except Cancel, LastDetails and Configure.
#ifndef MAINSTAY_LIB_ENGINE_POSTGRES_ENGINE_H_
#define MAINSTAY_LIB_ENGINE_POSTGRES_ENGINE_H_

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
#include "lib/engine/postgres/accounts.h"
#include "lib/engine/postgres/conf.h"
#include "lib/engine/postgres/connection.h"
#include "lib/engine/postgres/controldata.h"
#include "lib/engine/postgres/datadir.h"
#include "lib/engine/postgres/history.h"
#include "lib/engine/postgres/options.h"
#include "lib/shim/client.h"

namespace mainstay::engine::postgres {

class PostgresEngine : public Engine {
 public:
  // InvalidArgument: the options are not usable. FailedPrecondition: another agent holds this data directory.
  static absl::StatusOr<std::unique_ptr<PostgresEngine>> Create(Options options);
  ~PostgresEngine() override;

  // Takes effect at the next Reload, if the database accepts it. Any thread. InvalidArgument names what is
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
  void Cancel() override;

 private:
  // A leader as the others see it over TCP, with the rights of the replication role.
  struct LeaderFacts {
    std::string system_id;
    uint32_t timeline = 0;
    uint32_t checkpoint_timeline = 0;
    uint64_t end = 0;
    uint64_t bytes = 0;  // of its databases, 0 unknown
    Lineage lineage;
  };
  struct Target {  // whom to follow
    election::Member member;
    election::Epoch epoch = 0;
    std::string cluster_id;
  };
  struct Position {
    uint64_t offset = 0;
    uint32_t timeline = 0;
    bool in_recovery = false;
  };

  explicit PostgresEngine(Options options);

  // engine.cc: the frame of an operation
  void BeginOperation();
  void Say(std::string activity);  // "" : nothing runs
  Settings ActiveSettings();
  absl::Status Foreign(const std::string& cluster_id);  // the data are of another cluster
  absl::Status CheckVersions(MonoTime deadline);        // data against binaries
  absl::StatusOr<int> BinaryMajor(MonoTime deadline);
  absl::StatusOr<ControlData> ReadControlData(MonoTime deadline);
  int ConfMajor();

  // sessions.cc
  ConnectOptions Local(const std::string& role, const std::string& directory, int statement_timeout_ms) const;
  absl::Status Control(MonoTime deadline);  // control_ is connected
  absl::Status ControlIn(const std::string& directory, MonoTime deadline);
  absl::StatusOr<Rows> Sql(const char* sql, const std::vector<std::string>& parameters, MonoTime deadline);
  absl::Status WaitAccepting(const std::string& directory, uint32_t starts, MonoTime deadline);
  ConnectOptions AccountSession(const std::string& database) const;
  void DropSessions();
  void AskToQuit(MonoTime deadline);
  absl::StatusOr<bool> InRecovery(MonoTime deadline);

  // conf_store.cc
  void LoadRole();
  absl::Status WriteRole(const std::string& dir, const RoleState& role);   // mainstay.conf only
  absl::Status WriteFiles(const std::string& dir, const RoleState& role);  // and everything around it
  absl::Status SetRole(const RoleState& role);  // of the data directory, and remembers it
  absl::Status ReloadConf(MonoTime deadline);   // pg_reload_conf, or the signal while it starts
  absl::Status AwaitSetting(const char* name, const std::string& value, MonoTime deadline);
  RoleState StandbyRole(election::Epoch epoch) const;  // the barrier, streams from nobody

  // lifecycle.cc
  absl::StatusOr<uint32_t> StartAs(shim::StartKind kind, election::Epoch epoch, MonoTime deadline);
  absl::Status StartDetached(
      MonoTime deadline);  // as a standby that streams from nobody; accepts connections at the end
  absl::Status StartPrimary(election::Epoch epoch, MonoTime deadline);
  absl::Status StopClean(MonoTime deadline);  // fast shutdown, then kill
  absl::StatusOr<LogEnd> EndOfStopped(MonoTime deadline);
  absl::StatusOr<LogEnd> FinishOpening(const election::Engine& op, uint32_t old_timeline, MonoTime deadline);

  // freeze.cc
  absl::Status Detach(MonoTime deadline);
  absl::Status ConfirmReread(MonoTime deadline);
  absl::Status UnblockReplay(MonoTime began, int* stage, MonoTime deadline);
  absl::StatusOr<Position> StandbyPosition(MonoTime deadline);
  absl::StatusOr<uint32_t> TimelineAt(uint64_t offset, MonoTime deadline);

  // promote.cc
  absl::Status TriggerPromotion(MonoTime deadline);
  absl::Status MarkEpoch(election::Epoch epoch, MonoTime deadline);
  absl::Status KeepSlots(const std::vector<election::Member>& peers, bool drop_strangers, MonoTime deadline);
  void CheckpointInBackground();
  void SettleAsPrimary(MonoTime deadline);
  void KeepAccounts(const election::DbReport& report, MonoTime deadline);
  absl::StatusOr<Position> PrimaryPosition(MonoTime deadline);

  // sync.cc
  absl::StatusOr<LogEnd> ApplySync(const election::Engine& op, MonoTime deadline);
  absl::Status AwaitWalsenders(const std::vector<std::string>& names, MonoTime deadline);
  absl::Status AwaitSentinel(Connection* sentinel, MonoTime deadline);

  // leader.cc
  absl::StatusOr<std::unique_ptr<Connection>> ConnectLeader(const election::Member& leader,
                                                            MonoTime deadline);
  absl::StatusOr<LeaderFacts> AskLeader(Connection* session, const Target& target, MonoTime deadline);
  static absl::StatusOr<Lineage> LeaderLineage(Connection* session, uint32_t timeline, MonoTime deadline);
  absl::Status AwaitLeaderCheckpoint(Connection* session, const Target& target, LeaderFacts* facts,
                                     MonoTime deadline);
  absl::Status EnsureSlotAtLeader(Connection* session, MonoTime deadline);
  absl::StatusOr<std::string> LeaderConninfo(const election::Member& leader,
                                             const std::string& application_name) const;

  // follow.cc, rejoin.cc, clone.cc
  absl::Status FollowRunning(Connection* session, const Target& target, const LeaderFacts& facts,
                             MonoTime deadline);
  void CountLost(const election::Name& leader, uint32_t timeline, uint64_t end, uint64_t bytes);
  absl::Status Attach(const Target& target, MonoTime deadline);
  absl::Status StartAttached(const Target& target, MonoTime deadline);
  absl::Status FollowStopped(Connection* session, const Target& target, const LeaderFacts& facts,
                             MonoTime deadline);
  absl::Status Rejoin(Connection* session, const Target& target, LeaderFacts facts, const std::string& why,
                      MonoTime deadline);
  absl::Status RewindOnce(const Target& target, bool* touched, MonoTime deadline);
  absl::Status Clone(Connection* session, const Target& target, const LeaderFacts& facts, MonoTime deadline);
  absl::Status CloneInto(Connection* session, const Target& target, const LeaderFacts& facts,
                         MonoTime deadline);
  // Does `work` and tells of its begin and its end (Options::told).
  absl::Status Told(const char* action, const Target& target, const std::function<absl::Status()>& work);
  absl::Status RunBasebackup(const Target& target, MonoTime deadline);
  absl::Status CheckSpace(const LeaderFacts& facts);
  absl::StatusOr<RoleState> RoleFor(const Target& target, const std::string& nonce) const;
  absl::Status PrepareStopped(MonoTime deadline);

  // found.cc
  absl::Status RunInitdb(MonoTime deadline);
  absl::Status CreateRoles(MonoTime deadline);

  // probe.cc
  void ProbeStopped(const shim::State& state, election::DbReport* report);
  void ProbeRunning(const shim::State& state, MonoTime deadline, election::DbReport* report);
  absl::StatusOr<Rows> ProbeQuery(MonoTime deadline, bool* late);
  void JudgeFailure(const absl::Status& status, uint32_t starts, MonoTime deadline,
                    election::DbReport* report);
  void ReadStandby(const Rows& rows, election::DbReport* report, Details* details);
  void ReadPrimary(const Rows& rows, election::DbReport* report, Details* details);
  election::Verdict ProbeLogin(MonoTime deadline);
  void ReadReplicas(MonoTime deadline, election::DbReport* report, Details* details);
  void KeepStandbys(election::DbReport* report) const;
  void ReadPending(MonoTime deadline, Details* details);
  void ReadTimelines(uint32_t timeline, Details* details);
  void CleanUp(const election::DbReport& report, MonoTime deadline);
  void GuardSettings(const std::string& sync_in_force);
  void Identify(election::DbReport* report);

  const Options options_;
  std::string os_user_;  // "" : no peer authentication
  std::optional<FileLock> lock_;
  DataDir dir_;
  Canceller canceller_;
  shim::Client shim_;

  Connection control_;     // superuser: actions
  Connection probe_;       // agent's role: the reserved one
  Connection login_;       // agent's role: opened anew by probes
  Connection background_;  // a CHECKPOINT that nobody waits for
  AccountKeeper accounts_;

  RoleState role_;
  bool role_known_ = false;
  std::vector<election::Member> peers_;  // of the last operation that named them
  int binary_major_ = 0;
  uint64_t last_offset_ = 0;
  std::pair<uint32_t, uint64_t> lost_at_{0, 0};  // where the data ended that were thrown away last
  LossBook losses_;
  std::vector<election::Standby> last_standbys_;  // that a primary told of, under last_standbys_epoch_
  election::Epoch last_standbys_epoch_ = 0;
  uint32_t last_timeline_ = 0;
  uint32_t accepted_starts_ = 0;  // the last start of which a session was had
  bool waits_proven_ = false;     // commits of this start wait for standbys: seen, or so since it started
  bool settle_due_ = false;       // just opened: slots and a checkpoint are still to be made
  int fresh_failures_ = 0;        // a clone that did not become consistent
  StandingFence standing_;
  ShimWord shim_word_;
  MonoTime next_login_;
  election::Verdict login_verdict_ = election::Verdict::kOk;
  MonoTime next_cleanup_;
  MonoTime next_details_;
  uint32_t history_of_ = 0;  // the timeline whose history file `former_` is
  MonoTime next_history_;
  FormerTimelines former_;
  std::map<std::string, MonoTime> stranger_since_;  // slots of nobody, first seen idle

  std::mutex mutex_;   // guards what follows
  Settings settings_;  // in the files; accepted by the database
  std::optional<Settings> wished_;
  Details details_;
  std::string activity_;
  std::string account_problem_;
};

}  // namespace mainstay::engine::postgres

#endif  // MAINSTAY_LIB_ENGINE_POSTGRES_ENGINE_H_
