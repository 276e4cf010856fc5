// Talking to the other members: heartbeats, notices, freezes, promises.
//
// Who is asked: the members of the record, those that the configuration names, and whoever reported, at the
// newest address known. One report per member is under way at a time; a notice that comes meanwhile is merged
// into the next one, sent at once when that returns. A report is answered with the receiver's, so of two
// members only one starts the exchange each interval; the other one does when it heard nothing for one and a
// half. Answering costs more than asking: who starts goes round (of pg-0, pg-1 and pg-2 each asks one).
//
// Thread rules: loop only.
#ifndef MAINSTAY_AGENT_SIDECAR_PEER_HUB_H_
#define MAINSTAY_AGENT_SIDECAR_PEER_HUB_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/sidecar/loop.h"
#include "agent/sidecar/ports.h"
#include "lib/election/action.h"
#include "lib/election/event.h"
#include "lib/election/state.h"
#include "lib/metrics/metrics.h"

namespace mainstay::agent {

class PeerHub {
 public:
  struct Options {
    Duration heartbeat = std::chrono::milliseconds(500);
    Duration report_timeout = std::chrono::milliseconds(1000);
    Duration ask_timeout = std::chrono::milliseconds(1000);
    std::map<election::Name, std::string> configured;  // address by name
  };
  struct Sink {
    std::function<election::PeerReport()> describe;
    std::function<void(election::Event)> event;
  };
  PeerHub(Loop* loop, PeerLink* link, Options options, Sink sink, metrics::AgentInstruments* instruments);

  void Start();
  void Stop();
  // Takes the addresses out of what the core knows. Call when the record or the peers changed; cheap.
  void Learn(const election::State& state);
  // Other members that the configuration names.
  void Configure(std::map<election::Name, std::string> configured, const election::State& state);
  // A report of `name` came in.
  void Heard(const election::PeerReport& report);

  void Notify(const election::Notify& notify);
  void SendFreeze(const election::SendFreeze& ask);
  void SendPromise(const election::SendPromise& ask);

 private:
  struct Member {
    std::string address;
    MonoTime heard;
    bool in_flight = false;
    bool again = false;         // send once more when the one under way has returned,
    bool lock_changed = false;  // with these flags
    bool take = false;
  };
  bool Learned(const election::State& state) const;
  void Beat();
  void Send(const election::Name& name, bool lock_changed, bool take);
  void Returned(const election::Name& name, const absl::StatusOr<election::PeerReport>& answer);
  std::string AddressOf(const election::Name& name, const std::string& given) const;
  void Count(const char* call, const absl::Status& status);

  Loop* const loop_;
  PeerLink* const link_;
  Options options_;
  const Sink sink_;
  metrics::AgentInstruments* const instruments_;
  election::Name self_;
  std::map<election::Name, Member> members_;
  std::string kept_;  // the addresses that the link was told to keep
  // What was learned from last time: most steps change neither.
  std::shared_ptr<const election::Record> learned_record_;
  std::vector<std::pair<election::Name, std::string>> learned_peers_;
  bool running_ = false;
  TimerId beat_ = 0;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_PEER_HUB_H_
