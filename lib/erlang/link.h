// One authenticated connection to an Erlang node, as a hidden node of our own: libei's handshake over a
// Stream.
//
// Hidden: the node's peers are not told of us, and it counts us nowhere. Other than libei's own connections
// this one has a deadline for the whole handshake, takes the peer's address as given (no look-up), checks
// which node answered and says why one refused. Thread rules: one thread at a time. Errors: kUnavailable
// (closed in the handshake), kDeadlineExceeded, kUnauthenticated (the cookie is not the node's),
// kPermissionDenied (the node does not let us in), kAlreadyExists (a node of our name is connected there),
// kFailedPrecondition (another node answers there), kInvalidArgument (a name that cannot be one).
#ifndef MAINSTAY_LIB_ERLANG_LINK_H_
#define MAINSTAY_LIB_ERLANG_LINK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "lib/base/time.h"
#include "lib/erlang/stream.h"
#include "lib/erlang/term.h"

namespace mainstay::erlang {

struct LinkNames {
  std::string node;  // who must answer: "rabbit@host"
  std::string self;  // "mainstay-5f3a@host": no other connection to that node may have the same
};

class Link {
 public:
  static absl::StatusOr<std::unique_ptr<Link>> Open(Stream stream, const LinkNames& names,
                                                    const std::string& cookie, MonoTime deadline);
  ~Link();
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  Stream& stream();
  // A process of ours that none was before: who asks, so that a late answer to an earlier question is known.
  Term NewPid();

 private:
  struct Impl;
  explicit Link(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace mainstay::erlang

#endif  // MAINSTAY_LIB_ERLANG_LINK_H_
