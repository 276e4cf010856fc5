// One input of the Sentinel port's fuzzer: a byte of settings, then what a stranger sends, in pieces. Also
// used by the replay test.
#ifndef MAINSTAY_TEST_FUZZ_SENTINEL_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_SENTINEL_FUZZ_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "lib/sentinel/answers.h"
#include "test/fuzz/fail.h"

namespace mainstay::sentinel {

// Whether `text` is whole replies, as a client would read them.
inline bool WholeReplies(absl::string_view text) {
  size_t at = 0;
  size_t open = 0;  // values that are still to come
  while (at < text.size()) {
    const char kind = text[at];
    const size_t end = text.find("\r\n", at);
    if (end == absl::string_view::npos) return false;
    const std::string head(text.substr(at + 1, end - at - 1));
    at = end + 2;
    if (open > 0) --open;
    if (kind == '+' || kind == '-' || kind == ':' || kind == '_') continue;
    if (head == "-1") continue;
    if (head.empty() || head.size() > 9 || head.find_first_not_of("0123456789") != std::string::npos)
      return false;
    const size_t n = std::stoul(head);
    if (kind == '$') {
      if (text.size() < at + n + 2 || text.substr(at + n, 2) != "\r\n") return false;
      at += n + 2;
    } else if (kind == '*' || kind == '>') {
      open += n;
    } else if (kind == '%') {
      open += 2 * n;
    } else {
      return false;
    }
  }
  return open == 0;
}

inline Answers FuzzAnswers(bool guarded) {
  Identity i;
  i.id = IdOf("shop", "a");
  i.names = {"shop", "mymaster"};
  if (guarded) {
    i.passwords = []() -> absl::StatusOr<std::vector<std::string>> { return std::vector<std::string>{"pw"}; };
  }
  Answers answers(i, [] { return int64_t{1}; });
  View v;
  v.primary = Address{"10.0.0.1", 6379};
  v.replicas = {{.address = {"10.0.0.2", 6379}, .reachable = true}};
  v.peers = {{IdOf("shop", "b"), {"10.0.0.2", 26379}, true}};
  answers.Update(v);
  return answers;
}

inline void FuzzSentinel(const uint8_t* data, size_t size) {
  if (size == 0) return;
  const bool guarded = (data[0] & 1) != 0;
  const size_t piece = 1 + (data[0] >> 1);
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const Answers answers = FuzzAnswers(guarded);
  RequestReader reader;
  Session session;
  for (size_t at = 0; at < text.size() && !session.closing; at += piece) {
    reader.Feed(absl::string_view(text).substr(at, piece));
    for (;;) {
      const auto request = reader.Next();
      if (!request.ok()) return;
      if (!request->has_value()) break;
      if ((*request)->size() > kMaxWords) FuzzFailed("sentinel", "too many words", text);
      const std::string answer = answers.Answer(**request, &session);
      if (answer.empty() || !WholeReplies(answer)) FuzzFailed("sentinel", "no whole reply", answer);
      if (guarded && !session.authenticated && answer.find("10.0.0.1") != std::string::npos)
        FuzzFailed("sentinel", "told without a login", text);
      if (session.channels.size() + session.patterns.size() > kMaxSubscriptions ||
          session.name.size() > kMaxRequestBytes)
        FuzzFailed("sentinel", "beyond its bounds", text);
      for (const std::string& pattern : session.patterns) (void)MatchesPattern(pattern, "+switch-master");
      if (!WholeReplies(Answers::Deliver({"+switch-master", "x"}, session)))
        FuzzFailed("sentinel", "half a message", text);
      if (session.closing) break;
    }
    if (reader.buffered() > kMaxRequestBytes + 256) FuzzFailed("sentinel", "a request without end", text);
  }
}

}  // namespace mainstay::sentinel

#endif  // MAINSTAY_TEST_FUZZ_SENTINEL_FUZZ_H_
