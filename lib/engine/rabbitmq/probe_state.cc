#include "lib/engine/rabbitmq/probe_state.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/strings.h"

namespace mainstay::engine::rabbitmq {
namespace {

constexpr size_t kMostNames = 8;

std::string Names(std::vector<std::string> names) {
  const size_t more = names.size() > kMostNames ? names.size() - kMostNames : 0;
  names.resize(names.size() - more);
  std::string out = absl::StrJoin(names, ", ");
  if (more > 0) absl::StrAppend(&out, " and ", more, " more");
  return out;
}

std::string Ago(MonoTime at, MonoTime now) { return FormatDuration(std::max(Duration::zero(), now - at)); }

bool Remembered(const std::optional<std::vector<std::string>>& names) { return names && !names->empty(); }

// A message made its round not longer ago than a check and its deadline take: whatever else, it serves.
bool ProvedByMessage(const Facts& f, const Limits& limits) {
  return f.amqp.state == amqp::State::kOk && !f.amqp.last_ok.is_past() &&
         f.now - f.amqp.last_ok < limits.hung_after;
}

// Answers nobody: by calls, and by messages.
bool Hung(const Facts& f, const Limits& limits) {
  if (f.failed_tries < limits.hung_tries || f.silence < limits.hung_after) return false;
  if (ProvedByMessage(f, limits)) return false;
  if (!f.answered.is_past()) return true;
  return f.process && !f.started.is_past() && f.now - f.started > limits.boot_patience;
}

std::string AlarmSentence(const Facts& f) {
  std::vector<std::string> parts;
  if (!f.alarms_memory.empty()) parts.push_back(absl::StrCat("low on memory on ", Names(f.alarms_memory)));
  if (!f.alarms_disk.empty()) parts.push_back(absl::StrCat("low on disk on ", Names(f.alarms_disk)));
  if (parts.empty())
    parts.push_back(f.amqp.blocked.text.empty() ? "the broker takes no publishes" : f.amqp.blocked.text);
  return absl::StrCat("blocked: ", absl::StrJoin(parts, "; "), "; consumers go on, publishers wait");
}

bool IsBlocked(const Facts& f) {
  return f.amqp.state == amqp::State::kBlocked || !f.alarms_memory.empty() || !f.alarms_disk.empty();
}

// The probe fails for a reason that clients have, too. Its own user or its own files are not one.
bool Failing(const Facts& f, const Limits& limits) {
  using F = amqp::Failure;
  const F why = f.amqp.trouble.failure;
  if (f.amqp.state != amqp::State::kFailed || why == F::kAuth || why == F::kLocal || why == F::kTls)
    return false;
  return f.now - f.amqp.since >= limits.failing_after;
}

// Somebody listens on the AMQP port: as it was looked at, or as the probe found.
bool Listening(const Facts& f) {
  if (f.listening) return *f.listening;
  return f.amqp.state != amqp::State::kFailed || f.amqp.trouble.failure != amqp::Failure::kRefused;
}

struct Found {
  NodeState state;
  std::string sentence;
};

// The node of which RabbitMQ itself runs.
Found WhileRunning(const Facts& f, const Limits& limits) {
  if (IsBlocked(f)) return {NodeState::kBlocked, AlarmSentence(f)};
  if (Failing(f, limits))
    return {NodeState::kFailing, absl::StrCat("says that it runs, but: ", Sentence(f.amqp, f.now))};
  return {NodeState::kRunning, "running"};
}

Found WhileBooting(const Facts& f) {
  const std::string doing = f.doing.empty() ? "" : absl::StrCat(": ", f.doing);
  if (!f.awaited.empty()) {
    return {NodeState::kWaiting,
            absl::StrCat("waiting for peers", doing, doing.empty() ? ": " : "; for ", Names(f.awaited))};
  }
  return {NodeState::kStarting, absl::StrCat("starting", doing.empty() ? ": " : doing + ": ",
                                             f.boot ? ToString(*f.boot) : "no answer yet")};
}

Found WhileStopped(const Facts& f) {
  if (*f.boot == BootState::kStopping) return {NodeState::kStopped, "RabbitMQ stops"};
  if (f.minority.value_or(false)) {
    return {NodeState::kPaused,
            absl::StrCat("paused: sees no majority of its cluster",
                         Remembered(f.unreachable) ? absl::StrCat(", misses ", Names(*f.unreachable)) : "",
                         "; goes on by itself when it sees one")};
  }
  return {NodeState::kStopped, "RabbitMQ is stopped (stop_app); start it: start_app"};
}

Found Find(const Facts& f, const Limits& limits) {
  if (f.process && !*f.process) {
    if (f.blank)
      return {
          NodeState::kWaiting,
          "waiting for peers: its disk is blank and nobody of its cluster answers; it founds no second one"};
    return {NodeState::kDead, "no process"};
  }
  if (Hung(f, limits)) {
    return {NodeState::kHung,
            f.answered.is_past()
                ? absl::StrCat("hung: never answered since its start ", Ago(f.started, f.now), " ago")
                : absl::StrCat("hung: the process is there and answers nobody for ",
                               FormatDuration(f.silence), " (", f.failed_tries, " tries)")};
  }
  if (f.answered.is_past()) {
    if (!f.process) return {NodeState::kUnknown, "nothing is known yet"};
    return WhileBooting(f);
  }
  if (f.draining.value_or(false))
    return {NodeState::kDraining,
            "draining: in maintenance, its listeners are closed; it comes back by revive"};
  if (f.boot == BootState::kStopped || f.boot == BootState::kStopping) return WhileStopped(f);
  if (f.boot != BootState::kReady) return WhileBooting(f);
  if (f.running && !*f.running) return {NodeState::kStopped, "booted, and RabbitMQ does not run"};
  return WhileRunning(f, limits);
}

std::vector<std::string> Notes(const Facts& f, NodeState state) {
  std::vector<std::string> out;
  if (Remembered(f.partitions)) {
    out.push_back(absl::StrCat("was cut off from ", Names(*f.partitions),
                               ": a partition stays until one side is restarted"));
  }
  if (Remembered(f.unreachable) && state != NodeState::kPaused)
    out.push_back(absl::StrCat("does not see ", Names(*f.unreachable)));
  if (f.failed_tries > 0 && state != NodeState::kHung && !f.answered.is_past()) {
    out.push_back(absl::StrCat("calls by Erlang distribution fail (", f.failed_tries,
                               " in a row); what is said of it is ", Ago(f.answered, f.now), " old"));
  }
  if (f.amqp.state == amqp::State::kFailed && state != NodeState::kFailing &&
      (state == NodeState::kRunning || state == NodeState::kBlocked)) {
    out.push_back(absl::StrCat("end-to-end probe: ", Sentence(f.amqp, f.now)));
  }
  if (!f.taken_out.empty()) out.push_back(absl::StrCat("taken out of service: ", f.taken_out));
  return out;
}

void Answers(const Facts& f, Judgement* j) {
  const NodeState s = j->state;
  const bool serves = s == NodeState::kRunning || s == NodeState::kBlocked || s == NodeState::kFailing;
  j->live = {s != NodeState::kDead && s != NodeState::kHung, j->sentence};
  j->ready = {serves, j->sentence};
  if (serves && !Listening(f)) j->ready = {false, "runs, but nobody listens on its AMQP port"};
  if (serves && !f.taken_out.empty()) j->ready = {false, absl::StrCat("taken out of service: ", f.taken_out)};
  // Whoever waits for others is started: killing it would not bring them.
  j->started = {
      s != NodeState::kUnknown && s != NodeState::kDead && s != NodeState::kStarting && s != NodeState::kHung,
      j->sentence};
}

}  // namespace

const char* ToString(NodeState state) {
  switch (state) {
    case NodeState::kUnknown:
      return "unknown";
    case NodeState::kDead:
      return "dead";
    case NodeState::kStarting:
      return "starting";
    case NodeState::kWaiting:
      return "waiting";
    case NodeState::kRunning:
      return "running";
    case NodeState::kBlocked:
      return "blocked";
    case NodeState::kDraining:
      return "draining";
    case NodeState::kPaused:
      return "paused";
    case NodeState::kStopped:
      return "stopped";
    case NodeState::kFailing:
      return "failing";
    case NodeState::kHung:
      return "hung";
  }
  return "unknown";
}

Judgement Judge(const Facts& facts, const Limits& limits) {
  Judgement out;
  Found found = Find(facts, limits);
  out.state = found.state;
  out.sentence = std::move(found.sentence);
  out.notes = Notes(facts, out.state);
  Answers(facts, &out);
  return out;
}

std::string Verbose(const Judgement& judgement) {
  std::string out = absl::StrCat(judgement.sentence, "\n");
  for (const std::string& note : judgement.notes) absl::StrAppend(&out, note, "\n");
  return out;
}

}  // namespace mainstay::engine::rabbitmq
