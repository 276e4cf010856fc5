// Standard output, shared by the audit log and the database's log: whole lines, one write(2) each where the
// kernel permits, and a reader that does not read blocks nobody.
//
//   Output out(STDOUT_FILENO);
//   out.Put(line);               // never blocks: written, queued (1 MiB at most) or false
//   while (!out.Offer(line)) out.WaitRoom(100ms);   // a thread that may wait: without a queue of its own
//
// Put goes first: while something of it waits, Offer takes nothing. Bounds are separate, so one stream cannot
// use up what the other may hold. Thread rules: any thread. Internal to lib/audit.
#ifndef MAINSTAY_LIB_AUDIT_OUTPUT_H_
#define MAINSTAY_LIB_AUDIT_OUTPUT_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "lib/base/time.h"

namespace mainstay::audit {

class Output {
 public:
  // Does not own `fd`. `drained` (may be empty) is told, on a thread of its own, when what was queued is
  // through.
  explicit Output(int fd, std::function<void()> drained = nullptr);
  ~Output();  // waits for what is queued, at most a second
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // What became of a line.
  enum class Put : uint8_t { kWritten, kQueued, kRefused };
  Put Write(std::string line);
  // True: written. False: not now.
  bool Offer(const std::string& line);
  void WaitRoom(Duration most) const;
  // Nothing is queued and nothing is being written, or `room` bytes would still fit into the queue.
  bool HasRoom(size_t room);
  // Queued lines that could not be written in the end, since the last call.
  uint64_t TakeFailed();
  bool Flush(MonoTime deadline);

 private:
  bool TryNow(const std::string& line);
  void Queue(std::string line, bool front);
  void Run();
  bool WriteAll(const std::string& line);
  ssize_t WriteSome(const char* data, size_t size) const;
  bool Empty() const;

  enum class Kind : uint8_t { kFile, kPipe, kSocket };
  const int fd_;
  const Kind kind_;
  const std::function<void()> drained_;
  std::mutex mu_;
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<std::string> queue_;
  size_t queued_bytes_ = 0;
  uint64_t failed_ = 0;
  bool writing_ = false;
  bool stop_ = false;
  std::thread writer_;
};

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_OUTPUT_H_
