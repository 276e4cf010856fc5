#include "agent/sidecar/log_relay.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lib/base/log.h"
#include "lib/shim/client.h"
#include "lib/shim/log_link.h"

namespace mainstay::agent {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kQuiet = milliseconds(50);        // nothing more for this long: the last line is whole
constexpr Duration kFirstPause = milliseconds(200);  // between attempts to connect; doubles up to
constexpr Duration kLastPause = seconds(10);
constexpr Duration kTellAfter = seconds(1);  // at most one line about missing lines a second

}  // namespace

struct LogRelay::Shared : OutputThread {
  Shared(std::string socket, NewParser made, audit::Log* log)
      : OutputThread(log), link(std::move(socket)), new_parser(std::move(made)), parser(new_parser()) {}

  void Run() override;
  void Interrupt() override { link.Cancel(); }
  bool Serve();
  void Take(const shim::LogBytes& chunk);
  void Line(const audit::DatabaseLine& line);
  void Missing(uint64_t lines, uint64_t bytes, bool overflow);
  void TellMissing();

  shim::LogLink link;
  const NewParser new_parser;

  // Of the thread alone.
  std::unique_ptr<audit::LogParser> parser;
  audit::LogParser::Sink sink;
  audit::Dropped limited, overflowed;
  MonoTime told_at;
};

void LogRelay::Shared::Run() {
  sink = [this](const audit::DatabaseLine& line) { Line(line); };
  Duration pause = kFirstPause;
  while (!stopping) {
    const absl::Status status = link.Open(BootClock().Now() + seconds(5));
    if (status.ok()) {
      if (Serve()) pause = kFirstPause;
    } else if (shim::RefusalCode(status) == shim::wire::Code::kNoLog) {
      Log(LogLevel::kInfo, "log",
          "the database's log is not passed on: the shim was told to write it to a file (--log)");
      link.Next(MonoTime::Never()).IgnoreError();  // until that shim ends
    }
    link.Close();
    parser->Gap(sink);
    Pause(pause);
    pause = std::min(pause * 2, kLastPause);
  }
}

// Until the connection breaks. True: something came over it.
bool LogRelay::Shared::Serve() {
  bool any = false;
  parser->Gap(sink);
  parser = new_parser();  // a fresh connection begins with a fresh line
  for (;;) {
    const MonoTime now = BootClock().Now();
    // Only while something waits to be told is there a time to wake up at.
    MonoTime until = MonoTime::Never();
    if (parser->pending()) until = now + kQuiet;
    if (limited.lines + overflowed.bytes + overflowed.lines > 0)
      until = std::min(until, std::max(now, told_at + kTellAfter));
    absl::StatusOr<shim::LogBytes> chunk = link.Next(until);
    if (stopping) return any;
    if (chunk.ok()) {
      any = true;
      Take(*chunk);
    } else if (absl::IsDeadlineExceeded(chunk.status())) {
      parser->Flush(sink);
      TellMissing();
    } else {
      parser->Flush(sink);
      return any;
    }
  }
}

void LogRelay::Shared::Take(const shim::LogBytes& chunk) {
  TakeOptions();
  // Out of the middle of a long line: that tells its size and that it is not whole.
  const bool inside = chunk.lost_lines == 0 && chunk.lost_bytes > 0 && parser->Miss(chunk.lost_bytes);
  if (chunk.lost_bytes > 0 && !inside) {
    parser->Gap(sink);
    overflowed.lines += chunk.lost_lines;
    overflowed.bytes += chunk.lost_bytes;
    out->CountMissing(0, chunk.lost_lines);
  }
  parser->Feed(chunk.bytes, sink);
}

void LogRelay::Shared::Line(const audit::DatabaseLine& line) {
  if (audit::WeightOf(line) < least) return;
  // pgaudit's lines are never held back: whoever installs it wants all of them.
  if (audit::ClassOf(line) != audit::LogClass::kAudit && !limit.Allow(BootClock().Now())) {
    ++limited.lines;
    limited.bytes += line.bytes();
    out->CountMissing(1, 0);
    return;
  }
  TellMissing();
  Put([&line](const audit::Identity& who, uint64_t seq, int64_t unix_us) {
    return audit::Format(line, who, seq, unix_us);
  });
}

// One line for each reason, at most one a second.
void LogRelay::Shared::TellMissing() {
  const auto tell = [this](audit::Dropped* what, const char* reason, const char* why) {
    if (what->lines + what->bytes == 0) return;
    what->reason = reason;
    what->msg = absl::StrCat(what->lines, " lines of the database's log (", what->bytes,
                             " bytes) are missing here: ", why);
    if (Put([what](const audit::Identity& who, uint64_t seq, int64_t unix_us) {
          return audit::Format(*what, who, seq, unix_us);
        })) {
      *what = audit::Dropped();
    }
  };
  const MonoTime time = BootClock().Now();
  if (time - told_at < kTellAfter) return;
  if (limited.lines + overflowed.lines + overflowed.bytes == 0) return;
  told_at = time;
  tell(&overflowed, "overflow", "they came faster than they were read");
  tell(&limited, "rate-limit", "there were more than audit.database_log_rate lets through");
}

LogRelay::LogRelay(std::string shim_socket, NewParser parser, audit::Log* out)
    : shared_(std::make_shared<Shared>(std::move(shim_socket), std::move(parser), out)) {}

LogRelay::~LogRelay() { Stop(seconds(1)); }

void LogRelay::Configure(const LogRelayOptions& options) { shared_->Configure(options); }
void LogRelay::Start() { OutputThread::Start(shared_, "database-log"); }
bool LogRelay::Stop(Duration patience) { return shared_->Stop(patience); }

}  // namespace mainstay::agent
