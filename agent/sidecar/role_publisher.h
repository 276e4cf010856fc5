// Tells the world outside who is primary: the label of the pods, which Services select, and Events.
//
//   LabelPublisher publisher(std::make_unique<KubePodApi>(...), {.self = "pg-0"});
//   publisher.Opening({"pg-1", "pg-2"});                      // before a promotion; the former primary first
//   publisher.Publish({.role = Role::kPrimary, .epoch = 7, .why = "..."});
//
// Level-based: it keeps what shall be, and works until it is so. When the database is about to be opened the
// label `primary` is taken off the former primary (whose agent may be frozen) and set here, in that order and
// within milliseconds, so that a Service changes once: kube-proxy lets a second pass between two changes. The
// database accepts no write until it is open, and sessions that come early live through the promotion. An
// opening that comes to nothing is undone. What a late writer spoils is put right by a second look at the
// others; the own label is said again now and then, since people edit labels. Nothing waits for it: a
// promotion must not depend on the API server.
//
// Bounds: each call of the API 2 s; a failed one is tried again after 0.2 s to 5 s, for ever; at most 16
// Events wait, each is tried three times. Thread rules: Opening, Publish and Stop on the loop; one thread of
// its own does the calls.
#ifndef MAINSTAY_AGENT_SIDECAR_ROLE_PUBLISHER_H_
#define MAINSTAY_AGENT_SIDECAR_ROLE_PUBLISHER_H_

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "agent/sidecar/ports.h"

namespace mainstay::agent {

// One Event of the own pod.
struct RoleEvent {
  std::string reason;  // "BecamePrimary"
  std::string note;    // at most 1,000 bytes
  bool warning = false;
};

// The pods as far as the publisher needs them. Blocking; any one thread.
class PodApi {
 public:
  virtual ~PodApi() = default;
  // A pod that is gone needs neither: OK.
  // Sets the role label, whatever it was; an empty `role` removes it.
  virtual absl::Status SetRole(const std::string& pod, const std::string& role, MonoTime deadline) = 0;
  // Removes it when it is `role`; with another one nothing is to be done, which is OK.
  virtual absl::Status TakeOff(const std::string& pod, const std::string& role, MonoTime deadline) = 0;
  virtual absl::Status PostEvent(const RoleEvent& event, MonoTime deadline) = 0;
  // A running call returns soon.
  virtual void Interrupt() = 0;
};

class LabelPublisher : public RolePublisher {
 public:
  struct Options {
    std::string self;  // own pod
    bool events = true;
    Duration call_timeout = std::chrono::seconds(2);
    Duration retry_least = std::chrono::milliseconds(200);
    Duration retry_most = std::chrono::seconds(5);
    Duration undo = std::chrono::seconds(15);         // an opening that is not followed by a role
    Duration second_look = std::chrono::seconds(10);  // at the others' labels, after becoming primary
    Duration say_again = std::chrono::minutes(10);    // the own label, while primary
  };
  LabelPublisher(std::unique_ptr<PodApi> api, Options options);
  ~LabelPublisher() override;

  void Opening(const std::vector<election::Name>& others) override;
  void Publish(const RoleNews& news) override;

  // Waits until all is said, at most `patience`, then ends the thread.
  void Stop(Duration patience);

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_SIDECAR_ROLE_PUBLISHER_H_
