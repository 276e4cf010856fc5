// The end of a reign as its own member saw it: how far the primary had written at which moment. When the
// cluster went on from an earlier point, this tells what was lost: bytes, the window in time, key changes.
//
//   tail.Saw(7, replid, run_id, {now_ms, offset, changes});   // each probe of an open primary
//   tail.Ended(now_ms);                                       // the first probe that found it closed or dead
//   std::optional<Loss> loss = tail.Judge(end, leader);       // when it joins the leader that came after
//
// Thread rules: plain values. Times are Unix milliseconds, of this machine alone, for people.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_TAIL_H_
#define MAINSTAY_LIB_ENGINE_REDIS_TAIL_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "lib/engine/engine.h"
#include "lib/engine/redis/info.h"

namespace mainstay::engine::redis {

class Tail {
 public:
  static constexpr size_t kKept = 256;  // moments at which something had been written

  struct Moment {
    int64_t unix_ms = 0;
    int64_t offset = 0;
    int64_t changes = -1;  // rdb_changes_since_last_save: falls with each save; -1: not known
  };

  void Saw(election::Epoch epoch, const std::string& replid, const std::string& run_id, const Moment& moment);
  void Ended(int64_t unix_ms);
  void Clear() { *this = Tail(); }

  bool empty() const { return epoch_ == 0; }
  election::Epoch epoch() const { return epoch_; }
  const std::string& run_id() const { return run_id_; }
  const std::string& replid() const { return replid_; }

  // `end` is what the process of this reign tells of itself by now; none: that process is gone. Nothing: the
  // leader has all that was written.
  std::optional<Loss> Judge(const std::optional<Moment>& end, const ReplicationFacts& leader) const;

 private:
  struct Entry {
    int64_t first_ms = 0, last_ms = 0;  // when it was seen to stand there
    int64_t offset = 0, changes = -1;
  };
  const Entry* LastKept(int64_t fork) const;

  election::Epoch epoch_ = 0;
  std::string replid_, run_id_;
  std::deque<Entry> entries_;
  int64_t ended_ms_ = 0;
};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_TAIL_H_
