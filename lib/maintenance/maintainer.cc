#include "lib/maintenance/maintainer.h"

#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/base/result.h"
#include "lib/base/thread.h"

namespace mainstay::maintenance {
namespace {

// What peers are told is of this moment or it is not told at all.
constexpr Duration kFresh = std::chrono::seconds(8);
// A watch may miss something: looked at again after so long.
constexpr Duration kReread = std::chrono::seconds(10);

}  // namespace

Maintainer::Maintainer(MaintainerOptions options, Ports ports)
    : options_(std::move(options)),
      ports_(ports),
      control_(ports.caller, options_.node),
      disk_(options_.data_dir, options_.note),
      observer_(options_.name, options_.node, ports.broker, &control_, &disk_) {}

Maintainer::~Maintainer() { Stop(); }

absl::Status Maintainer::Start() {
  if (options_.members.size() > kMaxMembers)
    return absl::InvalidArgumentError(absl::StrCat("maintenance: at most ", kMaxMembers, " members"));
  MAINSTAY_RETURN_IF_ERROR(disk_.Open());
  thread_ = StartThread("maintenance", [this] { Run(); });
  return absl::OkStatus();
}

void Maintainer::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  ports_.memory->Interrupt();
  if (thread_.joinable()) thread_.join();
}

void Maintainer::Run() {
  while (true) {
    const MonoTime next = BootClock().Now() + options_.tick;
    Tick();
    // The rest of the tick: until the memory changes.
    if (BootClock().Now() < next) {
      if (auto change = ports_.memory->Await(cell_.version, next, options_.store)) Take(*change);
    }
    std::unique_lock<std::mutex> lock(mutex_);
    const Duration left = next - BootClock().Now();
    if (!stop_ && left > Duration::zero())
      wake_.wait_for(lock, std::min<Duration>(left, std::chrono::milliseconds(200)),
                     [this] { return stop_; });
    if (stop_) break;
  }
  if (elector_ != nullptr) elector_->Stop(std::chrono::seconds(2));
  elector_.reset();
  Answer(absl::UnavailableError("the agent ends"));
}

void Maintainer::Tick() {
  if (BootClock().Now() - read_at_ > kReread || !cell_.known) ReadMemory();
  MemberFacts facts;
  const absl::Status own = TurnOwn(&facts);
  if (!own.ok()) {
    const std::lock_guard<std::mutex> lock(mutex_);
    status_.trouble = std::string(own.message());
    if (facts.name.empty()) return;
  }
  KeepStanding();
  Lead(facts);
}

// ---- the memory ----

void Maintainer::Take(const lease::StoreAnswer& answer) {
  read_at_ = BootClock().Now();
  cell_.known = false;
  cell_.problem = answer.detail;
  switch (answer.outcome) {
    case lease::StoreOutcome::kNotFound:
      cell_ = Cell{.known = true};
      return;
    case lease::StoreOutcome::kUnreadable:
      // It is written anew from what the members know, as if it were gone.
      cell_ = Cell{.known = true, .version = answer.version, .problem = answer.detail};
      return;
    case lease::StoreOutcome::kOk:
      break;
    default:
      return;
  }
  cell_ = Cell{.known = true, .version = answer.version};
  absl::StatusOr<Memory> memory = DecodeMemory(answer.document.state);
  if (memory.ok()) {
    highest_epoch_ = std::max(highest_epoch_, memory->epoch);
    if (memory->founding) seen_founding_ = memory->founding->nonce;
    cell_.memory = *std::move(memory);
  } else {
    cell_.problem = std::string(memory.status().message());
  }
}

void Maintainer::ReadMemory() { Take(ports_.memory->Read(BootClock().Now() + options_.store)); }

absl::Status Maintainer::WriteMemory(const Memory& next) {
  lease::Document document;
  document.state = EncodeMemory(next);
  const MonoTime deadline = BootClock().Now() + options_.store;
  const lease::StoreAnswer answer = cell_.version.empty()
                                        ? ports_.memory->Create(document, deadline)
                                        : ports_.memory->Update(document, cell_.version, deadline);
  if (answer.outcome == lease::StoreOutcome::kOk) {
    cell_ = Cell{.known = true, .version = answer.version, .memory = next};
    return absl::OkStatus();
  }
  cell_.known = false;  // read again before anything else is done
  return absl::AbortedError(absl::StrCat("the memory was not written: ",
                                         answer.detail.empty() ? "somebody else changed it" : answer.detail));
}

// ---- the member's part ----

Own Maintainer::MakeOwn(const MemberFacts& facts) const {
  Own own;
  own.facts = facts;
  own.memory_known = cell_.known;
  // What was read before and cannot be read now is no order.
  if (cell_.known) own.memory = cell_.memory;
  own.drained_here = disk_.note().drained;
  own.forced = forced_;
  const std::lock_guard<std::mutex> lock(mutex_);
  own.ending = ending_;
  return own;
}

void Maintainer::TakeWishes(MemberFacts* facts) {
  std::optional<bool> wish;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    wish = std::exchange(wish_, std::nullopt);
  }
  // A broker that is down has nothing to restart.
  if (!wish || facts->start.empty() || (*wish && !facts->wish.empty())) return;
  Note note = disk_.note();
  note.wish = *wish ? RandomHex(8) : "";
  note.wish_start = facts->start;
  if (disk_.Write(note).ok()) facts->wish = note.wish;
}

absl::Status Maintainer::TurnOwn(MemberFacts* facts) {
  MAINSTAY_ASSIGN_OR_RETURN(*facts, observer_.Look());
  TakeWishes(facts);
  facts->seen_founding = seen_founding_;
  Act act = Decide(MakeOwn(*facts));
  if (act.kind != Act::Kind::kNothing) {
    // Nothing is done on an old reading.
    ReadMemory();
    facts->seen_founding = seen_founding_;
    act = Decide(MakeOwn(*facts));
  }
  Publish(*facts, act);
  if (act.kind == Act::Kind::kNothing) return absl::OkStatus();
  // What fails each second is told once, and when it is over.
  const std::string what = absl::StrCat(act.row, act.sentence);
  const bool again = failed_act_ == what;
  if (!again) Tell(act.row, act.sentence);
  const absl::Status done = Carry(act, *facts);
  if (!done.ok() && !again) Tell(act.row, absl::StrCat("failed, tried again: ", done.message()));
  if (done.ok() && again) Tell(act.row, act.sentence);
  failed_act_ = done.ok() ? "" : what;
  return done;
}

void Maintainer::Publish(const MemberFacts& facts, const Act& act) {
  std::string text = EncodeFacts(facts);
  const std::lock_guard<std::mutex> lock(mutex_);
  published_ = std::move(text);
  published_at_ = BootClock().Now();
  status_.facts = facts;
  status_.memory = cell_.memory;
  status_.own_row = act.row;
  status_.own_sentence = act.sentence;
  status_.in_service = act.in_service;
  status_.trouble = cell_.problem;
}

absl::Status Maintainer::Carry(const Act& act, const MemberFacts& facts) {
  Note note = disk_.note();
  switch (act.kind) {
    case Act::Kind::kNothing:
      return absl::OkStatus();
    case Act::Kind::kStart:
      note.begun = act.begun;
      note.drained = false;
      note.wish.clear();
      MAINSTAY_RETURN_IF_ERROR(disk_.Write(note));
      return ports_.broker->Start({.join = act.join});
    case Act::Kind::kStop:
      return ports_.broker->Stop();
    case Act::Kind::kDrain:
      note.drained = true;
      MAINSTAY_RETURN_IF_ERROR(disk_.Write(note));
      return control_.Drain();
    case Act::Kind::kRevive:
      MAINSTAY_RETURN_IF_ERROR(control_.Revive());
      note.drained = false;
      return disk_.Write(note);
    case Act::Kind::kWipe:
      return disk_.Wipe();
    case Act::Kind::kMark:
      note.marker = act.marker;
      return disk_.Write(note);
    case Act::Kind::kRewish:
      note.wish = RandomHex(8);
      return disk_.Write(note);
    case Act::Kind::kForceBoot:
      if (facts.broker != Broker::kStopped) return ports_.broker->Stop();
      MAINSTAY_RETURN_IF_ERROR(disk_.MarkForceBoot());
      forced_ = true;
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

void Maintainer::Tell(const char* row, const std::string& sentence) {
  const std::string told = absl::StrCat(row, "\n", sentence);
  if (told == last_told_ || !options_.tell) return;
  last_told_ = told;
  options_.tell(row, sentence);
}

// ---- any thread ----

absl::StatusOr<std::string> Maintainer::Facts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (published_.empty() || BootClock().Now() - published_at_ > kFresh)
    return absl::UnavailableError("nothing fresh is known of the own broker");
  return published_;
}

MaintainerStatus Maintainer::Status() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return status_;
}

void Maintainer::Wish(bool restart) {
  const std::lock_guard<std::mutex> lock(mutex_);
  wish_ = restart;
}

void Maintainer::Ending() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ending_ = true;
}

void Maintainer::Ask(Request request, std::function<void(absl::Status)> done) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!stop_ && status_.leading && !asked_) {
      asked_ = Asked{std::move(request), std::move(done)};
      return;
    }
  }
  done(absl::UnavailableError(
      "this member does not lead, or is asked already: ask the maintenance leader, or again"));
}

void Maintainer::Answer(const absl::Status& status) {
  std::optional<Asked> asked;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    asked = std::exchange(asked_, std::nullopt);
  }
  if (asked) asked->done(status);
}

}  // namespace mainstay::maintenance
