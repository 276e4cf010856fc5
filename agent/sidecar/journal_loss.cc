// The account of a loss: one line, with every figure, and what is not known said to be unknown.
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/sidecar/journal.h"
#include "lib/base/log.h"
#include "lib/base/wall_clock.h"

namespace mainstay::agent {
namespace {

std::string Sentence(const rpc::LossView& l, bool withheld) {
  std::string out =
      l.found == "takeover"
          ? absl::StrCat(l.leader, " was opened after ", l.from, ", which handed nothing over. ")
          : absl::StrCat("This member threw away what ", l.leader, " has not. ");
  if (l.bytes.has_value()) {
    absl::StrAppend(&out, l.at_least ? "At least " : "", *l.bytes, " bytes of log");
  } else {
    absl::StrAppend(&out, "An unknown number of bytes of log, perhaps none,");
  }
  absl::StrAppend(&out, l.bytes.has_value() && l.at_least ? " are missing" : " are lost");
  if (l.since_ms == 0 && l.until_ms == 0) {
    absl::StrAppend(&out, "; when they were written is not known");
  } else {
    absl::StrAppend(&out, ", written between ",
                    l.since_ms == 0 ? "an unknown time" : FormatUtcMillis(l.since_ms), " and ",
                    l.until_ms == 0 ? "an unknown time" : FormatUtcMillis(l.until_ms));
  }
  absl::StrAppend(&out, l.changes.has_value() ? absl::StrCat("; at most ", *l.changes, " keys were changed")
                                              : "; how many keys is not known");
  if (l.keys_here.has_value() && l.keys_there.has_value())
    absl::StrAppend(&out, "; ", *l.keys_here, " keys here, ", *l.keys_there, " at ", l.leader);
  if (withheld)
    absl::StrAppend(
        &out,
        "; with this durability no client was told that it is written, unless a failover accepted loss");
  return out;
}

}  // namespace

void Journal::Lost(const rpc::LossView& l, bool sync) {
  // Keep-alives of the replication are log, too: no key was changed, so no client's write is lost.
  const bool harmless = l.changes.has_value() && *l.changes == 0 && !l.at_least;
  const bool withheld = sync && l.found == "rejoin";
  audit::Event event = Event(audit::Stage::kCompleted, "data.loss", Sentence(l, withheld));
  if (withheld) {
    event.outcome = audit::Outcome::kUnknown;
  } else if (!harmless) {
    event.level = "warn";
    event.outcome = l.bytes.has_value() ? audit::Outcome::kFailure : audit::Outcome::kUnknown;
  }
  event.reason = l.found;
  audit::LossFacts facts;
  facts.found = l.found;
  facts.epoch = l.epoch;
  facts.from = l.from;
  facts.leader = l.leader;
  facts.bytes = l.bytes;
  facts.at_least = l.at_least;
  facts.since_ms = l.since_ms;
  facts.until_ms = l.until_ms;
  facts.changes = l.changes;
  facts.keys_here = l.keys_here;
  facts.keys_there = l.keys_there;
  event.loss = std::move(facts);
  Write(event);
  Log(harmless || withheld ? LogLevel::kInfo : LogLevel::kWarn, "engine", event.msg);
}

}  // namespace mainstay::agent
