// Who may change something by HTTP. Reading needs no right.
//
// In this order: an address outside http.allow gets 403. A unix socket (its file mode protects it) and a
// client certificate that holds tls.peer_name may. Then http.user and its password, compared in constant time
// (401 when missing or wrong); with http.tls only by TLS or from this machine (403). Nothing configured: 403.
//
// Errors: FailedPrecondition and others name the password's file. Thread rules: loop only.
#ifndef MAINSTAY_AGENT_FACE_ACCESS_H_
#define MAINSTAY_AGENT_FACE_ACCESS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "agent/allow_list.h"
#include "agent/config.h"
#include "lib/http/server.h"

namespace mainstay::agent {

struct HttpActor {
  std::string name;   // certificate's name, user, or "local"
  std::string authn;  // mtls | basic | local
};

class HttpAccess {
 public:
  // Reads the password's file. On an error what was in force stays in force.
  absl::Status Configure(const Config& config);
  // Absent: it may, and *actor says who it is.
  std::optional<http::Response> Refuse(const http::Request& request, HttpActor* actor) const;

 private:
  bool Knows(const std::string& authorization) const;

  std::vector<Network> allow_;
  std::string user_;
  std::string secret_;  // "user:password"
  bool tls_ = false;
};

// Of a file that holds a password and nothing else but a last line break.
absl::StatusOr<std::string> ReadPasswordFile(const std::string& path);
// Takes as long for every wrong secret of one length.
bool SameSecret(const std::string& given, const std::string& secret);

}  // namespace mainstay::agent

#endif  // MAINSTAY_AGENT_FACE_ACCESS_H_
