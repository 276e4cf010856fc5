// What is answered to each request, and what is published when the view changes. Pure.
//
// Answered: PING, ECHO, AUTH, HELLO (2 and 3), QUIT, CLIENT SETNAME | GETNAME | SETINFO | ID, COMMAND
// (empty), INFO [section], ROLE, SUBSCRIBE and PSUBSCRIBE with their ends, SENTINEL GET-MASTER-ADDR-BY-NAME |
// MASTERS | MASTER | REPLICAS | SLAVES | SENTINELS | CKQUORUM | MYID | PENDING-SCRIPTS. Everything else is an
// error: nothing can be changed here (docs/SENTINEL.md).
//
// Thread rules: plain values, pure functions.
#ifndef MAINSTAY_LIB_SENTINEL_ANSWERS_H_
#define MAINSTAY_LIB_SENTINEL_ANSWERS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lib/sentinel/resp.h"
#include "lib/sentinel/view.h"

namespace mainstay::sentinel {

// What stays the same while it runs.
struct Identity {
  std::string id;                  // IdOf the own member
  std::vector<std::string> names;  // under which clients ask for the cluster; the first is the cluster's own
  std::string version = "7.0.15";  // of the Redis that this talks like
  uint16_t port = 0;               // of INFO
  // Any of these lets a client in; a function: asked for at each AUTH, so a rotation needs no restart. Null:
  // no password is needed. An error refuses everybody.
  std::function<absl::StatusOr<std::vector<std::string>>()> passwords;
};

struct Session {
  uint64_t id = 0;
  int proto = 2;
  bool authenticated = false;
  int refused_logins = 0;
  bool closing = false;  // to be closed once what was answered is written
  std::string name;
  std::set<std::string> channels, patterns;
  bool subscribed() const { return !channels.empty() || !patterns.empty(); }
};

inline constexpr size_t kMaxSubscriptions = 64;  // of one session
inline constexpr size_t kMaxNameBytes = 256;     // of a channel, a pattern, a client
inline constexpr int kMaxRefusedLogins = 5;      // then the session is closed

struct Message {
  std::string channel, payload;
  friend bool operator==(const Message&, const Message&) = default;
};

class Answers {
 public:
  Answers(Identity identity, std::function<int64_t()> uptime_seconds)
      : identity_(std::move(identity)), uptime_(std::move(uptime_seconds)) {}

  // The new view; what has to be published because of it, in order.
  std::vector<Message> Update(View view);
  std::string Answer(const Words& request, Session* session) const;
  // A message as that session hears it: once for its channels, once for each pattern that matches. "" : not.
  static std::string Deliver(const Message& message, const Session& session);
  const View& view() const { return view_; }
  void set_port(uint16_t port) { identity_.port = port; }

 private:
  struct Call {
    const Words& words;
    Session* session;
    ReplyWriter* out;
  };
  bool Before(const Call& call) const;  // login, HELLO, QUIT: true when it was one of those
  void Hello(const Call& call) const;
  bool Login(const std::string& user, const std::string& password, const Call& call) const;
  void Client(const Call& call) const;
  void Command(const Call& call) const;
  void Info(const Call& call) const;
  void Role(const Call& call) const;
  void Sentinel(const Call& call) const;
  void OfName(const std::string& subcommand, const Call& call) const;
  void Primary(const std::string& name, ReplyWriter* out) const;
  void Replica(const ReplicaView& replica, ReplyWriter* out) const;
  void Peer(const PeerView& peer, ReplyWriter* out) const;
  void Quorum(ReplyWriter* out) const;
  void Tell(const ReplicaView& now, std::vector<Message>* out) const;
  int Usable() const;
  bool KnowsName(const std::string& name) const;
  bool needs_login() const { return identity_.passwords != nullptr; }

  Identity identity_;
  const std::function<int64_t()> uptime_;
  View view_;
  // The latest that there was: what is told of a primary that is down, and what a switch comes from.
  std::optional<Address> last_primary_;
  bool told_down_ = false;
};

// Equal, in a time that does not depend on where they differ.
bool SamePassword(absl::string_view given, absl::string_view right);

}  // namespace mainstay::sentinel

#endif  // MAINSTAY_LIB_SENTINEL_ANSWERS_H_
