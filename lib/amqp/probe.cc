#include "lib/amqp/probe.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/base/strings.h"

namespace mainstay::amqp {
namespace {

constexpr int kSilentChecks = 4;
constexpr int kMostEvents = 10'000;  // in one turn: more is no probe's connection any more

// Another channel may do better.
bool WorthAnotherChannel(const Trouble& t) {
  return t.failure == Failure::kNacked || t.failure == Failure::kReturned || t.failure == Failure::kLost ||
         t.failure == Failure::kClosed;
}

}  // namespace

Probe::Probe(ProbeOptions options)
    : options_(std::move(options)), nonce_(RandomHex(8)), pause_(options_.first_pause) {}

Result Probe::Check(MonoTime deadline) {
  Result r;
  r.began = BootClock().Now();
  Run(&r, deadline);
  r.ended = BootClock().Now();
  r.blocked = blocked_;
  if (r.delivered) pause_ = options_.first_pause;
  return r;
}

void Probe::Run(Result* r, MonoTime deadline) {
  if (connection_.open() && !Listen(r)) {
    // It ended since the last check: told, and the broker as it is now is what counts.
    r->earlier = std::exchange(r->trouble, Trouble());
  }
  if (!connection_.open() && !Enter(r, deadline)) return;
  if (blocked_.on) return;
  if (!Turn(r, deadline)) {
    if (!connection_.open() && !r->trouble.ok()) PutOff(*r);
    return;
  }
  TestEntrance(r, deadline);
}

void Probe::Close(MonoTime deadline) {
  if (blocked_.on) {
    connection_.Close();  // a blocked broker reads no goodbye
  } else {
    connection_.CloseKindly(deadline);
  }
  round_.reset();
  blocked_ = Blocked();
}

void Probe::PutOff(const Result& r) {
  last_ = r.trouble;
  last_step_ = r.step;
  next_try_ = BootClock().Now() + pause_;
  pause_ = std::min(pause_ * 2, options_.longest_pause);
}

// ---- connecting ----

bool Probe::Enter(Result* r, MonoTime deadline) {
  const MonoTime began = BootClock().Now();
  if (began < next_try_) {
    r->skipped = true;
    r->trouble = last_;
    r->step = last_step_;
    return false;
  }
  deadline = std::min(deadline, began + options_.open_timeout);
  round_.reset();
  blocked_ = Blocked();
  queue_.clear();
  r->step = Step::kLogin;
  const absl::StatusOr<Login> login = options_.login();
  if (!login.ok()) {
    r->trouble = {.failure = Failure::kLocal, .code = 0, .text = std::string(login.status().message())};
  } else {
    r->trouble = connection_.Open(options_.endpoint, *login, deadline, &r->step);
  }
  if (r->trouble.ok()) {
    ++connections_;
    server_version_ = connection_.server_version();
    r->trouble = Prepare(deadline, &r->step);
  }
  if (r->trouble.ok()) {
    entrance_at_ = BootClock().Now();
    r->opened = entrance_at_ - began;
    return true;
  }
  connection_.Close();
  PutOff(*r);
  return false;
}

// A channel, its queue, its consumer. A queue that is there is kept.
Trouble Probe::Prepare(MonoTime deadline, Step* step) {
  *step = Step::kChannel;
  if (Trouble t = connection_.OpenChannel(deadline); !t.ok()) return t;
  *step = Step::kQueue;
  if (queue_.empty()) {
    if (Trouble t = connection_.DeclareQueue(deadline, &queue_); !t.ok()) return t;
  }
  return connection_.Consume(queue_, deadline);
}

void Probe::TestEntrance(Result* r, MonoTime deadline) {
  const MonoTime now = BootClock().Now();
  if (options_.fresh_every == Duration::zero() || now - entrance_at_ < options_.fresh_every) return;
  const absl::StatusOr<Login> login = options_.login();
  Step step = Step::kLogin;
  Trouble t;
  Connection second;
  if (!login.ok()) {
    t = {.failure = Failure::kLocal, .code = 0, .text = std::string(login.status().message())};
  } else {
    t = second.Open(options_.endpoint, *login, std::min(deadline, now + options_.open_timeout), &step);
  }
  if (t.ok()) {
    ++connections_;
    second.CloseKindly(deadline);
    entrance_at_ = now;
    return;
  }
  r->trouble = std::move(t);
  r->step = step;
  r->fresh = true;
}

// ---- what comes ----

Trouble Probe::Handle(const Event& event) {
  const MonoTime now = BootClock().Now();
  switch (event.kind) {
    case Event::Kind::kBlocked:
      blocked_ = ReadBlocked(event.text, blocked_.on ? blocked_.since : now);
      if (round_) paused_ = true;
      return {};
    case Event::Kind::kUnblocked:
      blocked_ = Blocked();
      return {};
    case Event::Kind::kConnectionClose:
      return FromClose(event.code, event.text, Step::kConfirm);
    case Event::Kind::kCancel:
      queue_.clear();
      break;
    case Event::Kind::kDeliver:
      if (!round_) return connection_.Ack(event.tag, now);  // of a round that was given up
      break;
    default:
      break;
  }
  if (!round_) return {};
  round_->Feed(event, now);
  while (const std::optional<uint64_t> tag = round_->TakeAck()) {
    if (Trouble t = connection_.Ack(*tag, now); !t.ok()) return t;
  }
  return {};
}

// Everything that came since the last check, without waiting. False: the connection is gone.
bool Probe::Listen(Result* r) {
  for (int i = 0; i < kMostEvents; ++i) {
    Event event;
    Trouble t = connection_.Next(BootClock().Now(), &event);
    if (t.failure == Failure::kTimeout) return true;
    if (t.ok()) t = Handle(event);
    if (!t.ok()) {
      r->trouble = std::move(t);
      connection_.Close();
      round_.reset();
      return false;
    }
  }
  return true;
}

// ---- one round ----

bool Probe::Publish(Result* r, MonoTime deadline) {
  std::string nonce = absl::StrCat(nonce_, "-", ++messages_);
  r->step = Step::kPublish;
  r->trouble =
      connection_.Publish(queue_, nonce, std::min(deadline, BootClock().Now() + options_.confirm_timeout));
  if (!r->trouble.ok()) return false;
  round_.emplace(connection_.published(), std::move(nonce), BootClock().Now());
  paused_ = false;
  silent_ = 0;
  return true;
}

// True: the message made it. False: `r` or blocked_ says why not.
bool Probe::Turn(Result* r, MonoTime deadline) {
  uint32_t nacks = 0;
  for (int attempt = 0; attempt < 2; ++attempt) {
    if (!connection_.channel() || queue_.empty() || (round_ && !round_->trouble().ok())) {
      round_.reset();
      r->trouble = Prepare(std::min(deadline, BootClock().Now() + options_.open_timeout), &r->step);
      if (!r->trouble.ok()) return false;
    }
    if (!round_ && !Publish(r, deadline)) return false;
    r->trouble = Trouble();
    Await(r, deadline);
    if (blocked_.on) return false;
    if (r->trouble.ok()) {
      r->confirmed = round_->confirm_took();
      r->delivered = round_->deliver_took();
      r->paused = paused_;
      r->stale_nacks = nacks;
      r->step = Step::kAck;
      round_.reset();
      return true;
    }
    if (!connection_.open() || !round_ || !WorthAnotherChannel(r->trouble)) return false;
    if (r->trouble.failure == Failure::kNacked) ++nacks;
    if (r->trouble.failure != Failure::kNacked) queue_.clear();
  }
  return false;
}

void Probe::TimedOut(Result* r) {
  r->trouble = {.failure = Failure::kTimeout, .code = 0, .text = ""};
  const Duration age = BootClock().Now() - round_->published();
  if (++silent_ < kSilentChecks || age < options_.silence) return;
  connection_.Close();
  round_.reset();
}

void Probe::Await(Result* r, MonoTime deadline) {
  MonoTime until = std::min(deadline, BootClock().Now() + options_.confirm_timeout);
  bool confirmed = false;
  for (int i = 0; !round_->done() && round_->trouble().ok(); ++i) {
    if (!confirmed && round_->confirmed()) {
      confirmed = true;
      until = std::min(deadline, BootClock().Now() + options_.deliver_timeout);
    }
    r->step = round_->step();
    Event event;
    Trouble t = connection_.Next(until, &event);
    if (t.failure == Failure::kTimeout || i >= kMostEvents) return TimedOut(r);
    if (t.ok()) t = Handle(event);
    if (!t.ok()) {
      r->trouble = std::move(t);
      connection_.Close();
      round_.reset();
      return;
    }
    if (blocked_.on) return;
  }
  r->trouble = round_->trouble();
}

}  // namespace mainstay::amqp
