// What the engine keeps beside the data of one member, and what can be said of data that came back with a new
// process. A data set of Redis lives in its process: the file tells which process holds the data that the
// election knows, and what an earlier one left.
//
//   const Verdict v = JudgeData(held, info);   // empty, older than they were, or as they were, and how far
//
// Thread rules: plain values, pure functions. Errors: DataLoss for a damaged file, with the remedy.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_HELD_H_
#define MAINSTAY_LIB_ENGINE_REDIS_HELD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lib/engine/redis/aof.h"
#include "lib/engine/redis/info.h"

namespace mainstay::engine::redis {

inline constexpr size_t kMaxHistories = 16;

struct Held {
  std::string cluster_id;            // "" : this member holds no data of a cluster
  std::string nonce;                 // identity of this copy
  bool unopened = false;             // founded here, never opened for writes
  bool reinit = false;               // an administrator asked for a new copy: counts as empty
  std::string run_id;                // of the process that holds the data as the election knows them
  std::vector<std::string> replids;  // replication ids whose history these data are of, newest last
  uint64_t floor = 0;                // the data reached at least so far (a position) a while before the end
  AofMark aof;                       // how long the append-only file was then
  int64_t floor_ms = 0;              // when they were seen to (Unix time, for people)
  bool keys = false;                 // there were keys then
  int64_t epoch = 0;                 // under which they were last opened for writes here
  std::string leader;                // whom the last Follow was told to follow,
  std::string leader_address;        // where,
  int64_t following = 0;             // and under which epoch
  int64_t reign = 0;                 // the last epoch that was followed or led,
  uint64_t reign_from = 0;           // and the position from which on these data are of it
  friend bool operator==(const Held&, const Held&) = default;
};

std::string EncodeHeld(const Held& held);
absl::StatusOr<Held> DecodeHeld(absl::string_view text);
// Adds a replication id as the newest; true when that changed something.
bool AddHistory(Held* held, const std::string& replid);

struct Verdict {
  bool empty = false;        // holds nothing of the cluster
  bool rolled_back = false;  // another process' data, as far as they were saved
  int64_t reign = 0;         // whose history they are of; 1: of a reign that cannot be told; 0: not known
  uint64_t position = 0;     // how far they reach; never 0 when there are data
};
// Of a process that does not load and whose INFO has all sections. Positions are replication offsets plus
// one, because a primary that never had a replica stands at offset 0. `grown`: of the append-only file since
// held.aof.
Verdict JudgeData(const Held& held, const Info& info, uint64_t grown = 0);

inline uint64_t ToPosition(int64_t offset) { return offset < 0 ? 1 : static_cast<uint64_t>(offset) + 1; }

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_HELD_H_
