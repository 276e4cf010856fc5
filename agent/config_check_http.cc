// Bounds and forms of the section http and of what belongs to it elsewhere.
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/allow_list.h"
#include "agent/config_check.h"
#include "lib/rpc/address.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay::agent {
namespace {

constexpr size_t kMaxUser = 64;
constexpr int kMaxLabels = 32;
constexpr size_t kMaxLabel = 64;
constexpr int kMaxAllow = 64;

bool IsWord(const std::string& s) {
  if (s.empty() || s.size() > kMaxLabel) return false;
  for (char c : s) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

void CheckDial(const std::string& path, const std::string& address, const AddProblem& add) {
  if (address.empty()) return;
  std::string problem = rpc::CheckAddress(rpc::BracketIpv6(address));
  if (problem.empty() && address.rfind("unix:", 0) == 0) problem = "is no address that others could dial";
  if (!problem.empty()) add(path, address, problem, "write host:port");
}

void CheckUser(const v1::AgentConfig& m, const AddProblem& add) {
  const auto& h = m.http();
  if (h.user().empty() != h.password_file().empty()) {
    add(h.user().empty() ? "http.user" : "http.password_file", "", "is missing",
        "give http.user and http.password_file together");
  }
  if (h.user().size() > kMaxUser || h.user().find_first_of(":\r\n") != std::string::npos) {
    add("http.user", h.user(), "is no name for basic authentication",
        absl::StrCat("use at most ", kMaxUser, " bytes without ':' and line breaks"));
  }
  if (!h.password_file().empty()) CheckAbsolute("http.password_file", h.password_file(), "its path", add);
}

}  // namespace

void CheckHttp(const v1::AgentConfig& m, const AddProblem& add) {
  const auto& h = m.http();
  CheckUser(m, add);
  if (h.tls() && m.tls().cert().empty())
    add("http.tls", "true", "has no certificates", "set tls.ca, tls.cert and tls.key as well");
  if (h.allow_size() > kMaxAllow)
    add("http.allow", absl::StrCat(h.allow_size()), "are too many", absl::StrCat("give at most ", kMaxAllow));
  for (int i = 0; i < h.allow_size(); ++i) {
    if (!ParseNetwork(h.allow(i))) {
      add(absl::StrCat("http.allow[", i, "]"), h.allow(i), "is no address and no network",
          "write 192.0.2.7, 10.0.0.0/8 or fd00::/8");
    }
  }
  if (m.tags().labels_size() > kMaxLabels)
    add("tags.labels", absl::StrCat(m.tags().labels_size()), "are too many",
        absl::StrCat("give at most ", kMaxLabels));
  for (const auto& [name, value] : m.tags().labels()) {
    if (!IsWord(name) || value.size() > kMaxLabel)
      add(absl::StrCat("tags.labels.", name), value, "is no tag",
          "use names of [A-Za-z0-9._-] and values, at most 64 characters each");
  }
  CheckDial("advertise.http", m.advertise().http(), add);
  for (int i = 0; i < m.members_size(); ++i)
    CheckDial(absl::StrCat("members[", i, "].http"), m.members(i).http(), add);
}

}  // namespace mainstay::agent
