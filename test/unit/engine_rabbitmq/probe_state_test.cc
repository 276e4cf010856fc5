#include "lib/engine/rabbitmq/probe_state.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

namespace mainstay::engine::rabbitmq {
namespace {

using amqp::Failure;
using std::chrono::minutes;
using std::chrono::seconds;

MonoTime Now() { return MonoTime::FromNanos(int64_t{3600} * 1'000'000'000); }

// A node that is well: everything is known.
Facts Well() {
  Facts f;
  f.now = Now();
  f.process = true;
  f.started = Now() - minutes(30);
  f.answered = Now() - seconds(1);
  f.boot = BootState::kReady;
  f.running = true;
  f.draining = false;
  f.partitions.emplace();
  f.unreachable.emplace();
  f.minority = false;
  f.listening = true;
  f.amqp.state = amqp::State::kOk;
  f.amqp.since = f.amqp.last_ok = Now() - seconds(1);
  return f;
}

void NoAnswer(Facts* f, Duration silence, int tries) {
  f->answered = Now() - silence;
  f->silence = silence;
  f->failed_tries = tries;
}

void AmqpFails(Facts* f, Failure failure, Duration since, amqp::Step step = amqp::Step::kConfirm) {
  f->amqp.state = amqp::State::kFailed;
  f->amqp.trouble = {.failure = failure, .code = 0, .text = ""};
  f->amqp.step = step;
  f->amqp.since = Now() - since;
  f->amqp.last_ok = Now() - since;
  f->amqp.in_row = 3;
}

struct Row {
  const char* what;
  std::function<void(Facts*)> change;
  NodeState state;
  bool live, ready, started;
  const char* says;  // part of sentence and notes
};

const Row kRows[] = {
    {"all is well", [](Facts*) {}, NodeState::kRunning, true, true, true, "running"},
    {"no process", [](Facts* f) { f->process = false; }, NodeState::kDead, false, false, false, "no process"},
    {"blank, and nobody of its cluster answers",
     [](Facts* f) {
       f->process = false;
       f->blank = true;
     },
     NodeState::kWaiting, true, false, true, "founds no second one"},
    {"just started, nothing answers yet",
     [](Facts* f) {
       *f = Facts();
       f->now = Now();
       f->process = true;
       f->started = Now() - seconds(20);
       f->silence = seconds(20);
       f->failed_tries = 20;
     },
     NodeState::kStarting, true, false, false, "starting: no answer yet"},
    {"started long ago, never answered",
     [](Facts* f) {
       *f = Facts();
       f->now = Now();
       f->process = true;
       f->started = Now() - minutes(3);
       f->silence = minutes(3);
       f->failed_tries = 60;
     },
     NodeState::kHung, false, false, false, "never answered since its start 3m00s ago"},
    {"nothing is known",
     [](Facts* f) {
       *f = Facts();
       f->now = Now();
       f->silence = minutes(3);
       f->failed_tries = 60;
     },
     NodeState::kUnknown, true, false, false, "nothing is known"},
    {"booting", [](Facts* f) { f->boot = BootState::kBooting; }, NodeState::kStarting, true, false, false,
     "booting"},
    {"core started",
     [](Facts* f) {
       f->boot = BootState::kCoreStarted;
       f->doing = "recovering 12 queues";
     },
     NodeState::kStarting, true, false, false, "starting: recovering 12 queues: core_started"},
    {"waits for the tables of others",
     [](Facts* f) {
       f->boot = BootState::kBooting;
       f->awaited = {"rabbit@b", "rabbit@c"};
       f->listening = false;
     },
     NodeState::kWaiting, true, false, true, "waiting for peers: rabbit@b, rabbit@c"},
    {"seeding and waiting",
     [](Facts* f) {
       f->boot = BootState::kBooting;
       f->doing = "joining rabbit@b";
       f->awaited = {"rabbit@b"};
     },
     NodeState::kWaiting, true, false, true, "joining rabbit@b; for rabbit@b"},
    {"alarm of memory on another node", [](Facts* f) { f->alarms_memory = {"rabbit@b"}; },
     NodeState::kBlocked, true, true, true, "low on memory on rabbit@b; consumers go on"},
    {"alarm of disk and memory",
     [](Facts* f) {
       f->alarms_memory = {"rabbit@b"};
       f->alarms_disk = {"rabbit@a"};
     },
     NodeState::kBlocked, true, true, true, "low on memory on rabbit@b; low on disk on rabbit@a"},
    {"the broker says blocked, alarms are not known",
     [](Facts* f) {
       f->amqp.state = amqp::State::kBlocked;
       f->amqp.blocked = amqp::ReadBlocked("low on disk", Now());
     },
     NodeState::kBlocked, true, true, true, "blocked: low on disk"},
    {"draining",
     [](Facts* f) {
       f->draining = true;
       f->listening = false;
       AmqpFails(f, Failure::kRefused, minutes(1), amqp::Step::kConnect);
     },
     NodeState::kDraining, true, false, true, "in maintenance"},
    {"drained under an alarm",
     [](Facts* f) {
       f->draining = true;
       f->alarms_disk = {"rabbit@a"};
     },
     NodeState::kDraining, true, false, true, "in maintenance"},
    {"paused minority",
     [](Facts* f) {
       f->boot = BootState::kStopped;
       f->running = false;
       f->minority = true;
       f->unreachable = {"rabbit@b", "rabbit@c"};
       f->listening = false;
     },
     NodeState::kPaused, true, false, true, "misses rabbit@b, rabbit@c"},
    {"stop_app",
     [](Facts* f) {
       f->boot = BootState::kStopped;
       f->running = false;
     },
     NodeState::kStopped, true, false, true, "start_app"},
    {"stopping", [](Facts* f) { f->boot = BootState::kStopping; }, NodeState::kStopped, true, false, true,
     "stops"},
    {"booted, does not run", [](Facts* f) { f->running = false; }, NodeState::kStopped, true, false, true,
     "does not run"},
    {"frozen: neither calls nor messages",
     [](Facts* f) {
       NoAnswer(f, seconds(20), 6);
       AmqpFails(f, Failure::kTimeout, seconds(20));
     },
     NodeState::kHung, false, false, false, "answers nobody for 20s (6 tries)"},
    {"silent, not for long enough",
     [](Facts* f) {
       NoAnswer(f, seconds(9), 3);
       AmqpFails(f, Failure::kTimeout, seconds(9));
     },
     NodeState::kRunning, true, true, true, "is 9s old"},
    {"silent long enough, too few tries (a slow agent)",
     [](Facts* f) {
       NoAnswer(f, seconds(40), 2);
       AmqpFails(f, Failure::kTimeout, seconds(8));
     },
     NodeState::kRunning, true, true, true, "fail (2 in a row)"},
    {"calls fail, messages pass: it serves", [](Facts* f) { NoAnswer(f, minutes(2), 40); },
     NodeState::kRunning, true, true, true, "fail (40 in a row)"},
    {"calls fail, and the probe is blocked: hung only when it is silent there, too",
     [](Facts* f) {
       NoAnswer(f, minutes(2), 40);
       f->amqp.state = amqp::State::kBlocked;
     },
     NodeState::kHung, false, false, false, "answers nobody"},
    {"no message passes, calls do", [](Facts* f) { AmqpFails(f, Failure::kTimeout, seconds(12)); },
     NodeState::kFailing, true, true, true,
     "says that it runs, but: no confirm of a published message for 12s"},
    {"a message was late", [](Facts* f) { AmqpFails(f, Failure::kTimeout, seconds(4)); }, NodeState::kRunning,
     true, true, true, "end-to-end probe: no confirm"},
    {"nacked under an alarm",
     [](Facts* f) {
       AmqpFails(f, Failure::kNacked, minutes(1));
       f->alarms_disk = {"rabbit@a"};
     },
     NodeState::kBlocked, true, true, true, "end-to-end probe: the broker refused"},
    {"the probe's own user is refused",
     [](Facts* f) { AmqpFails(f, Failure::kAuth, minutes(9), amqp::Step::kLogin); }, NodeState::kRunning,
     true, true, true, "end-to-end probe: login refused"},
    {"the probe's own files", [](Facts* f) { AmqpFails(f, Failure::kLocal, minutes(9)); },
     NodeState::kRunning, true, true, true, "the probe cannot work"},
    {"the listener is closed", [](Facts* f) { f->listening = false; }, NodeState::kRunning, true, false, true,
     "running"},
    {"the probe is refused, nobody looked otherwise",
     [](Facts* f) {
       f->listening.reset();
       AmqpFails(f, Failure::kRefused, seconds(2), amqp::Step::kConnect);
     },
     NodeState::kRunning, true, false, true, "nobody listens"},
    {"a partition is remembered", [](Facts* f) { f->partitions = {"rabbit@c"}; }, NodeState::kRunning, true,
     true, true, "cut off from rabbit@c"},
    {"a member is missing", [](Facts* f) { f->unreachable = {"rabbit@c"}; }, NodeState::kRunning, true, true,
     true, "does not see rabbit@c"},
    {"the smaller of two clusters",
     [](Facts* f) { f->taken_out = "its cluster id differs from 2 of 3 members'"; }, NodeState::kRunning,
     true, false, true, "taken out of service"},
};

TEST(RabbitmqProbeState, Table) {
  std::set<NodeState> seen;
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.what);
    Facts f = Well();
    row.change(&f);
    const Judgement j = Judge(f);
    EXPECT_STREQ(ToString(j.state), ToString(row.state));
    EXPECT_EQ(j.live.ok, row.live) << j.live.why;
    EXPECT_EQ(j.ready.ok, row.ready) << j.ready.why;
    EXPECT_EQ(j.started.ok, row.started) << j.started.why;
    EXPECT_NE(Verbose(j).find(row.says), std::string::npos) << Verbose(j);
    EXPECT_FALSE(j.ready.why.empty());
    seen.insert(j.state);
  }
  for (const NodeState s : kNodeStates) EXPECT_TRUE(seen.count(s)) << ToString(s) << " has no row";
}

TEST(RabbitmqProbeState, NothingKnownIsNeverHeldAgainstIt) {
  // Each fact taken away from a node that is well.
  const std::function<void(Facts*)> less[] = {
      [](Facts* f) { f->process.reset(); },     [](Facts* f) { f->running.reset(); },
      [](Facts* f) { f->draining.reset(); },    [](Facts* f) { f->partitions.reset(); },
      [](Facts* f) { f->unreachable.reset(); }, [](Facts* f) { f->minority.reset(); },
      [](Facts* f) { f->listening.reset(); },   [](Facts* f) { f->amqp = amqp::Verdict(); }};
  for (const auto& take : less) {
    Facts f = Well();
    take(&f);
    const Judgement j = Judge(f);
    EXPECT_EQ(j.state, NodeState::kRunning) << j.sentence;
    EXPECT_TRUE(j.ready.ok && j.live.ok && j.started.ok);
  }
}

TEST(RabbitmqProbeState, LongListsAreCut) {
  Facts f = Well();
  f.unreachable.emplace(30, "rabbit@x");
  EXPECT_NE(Verbose(Judge(f)).find("and 22 more"), std::string::npos);
}

}  // namespace
}  // namespace mainstay::engine::rabbitmq
