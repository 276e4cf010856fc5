#include "lib/engine/redis/metrics_families.h"

#include <algorithm>
#include <bitset>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lib/engine/redis/info.h"
#include "lib/engine/redis/metrics_parts.h"

namespace mainstay::engine::redis {
namespace {

using metrics::LabelText;

constexpr int64_t kMostEmptyDatabases = 64;

// The digits at *at and behind it; how many there were.
size_t Digits(absl::string_view text, size_t* at) {
  const size_t begin = *at;
  while (*at < text.size() && text[*at] >= '0' && text[*at] <= '9') ++*at;
  return *at - begin;
}

// -12.5e-07 and what is simpler: of a page with a thousand samples, so without reading the number itself.
bool IsNumber(absl::string_view text) {
  size_t at = 0;
  if (at < text.size() && text[at] == '-') ++at;
  size_t digits = Digits(text, &at);
  if (at < text.size() && text[at] == '.') digits += Digits(text, &++at);
  if (digits == 0 || digits > 40) return false;
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) ++at;
    if (const size_t exponent = Digits(text, &at); exponent == 0 || exponent > 2) return false;
  }
  return at == text.size();
}

// As it shall stand in a sample; "" when it is no number.
absl::string_view ToNumber(absl::string_view value) {
  if (value == "ok" || value == "true") return "1";
  if (value == "err" || value == "fail" || value == "false") return "0";
  return IsNumber(value) ? value : absl::string_view();
}

// What a line cannot be shown without knowing the others.
struct Known {
  std::string master_host, master_port, read_only, role;
  std::map<std::string, std::string, std::less<>> labels;  // of redis_instance_info
  int64_t uptime = -1, last_save = -1, server_usec = 0, databases = 0;
};

class InfoReader {
 public:
  InfoReader(const InfoOptions& options, Families* out) : options_(options), out_(out), commands_(options) {}

  void Line(const InfoLine& line);
  InfoSummary Finish();

 private:
  void Plain(const InfoLine& line);
  void Instance(const InfoLine& line);
  bool Replication(const InfoLine& line);
  bool Primary(const InfoLine& line);
  void Replica(const InfoLine& line);
  void Database(const InfoLine& line);
  void Error(const InfoLine& line);
  void Drop(FamilyId id) { ++out_->dropped()[TextOf(id).name]; }
  void Times();

  const InfoOptions& options_;
  Families* const out_;
  Known known_;
  InfoSummary summary_;
  CommandRows commands_;
  LabelText of_primary_;
  size_t errors_ = 0;
  // A server tells each of its things once; twice would make the whole page unreadable.
  std::bitset<kMaxInfoMetrics> seen_;
  std::set<std::string> told_;      // fields of the cluster
  std::set<std::string> replicas_;  // labels: two replicas may stand behind one address
  std::vector<bool> databases_ = std::vector<bool>(kMostEmptyDatabases);
};

void InfoReader::Plain(const InfoLine& line) {
  const absl::string_view number = ToNumber(line.value);
  if (number.empty()) return;
  if (const InfoMetric* m = FindInfoMetric(line.key); m != nullptr) {
    if (seen_[IndexOf(*m)]) return;
    seen_.set(IndexOf(*m));
    out_->AddPlain(m->name, m->type, absl::StrCat("Field ", m->key, " of INFO."), number);
  } else if (absl::StartsWith(line.key, "cluster_") && IsMetricName(line.key) &&
             told_.insert(std::string(line.key)).second) {
    out_->AddPlain(absl::StrCat("redis_", line.key), metrics::Type::kGauge,
                   absl::StrCat("Field ", line.key, " of INFO."), number);
  }
}

void InfoReader::Instance(const InfoLine& line) {
  static constexpr absl::string_view kLabels[] = {
      "role",       "redis_version",    "redis_build_id", "redis_mode",
      "os",         "maxmemory_policy", "tcp_port",       "run_id",
      "process_id", "master_replid",    "valkey_version", "valkey_release_stage"};
  for (const absl::string_view label : kLabels) {
    if (line.key == label) known_.labels.insert_or_assign(std::string(label), std::string(line.value));
  }
  const auto number = [&](absl::string_view key, int64_t* to) {
    if (int64_t n = 0; line.key == key && absl::SimpleAtoi(line.value, &n)) *to = n;
  };
  number("uptime_in_seconds", &known_.uptime);
  number("server_time_usec", &known_.server_usec);
  number("rdb_last_save_time", &known_.last_save);
  number("maxclients", &summary_.maxclients);
  number("maxmemory", &summary_.maxmemory);
  if (line.key == "loading") summary_.loading = line.value == "1";
  if (int64_t usec = 0; line.key == "latest_fork_usec" && absl::SimpleAtoi(line.value, &usec))
    out_->AddNumber(FamilyId::kForkSeconds, static_cast<double>(usec) / 1e6);
  constexpr absl::string_view kThread = "used_active_time_io_thread_";
  if (absl::StartsWith(line.key, kThread) && !ToNumber(line.value).empty()) {
    LabelText labels;
    labels.Add("thread", line.key.substr(kThread.size()));
    out_->Add(FamilyId::kIoThreadSeconds, labels, ToNumber(line.value));
  }
}

void InfoReader::Replica(const InfoLine& line) {
  LabelText labels;
  labels.Add("slave_ip", InfoField(line.value, "ip").value_or(""));
  labels.Add("slave_port", InfoField(line.value, "port").value_or(""));
  labels.Add("slave_state", InfoField(line.value, "state").value_or(""));
  if (replicas_.size() >= options_.replicas || !replicas_.insert(labels.text()).second)
    return Drop(FamilyId::kSlaveOffset);
  const absl::string_view offset = ToNumber(InfoField(line.value, "offset").value_or(""));
  const absl::string_view lag = ToNumber(InfoField(line.value, "lag").value_or(""));
  if (!offset.empty()) out_->Add(FamilyId::kSlaveOffset, labels, offset);
  if (!lag.empty()) out_->Add(FamilyId::kSlaveLag, labels, lag);
}

// Lines of a replica about its primary: host and port come first.
bool InfoReader::Primary(const InfoLine& line) {
  static constexpr std::pair<absl::string_view, FamilyId> kFields[] = {
      {"master_last_io_seconds_ago", FamilyId::kMasterLastIo},
      {"master_sync_in_progress", FamilyId::kMasterSync},
      {"slave_repl_offset", FamilyId::kSlaveReplOffset},
      {"slave_read_repl_offset", FamilyId::kReadOffset},
      {"master_link_down_since_seconds", FamilyId::kLinkDownSeconds},
      {"master_sync_total_bytes", FamilyId::kSyncTotal},
      {"master_sync_read_bytes", FamilyId::kSyncRead},
      {"master_sync_left_bytes", FamilyId::kSyncLeft},
  };
  if (line.key == "master_link_status") {
    out_->Add(FamilyId::kMasterLinkUp, of_primary_, line.value == "up" ? "1" : "0");
    return true;
  }
  for (const auto& [key, id] : kFields) {
    if (line.key != key) continue;
    if (const absl::string_view number = ToNumber(line.value); !number.empty())
      out_->Add(id, of_primary_, number);
    return true;
  }
  return false;
}

bool InfoReader::Replication(const InfoLine& line) {
  if (line.key == "role") known_.role = std::string(line.value);
  if (line.key == "slave_read_only") known_.read_only = std::string(line.value);
  if (line.key == "master_host") known_.master_host = std::string(line.value);
  if (line.key == "master_port") {
    known_.master_port = std::string(line.value);
    of_primary_.Clear();
    of_primary_.Add("master_host", known_.master_host);
    of_primary_.Add("master_port", known_.master_port);
  }
  LabelText labels;
  if (line.key == "master_failover_state") {
    labels.Add("state", line.value);
    out_->Add(FamilyId::kFailoverState, labels, "1");
  }
  if (line.key == "master_replid2" && line.value.find_first_not_of('0') != absl::string_view::npos) {
    labels.Add("master_replid2", line.value);
    out_->Add(FamilyId::kSecondReplid, labels, "1");
  }
  if (absl::StartsWith(line.key, "slave") && line.key.size() > 5 && line.key[5] >= '0' &&
      line.key[5] <= '9') {
    Replica(line);
    return true;
  }
  return Primary(line);
}

void InfoReader::Database(const InfoLine& line) {
  int64_t index = -1;
  int64_t ttl = 0;
  if (!absl::StartsWith(line.key, "db") || !absl::SimpleAtoi(line.key.substr(2), &index) || index < 0) return;
  const absl::string_view keys = ToNumber(InfoField(line.value, "keys").value_or(""));
  const absl::string_view expires = ToNumber(InfoField(line.value, "expires").value_or(""));
  if (keys.empty() || expires.empty()) return;
  LabelText labels;
  labels.Add("db", line.key);
  out_->Add(FamilyId::kDbKeys, labels, keys);
  out_->Add(FamilyId::kDbExpiring, labels, expires);
  if (absl::SimpleAtoi(InfoField(line.value, "avg_ttl").value_or(""), &ttl))
    out_->At(FamilyId::kDbTtl).AddNumber(labels, static_cast<double>(ttl) / 1e3);
  if (index < kMostEmptyDatabases) databases_[static_cast<size_t>(index)] = true;
}

void InfoReader::Error(const InfoLine& line) {
  absl::string_view name = line.key;
  const absl::string_view count = ToNumber(InfoField(line.value, "count").value_or(""));
  if (!absl::ConsumePrefix(&name, "errorstat_") || count.empty()) return;
  if (++errors_ > options_.errors) return Drop(FamilyId::kErrors);
  LabelText labels;
  labels.Add("err", name);
  out_->Add(FamilyId::kErrors, labels, count);
}

void InfoReader::Line(const InfoLine& line) {
  if (line.section == "Commandstats") return commands_.Stat(line);
  if (line.section == "Latencystats") return commands_.Percentiles(line);
  if (line.section == "Errorstats") return Error(line);
  if (line.section == "Keyspace") return Database(line);
  Instance(line);
  if (line.section == "Replication" && Replication(line)) return;
  Plain(line);
}

void InfoReader::Times() {
  const int64_t now = known_.server_usec > 0 ? known_.server_usec : options_.now_unix_usec;
  if (known_.uptime >= 0 && now > 0)
    out_->AddNumber(FamilyId::kStartTime,
                    std::floor(static_cast<double>(now) / 1e6) - static_cast<double>(known_.uptime));
  if (known_.last_save > 0 && now > 0)
    out_->AddNumber(FamilyId::kSaveAge,
                    std::max(0.0, static_cast<double>(now) / 1e6 - static_cast<double>(known_.last_save)));
}

InfoSummary InfoReader::Finish() {
  for (int64_t i = 0; i < std::min(options_.databases, kMostEmptyDatabases); ++i) {
    if (databases_[static_cast<size_t>(i)]) continue;
    LabelText labels;
    labels.Add("db", absl::StrCat("db", i));
    out_->Add(FamilyId::kDbKeys, labels, "0");
    out_->Add(FamilyId::kDbExpiring, labels, "0");
  }
  LabelText instance;
  for (const char* label : {"role", "redis_version", "redis_build_id", "redis_mode", "os", "maxmemory_policy",
                            "tcp_port", "run_id", "process_id", "master_replid"}) {
    instance.Add(label, known_.labels[label]);
  }
  for (const char* label : {"valkey_version", "valkey_release_stage"}) {
    if (const auto at = known_.labels.find(label); at != known_.labels.end()) instance.Add(label, at->second);
  }
  out_->Add(FamilyId::kInstanceInfo, instance, "1");
  if (known_.role == "slave") {
    LabelText labels = of_primary_;
    labels.Add("read_only", known_.read_only);
    out_->Add(FamilyId::kSlaveInfo, labels, "1");
  }
  Times();
  summary_.run_id = known_.labels["run_id"];
  summary_.usec = commands_.Write(out_);
  return std::move(summary_);
}

}  // namespace

bool IsMetricName(absl::string_view text) {
  return !text.empty() && text.size() <= 100 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_';
  });
}

metrics::Family& Families::At(FamilyId id) {
  metrics::Family& family = by_id_[static_cast<size_t>(id)];
  if (family.name.empty()) {
    const FamilyText& text = TextOf(id);
    family.name = text.name;
    family.help = text.help;
    family.type = text.type;
  }
  return family;
}

void Families::AddPlain(absl::string_view name, metrics::Type type, absl::string_view help,
                        absl::string_view value) {
  plain_.push_back({.name = std::string(name), .help = std::string(help), .type = type, .lines = {}});
  plain_.back().Add({}, value);
}

metrics::FamiliesPtr Families::Take() {
  std::vector<metrics::Family> out = std::move(plain_);
  for (metrics::Family& f : by_id_) {
    if (f.samples > 0) out.push_back(std::exchange(f, metrics::Family()));
  }
  plain_.clear();
  return std::make_shared<const std::vector<metrics::Family>>(std::move(out));
}

InfoSummary AddInfo(absl::string_view text, const InfoOptions& options, Families* out) {
  InfoReader reader(options, out);
  // Too long a text shows nothing but what it is made of without one: the caller sees it fail before.
  (void)ForEachInfoLine(text, [&](const InfoLine& line) { reader.Line(line); });
  return reader.Finish();
}

}  // namespace mainstay::engine::redis
