// What Redis remembers for a while and forgets: slow log, ACL log, latency monitor, counts of kills. Readers
// that turn "the newest n entries", asked for now and then, into each entry once, and say how many were
// missed: the slow log numbers its entries, the ACL log of 7.2 too; before that the counters of errors tell.
//
//   SlowReader slow;
//   do reply = call({"SLOWLOG", "GET", n}); while (slow.Read(run_id, n, reply, &turn) == Want::kMore);
//
// Thread rules: plain values, no I/O. What is not as expected is passed over.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_RINGS_H_
#define MAINSTAY_LIB_ENGINE_REDIS_RINGS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/engine/redis/reply.h"

namespace mainstay::engine::redis {

// Asked for one after the other until an entry is among them that is known already. More than the last are
// not read in one turn: what is between is missing, and said to be.
inline constexpr int kRingSteps[] = {1, 16, 256};

struct RingEvent {
  enum class Kind : uint8_t { kSlow, kDenied, kLatency, kKill };
  Kind kind = Kind::kSlow;
  int64_t unix_ms = 0;  // 0: not told
  int64_t id = -1;      // -1: the ring has none
  int64_t count = 1;
  double took_ms = 0;                   // kSlow, kLatency
  std::vector<std::string> words;       // kSlow: the command, as far as the server kept it
  std::string reason, context, object;  // kDenied; kLatency and kKill: `object` says what
  std::string user, address, name;      // of the client
  bool gapped = false;                  // entries are missing directly before this one
};

struct RingTurn {
  std::vector<RingEvent> events;  // oldest first
  uint64_t missing = 0;           // entries that are gone unread
};

enum class Want : uint8_t { kNothing, kMore };

class SlowReader {
 public:
  // `last_step`: there is no larger question.
  Want Read(const std::string& run_id, size_t asked, bool last_step, const Reply& reply, RingTurn* out);

 private:
  std::string run_id_;
  int64_t last_ = -1;
  bool begun_ = false;
};

class DeniedReader {
 public:
  // `now_ms`: the server's clock when it answered. `refused`: its count of errors that belong to this log
  // (NOPERM, WRONGPASS); -1: not known.
  Want Read(const std::string& run_id, size_t asked, bool last_step, int64_t now_ms, int64_t refused,
            const Reply& reply, RingTurn* out);

 private:
  struct Seen {
    int64_t at_ms = 0, count = 0, id = -1;
  };
  static constexpr size_t kMostKeys = 2048;

  std::string run_id_;
  std::map<std::string, Seen> seen_;
  int64_t ahead_ = 0;  // told, and not yet in the counters that were read
  int64_t refused_ = -1;
};

class LatencyReader {
 public:
  // Of LATENCY LATEST: the events whose history is worth asking for, at most eight.
  std::vector<std::string> Changed(const std::string& run_id, const Reply& latest);
  // Of LATENCY HISTORY of one of them. Seconds that are not over yet wait for the next turn.
  void Read(const std::string& event, int64_t now_ms, const Reply& history, RingTurn* out);

 private:
  std::string run_id_;
  bool first_ = true;
  std::map<std::string, int64_t> told_;  // event -> second of the last sample that was told
};

// What INFO's counters say of connections that were cut; who asked for it is told nowhere.
class KillReader {
 public:
  struct Counters {
    int64_t kill_calls = 0;  // cmdstat_client|kill
    int64_t evicted = 0;     // evicted_clients
  };
  // `own_kills`: calls of CLIENT KILL by the agent itself, so far, which its audit log tells; read after
  // `now` was.
  void Read(const std::string& run_id, const Counters& now, int64_t own_kills, RingTurn* out);

 private:
  std::string run_id_;
  Counters told_;
  int64_t own_ = 0, last_own_ = 0;
};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_RINGS_H_
