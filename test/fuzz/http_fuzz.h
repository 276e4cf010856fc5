// A whole HTTP connection's bytes, and the bodies and parameters of Patroni's requests. Also used by the
// replay test.
#ifndef MAINSTAY_TEST_FUZZ_HTTP_FUZZ_H_
#define MAINSTAY_TEST_FUZZ_HTTP_FUZZ_H_

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "agent/patroni.h"
#include "agent/patroni_ask.h"
#include "agent/schedule.h"
#include "lib/base/json.h"
#include "lib/http/gzip.h"
#include "lib/http/request_reader.h"

namespace mainstay {

inline void HttpFuzzFail(const char* what, const std::string& input) {
  fprintf(stderr, "http fuzz: %s: %s\n", what, input.c_str());
  abort();
}

// What a reader makes of the bytes when they come `step` at a time: one line a request, until an
// error.
inline std::vector<std::string> ReadAllRequests(const std::string& text, size_t step) {
  http::RequestReader reader({.header = 1024, .body = 512});
  std::vector<std::string> out;
  std::string bytes;
  for (size_t at = 0; at < text.size(); at += step) {
    bytes += text.substr(at, step);
    http::RequestReader::Progress progress;
    while ((progress = reader.Feed(&bytes)) == http::RequestReader::Progress::kDone) {
      const http::Request r = reader.Take();
      if (r.body.size() > 512) HttpFuzzFail("a body beyond its bound", text);
      if (r.path.empty() || r.path[0] != '/') HttpFuzzFail("a path without a slash", text);
      std::string line = std::string(http::ToString(r.method)) + " " + r.path + " " + r.body;
      for (const auto& [key, value] : r.query) line += "|" + key + "=" + value;
      out.push_back(line);
    }
    (void)reader.TakeContinue();
    if (progress == http::RequestReader::Progress::kBad) {
      const int s = reader.status();
      if (s != 400 && s != 413 && s != 431 && s != 501 && s != 505) HttpFuzzFail("a strange status", text);
      return out;  // when that is seen may depend on the cut; what was read before may not
    }
    if (bytes.size() > 1024 + step + 512) HttpFuzzFail("bytes pile up", text);
  }
  return out;
}

// The same however the bytes are cut, and never a crash.
inline void FuzzHttp(const std::string& text) {
  const std::vector<std::string> whole = ReadAllRequests(text, std::max<size_t>(1, text.size()));
  if (text.size() < 2000 && ReadAllRequests(text, 7) != whole) HttpFuzzFail("another reading when cut", text);
  (void)http::AcceptsGzip(text);
}

inline agent::patroni::Facts FuzzFacts(bool primary) {
  static const rpc::StatusView views[2] = {[] {
                                             rpc::StatusView v;
                                             v.member = "b";
                                             v.leader = "a";
                                             v.lock.record_changed_at = BootClock().Now();
                                             v.members.resize(2);
                                             v.members[0].name = "a";
                                             v.members[1].name = "b";
                                             for (auto& m : v.members) m.in_record = true;
                                             return v;
                                           }(),
                                           [] {
                                             rpc::StatusView v;
                                             v.member = "a";
                                             v.leader = "a";
                                             v.role = election::Role::kPrimary;
                                             v.paused = true;
                                             return v;
                                           }()};
  static const agent::patroni::Options options;
  static const agent::Schedules schedules;
  return {views[primary ? 1 : 0], options, schedules, BootClock().Now(), 1795500000000};
}

template <typename T>
void CheckRefusal(const agent::patroni::Asked<T>& asked, const std::string& text) {
  if (!asked.refusal) return;
  if (asked.refusal->status < 400 || asked.refusal->status > 503 || asked.refusal->text.empty())
    HttpFuzzFail("a refusal without a code or a word", text);
  if (asked.refusal->text.size() > 8192) HttpFuzzFail("too many words", text);
}

// A first line that is a target, then a body.
inline void FuzzPatroni(const std::string& text) {
  const size_t cut = std::min(text.find('\n'), text.size());
  http::Request request = http::ParseTarget(text.substr(0, cut)).value_or(http::Request());
  request.has_body = true;
  request.body = text.substr(std::min(text.size(), cut + 1));
  for (const bool primary : {false, true}) {
    const auto f = FuzzFacts(primary);
    const int code = agent::patroni::HealthCode(request.path, request, f).value_or(503);
    if (code != 200 && code != 503) HttpFuzzFail("a strange code", text);
    (void)agent::patroni::NotReady(request, f);
    for (const bool other : {false, true}) {
      CheckRefusal(agent::patroni::ReadSwitchover(request, f, other), text);
      CheckRefusal(agent::patroni::ReadConfig(request, f, other), text);
    }
    CheckRefusal(agent::patroni::ReadRestart(request, f), text);
    CheckRefusal(agent::patroni::ReadReinit(request), text);
    if (!ParseJson(agent::patroni::ClusterDocument(f), 1 << 20).ok()) HttpFuzzFail("no JSON", text);
  }
  const auto schedules = agent::DecodeSchedules(request.body);
  if (schedules.ok() && !(*agent::DecodeSchedules(agent::EncodeSchedules(*schedules)) == *schedules))
    HttpFuzzFail("a schedule reads back differently", text);
}

}  // namespace mainstay

#endif  // MAINSTAY_TEST_FUZZ_HTTP_FUZZ_H_
