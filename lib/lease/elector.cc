#include "lib/lease/elector.h"

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "lib/base/random.h"
#include "lib/election/settings.h"
#include "lib/lease/elector_loop.h"

namespace mainstay::lease {
namespace {

bool IsName(const std::string& s) {
  return !s.empty() && s.size() <= 40 &&
         s.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
}

election::Settings SettingsOf(const ElectorOptions& o) {
  election::Settings s;
  s.cluster = o.cluster;
  // Unique for each run: a process that comes back under its name is somebody else (kubernetes.md D5).
  s.identity = absl::StrCat(o.name, "_0_", RandomHex(8));
  s.self.name = o.name;
  s.self.incarnation = s.identity;
  s.self.priority = o.priority;
  s.lease = o.lease;
  s.validity = o.validity;
  s.fence = o.act;
  s.renew = o.renew;
  s.retry = o.retry;
  s.rho = o.rho;
  s.suspicion = std::max<Duration>(s.suspicion, o.renew * 2);  // not used without a database, but checked
  s.freeze_wait = std::min<Duration>(s.freeze_wait, o.lease);
  s.durability = election::Durability::kAsync;
  s.takeover = election::Takeover::kLease;
  s.failsafe = false;
  s.database = false;
  return s;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Elector>> Elector::Create(Store* store, ElectorOptions options,
                                                         ElectorCallbacks callbacks) {
  if (store == nullptr) return absl::InvalidArgumentError("elector: there is no store; open one first");
  if (!IsName(options.name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("elector: name \"", options.name, "\" must be 1 to 40 of a-z, 0-9 and -"));
  }
  if (options.cluster.empty() || options.cluster.size() > 253) {
    return absl::InvalidArgumentError(
        "elector: cluster must have 1 to 253 characters; name what is being led");
  }
  if (options.request <= Duration::zero() || options.retry <= Duration::zero()) {
    return absl::InvalidArgumentError("elector: request and retry must be greater than 0");
  }
  election::Settings settings = SettingsOf(options);
  const std::string unsafe = election::CheckTiming(settings);
  if (!unsafe.empty())
    return absl::InvalidArgumentError(absl::StrCat("elector (act is called fence here): ", unsafe));
  auto shared = std::make_shared<const election::Settings>(std::move(settings));
  return std::unique_ptr<Elector>(new Elector(
      std::make_unique<ElectorLoop>(store, std::move(options), std::move(shared), std::move(callbacks))));
}

Elector::Elector(std::unique_ptr<ElectorLoop> loop) : loop_(std::move(loop)) {}
Elector::~Elector() = default;

void Elector::Start() { loop_->Start(); }
bool Elector::Stop(Duration patience) { return loop_->Stop(patience); }

bool Elector::RunUntil(const std::function<bool()>& stop) {
  Start();
  while (!stop()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  return Stop();
}

MonoTime Elector::PermissionEnds() const { return loop_->CurrentPermission().Ends(); }
Permission Elector::CurrentPermission() const { return loop_->CurrentPermission(); }
ElectorStatus Elector::Status() const { return loop_->Status(); }

}  // namespace mainstay::lease
