#include "agent/sidecar/sentinel_port.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "lib/base/mounted_file.h"
#include "lib/base/result.h"
#include "lib/engine/redis/names.h"
#include "lib/sentinel/server.h"

namespace mainstay::agent {
namespace {

constexpr size_t kMaxPasswordFile = 4096;
// What is certain now may not be a moment later, though nothing is published: looked at again.
constexpr Duration kLookAgain = std::chrono::milliseconds(500);

std::optional<sentinel::Address> ToAddress(const std::string& host_port) {
  std::optional<engine::redis::HostPort> at = engine::redis::ParseHostPort(host_port);
  if (!at.has_value()) return std::nullopt;
  return sentinel::Address{std::move(at->host), at->port};
}

std::function<absl::StatusOr<std::vector<std::string>>()> PasswordsOf(const std::string& path) {
  if (path.empty()) return nullptr;
  return [path]() -> absl::StatusOr<std::vector<std::string>> {
    MAINSTAY_ASSIGN_OR_RETURN(const std::string text, ReadMountedFile(path, kMaxPasswordFile));
    std::vector<std::string> lines = absl::StrSplit(text, absl::ByAnyChar("\r\n"), absl::SkipEmpty());
    return lines;
  };
}

class SentinelPortImpl : public SentinelPort {
 public:
  SentinelPortImpl(Loop* loop, rpc::Port* port, Duration suspicion, uint16_t number)
      : loop_(loop), port_(port), suspicion_(suspicion), number_(number) {}
  ~SentinelPortImpl() override {
    port_->Unsubscribe(subscription_);
    loop_->Cancel(timer_);
    *alive_ = false;
  }

  absl::Status Listen(boost::asio::io_context& io, sentinel::Server::Options options) {
    MAINSTAY_ASSIGN_OR_RETURN(server_, sentinel::Server::Start(io, std::move(options)));
    subscription_ = port_->Subscribe([this, alive = alive_, waits = waits_] {
      if (waits->exchange(true)) return;  // one look for many changes
      loop_->Post([this, alive, waits] {
        waits->store(false);
        if (*alive) Look();
      });
    });
    LookAgain();
    return absl::OkStatus();
  }
  std::string address() const override { return server_->address(); }

 private:
  void Look() {
    const std::shared_ptr<const rpc::StatusView> status = port_->Snapshot();
    if (status != nullptr) server_->Publish(ToSentinelView(*status, number_, suspicion_, loop_->Now()));
  }
  void LookAgain() {
    Look();
    timer_ = loop_->At(loop_->Now() + kLookAgain, [this] { LookAgain(); });
  }

  Loop* const loop_;
  rpc::Port* const port_;
  const Duration suspicion_;
  const uint16_t number_;
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // loop's thread
  const std::shared_ptr<std::atomic<bool>> waits_ = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<sentinel::Server> server_;
  uint64_t subscription_ = 0;
  TimerId timer_ = 0;
};

}  // namespace

sentinel::View ToSentinelView(const rpc::StatusView& status, uint16_t port, Duration suspicion,
                              MonoTime now) {
  sentinel::View view;
  view.epoch = static_cast<uint64_t>(std::max<election::Epoch>(status.epoch, 0));
  view.voters = std::max<int>(1, static_cast<int>(status.members.size()));
  int reached = 0;
  view.can_elect = false;
  for (const rpc::MemberView& m : status.members) {
    const bool self = m.name == status.member;
    const std::optional<sentinel::Address> address = ToAddress(m.db_address);
    const bool heard = self || (!m.heard_at.is_past() && now - m.heard_at < suspicion);
    reached += heard ? 1 : 0;
    if (!address.has_value()) continue;
    const bool leads = m.name == status.leader && m.role == election::Role::kPrimary && heard &&
                       (!self || (status.lock.permitted_until > now && status.database.writable));
    if (leads) view.primary = *address;
    if (!self) view.peers.push_back({sentinel::IdOf(status.cluster, m.name), {address->host, port}, heard});
    if (m.role == election::Role::kPrimary || m.name == status.leader) continue;
    const bool runs = heard && m.state == election::DbState::kRunning;
    view.replicas.push_back({.address = *address,
                             .run_id = "",
                             .reachable = runs,
                             .link_up = runs && m.role == election::Role::kReplica,
                             .offset = static_cast<int64_t>(m.offset),
                             .priority = m.no_failover ? 0 : m.priority});
    view.can_elect = view.can_elect || (runs && !m.no_failover);
  }
  view.can_elect = view.can_elect && reached * 2 > view.voters;
  return view;
}

absl::StatusOr<std::unique_ptr<SentinelPort>> SentinelPort::Start(boost::asio::io_context& io, Loop* loop,
                                                                  const Config& config, rpc::Port* port) {
  const RedisConfig& r = config.redis;
  if (config.engine != EngineKind::kRedis || r.sentinel_listen.empty()) return nullptr;
  sentinel::Server::Options options;
  options.address = r.sentinel_listen;
  options.identity.id = sentinel::IdOf(config.cluster, config.name);
  options.identity.names = {config.cluster};
  for (const std::string& name : r.sentinel_names) {
    if (name != config.cluster) options.identity.names.push_back(name);
  }
  const std::optional<sentinel::Address> listens = ToAddress(r.sentinel_listen);
  options.identity.port = listens.has_value() ? listens->port : 0;
  options.identity.passwords = PasswordsOf(r.sentinel_password_file);
  auto out = std::make_unique<SentinelPortImpl>(loop, port, config.settings.suspicion, options.identity.port);
  MAINSTAY_RETURN_IF_ERROR(out->Listen(io, std::move(options)));
  return out;
}

}  // namespace mainstay::agent
