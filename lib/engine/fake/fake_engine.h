// A database that is not there: models a replicated log well enough to test everything above an engine, in
// one process.
//
//   auto world = std::make_shared<FakeWorld>();
//   FakeEngine a(world, "a", "127.0.0.1:1");     // name, database address
//   world->Write("a") -> true when the write was acknowledged under a's synchronous setting
//   world->Kill("a"), world->Hang("a", true), world->Cut("a", "b", true)
//
// The log is a list of write ids, so "acknowledged and still there" can be asked exactly: world->Log("b"). A
// standby streams from its leader's log by its own pulling: World::Write pushes to all connected ones at
// once. A log that is not a prefix of the leader's is rewound by Follow. Promotions start a new timeline.
// Memory survives everything.
//
// Thread rules: FakeWorld is thread-safe. FakeEngine as engine::Engine says.
#ifndef MAINSTAY_LIB_ENGINE_FAKE_FAKE_ENGINE_H_
#define MAINSTAY_LIB_ENGINE_FAKE_FAKE_ENGINE_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lib/engine/engine.h"

namespace mainstay::engine {

class FakeWorld {
 public:
  explicit FakeWorld(const Clock* clock = &BootClock()) : clock_(clock) {}

  // One write at `name`. True: acknowledged (by as many standbys as it is set to).
  bool Write(const election::Name& name);
  // The log as it is there; what was acknowledged by anybody, in order.
  std::vector<uint64_t> Log(const election::Name& name) const;
  std::vector<uint64_t> Acknowledged() const;
  std::vector<election::Name> Writable() const;  // who accepts writes now

  // Faults.
  void Kill(const election::Name& name);             // every process dies; told to on_exit
  void Hang(const election::Name& name, bool hung);  // runs, answers nothing
  void Cut(const election::Name& a, const election::Name& b, bool cut);  // no replication between them
  void FailNext(const election::Name& name, election::EngineOp op, std::string why);

  // The fence of `name`: called by the fake shim at the deadline.
  void Fence(const election::Name& name) { Kill(name); }
  bool Running(const election::Name& name) const;

 private:
  friend class FakeEngine;
  struct Db {
    std::string address;
    election::DbState state = election::DbState::kStopped;
    bool writable = false;
    bool hung = false;
    bool empty = true;
    bool unopened = false;
    std::string system_id;
    std::string nonce;
    std::vector<uint64_t> log;
    uint32_t timeline = 0;
    election::Name upstream;  // follows it; "" nobody
    election::Epoch upstream_epoch = 0;
    MonoTime stream_at;
    election::SyncNames sync;
    std::optional<election::Memory> memory;
    std::map<election::EngineOp, std::string> fail;
  };
  Db& Of(const election::Name& name) { return dbs_[name]; }
  // Like a real one's, the log of a database that exists is never empty: 0 means that there are no data.
  static uint64_t Offset(const Db& db) { return db.empty ? 0 : db.log.size() + 1; }
  bool Linked(const election::Name& a, const election::Name& b) const;
  bool Streams(const election::Name& standby, const Db& db) const;
  void Pull(const election::Name& standby);
  std::optional<std::string> TakeFailure(Db& db, election::EngineOp op);

  const Clock* const clock_;
  mutable std::mutex mutex_;
  std::map<election::Name, Db> dbs_;
  std::set<std::pair<election::Name, election::Name>> cut_;
  std::vector<uint64_t> acknowledged_;
  uint64_t next_write_ = 1;
  uint64_t next_id_ = 1;
};

class FakeEngine : public Engine {
 public:
  FakeEngine(std::shared_ptr<FakeWorld> world, election::Name name, std::string address);

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
  void Cancel() override {}

 private:
  absl::Status Refused(FakeWorld::Db& db, election::EngineOp op);
  LogEnd End(const FakeWorld::Db& db) const;

  const std::shared_ptr<FakeWorld> world_;
  const election::Name name_;
};

}  // namespace mainstay::engine

#endif  // MAINSTAY_LIB_ENGINE_FAKE_FAKE_ENGINE_H_
