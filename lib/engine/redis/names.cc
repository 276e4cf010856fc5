#include "lib/engine/redis/names.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mainstay::engine::redis {
namespace {

bool IsHex(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f'); }

}  // namespace

std::string FormatReplicationUser(const ReplicationUser& user) {
  return absl::StrCat(kReplicationPrefix, user.cluster_id, "-", user.epoch);
}

std::optional<ReplicationUser> ParseReplicationUser(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, kReplicationPrefix)) return std::nullopt;
  const size_t dash = text.find('-');
  if (dash == absl::string_view::npos || dash == 0 || dash > 32) return std::nullopt;
  ReplicationUser out;
  out.cluster_id = std::string(text.substr(0, dash));
  if (!std::all_of(out.cluster_id.begin(), out.cluster_id.end(), IsHex)) return std::nullopt;
  const absl::string_view epoch = text.substr(dash + 1);
  if (epoch.empty() || !absl::ascii_isdigit(static_cast<unsigned char>(epoch[0])) ||
      !absl::SimpleAtoi(epoch, &out.epoch) || out.epoch <= 0)
    return std::nullopt;
  return out;
}

std::optional<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return std::nullopt;
  HostPort out;
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port == 0 || port > 65535) return std::nullopt;
  absl::string_view host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (host.empty() || host.size() > 255) return std::nullopt;
  out.host = std::string(host);
  out.port = static_cast<uint16_t>(port);
  return out;
}

}  // namespace mainstay::engine::redis
