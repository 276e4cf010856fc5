// A worker: one thread that does blocking things, one after the other, so that the loop never blocks.
//
//   ThreadWorker store("store", 4);
//   if (!store.Run([] { ...blocks, with a deadline of its own... })) answer "busy" now;
//
// The queue is bounded: Run says false instead of waiting. Stop drops what waits, and joins; a job that never
// returns is left behind after `patience` (its thread is detached: the process is about to end anyway).
// Thread rules: Run from any thread; Stop once.
#ifndef MAINSTAY_AGENT_SIDECAR_WORKER_H_
#define MAINSTAY_AGENT_SIDECAR_WORKER_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "lib/base/time.h"

namespace mainstay::agent {

class Worker {
 public:
  virtual ~Worker() = default;
  // False: the queue is full (or it was stopped), `job` will not run.
  virtual bool Run(std::function<void()> job) = 0;
};

class ThreadWorker : public Worker {
 public:
  // `name` (at most 15 characters) is the thread's name in top and gdb.
  ThreadWorker(std::string name, size_t queue);
  ~ThreadWorker() override;
  ThreadWorker(const ThreadWorker&) = delete;
  ThreadWorker& operator=(const ThreadWorker&) = delete;

  bool Run(std::function<void()> job) override;
  // False: a job did not return in time and its thread was left behind.
  bool Stop(Duration patience);

 private:
  struct Shared;  // outlives a thread that was left behind
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_WORKER_H_
