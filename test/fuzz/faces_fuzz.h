// What strangers and people hand to the agent: YAML configurations, HTTP targets, peers' messages. Also used
// by the replay test.
#ifndef MAINSTAY_TEST_FUZZ_FACES_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_FACES_FUZZ_H_

#include <cstdio>
#include <cstdlib>
#include <string>

#include "agent/config.h"
#include "agent/config_queries.h"
#include "lib/http/server.h"
#include "lib/metrics/metrics.h"
#include "lib/metrics/scraper.h"
#include "lib/rpc/address.h"
#include "lib/rpc/convert.h"
#include "mainstay/v1/config.pb.h"

namespace mainstay {

inline void FacesFuzzFail(const char* what, const std::string& input) {
  fprintf(stderr, "faces fuzz: %s: %s\n", what, input.c_str());
  abort();
}

// Neither an exception nor a configuration that prints as something else than it is.
inline void FuzzYaml(const std::string& text) {
  const agent::LoadedConfig c = agent::LoadConfigText(text, "fuzz", {}, nullptr);
  for (const auto& p : c.problems) {
    if (p.ToString().size() > 8192) FacesFuzzFail("a problem of more than 8 KiB", text);
  }
  if (!c.ok()) return;
  const agent::LoadedConfig again =
      agent::LoadConfigText(agent::PrintConfig(c.config, &c.origin), "again", {}, nullptr);
  if (!again.ok() || !agent::Compare(c.config, again.config).empty())
    FacesFuzzFail("printed, it reads back differently", text);
}

// A file of own queries: no exception, no name that spoils an answer; and the two headers of a scrape.
inline void FuzzQueries(const std::string& text) {
  const agent::LoadedQueries q = agent::LoadQueriesText(text, "fuzz", "x_");
  if (q.problems.size() > 21 || (!q.ok() && !q.queries.empty()))
    FacesFuzzFail("queries with problems are used", text);
  for (const auto& problem : q.problems) {
    if (problem.size() > 1024) FacesFuzzFail("a problem of more than 1 KiB", text);
  }
  for (const auto& query : q.queries) {
    if (query.sql.empty() || query.sql.size() > engine::postgres::kMaxQueryBytes)
      FacesFuzzFail("no statement", text);
    for (const auto& column : query.columns) {
      const bool label = column.use == engine::postgres::QueryUse::kLabel;
      if (column.use == engine::postgres::QueryUse::kDiscard) continue;
      if (!(label ? engine::postgres::IsLabelName(column.name) : engine::postgres::IsMetricName(column.name)))
        FacesFuzzFail("a name that is none", text);
    }
    (void)engine::postgres::Includes(query.versions, 150004);
  }
  (void)engine::postgres::ParseGoDuration(text);
  (void)engine::postgres::ParseNumbers(text);
  const MonoTime now = MonoTime::FromNanos(1'000'000'000);
  const MonoTime deadline = metrics::ScrapeDeadline(text, now, std::chrono::milliseconds(850));
  if (deadline < now || deadline > now + std::chrono::milliseconds(850))
    FacesFuzzFail("a deadline out of bounds", text);
}

inline void FuzzTarget(const std::string& text) {
  (void)metrics::ContentType(metrics::Negotiate(text));  // of the Accept header
  const auto request = http::ParseTarget(text);
  if (!request) return;
  if (request->path.empty() || request->path[0] != '/' || request->query.size() > 32)
    FacesFuzzFail("a bad request got through", text);
  for (char c : request->path) {
    if (static_cast<unsigned char>(c) < 0x20) FacesFuzzFail("a control character got through", text);
  }
}

template <typename Message, typename Back>
void FuzzMessage(const std::string& bytes, Back back) {
  Message in;
  if (!in.ParseFromString(bytes)) return;
  const auto plain = rpc::FromProto(in);
  if (!plain.ok()) {
    if (plain.status().code() != absl::StatusCode::kInvalidArgument ||
        plain.status().message().size() > 2048) {
      FacesFuzzFail("a strange error", plain.status().ToString());
    }
    return;
  }
  Message out;
  back(*plain, &out);
  const auto again = rpc::FromProto(out);
  if (!again.ok()) FacesFuzzFail("what was taken in cannot be sent on", in.DebugString());
}

inline void FuzzConvert(const std::string& bytes) {
  FuzzMessage<v1::PeerReport>(bytes, [](const auto& p, auto* m) { rpc::ToProto(p, "c", m); });
  FuzzMessage<v1::FreezeRequest>(bytes, [](const auto& p, auto* m) { rpc::ToProto(p, "c", m); });
  FuzzMessage<v1::FreezeReply>(bytes, [](const auto& p, auto* m) { rpc::ToProto(p, m); });
  FuzzMessage<v1::PromiseRequest>(bytes, [](const auto& p, auto* m) { rpc::ToProto(p, "c", m); });
  FuzzMessage<v1::PromiseReply>(bytes, [](const auto& p, auto* m) { rpc::ToProto(p, m); });
  v1::RequestMeta meta;
  if (meta.ParseFromString(bytes)) rpc::CheckMeta(meta).IgnoreError();
  (void)rpc::CheckListenAddress(bytes);
}

}  // namespace mainstay

#endif  // MAINSTAY_TEST_FUZZ_FACES_FUZZ_H_
