// From what a Redis answered to families of metrics: pure, so that tests and fuzzers reach it.
//
//   Families out;
//   AddInfo(text, options, &out);
//   AddSlowlog(length_reply, newest_reply, &out);
//   snapshot.families.push_back(out.Take());
//
// A field that is no number is left out, so is a reply that is an error (a right that the user has not, a
// command that the server does not know): the rest is shown all the same. What is one family with a sample
// for each command, error or replica is bounded; what was left out is counted.
//
// Units: those of the names. Thread rules: plain values.
#ifndef MAINSTAY_LIB_ENGINE_REDIS_METRICS_FAMILIES_H_
#define MAINSTAY_LIB_ENGINE_REDIS_METRICS_FAMILIES_H_

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "lib/engine/redis/metrics_table.h"
#include "lib/engine/redis/reply.h"
#include "lib/metrics/collector.h"

namespace mainstay::engine::redis {

class Families {
 public:
  metrics::Family& At(FamilyId id);
  void Add(FamilyId id, const metrics::LabelText& labels, absl::string_view value) {
    At(id).Add(labels, value);
  }
  void AddNumber(FamilyId id, double value) { At(id).AddNumber({}, value); }
  // A family with one sample; the caller adds none twice.
  void AddPlain(absl::string_view name, metrics::Type type, absl::string_view help, absl::string_view value);
  // Series that were left out, by family; over the life of whoever keeps the count.
  std::map<std::string, uint64_t>& dropped() { return dropped_; }
  // Those that have samples.
  metrics::FamiliesPtr Take();

 private:
  std::vector<metrics::Family> plain_;
  std::array<metrics::Family, static_cast<size_t>(FamilyId::kCount)> by_id_;
  std::map<std::string, uint64_t> dropped_;
};

struct InfoOptions {
  size_t commands = 200;      // of a family with a sample for each: those with the most calls
  size_t errors = 100;        // the first that are told
  size_t replicas = 100;      // the first that are told
  int64_t databases = 16;     // parameter `databases`: empty ones have zeros, at most 64 of them
  int64_t now_unix_usec = 0;  // for a server that does not tell its time (6.2)
};

// What the collector itself wants to know of an INFO that it shows.
struct InfoSummary {
  std::string run_id;
  int64_t maxclients = -1, maxmemory = -1;
  bool loading = false;
  std::map<std::string, int64_t, std::less<>> usec;  // of each command that is shown
};

InfoSummary AddInfo(absl::string_view text, const InfoOptions& options, Families* out);

// LATENCY LATEST
void AddSpikes(const Reply& reply, Families* out);
// LATENCY HISTOGRAM (7.0): only commands that `summary` has.
void AddHistograms(const Reply& reply, const InfoSummary& summary, Families* out);
// SLOWLOG LEN and SLOWLOG GET 1
void AddSlowlog(const Reply& length, const Reply& newest, Families* out);
// CONFIG GET: names and values of any of the parameters that kConfigNames has. Returns `databases`, 0: not
// told.
int64_t AddConfig(const Reply& reply, Families* out);
inline constexpr const char* kConfigNames[] = {
    "databases", "io-threads", "maxclients", "maxmemory", "repl-backlog-size", "client-output-buffer-limit"};

}  // namespace mainstay::engine::redis

#endif  // MAINSTAY_LIB_ENGINE_REDIS_METRICS_FAMILIES_H_
