#include "lib/engine/postgres/names.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lib/base/result.h"

namespace mainstay::engine::postgres {
namespace {

bool IsNonce(absl::string_view text) {
  return text.size() == kNonceDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'f');
         });
}

const election::Member* FindPeer(const std::vector<election::Member>& peers, const election::Name& name) {
  for (const election::Member& m : peers) {
    if (m.name == name) return &m;
  }
  return nullptr;
}

}  // namespace

bool IsMemberName(absl::string_view name) {
  if (name.empty() || name.size() > 40) return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

absl::StatusOr<std::string> StandbyName(const StandbyId& id) {
  if (!IsMemberName(id.member)) {
    return absl::InvalidArgumentError(
        absl::StrCat("member name '", id.member, "': want [a-z0-9-], 1 to 40 characters"));
  }
  if (!IsNonce(id.nonce)) {
    return absl::InvalidArgumentError(
        absl::StrCat("data nonce '", id.nonce, "' of ", id.member, ": want 8 hexadecimal digits"));
  }
  if (id.epoch <= 0)
    return absl::InvalidArgumentError(absl::StrCat("epoch ", id.epoch, ": want a positive number"));
  std::string name = absl::StrCat("ms_", id.member, "_", id.nonce, "_", id.epoch);
  if (name.size() > kMaxNameBytes) {
    return absl::InvalidArgumentError(absl::StrCat("the standby name ", name, " has ", name.size(),
                                                   " bytes, PostgreSQL keeps ", kMaxNameBytes,
                                                   ": use a shorter member name"));
  }
  return name;
}

std::optional<StandbyId> ParseStandbyName(absl::string_view name) {
  if (name.size() > kMaxNameBytes || !absl::StartsWith(name, "ms_")) return std::nullopt;
  name.remove_prefix(3);
  const size_t first = name.find('_');
  if (first == absl::string_view::npos) return std::nullopt;
  const size_t second = name.find('_', first + 1);
  if (second == absl::string_view::npos) return std::nullopt;
  StandbyId id;
  id.member = std::string(name.substr(0, first));
  id.nonce = std::string(name.substr(first + 1, second - first - 1));
  const absl::string_view digits = name.substr(second + 1);
  if (digits.empty() || digits[0] == '0' ||
      !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; }) ||
      !absl::SimpleAtoi(digits, &id.epoch)) {
    return std::nullopt;
  }
  if (!IsMemberName(id.member) || !IsNonce(id.nonce)) return std::nullopt;
  return id;
}

std::string SlotName(const election::Name& member) {
  std::string slot = absl::StrCat(kSlotPrefix, member);
  std::replace(slot.begin(), slot.end(), '-', '_');
  return slot;
}

absl::StatusOr<std::vector<std::string>> StandbyNames(const election::SyncNames& sync,
                                                      const std::vector<election::Member>& peers,
                                                      election::Epoch epoch) {
  std::vector<std::string> out;
  for (const election::Name& name : sync.names) {
    const election::Member* peer = FindPeer(peers, name);
    // Nobody has the nonce of a member that never told its own: zeros are never drawn.
    const std::string nonce =
        peer == nullptr || peer->data_nonce.empty() ? std::string(kNonceDigits, '0') : peer->data_nonce;
    MAINSTAY_ASSIGN_OR_RETURN(std::string full, StandbyName({name, nonce, epoch}));
    out.push_back(std::move(full));
  }
  return out;
}

absl::StatusOr<std::string> SyncNamesValue(const election::SyncNames& sync,
                                           const std::vector<election::Member>& peers,
                                           election::Epoch epoch) {
  if (sync.k <= 0) return std::string();
  if (static_cast<size_t>(sync.k) > sync.names.size() && sync.names.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(sync.k, " standbys shall acknowledge, but none is named"));
  }
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<std::string> names, StandbyNames(sync, peers, epoch));
  // More than there are names: PostgreSQL takes it, and waits until there are enough. That is what strict
  // wants.
  return absl::StrCat("ANY ", sync.k, " (\"", absl::StrJoin(names, "\",\""), "\")");
}

std::string BarrierValue(const std::vector<std::string>& standby_names) {
  std::string out = absl::StrCat("FIRST ", standby_names.size() + 1, " (\"", kBarrierName, "\"");
  for (const std::string& name : standby_names) absl::StrAppend(&out, ",\"", name, "\"");
  return absl::StrCat(out, ")");
}

absl::StatusOr<std::string> QuoteConf(absl::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\n' || c == '\r' || c == '\0') {
      return absl::InvalidArgumentError(
          "a parameter's value has a line break or a NUL in it: PostgreSQL's files cannot hold that");
    }
    // Both characters are special inside quotes: '' and \\ .
    if (c == '\'' || c == '\\') out += c;
    out += c;
  }
  return out + "'";
}

std::string QuoteConninfo(absl::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\0') break;
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string QuoteIdentifier(absl::string_view value) {
  std::string out = "\"";
  for (const char c : value) {
    if (c == '\0') break;
    if (c == '"') out += c;
    out += c;
  }
  return out + "\"";
}

absl::StatusOr<std::string> QuoteLiteral(absl::string_view value) {
  std::string out = "'";
  for (const char c : value) {
    if (c == '\\' || !absl::ascii_isprint(static_cast<unsigned char>(c))) {
      return absl::InvalidArgumentError(
          "a text for SQL has a backslash, a control character or is not ASCII");
    }
    if (c == '\'') out += c;
    out += c;
  }
  return out + "'";
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const auto wrong = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("database address '", text, "': want host:port, for example db-0:5432 or [::1]:5432"));
  };
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return wrong();
  absl::string_view host = text.substr(0, colon);
  if (host.front() == '[' && host.size() > 2 && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != absl::string_view::npos) {
    return wrong();
  }
  for (const char c : host) {
    const auto u = static_cast<unsigned char>(c);
    if (!absl::ascii_isalnum(u) && c != '.' && c != '-' && c != '_' && c != ':' && c != '%') return wrong();
  }
  uint32_t port = 0;
  if (host.empty() || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port == 0 || port > 65535)
    return wrong();
  return HostPort{std::string(host), static_cast<uint16_t>(port)};
}

std::string ConninfoValue(absl::string_view conninfo, absl::string_view key) {
  size_t at = 0;
  while (at < conninfo.size()) {
    while (at < conninfo.size() && conninfo[at] == ' ') ++at;
    const size_t eq = conninfo.find('=', at);
    if (eq == absl::string_view::npos) break;
    const absl::string_view name = absl::StripAsciiWhitespace(conninfo.substr(at, eq - at));
    at = eq + 1;
    std::string value;
    const bool quoted = at < conninfo.size() && conninfo[at] == '\'';
    if (quoted) ++at;
    while (at < conninfo.size() && (quoted ? conninfo[at] != '\'' : conninfo[at] != ' ')) {
      if (conninfo[at] == '\\' && at + 1 < conninfo.size()) ++at;
      value += conninfo[at++];
    }
    if (quoted && at < conninfo.size()) ++at;
    if (name == key) return value;
  }
  return "";
}

}  // namespace mainstay::engine::postgres
