// Events of RabbitMQ (its plugin rabbitmq_event_exchange) as lines of the database's log, class "audit": who
// did what to the broker.
//
//   DatabaseLine line = RabbitEventLine("user.created", headers);
//
// The holes of that source are told in docs/AUDIT.md.
//
// Thread rules: pure functions.
#ifndef MAINSTAY_LIB_AUDIT_RABBIT_EVENT_H_
#define MAINSTAY_LIB_AUDIT_RABBIT_EVENT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/audit/database_log.h"

namespace mainstay::audit {

// Patterns to bind by: all that is worth a line. What is left out is noise by the second (statistics).
const std::vector<std::string>& RabbitEventKeys();
// The pattern that a key falls under, for a count with few names; "other" for what is none of them.
std::string RabbitEventName(absl::string_view key);

DatabaseLine RabbitEventLine(absl::string_view key,
                             const std::vector<std::pair<std::string, std::string>>& headers);

// "{127,0,0,1}" -> "127.0.0.1"; anything else stays as it is.
std::string ErlangAddress(absl::string_view text);

}  // namespace mainstay::audit

#endif  // MAINSTAY_LIB_AUDIT_RABBIT_EVENT_H_
