#include "lib/lease/elector_loop.h"

#include <algorithm>
#include <utility>

#include "lib/base/log.h"
#include "lib/base/thread.h"
#include "lib/base/wall_clock.h"

namespace mainstay::lease {

using election::Phase;
using election::StoreDone;
using election::StoreOp;

namespace {

// Hints only, so dropping some is safe; answers are one at a time and fences at most one per answer.
constexpr size_t kMaxEvents = 64;
// Condition variables wait on CLOCK_MONOTONIC, which a suspend stops: look at BOOTTIME at least this often.
constexpr Duration kSlice = std::chrono::milliseconds(250);

StoreDone Decoded(const StoreAnswer& answer) {
  StoreDone done;
  done.outcome = answer.outcome;
  done.version = answer.version;
  done.problem = answer.detail;
  return done;
}

StoreDone DecodedRead(const StoreAnswer& answer) {
  StoreDone done = Decoded(answer);
  if (answer.outcome != StoreOutcome::kOk) return done;
  election::Decoded decoded = election::Decode(answer.document);
  done.record = std::move(decoded.record);
  done.problem = std::move(decoded.problem);
  if (!done.record) done.outcome = StoreOutcome::kUnreadable;
  return done;
}

}  // namespace

ElectorLoop::ElectorLoop(Store* store, ElectorOptions options,
                         std::shared_ptr<const election::Settings> settings, ElectorCallbacks callbacks)
    : store_(store),
      options_(std::move(options)),
      settings_(std::move(settings)),
      callbacks_(std::move(callbacks)) {}

ElectorLoop::~ElectorLoop() { Stop(std::chrono::seconds(5)); }

void ElectorLoop::Start() {
  if (started_) return;  // one run: another one needs another identity
  started_ = true;
  election::Memory memory;
  memory.max_epoch = options_.min_epoch;
  state_ = election::Start(settings_, std::move(memory), BootClock().Now());
  store_thread_ = StartThread("elector-store", [this] { StoreThread(); });
  watch_thread_ = StartThread("elector-watch", [this] { WatchThread(); });
  loop_thread_ = StartThread("elector", [this] { LoopThread(); });
}

bool ElectorLoop::Stop(Duration patience) {
  if (!loop_thread_.joinable()) return true;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    stop_deadline_ = BootClock().Now() + patience;
  }
  events_ready_.notify_all();
  loop_thread_.join();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    quit_ = true;
  }
  request_ready_.notify_all();
  store_->Interrupt();
  store_thread_.join();  // at most until the deadline of its request
  watch_thread_.join();
  const std::lock_guard<std::mutex> lock(mutex_);
  return gave_up_;
}

Permission ElectorLoop::CurrentPermission() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return permission_;
}

ElectorStatus ElectorLoop::Status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  ElectorStatus out = status_;
  out.leading = permission_.MayAct();
  return out;
}

// ---- the loop ----

void ElectorLoop::LoopThread() {
  wake_ = BootClock().Now();
  for (;;) {
    bool stopping = false;
    MonoTime give_up_at;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      stopping = stopping_;
      give_up_at = stop_deadline_;
    }
    if (stopping && !stop_seen_) {
      stop_seen_ = true;
      EndReign("stopped by its owner");  // before the core gives the lock up
      Handle(election::ShutdownAsked{});
    }
    if (stopping && (Wound() || BootClock().Now() >= give_up_at)) break;
    const std::optional<election::Event> event = NextEvent(std::min(wake_, give_up_at));
    Handle(event ? *event : election::Event(election::Tick{}));
  }
  EndReign("stopped by its owner");
  const std::lock_guard<std::mutex> lock(mutex_);
  gave_up_ = Wound();
}

bool ElectorLoop::Wound() const {
  // On probation the record is not ours to release (rules R3, R5); it runs out.
  const bool open = state_.phase == Phase::kAcquiring || state_.phase == Phase::kOpening ||
                    state_.phase == Phase::kPrimary || state_.phase == Phase::kHandover ||
                    state_.phase == Phase::kStepdown || state_.phase == Phase::kReleasing;
  const bool writing = state_.store.id != 0 && state_.store.op != StoreOp::kRead;
  return stop_seen_ && !state_.lead && !open && !writing;
}

void ElectorLoop::Handle(const election::Event& event) {
  const MonoTime now = BootClock().Now();
  election::Result result = election::Step(std::move(state_), event, now);
  state_ = std::move(result.state);
  wake_ = result.wake;
  for (const election::Action& action : result.actions) {
    if (const auto* d = std::get_if<election::Decision>(&action)) last_row_ = d->row;
  }
  // A reign that ended, ends before anything that the core wants written about it.
  if (leading_ && !LeadsNow()) EndReign(last_row_);
  for (const election::Action& action : result.actions) Execute(action);
  SyncReign();
  PublishStatus();
}

bool ElectorLoop::LeadsNow() const {
  return state_.lead && state_.phase == Phase::kPrimary && state_.view != nullptr && !stop_seen_ &&
         (!leading_ || state_.view->epoch == reign_.epoch());
}

// Moves the permission on; begins a reign when there is a new one.
void ElectorLoop::SyncReign() {
  if (!LeadsNow()) return;
  const int64_t until = state_.permit_until.nanos();
  if (leading_) {
    reign_.until_->store(until, std::memory_order_release);
    return;
  }
  leading_ = true;
  Permission fresh;
  fresh.epoch_ = state_.view->epoch;
  fresh.until_ = std::make_shared<std::atomic<int64_t>>(until);
  reign_ = fresh;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    permission_ = fresh;
  }
  if (callbacks_.on_started) callbacks_.on_started(fresh);
}

void ElectorLoop::EndReign(const std::string& why) {
  if (!leading_) return;
  leading_ = false;
  reign_.until_->store(MonoTime().nanos(), std::memory_order_release);
  if (callbacks_.on_stopped) callbacks_.on_stopped(why);
}

void ElectorLoop::PublishStatus() {
  const std::lock_guard<std::mutex> lock(mutex_);
  status_.phase = election::ToString(state_.phase);
  const bool present = state_.lock == election::LockView::kPresent && state_.view != nullptr;
  status_.leader = present && !state_.view->holder.empty() ? state_.view->holder_name : "";
  status_.epoch = state_.view != nullptr ? state_.view->epoch : 0;
}

void ElectorLoop::Execute(const election::Action& action) {
  if (const auto* read = std::get_if<election::ReadLock>(&action)) {
    SendRequest(read->id, StoreOp::kRead, nullptr, "");
  } else if (const auto* create = std::get_if<election::CreateLock>(&action)) {
    SendRequest(create->id, StoreOp::kCreate, &create->record, "");
  } else if (const auto* update = std::get_if<election::UpdateLock>(&action)) {
    SendRequest(update->id, StoreOp::kUpdate, &update->record, update->if_version);
  } else if (const auto* fence = std::get_if<election::ArmFence>(&action)) {
    // There is no shim: the permission itself is all the fence there is (see elector.h).
    Post(election::FenceArmed{fence->until, fence->epoch});
  } else if (const auto* engine = std::get_if<election::Engine>(&action)) {
    // A bare election asks for none; should it, an unanswered operation would block the core.
    election::EngineDone done;
    done.id = engine->id;
    done.op = engine->op;
    done.ok = true;
    done.complete = true;
    Post(done);
  } else if (const auto* decision = std::get_if<election::Decision>(&action)) {
    if (callbacks_.on_decision) {
      callbacks_.on_decision(decision->row, decision->sentence, decision->facts);
    } else {
      Log(LogLevel::kInfo, "election", decision->sentence,
          {{"row", decision->row}, {"facts", decision->facts}, {"member", options_.name}});
    }
  }
  // The others speak to peers, to people or of roles: there are none here.
}

void ElectorLoop::SendRequest(uint64_t id, StoreOp op, const election::Record* record,
                              const std::string& if_version) {
  Request request;
  request.id = id;
  request.op = op;
  request.if_version = if_version;
  request.deadline = BootClock().Now() + options_.request;
  if (record != nullptr) {
    request.document = dates_.Encoded(*record, UnixMillis());
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    request_ = std::move(request);
  }
  request_ready_.notify_one();
}

std::optional<election::Event> ElectorLoop::NextEvent(MonoTime until) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    if (!events_.empty()) {
      election::Event event = std::move(events_.front());
      events_.pop_front();
      return event;
    }
    const MonoTime now = BootClock().Now();
    if (now >= until || (stopping_ && !stop_seen_)) return std::nullopt;
    events_ready_.wait_for(lock, std::min<Duration>(until - now, kSlice));
  }
}

void ElectorLoop::Post(election::Event event) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (events_.size() >= kMaxEvents && std::holds_alternative<election::RecordSeen>(event)) return;
    events_.push_back(std::move(event));
  }
  events_ready_.notify_one();
}

// ---- the helpers ----

StoreDone ElectorLoop::Perform(const Request& request) {
  StoreDone done;
  switch (request.op) {
    case StoreOp::kRead:
      done = DecodedRead(store_->Read(request.deadline));
      break;
    case StoreOp::kCreate:
      done = Decoded(store_->Create(request.document, request.deadline));
      break;
    case StoreOp::kUpdate:
      done = Decoded(store_->Update(request.document, request.if_version, request.deadline));
      break;
  }
  done.id = request.id;
  done.op = request.op;
  return done;
}

void ElectorLoop::StoreThread() {
  for (;;) {
    Request request;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      while (!request_ && !quit_) request_ready_.wait_for(lock, kSlice);
      if (quit_) return;
      request = std::move(*request_);
      request_.reset();
    }
    StoreDone done = Perform(request);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      const bool trouble =
          done.outcome == StoreOutcome::kUnknown || done.outcome == StoreOutcome::kUnreadable;
      status_.problem = trouble ? done.problem : "";
    }
    Post(std::move(done));
  }
}

void ElectorLoop::WatchThread() {
  std::string seen;
  Duration pause = Duration::zero();
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (pause > Duration::zero() && !quit_) request_ready_.wait_for(lock, pause);
      if (quit_) return;
    }
    pause = Duration::zero();
    const auto answer = store_->Await(seen, BootClock().Now() + std::chrono::seconds(5), options_.request);
    if (!answer) continue;
    StoreDone read = DecodedRead(*answer);
    if (read.outcome == StoreOutcome::kUnknown || read.version == seen)
      pause = options_.retry;  // never at full speed
    if (read.outcome == StoreOutcome::kUnknown || read.version == seen) continue;
    seen = read.version;
    Post(election::RecordSeen{read.version, std::move(read.record), std::move(read.problem)});
  }
}

}  // namespace mainstay::lease
