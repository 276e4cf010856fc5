#include "agent/rabbit/peer_facts.h"

#include <future>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mainstay::agent {
namespace {

constexpr Duration kGrace = std::chrono::milliseconds(500);  // gRPC answers each call at its timeout

// No timers of a loop are given, so answers come on gRPC's threads and any thread may ask.
rpc::PeerClient::Options ClientOptions(std::string cluster, std::shared_ptr<rpc::TlsFiles> tls) {
  rpc::PeerClient::Options options;
  options.cluster = std::move(cluster);
  options.post = [](const std::function<void()>& task) { task(); };
  options.tls = std::move(tls);
  return options;
}

}  // namespace

PeerFacts::PeerFacts(std::string cluster, std::string self, std::map<std::string, std::string> addresses,
                     std::shared_ptr<rpc::TlsFiles> tls)
    : self_(std::move(self)),
      addresses_(std::move(addresses)),
      client_(ClientOptions(std::move(cluster), std::move(tls))) {}

std::vector<absl::StatusOr<std::string>> PeerFacts::AskFacts(const std::vector<std::string>& names,
                                                             Duration timeout) {
  const MonoTime end = BootClock().Now() + timeout + kGrace;
  std::vector<std::future<absl::StatusOr<std::string>>> asked;
  for (const std::string& name : names) {
    auto answer = std::make_shared<std::promise<absl::StatusOr<std::string>>>();
    asked.push_back(answer->get_future());
    const auto it = addresses_.find(name);
    if (it == addresses_.end()) {
      answer->set_value(absl::NotFoundError(absl::StrCat(name, " has no address in the configuration")));
      continue;
    }
    client_.BrokerFacts(it->second, self_, timeout,
                        [answer](absl::StatusOr<std::string> facts) { answer->set_value(std::move(facts)); });
  }
  std::vector<absl::StatusOr<std::string>> out;
  for (auto& a : asked) {
    const Duration left = std::max<Duration>(end - BootClock().Now(), Duration::zero());
    if (a.wait_for(left) == std::future_status::ready)
      out.push_back(a.get());
    else
      out.emplace_back(absl::DeadlineExceededError("no answer in time"));
  }
  return out;
}

}  // namespace mainstay::agent
