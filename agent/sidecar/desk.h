// The desk: requests of people and of other members that wait for an answer of the core (or of the engine).
//
// Every request is answered exactly once: by its answer, or at its deadline. Idempotency: the same id again
// gets the answer of the first (the last kMaxRemembered are known), while it is under way it waits for the
// same answer. Bounds: kMaxOpen requests of each kind; more are refused.
//
// Thread rules: loop only.
#ifndef MAINSTAY_AGENT_SIDECAR_DESK_H_
#define MAINSTAY_AGENT_SIDECAR_DESK_H_

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "agent/sidecar/loop.h"
#include "lib/election/action.h"
#include "lib/election/event.h"
#include "lib/rpc/port.h"

namespace mainstay::agent {

// Of people.
class AdminDesk {
 public:
  static constexpr size_t kMaxOpen = 16;
  static constexpr size_t kMaxRemembered = 128;
  using Done = std::function<void(rpc::AdminAnswer)>;
  // Does the thing; the answer comes through Answer(command.id, ...).
  using Begin = std::function<void(const rpc::AdminCommand&)>;
  using Ended = std::function<void(const rpc::AdminCommand&, const rpc::AdminAnswer&)>;

  AdminDesk(Loop* loop, Begin begin, Ended ended)
      : loop_(loop), begin_(std::move(begin)), ended_(std::move(ended)) {}

  void Submit(const rpc::AdminCommand& command, Done done);
  // Fine for ids that nobody waits for.
  void Answer(const std::string& id, election::AdminStatus status, std::string message);
  // Answers all that is open: the agent ends.
  void Close();

 private:
  struct Open {
    rpc::AdminCommand command;
    std::vector<Done> waiting;
    TimerId timeout = 0;
  };
  void Remember(const std::string& id, const rpc::AdminAnswer& answer);

  Loop* const loop_;
  const Begin begin_;
  const Ended ended_;
  std::map<std::string, Open> open_;
  std::map<std::string, rpc::AdminAnswer> known_;
  std::deque<std::string> order_;  // of known_, oldest first
};

// Of other members: freezes and promises. T is FreezeAnswered or PromiseAnswered.
template <typename T>
class AskDesk {
 public:
  static constexpr size_t kMaxOpen = 64;
  using Done = std::function<void(T)>;
  explicit AskDesk(Loop* loop) : loop_(loop) {}

  // `refusal` is what is answered at `deadline`, or at once when there are too many. False: refused.
  bool Open(const election::Name& from, uint64_t ask, T refusal, MonoTime deadline, Done done) {
    const Key key(from, ask);
    if (open_.size() >= kMaxOpen || open_.count(key) != 0) {
      done(std::move(refusal));
      return false;
    }
    const TimerId timer = loop_->At(deadline, [this, key, refusal] { Close(key, refusal); });
    open_.emplace(key, Entry{std::move(done), timer});
    return true;
  }
  void Answer(const election::Name& to, T answer) {
    const Key key(to, answer.ask);
    Close(key, std::move(answer));
  }

 private:
  using Key = std::pair<election::Name, uint64_t>;
  struct Entry {
    Done done;
    TimerId timer = 0;
  };
  void Close(const Key& key, T answer) {
    auto node = open_.extract(key);
    if (node.empty()) return;
    loop_->Cancel(node.mapped().timer);
    node.mapped().done(std::move(answer));
  }
  Loop* const loop_;
  std::map<Key, Entry> open_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_DESK_H_
