#include "agent/rabbit/event_watch.h"

#include <sys/socket.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/audit/rabbit_event.h"
#include "lib/base/log.h"

namespace mainstay::agent {

using amqp::Event;
using amqp::Trouble;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr Duration kFirstPause = seconds(1);  // between attempts to connect; doubles up to
constexpr Duration kLastPause = seconds(30);
constexpr Duration kOpen = seconds(10);    // connect, log in, declare, bind
constexpr Duration kListen = seconds(30);  // Stop ends it
constexpr Duration kAck = seconds(2);

}  // namespace

struct EventWatch::Shared : OutputThread {
  Shared(EventWatchOptions o, audit::Log* log) : OutputThread(log), options(std::move(o)) {}

  void Run() override;
  void Interrupt() override;
  void Close();
  Trouble Open();
  Trouble Serve();
  bool Tell(const Event& event);
  void Note(bool connected, std::string problem);

  const EventWatchOptions options;
  amqp::Connection connection;

  mutable std::mutex mutex;
  Counts counts;
  int socket = -1;  // of the connection while it is open
};

// Wakes the thread out of Next.
void EventWatch::Shared::Interrupt() {
  const std::lock_guard<std::mutex> lock(mutex);
  if (socket >= 0) shutdown(socket, SHUT_RDWR);
}

void EventWatch::Shared::Close() {
  {
    const std::lock_guard<std::mutex> lock(mutex);
    socket = -1;
  }
  connection.CloseKindly(BootClock().Now() + milliseconds(200));
}

void EventWatch::Shared::Note(bool connected, std::string problem) {
  const std::lock_guard<std::mutex> lock(mutex);
  counts.connected = connected;
  counts.problem = std::move(problem);
}

Trouble EventWatch::Shared::Open() {
  const MonoTime deadline = BootClock().Now() + kOpen;
  const absl::StatusOr<amqp::Login> login = options.login();
  if (!login.ok())
    return {.failure = amqp::Failure::kLocal, .code = 0, .text = std::string(login.status().message())};
  amqp::Step step = amqp::Step::kConnect;
  if (Trouble t = connection.Open(options.endpoint, *login, deadline, &step); !t.ok()) return t;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    socket = connection.fd();
  }
  if (stopping) return {};
  if (Trouble t = connection.OpenChannel(deadline); !t.ok()) return t;
  if (Trouble t = connection.DeclareShared(options.queue, deadline); !t.ok()) return t;
  for (const std::string& key : audit::RabbitEventKeys()) {
    if (Trouble t = connection.Bind(options.queue.name, options.exchange, key, deadline); !t.ok()) return t;
  }
  return connection.Consume(options.queue.name, deadline, false);
}

// One at a time: what was not acknowledged comes again to whoever consumes next.
bool EventWatch::Shared::Tell(const Event& event) {
  const audit::DatabaseLine line = audit::RabbitEventLine(event.key, event.headers);
  const bool put = Put([&line](const audit::Identity& who, uint64_t seq, int64_t unix_us) {
    return audit::Format(line, who, seq, unix_us);
  });
  if (!put) return false;
  const std::lock_guard<std::mutex> lock(mutex);
  ++counts.events[audit::RabbitEventName(event.key)];
  return true;
}

Trouble EventWatch::Shared::Serve() {
  while (!stopping) {
    Event event;
    Trouble t = connection.Next(BootClock().Now() + kListen, &event);
    if (t.failure == amqp::Failure::kTimeout) continue;
    if (!t.ok()) return t;
    switch (event.kind) {
      case Event::Kind::kDeliver:
        if (!Tell(event)) return {};
        t = connection.Ack(event.tag, BootClock().Now() + kAck);
        if (!t.ok()) return t;
        break;
      case Event::Kind::kCancel:
        return {.failure = amqp::Failure::kLost, .code = 0, .text = "the queue is gone"};
      case Event::Kind::kChannelClose:
      case Event::Kind::kConnectionClose:
        return amqp::FromClose(event.code, event.text, amqp::Step::kDeliver);
      default:
        break;
    }
  }
  return {};
}

void EventWatch::Shared::Run() {
  LogLimiter limiter(std::chrono::minutes(1));
  Duration pause = kFirstPause;
  while (!stopping) {
    Trouble t = Open();
    if (t.ok()) {
      pause = kFirstPause;
      Note(true, "");
      t = Serve();
    }
    Close();
    if (stopping) break;
    Note(false, t.text);
    // A broker that is not there is the probe's business.
    uint64_t held = 0;
    if (t.failure != amqp::Failure::kRefused && limiter.Allow(BootClock().Now(), &held))
      Log(LogLevel::kWarn, "audit", "the broker's events cannot be read",
          {{"why", absl::StrCat(amqp::ToString(t.failure), ": ", t.text)}, {"queue", options.queue.name}});
    Pause(pause);
    pause = std::min(pause * 2, kLastPause);
  }
}

EventWatch::EventWatch(EventWatchOptions options, audit::Log* out)
    : shared_(std::make_shared<Shared>(std::move(options), out)) {}

EventWatch::~EventWatch() { Stop(seconds(1)); }

void EventWatch::Start() { OutputThread::Start(shared_, "broker-events"); }
bool EventWatch::Stop(Duration patience) { return shared_->Stop(patience); }

EventWatch::Counts EventWatch::counts() const {
  const std::lock_guard<std::mutex> lock(shared_->mutex);
  return shared_->counts;
}

}  // namespace mainstay::agent
