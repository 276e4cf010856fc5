#include "lib/erlang/session.h"

#include "lib/base/result.h"

namespace mainstay::erlang {

absl::Status Session::EnsureConnected(Duration deadline) {
  if (client_.connected()) {
    // A node that was restarted since the last call closed the connection: found here, where nothing is lost
    // yet.
    if (client_.KeepAlive().ok()) return absl::OkStatus();
  }
  if (!backoff_.Due(BootClock().Now())) return last_;
  last_ = client_.Connect(deadline);
  if (last_.ok()) {
    backoff_.Succeeded();
  } else {
    backoff_.Failed(BootClock().Now());
  }
  return last_;
}

absl::StatusOr<Term> Session::Call(absl::string_view module, absl::string_view function,
                                   std::vector<Term> arguments, Duration deadline) {
  const MonoTime end = BootClock().Now() + deadline;
  MAINSTAY_RETURN_IF_ERROR(EnsureConnected(deadline));
  return client_.Call(module, function, std::move(arguments), end - BootClock().Now());
}

void Session::KeepAlive() {
  if (client_.connected()) (void)client_.KeepAlive();  // an error closes it: the next call connects
}

}  // namespace mainstay::erlang
