// RabbitMQ's events on their way into the agent's output (docs/AUDIT.md): every agent of a cluster consumes
// from one replicated queue of which the broker lets one consume at a time, so each event is told once, and
// on by another agent when that one is gone. An event is acknowledged after its line was taken.
//
// One thread of its own at a lower priority, asleep while nothing happens; a reader of standard output that
// does not read makes it wait, and the broker keeps up to SharedQueue::max_length of what happens meanwhile.
//
// Thread rules: Configure, Counts and Problem from any thread; Start and Stop once, from the loop's.
#ifndef MAINSTAY_AGENT_RABBIT_EVENT_WATCH_H_
#define MAINSTAY_AGENT_RABBIT_EVENT_WATCH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "agent/sidecar/output_thread.h"
#include "lib/amqp/connection.h"

namespace mainstay::agent {

struct EventWatchOptions {
  amqp::Endpoint endpoint;  // in the virtual host of the event exchange
  amqp::LoginSource login;
  amqp::SharedQueue queue;
  std::string exchange = "amq.rabbitmq.event";
};

class EventWatch {
 public:
  EventWatch(EventWatchOptions options, audit::Log* out);
  ~EventWatch();  // Stop
  EventWatch(const EventWatch&) = delete;
  EventWatch& operator=(const EventWatch&) = delete;

  void Start();
  // False: the thread did not end in time and was left behind.
  bool Stop(Duration patience);

  struct Counts {
    std::map<std::string, uint64_t> events;  // by audit::RabbitEventName
    bool connected = false;                  // and consumes, or waits for its turn
    std::string problem;                     // why not
  };
  Counts counts() const;

 private:
  struct Shared;  // outlives a thread that was left behind
  std::shared_ptr<Shared> shared_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_RABBIT_EVENT_WATCH_H_
