// One input of the fuzzer of what an Erlang node sends: a letter that picks the reader, then its bytes. 't' a
// term, 'm' a message of the distribution, 'h' a handshake, 'e' an answer of epmd, 'n' the file
// nodes_running_at_shutdown. Also used by the replay test.
#ifndef MAINSTAY_TEST_FUZZ_ERLANG_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_ERLANG_FUZZ_H_

#include <cstdint>
#include <string>

#include "lib/engine/rabbitmq/parse.h"
#include "lib/engine/rabbitmq/traits.h"
#include "lib/erlang/codec.h"
#include "lib/erlang/protocol.h"
#include "test/fuzz/fail.h"

namespace mainstay::engine::rabbitmq {

inline void FuzzAnswers(const erlang::Term& t, const std::string& text) {
  (void)ParseBootState(t);
  (void)ParseBoolean(t);
  (void)ParseAlarms(t);
  (void)ParseNodes(t);
  (void)ParseClusterFiles(t);
  (void)ParseCritical(t);
  (void)ParseMemberChanges(t);
  (void)ParseFeatureFlags(t);
  (void)ParseDone(t);
  (void)ParseVersion(t.Words());
  auto queues = ParseQueueRecords(t);
  if (!queues.ok()) return;
  for (const QuorumQueue& q : *queues)
    if (!q.online.empty() || !q.leader.empty()) FuzzFailed("erlang", "a replica that nobody told of", text);
}

inline void FuzzTerm(const std::string& text) {
  const auto t = erlang::Decode(text, {.terms = 20'000});
  if (!t.ok()) {
    if (t.status().message().size() > 300) FuzzFailed("erlang", "an error without end", text);
    return;
  }
  if (t->ToString(200).size() > 200) FuzzFailed("erlang", "a term that prints without end", text);
  const auto again = erlang::Decode(erlang::Encode(*t), {.terms = 20'000});
  if (!again.ok()) FuzzFailed("erlang", "what was decoded does not encode", text);
  const auto result = erlang::ToResult(*t);
  if (!result.ok() && result.status().message().size() > 1000)
    FuzzFailed("erlang", "a reason without end", text);
  FuzzAnswers(*t, text);
}

inline void FuzzMessage(const std::string& text) {
  const erlang::Term self =
      erlang::Term::Opaque(std::string("X\x77\x03"
                                       "a@b\0\0\0\x01\0\0\0\x02\0\0\0\x03",
                                       18));
  const auto message = erlang::DecodeMessage(text, self);
  if (message.ok() && message->has_value()) FuzzAnswers(**message, text);
}

inline void FuzzErlang(const uint8_t* data, size_t size) {
  if (size == 0) return;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'm':
      return FuzzMessage(text);
    case 'h': {
      const erlang::HandshakeSeen seen = erlang::ParseHandshake(text);
      if (seen.status.size() > 64 || seen.name.size() > text.size())
        FuzzFailed("erlang", "beyond its bounds", text);
      return;
    }
    case 'e': {
      const auto port = erlang::ParseEpmdAnswer(text);
      if (port.ok() && *port == 0) FuzzFailed("erlang", "port 0", text);
      return;
    }
    case 'n':
      (void)ParseNodesFile(text);
      return;
    default:
      return FuzzTerm(text);
  }
}

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_TEST_FUZZ_ERLANG_FUZZ_H_
