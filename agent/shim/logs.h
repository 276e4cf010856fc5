// The database's output on its way: from the pipe that is its standard output and error to the agent that
// reads it, or to our own standard error while there is none.
//
// The database is never made to wait: what nobody takes waits in the ring (kLogSlots chunks in static memory)
// and in the pipe up to a quarter of it; the rest is dropped and counted, and the count travels with the next
// chunk. A turn makes kLogReads reads at most. When lines come thick and fast the pipe is left alone for
// kLogPause after each turn, so that a flood costs one wake-up per pause and not one per line. No file is
// ever written: a disk that hangs would hang the fence.
//
// Thread rules: the shim has one thread. No allocation.
#ifndef MAINSTAY_AGENT_SHIM_LOGS_H_
#define MAINSTAY_AGENT_SHIM_LOGS_H_

#include "agent/shim/sys.h"
#include "lib/shim/wire.h"

namespace mainstay::shimd {

inline constexpr int kLogSlots = 8;
inline constexpr int kLogReads = 8;
inline constexpr int64_t kLogPause = 2 * kMilli;
inline constexpr int64_t kLogRetry = 20 * kMilli;  // standard error did not take it

// One frame's payload in the making.
struct LogSlot {
  shim::wire::LogChunk head;  // directly in front of data: sent as one
  char data[shim::wire::kMaxLogChunk];
  size_t size = 0;  // of data
  size_t done = 0;  // of it, already on standard error
};

// First in, first out.
class LogRing {
 public:
  // Where the next bytes may go, at least one; null: full.
  char* Room(size_t* size);
  void Filled(size_t size);                  // of what Room gave
  void Lost(const char* data, size_t size);  // they did not fit
  // The oldest chunk, null when there is nothing to tell. Pop when it is through.
  LogSlot* Front();
  void Pop();
  bool empty() const { return count_ == 0 && lost_bytes_ == 0; }

 private:
  LogSlot* Open();  // a fresh slot at the end; null: full

  LogSlot slots_[kLogSlots];
  int first_ = 0, count_ = 0;
  uint64_t lost_bytes_ = 0;  // since the last slot was begun
  uint32_t lost_lines_ = 0;
};

// What our own standard error is, and so how it can be written to without waiting.
enum class ErrorOutput : uint8_t { kNone, kPipe, kSocket };
ErrorOutput KindOfErrorOutput();
// Bytes taken, 0: not now.
size_t WriteError(ErrorOutput kind, const char* data, size_t size);

}  // namespace mainstay::shimd

#endif  // MAINSTAY_AGENT_SHIM_LOGS_H_
