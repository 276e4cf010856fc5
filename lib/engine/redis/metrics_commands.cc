#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lib/engine/redis/metrics_parts.h"

namespace mainstay::engine::redis {
namespace {

using metrics::LabelText;

// Commands are few hundred; a module may bring more.
constexpr size_t kMostRows = 4096;

// Samples that differ in their last label alone, whose value needs no escape: written without a LabelText for
// each, because they are most of the page.
class Series {
 public:
  Series(const metrics::Family& family, absl::string_view suffix, const LabelText& labels,
         absl::string_view last)
      : head_(absl::StrCat(family.name, suffix, "{", labels.text(), ",", last, "=\"")) {}
  void Add(absl::string_view label, absl::string_view value, metrics::Family* to) const {
    absl::StrAppend(&to->lines, head_, label, "\"} ", value, "\n");
    ++to->samples;
  }

 private:
  const std::string head_;
};

bool Number(absl::string_view fields, absl::string_view name, int64_t* out) {
  return absl::SimpleAtoi(InfoField(fields, name).value_or(""), out);
}

// Of flat pairs in a list: "histogram_usec" -> the list behind it.
const Reply* ValueOf(const Reply& pairs, absl::string_view name) {
  for (size_t i = 0; i + 1 < pairs.items.size(); i += 2) {
    if (pairs.items[i].text == name) return &pairs.items[i + 1];
  }
  return nullptr;
}

// What a command took, with its subcommands.
double UsecOf(const InfoSummary& summary, const std::string& command) {
  double sum = 0;
  for (auto at = summary.usec.lower_bound(command); at != summary.usec.end(); ++at) {
    if (at->first.compare(0, command.size(), command) != 0) break;
    if (at->first.size() == command.size() || at->first[command.size()] == '|')
      sum += static_cast<double>(at->second);
  }
  return sum;
}

}  // namespace

void CommandRows::Stat(const InfoLine& line) {
  Row row;
  row.name = line.key;
  if (!absl::ConsumePrefix(&row.name, "cmdstat_") || !Number(line.value, "calls", &row.calls) ||
      !Number(line.value, "usec", &row.usec) || row.calls < 0 || row.usec < 0 || rows_.size() >= kMostRows) {
    return;
  }
  if (!Number(line.value, "rejected_calls", &row.rejected)) row.rejected = -1;
  if (!Number(line.value, "failed_calls", &row.failed)) row.failed = -1;
  if (at_.emplace(row.name, rows_.size()).second) rows_.push_back(row);
}

void CommandRows::Percentiles(const InfoLine& line) {
  absl::string_view name = line.key;
  if (!absl::ConsumePrefix(&name, "latency_percentiles_usec_")) return;
  if (const auto at = at_.find(name); at != at_.end()) rows_[at->second].percentiles = line.value;
}

void CommandRows::WriteOne(const Row& row, Families* out) const {
  LabelText labels;
  labels.Add("cmd", row.name);
  out->Add(FamilyId::kCommands, labels, absl::StrCat(row.calls));
  out->At(FamilyId::kCommandSeconds).AddNumber(labels, static_cast<double>(row.usec) / 1e6);
  if (row.rejected >= 0) out->Add(FamilyId::kCommandRejected, labels, absl::StrCat(row.rejected));
  if (row.failed >= 0) out->Add(FamilyId::kCommandFailed, labels, absl::StrCat(row.failed));
  if (row.percentiles.empty()) return;
  metrics::Family& summary = out->At(FamilyId::kPercentiles);
  const Series series(summary, "", labels, "quantile");
  for (const absl::string_view one : absl::StrSplit(row.percentiles, ',')) {  // "p99.9=4.015"
    const std::pair<absl::string_view, absl::string_view> part = absl::StrSplit(one, absl::MaxSplits('=', 1));
    double ignored = 0;
    if (part.first.size() < 2 || part.first[0] != 'p' || !absl::SimpleAtod(part.first.substr(1), &ignored) ||
        !absl::SimpleAtod(part.second, &ignored)) {
      continue;
    }
    series.Add(part.first.substr(1), part.second, &summary);
  }
  summary.Add(labels, absl::StrCat(row.usec), "_sum");
  summary.Add(labels, absl::StrCat(row.calls), "_count");
}

std::map<std::string, int64_t, std::less<>> CommandRows::Write(Families* out) {
  if (rows_.size() > limit_) {
    out->dropped()[TextOf(FamilyId::kCommands).name] += rows_.size() - limit_;
    std::nth_element(rows_.begin(), rows_.begin() + static_cast<ptrdiff_t>(limit_), rows_.end(),
                     [](const Row& a, const Row& b) { return a.calls > b.calls; });
    rows_.resize(limit_);
  }
  std::map<std::string, int64_t, std::less<>> usec;
  for (const Row& row : rows_) {
    WriteOne(row, out);
    usec.emplace(std::string(row.name), row.usec);
  }
  return usec;
}

// ---- replies ----

void AddSpikes(const Reply& reply, Families* out) {
  for (const Reply& one : reply.items) {
    if (one.items.size() < 3 || !one.items[0].is_text()) continue;
    LabelText labels;
    labels.Add("event_name", one.items[0].text);
    out->Add(FamilyId::kSpikeLast, labels, absl::StrCat(one.items[1].integer));
    out->At(FamilyId::kSpikeSeconds).AddNumber(labels, static_cast<double>(one.items[2].integer) / 1e3);
    if (out->At(FamilyId::kSpikeLast).samples >= 100) break;  // of the server's own, some twenty
  }
}

void AddHistograms(const Reply& reply, const InfoSummary& summary, Families* out) {
  constexpr size_t kMostBuckets = 64;
  metrics::Family& family = out->At(FamilyId::kHistogram);
  for (size_t i = 0; i + 1 < reply.items.size(); i += 2) {
    const std::string& command = reply.items[i].text;
    const Reply* const calls = ValueOf(reply.items[i + 1], "calls");
    const Reply* const buckets = ValueOf(reply.items[i + 1], "histogram_usec");
    if (calls == nullptr || buckets == nullptr || summary.usec.count(command) == 0) continue;
    LabelText labels;
    labels.Add("cmd", command);
    const Series series(family, "_bucket", labels, "le");
    for (size_t b = 0; b + 1 < std::min(buckets->items.size(), 2 * kMostBuckets); b += 2)
      series.Add(absl::StrCat(buckets->items[b].integer), absl::StrCat(buckets->items[b + 1].integer),
                 &family);
    series.Add("+Inf", absl::StrCat(calls->integer), &family);
    family.AddNumber(labels, UsecOf(summary, command), "_sum");
    family.Add(labels, absl::StrCat(calls->integer), "_count");
  }
}

void AddSlowlog(const Reply& length, const Reply& newest, Families* out) {
  if (length.kind == Reply::Kind::kInteger)
    out->AddNumber(FamilyId::kSlowlogLength, static_cast<double>(length.integer));
  if (newest.kind != Reply::Kind::kArray) return;
  double id = 0;
  double seconds = 0;
  if (!newest.items.empty() && newest.items[0].items.size() > 2) {
    id = static_cast<double>(newest.items[0].items[0].integer);
    seconds = static_cast<double>(newest.items[0].items[2].integer) / 1e6;
  }
  out->AddNumber(FamilyId::kSlowlogLastId, id);
  out->AddNumber(FamilyId::kSlowlogSeconds, seconds);
}

namespace {

// "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
void AddBufferLimits(const std::string& value, Families* out) {
  const std::vector<absl::string_view> words = absl::StrSplit(value, ' ', absl::SkipEmpty());
  for (size_t i = 0; i + 3 < words.size() && i < 40; i += 4) {
    for (size_t n = 1; n <= 3; ++n) {
      double number = 0;
      if (!absl::SimpleAtod(words[i + n], &number)) continue;
      LabelText labels;
      labels.Add("class", words[i]);
      labels.Add("limit", n == 1 ? "hard" : "soft");
      out->At(n == 3 ? FamilyId::kConfigLimitSeconds : FamilyId::kConfigLimitBytes).AddNumber(labels, number);
    }
  }
}

}  // namespace

int64_t AddConfig(const Reply& reply, Families* out) {
  static constexpr std::pair<const char*, FamilyId> kNumbers[] = {
      {"io-threads", FamilyId::kConfigIoThreads},
      {"maxclients", FamilyId::kConfigMaxclients},
      {"maxmemory", FamilyId::kConfigMaxmemory},
      {"repl-backlog-size", FamilyId::kConfigBacklog},
  };
  int64_t databases = 0;
  for (size_t i = 0; i + 1 < reply.items.size(); i += 2) {
    const std::string& name = reply.items[i].text;
    const std::string& value = reply.items[i + 1].text;
    if (name == "databases" && !absl::SimpleAtoi(value, &databases)) databases = 0;
    if (name == "client-output-buffer-limit") AddBufferLimits(value, out);
    for (const auto& [key, id] : kNumbers) {
      double number = 0;
      if (name == key && absl::SimpleAtod(value, &number)) out->AddNumber(id, number);
    }
  }
  return databases;
}

}  // namespace mainstay::engine::redis
