// One input of the fuzzer of what Redis answers and of the files beside its data: a letter that picks the
// parser, then its text. Also used by the replay test.
#ifndef MAINSTAY_TEST_FUZZ_REDIS_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_REDIS_FUZZ_H_

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "lib/engine/redis/conf.h"
#include "lib/engine/redis/held.h"
#include "lib/engine/redis/info.h"
#include "lib/engine/redis/metrics_families.h"
#include "lib/engine/redis/names.h"
#include "lib/engine/redis/rings.h"
#include "test/fuzz/fail.h"

namespace mainstay::engine::redis {

// A page that Prometheus can read comes out of any INFO: families once, whole lines, bounded.
inline void FuzzFamilies(const std::string& text) {
  Families out;
  AddInfo(text, {.commands = 5, .errors = 5, .replicas = 5, .databases = 3}, &out);
  std::set<std::string> names;
  const metrics::FamiliesPtr all = out.Take();
  for (const metrics::Family& f : *all) {
    if (!names.insert(f.name).second) FuzzFailed("redis", "a family twice", text);
    if (f.lines.empty() || f.lines.back() != '\n') FuzzFailed("redis", "half a line", text);
    const auto lines = std::count(f.lines.begin(), f.lines.end(), '\n');
    if (static_cast<uint32_t>(lines) != f.samples) FuzzFailed("redis", "a line break in a sample", text);
    if (f.name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") !=
        std::string::npos) {
      FuzzFailed("redis", "no name of a metric", text);
    }
  }
}

inline void FuzzInfo(const std::string& text) {
  FuzzFamilies(text);
  const auto info = ParseInfo(text);
  if (!info.ok()) {
    if (info.status().message().size() > 1000) FuzzFailed("redis", "an error without end", text);
    return;
  }
  if (!info->replication.has_value()) return;
  const ReplicationFacts& r = *info->replication;
  if (r.role == Role::kUnknown || r.replid.size() != 40) FuzzFailed("redis", "no role or no history", text);
  if (r.role == Role::kReplica && r.primary_host.empty()) FuzzFailed("redis", "a replica of nobody", text);
  if (r.offset < 0 || r.replicas.size() > kMaxReplicas) FuzzFailed("redis", "beyond its bounds", text);
}

// A reply out of bytes: '[' and ']' nest, ',' separates, digits are integers, '-' begins an error.
inline Reply FuzzReply(const std::string& text, size_t* at, int depth) {
  if (*at < text.size() && text[*at] == '[' && depth < 7) {
    Reply out = Reply::Array({});
    for (++*at; *at < text.size() && text[*at] != ']';) {
      out.items.push_back(FuzzReply(text, at, depth + 1));
      if (*at < text.size() && text[*at] == ',') ++*at;
    }
    if (*at < text.size()) ++*at;
    return out;
  }
  const size_t begin = *at;
  while (*at < text.size() && (*at == begin || (text[*at] != ',' && text[*at] != ']'))) ++*at;
  const std::string word = text.substr(begin, *at - begin);
  if (word.size() < 10 && !word.empty() && word.find_first_not_of("0123456789") == std::string::npos)
    return Reply::Integer(std::stoll(word));
  Reply out = Reply::Text(word);
  if (!word.empty() && word[0] == '!') out.kind = Reply::Kind::kError;
  return out;
}

inline void FuzzRole(const std::string& text) {
  size_t at = 0;
  const auto role = ParseRole(FuzzReply(text, &at, 0));
  if (role.ok() && (role->role == Role::kUnknown || role->replicas.size() > kMaxReplicas))
    FuzzFailed("redis", "ROLE beyond its bounds", text);
}

// Each ring asked for twice with what the server may say.
inline void FuzzRings(const std::string& text) {
  size_t at = 0;
  const Reply first = FuzzReply(text, &at, 0);
  const Reply second = FuzzReply(text, &at, 0);
  RingTurn turn;
  SlowReader slow;
  DeniedReader denied;
  LatencyReader latency;
  for (const Reply* r : {&first, &second}) {
    slow.Read("run", 16, true, *r, &turn);
    denied.Read("run", 16, true, 1'000'000, 5, *r, &turn);
    for (const std::string& event : latency.Changed("run", *r)) latency.Read(event, 1'000'000, *r, &turn);
  }
  for (const RingEvent& e : turn.events)
    if (e.count < 0 || e.kind == RingEvent::Kind::kKill) FuzzFailed("redis", "what no ring tells", text);
}

inline void FuzzHeld(const std::string& text) {
  const auto held = DecodeHeld(text);
  if (!held.ok()) return;
  const auto again = DecodeHeld(EncodeHeld(*held));
  if (!again.ok() || !(*again == *held)) FuzzFailed("redis", "what is held does not read back", text);
}

// Whatever a file of users holds, it stays inside its lines of the ACL file and makes none of Mainstay's own.
inline void FuzzUsers(const std::string& text) {
  const auto users = ParseUsers(text);
  if (!users.ok()) {
    if (users.status().message().size() > 300) FuzzFailed("redis", "an error without end", text);
    return;
  }
  for (const std::string& file : PasswordFiles(*users))
    if (file.front() != '/') FuzzFailed("redis", "a file of passwords that is not absolute", text);
  // As a file's passwords could be: whatever they are, they stay rules of their user.
  const auto with = WithPasswords(*users, [&](const std::string&) { return text; });
  if (with.ok() && (with->size() != users->size() || !ParseUsers(FormatAcl(*with)).ok()))
    FuzzFailed("redis", "passwords of a file break out of their line", text);
  const std::string acl = FormatAcl(ClientUsers(*users, true));
  const auto again = ParseUsers(acl);
  if (!again.ok() || again->size() < users->size()) FuzzFailed("redis", "users do not read back", acl);
}

inline void FuzzNames(const std::string& text) {
  if (const auto user = ParseReplicationUser(text); user.has_value()) {
    if (ParseReplicationUser(FormatReplicationUser(*user)) != user)
      FuzzFailed("redis", "a name changes", text);
  }
  const auto at = ParseHostPort(text);
  if (at.has_value() && (at->host.empty() || at->port == 0)) FuzzFailed("redis", "no address", text);
}

inline void FuzzRedis(const uint8_t* data, size_t size) {
  if (size == 0) return;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'r':
      return FuzzRole(text);
    case 's':
      return FuzzRings(text);
    case 'h':
      return FuzzHeld(text);
    case 'u':
      return FuzzUsers(text);
    case 'n':
      return FuzzNames(text);
    default:
      return FuzzInfo(text);
  }
}

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_TEST_FUZZ_REDIS_FUZZ_H_
