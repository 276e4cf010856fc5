// How much was appended to a member's append-only file since some moment. The file does not tell which
// position it reaches; a position that was noted together with the file's size then, plus what was appended
// since, does, but for the stream's own bytes (PING, REPLCONF GETACK), which are not in the file.
//
//   const AofMark mark = MarkAof(data_dir);                     // beside a position that is noted
//   position + GrownSince(mark, data_dir);                      // what came back reaches so far
//
// Redis 7's files only (appendonlydir/NAME.SEQ.incr.aof); none, or an older Redis': no mark, no growth.
// Thread rules: none. Never waits; what cannot be read counts as nothing.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_AOF_H_
#define MAINSTAY_LIB_ENGINE_REDIS_AOF_H_

#include <cstdint>
#include <string>

namespace mainstay::engine::redis {

struct AofMark {
  int64_t seq = 0;    // of the newest file that is appended to; 0: there was none
  uint64_t size = 0;  // its bytes
  friend bool operator==(const AofMark&, const AofMark&) = default;
};

AofMark MarkAof(const std::string& data_dir);
uint64_t GrownSince(const AofMark& mark, const std::string& data_dir);

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_AOF_H_
