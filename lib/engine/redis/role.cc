#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/strings.h"
#include "lib/engine/redis/info.h"

namespace mainstay::engine::redis {
namespace {

absl::Status Odd(absl::string_view what, const Reply& reply) {
  const std::string value = reply.is_text() ? absl::StrCat("'", Cut(reply.text, 60), "'")
                            : reply.kind == Reply::Kind::kInteger ? std::to_string(reply.integer)
                            : reply.kind == Reply::Kind::kArray
                                ? absl::StrCat("a list of ", reply.items.size())
                                : std::string("nothing");
  return absl::InvalidArgumentError(
      absl::StrCat("ROLE: odd ", what, ": ", value, "; is this Redis 6.2 to 8 or Valkey 7.2 to 9?"));
}

// Ports and offsets of replicas come as text.
bool Number(const Reply& reply, int64_t* out) {
  if (reply.kind == Reply::Kind::kInteger) {
    *out = reply.integer;
    return true;
  }
  return reply.is_text() && absl::SimpleAtoi(reply.text, out);
}

Link ToLink(absl::string_view state) {
  constexpr std::pair<const char*, Link> kStates[] = {
      {"none", Link::kNone},           {"connect", Link::kConnect}, {"connecting", Link::kConnecting},
      {"handshake", Link::kHandshake}, {"sync", Link::kSync},       {"connected", Link::kConnected},
  };
  for (const auto& [name, link] : kStates) {
    if (state == name) return link;
  }
  return Link::kUnknown;
}

absl::StatusOr<RoleFacts> Primary(const Reply& reply) {
  RoleFacts out;
  out.role = Role::kPrimary;
  if (reply.items.size() < 3 || !Number(reply.items[1], &out.offset) || out.offset < 0)
    return Odd("offset of a primary", reply.items.size() < 2 ? reply : reply.items[1]);
  if (reply.items[2].kind != Reply::Kind::kArray) return Odd("list of replicas", reply.items[2]);
  for (const Reply& one : reply.items[2].items) {
    if (out.replicas.size() >= kMaxReplicas) break;
    RoleFacts::Replica replica;
    if (one.items.size() < 3 || !one.items[0].is_text() || !Number(one.items[1], &replica.port) ||
        !Number(one.items[2], &replica.offset)) {
      return Odd("replica", one);
    }
    replica.ip = one.items[0].text;
    out.replicas.push_back(std::move(replica));
  }
  return out;
}

absl::StatusOr<RoleFacts> Replica(const Reply& reply) {
  RoleFacts out;
  out.role = Role::kReplica;
  if (reply.items.size() < 5 || !reply.items[1].is_text() || !reply.items[3].is_text())
    return Odd("answer of a replica", reply);
  if (!Number(reply.items[2], &out.primary_port)) return Odd("port of the primary", reply.items[2]);
  if (!Number(reply.items[4], &out.offset)) return Odd("offset of a replica", reply.items[4]);
  out.primary_host = reply.items[1].text;
  out.link = ToLink(reply.items[3].text);
  return out;
}

}  // namespace

absl::StatusOr<RoleFacts> ParseRole(const Reply& reply) {
  if (reply.is_error()) return absl::FailedPreconditionError(absl::StrCat("ROLE: ", Cut(reply.text, 200)));
  if (reply.kind != Reply::Kind::kArray || reply.items.empty() || !reply.items[0].is_text())
    return Odd("answer", reply);
  const std::string& name = reply.items[0].text;
  if (name == "master") return Primary(reply);
  if (name == "slave") return Replica(reply);
  if (name != "sentinel") return Odd("role", reply.items[0]);
  RoleFacts out;
  out.role = Role::kSentinel;
  return out;
}

}  // namespace mainstay::engine::redis
