// One input of RabbitMQ's fuzzer: what a plugin, a broker or a scraper sends, up to where it is a line of a
// page, of a log, or a request to the plugin. Also used by the replay test.
//
// The first byte says what it is: 'p' an answer of the plugin, 'b' why the broker blocks or closes, 'r' a
// scraper's request, 't' the headers of a message and with them an event, 'e' what comes while a message is
// on its way.
#ifndef MAINSTAY_TEST_FUZZ_RABBITMQ_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_RABBITMQ_FUZZ_H_

#include <amqp.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include "lib/amqp/round.h"
#include "lib/amqp/table.h"
#include "lib/amqp/verdict.h"
#include "lib/audit/audit.h"
#include "lib/audit/rabbit_event.h"
#include "lib/base/json.h"
#include "lib/engine/rabbitmq/detail_pages.h"
#include "lib/engine/rabbitmq/relay.h"
#include "test/fuzz/fail.h"

namespace mainstay::engine::rabbitmq {

inline void FuzzPlugin(const std::string& in) {
  const bool cut = in.size() % 2 == 0;
  const Fetched f = JudgeFetched(
      http::GetAnswer{.status = 200, .content_type = "text/plain; version=0.0.4", .body = in, .cut = cut},
      100);
  if (!f.text.empty() && f.text.back() != '\n') FuzzFailed("rabbitmq", "the page ends in half a line", in);
  const std::string kept = cut ? f.text.substr(0, f.text.rfind("# mainstay: cut")) : f.text;
  if (kept != in.substr(0, kept.size()) && kept != in + "\n")
    FuzzFailed("rabbitmq", "the plugin's text was changed", in);
  if (!kept.empty() && kept.back() != '\n') FuzzFailed("rabbitmq", "cut in the middle of a line", in);
}

inline void FuzzBroker(const std::string& in) {
  const MonoTime now = MonoTime::FromNanos(1);
  amqp::Result r;
  r.began = r.ended = now;
  r.blocked = amqp::ReadBlocked(in, now);
  amqp::Result c = r;
  c.trouble = amqp::FromClose(static_cast<int>(in.size()) + 300, in, amqp::Step::kLogin);
  for (const std::string& line : {Sentence(Fold({}, r), now), Sentence(Fold({}, c), now)}) {
    if (line.size() > 600) FuzzFailed("rabbitmq", "a sentence without end", in);
    if (std::any_of(line.begin(), line.end(), [](char b) { return static_cast<unsigned char>(b) < 0x20; }))
      FuzzFailed("rabbitmq", "a sentence of several lines", in);
  }
}

inline void FuzzScraper(const std::string& in) {
  const std::optional<http::Request> request = http::ParseTarget(in);
  if (!request) return;
  const absl::StatusOr<std::string> target = DetailTarget(*request);
  if (!target.ok()) return;
  if (!std::all_of(target->begin(), target->end(), [](char b) { return b > ' ' && b < 0x7f; }))
    FuzzFailed("rabbitmq", "a target that is no line of HTTP", in);
  const std::optional<http::Request> again = http::ParseTarget(*target);
  if (!again || again->path != request->path || again->query != request->query)
    FuzzFailed("rabbitmq", "the filters were changed", in);
}

inline void FuzzEvents(const std::string& in) {
  amqp::Round round(3, "nonce", MonoTime::FromNanos(0));
  for (size_t i = 0; i + 3 < in.size(); i += 4) {
    amqp::Event e;
    e.kind = static_cast<amqp::Event::Kind>(static_cast<unsigned char>(in[i]) % 10);
    e.tag = static_cast<unsigned char>(in[i + 1]) % 8;
    e.multiple = in[i + 2] % 2 != 0;
    e.code = static_cast<unsigned char>(in[i + 2]);
    e.body = in[i + 3] % 2 != 0 ? "nonce" : in.substr(i);
    round.Feed(e, MonoTime::FromNanos(static_cast<int64_t>(i)));
    while (round.TakeAck()) {
    }
  }
  if (round.done() != (round.confirm_took() && round.deliver_took()))
    FuzzFailed("rabbitmq", "done without both halves", in);
}

// A table as it comes over the wire, read by the library; as text; as a line of the log.
inline void FuzzTable(const std::string& in) {
  amqp_pool_t pool;
  init_amqp_pool(&pool, 4096);
  amqp_table_t table = {};
  size_t offset = 0;
  const amqp_bytes_t bytes = {.len = in.size(), .bytes = const_cast<char*>(in.data())};
  if (amqp_decode_table(bytes, &pool, &table, &offset) == AMQP_STATUS_OK) {
    const auto headers = amqp::TableText(table);
    for (const auto& [name, value] : headers) {
      if (name.size() > 2048 || value.size() > 2100) FuzzFailed("rabbitmq", "a header without end", in);
    }
    static const audit::Identity who = {"rabbitmq", "shop", "a", "", "", "", "b"};
    const std::string key = headers.empty() ? "user.created" : headers[0].first;
    const std::string line = audit::Format(audit::RabbitEventLine(key, headers), who, 1, 0);
    if (line.size() > audit::kMaxLineBytes || line.find('\n') != line.size() - 1)
      FuzzFailed("rabbitmq", "an event is no line", in);
    if (!ParseJson(line, audit::kMaxLineBytes).ok()) FuzzFailed("rabbitmq", "an event is no JSON", in);
    if (audit::RabbitEventName(key).size() > 64) FuzzFailed("rabbitmq", "a count's name without end", in);
  }
  empty_amqp_pool(&pool);
}

inline void FuzzRabbitmq(const uint8_t* data, size_t size) {
  if (size == 0) return;
  const std::string in(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'p':
      return FuzzPlugin(in);
    case 'b':
      return FuzzBroker(in);
    case 'r':
      return FuzzScraper(in);
    case 't':
      return FuzzTable(in);
    default:
      return FuzzEvents(in);
  }
}

}  // namespace mainstay::engine::rabbitmq

#endif  // MAINSTAY_TEST_FUZZ_RABBITMQ_FUZZ_H_
