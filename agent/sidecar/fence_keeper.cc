#include "agent/sidecar/fence_keeper.h"

#include <sys/wait.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "lib/base/log.h"

namespace mainstay::agent {
namespace {

std::string DescribeExit(int status) {
  if (WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return "exit code " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

FenceKeeper::FenceKeeper(boost::asio::io_context& io, Loop* loop, std::string socket)
    : loop_(loop), socket_(socket), link_(std::move(socket)), descriptor_(io) {}

FenceKeeper::~FenceKeeper() {
  if (descriptor_.is_open()) descriptor_.release();  // it belongs to link_
}

void FenceKeeper::Start(FenceSink* sink, std::function<void(uint64_t)> on_shim) {
  sink_ = sink;
  on_shim_ = std::move(on_shim);
  Turn();
}

bool FenceKeeper::Stop(Duration patience) {
  sink_ = nullptr;
  loop_->Cancel(retry_);
  if (descriptor_.is_open()) descriptor_.release();
  if (kill_client_ != nullptr) kill_client_->Cancel();
  return killer_ == nullptr || killer_->Stop(patience);
}

void FenceKeeper::Turn() {
  if (sink_ == nullptr) return;
  // The link may close its descriptor: Asio must have let go of it before.
  if (descriptor_.is_open()) descriptor_.release();
  for (const shim::FenceEvent& event : link_.OnReadable()) Told(event);
  Watch();
}

void FenceKeeper::Watch() {
  if (sink_ == nullptr) return;
  const int fd = link_.fd();
  if (fd < 0) {
    loop_->Cancel(retry_);
    retry_ = loop_->At(std::max(loop_->Now() + std::chrono::milliseconds(1), link_.next_try()),
                       [this] { Turn(); });
    return;
  }
  descriptor_.assign(fd);
  descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                         [this](boost::system::error_code error) {
                           if (!error) Turn();
                         });
}

void FenceKeeper::Told(const shim::FenceEvent& event) {
  if (sink_ == nullptr) return;
  if (const auto* connected = std::get_if<shim::Connected>(&event)) {
    const shim::State& state = connected->state;
    const bool other = nonce_ != 0 && nonce_ != state.nonce;
    nonce_ = state.nonce;
    facts_.connected = true;
    facts_.running = state.running();
    facts_.ending = (state.flags & shim::wire::kIsTerminating) != 0;
    if (on_shim_) on_shim_(state.nonce);
    facts_.armed_until = state.armed.has_value() ? state.armed->until : MonoTime();
    sink_->OnShim(facts_, other);
    if (state.armed.has_value()) sink_->OnArmed(state.armed->until, state.armed->epoch);
  } else if (const auto* lost = std::get_if<shim::Disconnected>(&event)) {
    Log(LogLevel::kWarn, "shim", "connection lost", {{"why", lost->why}});
    facts_.connected = false;
    sink_->OnShim(facts_, false);
  } else if (const auto* ended = std::get_if<shim::Ended>(&event)) {
    Log(LogLevel::kWarn, "shim", "the shim has ended", {{"with_its_database", ended->namespaced}});
    if (ended->namespaced && !facts_.ending) sink_->OnShimEnded();
  } else if (const auto* armed = std::get_if<shim::Armed>(&event)) {
    facts_.armed_until = armed->until;
    sink_->OnArmed(armed->until, armed->epoch);
  } else if (const auto* refused = std::get_if<shim::Refused>(&event)) {
    // kShorter is the usual one: another Arm overtook it. All others mean that the fence does not stand.
    const bool harmless = refused->code == shim::wire::Code::kShorter;
    Log(harmless ? LogLevel::kDebug : LogLevel::kWarn, "shim", "deadline refused",
        {{"why", shim::wire::ToString(refused->code)}, {"epoch", refused->epoch}});
  } else if (const auto* exited = std::get_if<shim::Exited>(&event)) {
    DatabaseExit exit;
    exit.kind = exited->cause == shim::Cause::kUnasked ? ExitKind::kUnasked
                : exited->cause == shim::Cause::kFence ? ExitKind::kFenced
                                                       : ExitKind::kAsked;
    exit.at = exited->empty_at;
    if (exit.kind == ExitKind::kFenced && !facts_.armed_until.is_past())
      exit.latency = exited->empty_at - facts_.armed_until;
    exit.detail = DescribeExit(exited->wait_status);
    facts_.running = false;
    sink_->OnExit(exit);
  } else if (std::get_if<shim::Fenced>(&event) != nullptr) {
    facts_.armed_until = MonoTime();
    facts_.running = false;
    sink_->OnShim(facts_, false);
  } else if (std::get_if<shim::Terminating>(&event) != nullptr) {
    Log(LogLevel::kWarn, "shim", "the shim was told to end: the database will be stopped");
    facts_.ending = true;
    sink_->OnShim(facts_, false);
  }
}

void FenceKeeper::Arm(MonoTime until, election::Epoch epoch) {
  const absl::Status status = link_.Arm(until, epoch);
  if (status.ok()) return;
  Log(LogLevel::kWarn, "shim", "the deadline could not be sent", {{"error", status}});
  loop_->Post([this] { Turn(); });
}

void FenceKeeper::NeedKiller() {
  if (killer_ != nullptr) return;
  killer_ = std::make_unique<ThreadWorker>("shim-kill", 4);
  kill_client_ = std::make_shared<shim::Client>(socket_);
}

void FenceKeeper::Shutdown() {
  NeedKiller();
  killer_->Run([client = kill_client_] {
    const absl::Status status =
        client->Signal(shim::SignalKind::kFast, std::nullopt, BootClock().Now() + std::chrono::seconds(1));
    if (!status.ok()) Log(LogLevel::kWarn, "shim", "the clean shutdown was not taken", {{"error", status}});
  });
}

void FenceKeeper::Kill(Duration patience, std::function<void(bool)> done) {
  NeedKiller();
  auto shared = std::make_shared<std::function<void(bool)>>(std::move(done));
  const bool queued = killer_->Run([this, client = kill_client_, patience, shared] {
    const absl::Status status = client->Kill(BootClock().Now() + patience);
    if (!status.ok()) Log(LogLevel::kError, "shim", "kill not confirmed", {{"error", status}});
    loop_->Post([shared, ok = status.ok()] { (*shared)(ok); });
  });
  if (!queued) loop_->Post([shared] { (*shared)(false); });
}

}  // namespace mainstay::agent
