#include "lib/audit/audit.h"

#include <time.h>

#include <atomic>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "lib/audit/output.h"
#include "lib/base/random.h"

namespace mainstay::audit {
namespace {

int64_t UnixMicros() {
  struct timespec ts = {};
  clock_gettime(CLOCK_REALTIME, &ts);
  return int64_t{ts.tv_sec} * 1000000 + ts.tv_nsec / 1000;
}

}  // namespace

class Log::Impl {
 public:
  Impl(int fd, Identity who) : who_(std::move(who)), out_(fd, [this] { TellDropped(); }) {}

  std::string Write(const Event& event) {
    std::lock_guard lock(mu_);
    std::string id = event.id.empty() ? UuidV7() : event.id;
    Append(event, id);
    return id;
  }

  // ---- the database's lines: of threads that may wait ----

  bool Offer(const std::function<std::string(const Identity&, uint64_t, int64_t)>& format) {
    const std::lock_guard lock(database_mu_);
    const std::string line = format(who_, database_seq_ + 1, UnixMicros());
    if (!out_.Offer(line)) return false;
    ++database_seq_;
    database_written_.fetch_add(1);
    return true;
  }

  bool Flush(MonoTime deadline) { return out_.Flush(deadline); }
  void WaitRoom(Duration most) { out_.WaitRoom(most); }

  const Identity who_;
  std::atomic<uint64_t> written_{0};
  std::atomic<uint64_t> dropped_{0};
  std::atomic<uint64_t> database_written_{0}, limited_{0}, overflowed_{0};

 private:
  void Append(const Event& event, const std::string& id) {
    const uint64_t failed = out_.TakeFailed();
    unreported_ += failed;
    dropped_.fetch_add(failed);
    written_.fetch_sub(failed);
    TellDroppedLocked();
    if (out_.Write(Format(event, who_, ++seq_, UnixMicros(), id)) == Output::Put::kRefused) {
      dropped_.fetch_add(1);
      ++unreported_;
      return;
    }
    written_.fetch_add(1);
  }

  // When the reader reads again, or before the next line, once that does not push it out.
  void TellDropped() {
    std::lock_guard lock(mu_);
    TellDroppedLocked();
  }
  void TellDroppedLocked() {
    if (unreported_ == 0 || !out_.HasRoom(2 * kMaxLineBytes)) return;
    out_.Write(DroppedLine());
    unreported_ = 0;
  }

  // A line of its own about lines that are missing before it.
  std::string DroppedLine() {
    Event e;
    e.level = "warn";
    e.action = "audit.dropped";
    e.outcome = Outcome::kFailure;
    e.reason = "slow-reader";
    e.msg = absl::StrCat(unreported_, " audit lines were lost because the reader of the log did not read");
    e.actor.type = "system";
    e.dropped = unreported_;
    return Format(e, who_, ++seq_, UnixMicros(), UuidV7());
  }

  std::mutex mu_;
  uint64_t seq_ = 0;
  uint64_t unreported_ = 0;
  std::mutex database_mu_;
  uint64_t database_seq_ = 0;
  Output out_;  // the last: its thread calls us
};

Log::Log(int fd, Identity who) : impl_(std::make_unique<Impl>(fd, std::move(who))) {}
Log::~Log() = default;
std::string Log::Write(const Event& event) { return impl_->Write(event); }
bool Log::Offer(const std::function<std::string(const Identity&, uint64_t, int64_t)>& format) {
  return impl_->Offer(format);
}
void Log::CountMissing(uint64_t limited, uint64_t overflowed) {
  impl_->limited_.fetch_add(limited);
  impl_->overflowed_.fetch_add(overflowed);
}
Log::DatabaseLines Log::database_lines() const {
  return {impl_->database_written_.load(), impl_->limited_.load(), impl_->overflowed_.load()};
}
void Log::WaitRoom(Duration most) { impl_->WaitRoom(most); }
bool Log::Flush(MonoTime deadline) { return impl_->Flush(deadline); }
uint64_t Log::written() const { return impl_->written_.load(); }
uint64_t Log::dropped() const { return impl_->dropped_.load(); }

}  // namespace mainstay::audit
