// Elector: a leader among processes, for any program. No database, no shim, no peers: only a store that all
// share.
//
//   auto store = FileStore::Open("/run/myjob");
//   auto elector = Elector::Create(store->get(), {.cluster = "myjob", .name = "a"},
//                                  {.on_started = [&](Permission p) { worker.Begin(p); },
//                                   .on_stopped = [&](const std::string& why) { worker.End(); }});
//   (*elector)->Start();
//   ... in the worker, before each act:  if (!permission.MayAct()) return;  Write(data, permission.epoch());
//   (*elector)->Stop();
//
// WHAT IT PROMISES, AND WHAT NOT. At most one elector's Permission says MayAct() at any moment, given clocks
// whose rates differ by less than `rho`. But nothing here kills you: inside Mainstay a shim ends a database
// whose agent is frozen; your program has none. A thread that asked MayAct(), was suspended, and acts a
// minute later acts after its time. So
//   - ask before each act, and let no act last longer than Options::act (that much is kept free after the
//   permission ends);
//   - where an act could be suspended in the middle, hand permission.epoch() to what you write to and let it
//   refuse
//     lower ones: epochs rise with each reign.
//
// Callbacks run on the elector's thread and must return soon (well within `renew`): while they run nothing is
// renewed. When on_stopped is called the permission has ended already; after Stop() it is called before the
// lock is given up, so that no successor starts before it has returned. Units: Duration and MonoTime
// (CLOCK_BOOTTIME). Errors: a store that fails costs the leadership when the permission runs out, never
// earlier; problems are logged and shown in Status(). Thread rules: Start, Stop and Run by one owner; MayAct,
// PermissionEnds, Status and Permission by any thread. Threads of its own: one loop, one for requests to the
// store, one that waits for changes.
#ifndef MAINSTAY_LIB_LEASE_ELECTOR_H_
#define MAINSTAY_LIB_LEASE_ELECTOR_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/election/record.h"
#include "lib/lease/store.h"

namespace mainstay::lease {

// The right to act during one reign. A copy may be given to any thread; once ended it never comes back (a
// later reign brings a new one).
class Permission {
 public:
  Permission() = default;  // of nobody: never may act
  bool MayAct() const { return MayAct(BootClock().Now()); }
  bool MayAct(MonoTime now) const { return now < Ends(); }
  // Moves on with each renewal; the distant past when the reign is over.
  MonoTime Ends() const {
    return until_ == nullptr ? MonoTime() : MonoTime::FromNanos(until_->load(std::memory_order_acquire));
  }
  election::Epoch epoch() const { return epoch_; }  // fencing token

 private:
  friend class ElectorLoop;
  election::Epoch epoch_ = 0;
  std::shared_ptr<std::atomic<int64_t>> until_;
};

struct ElectorOptions {
  std::string cluster;  // what is being led; the same for all
  std::string name;     // this process, unique among all that run: [a-z0-9-]{1,40}
  int32_t priority = 100;
  // Epochs begin above it. For programs that keep the highest epoch they saw: then it does not fall even when
  // the object was deleted while nobody ran.
  election::Epoch min_epoch = 0;

  // Timing, as in election::Settings: validity/(1-rho) + act <= lease/(1+rho), or Create refuses with the
  // arithmetic.
  Duration lease = std::chrono::milliseconds(10000);  // a successor waits for this long of an unchanged lock
  Duration validity = std::chrono::milliseconds(7500);  // how long one renewal lets you act
  Duration act = std::chrono::milliseconds(2000);    // the longest that a single act may go on after MayAct()
  Duration renew = std::chrono::milliseconds(2000);  // between renewals
  Duration retry = std::chrono::milliseconds(250);
  Duration request = std::chrono::milliseconds(2500);  // deadline of one request to the store
  double rho = 1e-3;
};

struct ElectorCallbacks {
  std::function<void(Permission)> on_started;
  std::function<void(const std::string& why)> on_stopped;
  // One decision of the core: its row, its sentence, its facts. Logged at info level when not set.
  std::function<void(const char* row, const char* sentence, const std::string& facts)> on_decision;
};

struct ElectorStatus {
  bool leading = false;       // and may act now
  std::string leader;         // name of who holds the lock as last seen; "" when nobody
  election::Epoch epoch = 0;  // of the lock as last seen
  const char* phase = "joining";
  std::string problem;  // the last trouble with the store, "" when it answers
};

class ElectorLoop;

class Elector {
 public:
  // `store` must outlive the elector and be used by it alone (WaitChange and Interrupt).
  static absl::StatusOr<std::unique_ptr<Elector>> Create(Store* store, ElectorOptions options,
                                                         ElectorCallbacks callbacks);
  ~Elector();  // as Stop() when it still runs; callbacks then must not use the elector any more
  Elector(const Elector&) = delete;
  Elector& operator=(const Elector&) = delete;

  void Start();  // on threads of its own; once: after Stop make a new Elector (each run needs an identity of
                 // its own)
  // Ends the reign, if any (on_stopped), gives the lock up by compare-and-swap so that the next leader need
  // not wait, and ends the threads. False when the lock could not be given up within `patience`: it runs out
  // by itself.
  bool Stop(Duration patience = std::chrono::seconds(5));
  // Start() and Stop() in one, for a caller without another thread: returns when `stop` says true (asked
  // every 100 ms).
  bool RunUntil(const std::function<bool()>& stop);

  bool MayAct() const { return MayAct(BootClock().Now()); }
  bool MayAct(MonoTime now) const { return now < PermissionEnds(); }
  MonoTime PermissionEnds() const;
  Permission CurrentPermission() const;
  ElectorStatus Status() const;

 private:
  explicit Elector(std::unique_ptr<ElectorLoop> loop);
  const std::unique_ptr<ElectorLoop> loop_;
};

}  // namespace mainstay::lease

#endif  // MAINSTAY_LIB_LEASE_ELECTOR_H_
