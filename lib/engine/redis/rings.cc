#include "lib/engine/redis/rings.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace mainstay::engine::redis {
namespace {

constexpr int64_t kSame = 60;             // ms: two readings of one entry's age
constexpr int64_t kMergeWithin = 60'000;  // ms: equal entries are one for so long
constexpr size_t kMostHistories = 8;
constexpr size_t kLatencyKept = 160;  // samples that the server keeps of an event
constexpr size_t kMostEvents = 64;

// "id=3 addr=127.0.0.1:4711 laddr=... name=x user=y": one field; "" when it is not there.
std::string ClientField(absl::string_view line, absl::string_view key) {
  for (absl::string_view word : absl::StrSplit(line, ' ')) {
    if (word.size() > key.size() && word.substr(0, key.size()) == key && word[key.size()] == '=')
      return std::string(word.substr(key.size() + 1));
  }
  return "";
}

struct AclEntry {
  RingEvent event;
  double age = 0;
  std::string key;
};

// A flat list of names and values.
bool ReadAcl(const Reply& reply, AclEntry* out) {
  if (reply.kind != Reply::Kind::kArray || reply.items.size() < 2) return false;
  bool aged = false;
  for (size_t i = 0; i + 1 < reply.items.size(); i += 2) {
    const std::string& key = reply.items[i].text;
    const Reply& value = reply.items[i + 1];
    if (key == "count") out->event.count = value.integer;
    if (key == "entry-id") out->event.id = value.integer;
    if (key == "reason") out->event.reason = value.text;
    if (key == "context") out->event.context = value.text;
    if (key == "object") out->event.object = value.text;
    if (key == "username") out->event.user = value.text;
    if (key == "age-seconds") aged = absl::SimpleAtod(value.text, &out->age) && out->age >= 0;
    if (key == "client-info") {
      out->event.address = ClientField(value.text, "addr");
      out->event.name = ClientField(value.text, "name");
    }
  }
  out->event.kind = RingEvent::Kind::kDenied;
  out->key = absl::StrCat(out->event.reason, "\n", out->event.context, "\n", out->event.object, "\n",
                          out->event.user);
  return aged && out->event.count > 0;
}

}  // namespace

// ---- the slow log ----

Want SlowReader::Read(const std::string& run_id, size_t asked, bool last_step, const Reply& reply,
                      RingTurn* out) {
  if (run_id != run_id_) {
    run_id_ = run_id;
    last_ = -1;
  }
  std::vector<RingEvent> fresh;
  for (const Reply& item : reply.items) {
    if (item.items.size() < 4 || item.items[0].kind != Reply::Kind::kInteger) continue;
    RingEvent e;
    e.kind = RingEvent::Kind::kSlow;
    e.id = item.items[0].integer;
    if (e.id <= last_) continue;
    e.unix_ms = item.items[1].integer * 1000;
    e.took_ms = static_cast<double>(item.items[2].integer) / 1000;
    for (const Reply& word : item.items[3].items) e.words.push_back(word.text);
    if (item.items.size() > 4) e.address = item.items[4].text;
    if (item.items.size() > 5) e.name = item.items[5].text;
    fresh.push_back(std::move(e));
  }
  if (fresh.empty()) {
    begun_ = true;
    return Want::kNothing;
  }
  std::reverse(fresh.begin(), fresh.end());
  const bool all_new = fresh.size() >= asked && fresh.front().id > last_ + 1;
  if (all_new && !last_step) return Want::kMore;
  // What was there before the agent came is not missed.
  const auto missing = static_cast<uint64_t>(fresh.front().id - last_ - 1);
  if (missing > 0 && begun_) {
    out->missing += missing;
    fresh.front().gapped = true;
  }
  for (size_t i = 1; i < fresh.size(); ++i) fresh[i].gapped = fresh[i].id != fresh[i - 1].id + 1;
  last_ = fresh.back().id;
  begun_ = true;
  std::move(fresh.begin(), fresh.end(), std::back_inserter(out->events));
  return Want::kNothing;
}

// ---- the ACL log ----

Want DeniedReader::Read(const std::string& run_id, size_t asked, bool last_step, int64_t now_ms,
                        int64_t refused, const Reply& reply, RingTurn* out) {
  if (run_id != run_id_) {
    run_id_ = run_id;
    seen_.clear();
    refused_ = -1;
    ahead_ = 0;
  }
  bool known = false;
  std::vector<RingEvent> fresh;
  std::map<std::string, Seen> next;
  for (const Reply& item : reply.items) {  // newest first
    AclEntry entry;
    if (!ReadAcl(item, &entry)) continue;
    RingEvent& e = entry.event;
    e.unix_ms = now_ms - static_cast<int64_t>(entry.age * 1000);
    const auto seen = seen_.find(entry.key);
    const bool newest = next.emplace(entry.key, Seen{e.unix_ms, e.count, e.id}).second;
    if (seen != seen_.end()) {
      const Seen& s = seen->second;
      const bool same_id = e.id >= 0 ? e.id == s.id : std::llabs(e.unix_ms - s.at_ms) <= kSame;
      if ((same_id && e.count == s.count) || (e.id < 0 && e.unix_ms < s.at_ms - kSame) ||
          (e.id >= 0 && e.id < s.id)) {
        known = true;
        continue;
      }
      const bool merged = e.id >= 0 ? e.id == s.id : e.count > s.count && e.unix_ms - s.at_ms <= kMergeWithin;
      if (newest && merged) e.count -= s.count;
    }
    fresh.push_back(std::move(e));
  }
  if (fresh.size() >= asked && !known && !last_step) return Want::kMore;
  for (auto& [key, seen] : next) seen_[key] = seen;
  if (seen_.size() > kMostKeys) seen_ = std::move(next);
  std::reverse(fresh.begin(), fresh.end());
  int64_t told = 0;
  for (const RingEvent& e : fresh) told += e.count;
  // The counters are read first: what comes in between is told now and counted the next time.
  if (refused_ >= 0 && refused >= refused_) {
    ahead_ += told - (refused - refused_);
    if (ahead_ < 0) {
      out->missing += static_cast<uint64_t>(-ahead_);
      if (!fresh.empty()) fresh.front().gapped = true;
    }
    ahead_ = std::clamp<int64_t>(ahead_, 0, told);
  }
  refused_ = refused;
  std::move(fresh.begin(), fresh.end(), std::back_inserter(out->events));
  return Want::kNothing;
}

// ---- the latency monitor ----

std::vector<std::string> LatencyReader::Changed(const std::string& run_id, const Reply& latest) {
  if (run_id != run_id_) {
    first_ = run_id_.empty();  // what was there before the agent came is not told
    run_id_ = run_id;
    told_.clear();
  }
  std::vector<std::string> out;
  for (const Reply& item : latest.items) {
    if (item.items.size() < 2 || item.items[0].text.empty()) continue;
    const auto it = told_.find(item.items[0].text);
    if (it == told_.end() && told_.size() >= kMostEvents) continue;
    if (it == told_.end() && first_) {
      told_[item.items[0].text] = item.items[1].integer;
    } else if ((it == told_.end() || it->second < item.items[1].integer) && out.size() < kMostHistories) {
      out.push_back(item.items[0].text);
    }
  }
  first_ = false;
  return out;
}

void LatencyReader::Read(const std::string& event, int64_t now_ms, const Reply& history, RingTurn* out) {
  int64_t& told = told_[event];
  const int64_t before = told;
  bool gap = before > 0 && history.items.size() >= kLatencyKept && !history.items.front().items.empty() &&
             history.items.front().items[0].integer > before;
  for (const Reply& sample : history.items) {
    if (sample.items.size() < 2) continue;
    const int64_t second = sample.items[0].integer;
    if (second <= told || second >= now_ms / 1000) continue;
    told = second;
    RingEvent e;
    e.kind = RingEvent::Kind::kLatency;
    e.unix_ms = second * 1000;
    e.took_ms = static_cast<double>(sample.items[1].integer);
    e.object = event;
    e.gapped = std::exchange(gap, false);
    out->events.push_back(std::move(e));
  }
}

// ---- kills ----

void KillReader::Read(const std::string& run_id, const Counters& now, int64_t own_kills, RingTurn* out) {
  if (run_id != run_id_) {
    const bool first = run_id_.empty();
    run_id_ = run_id;
    told_ = first ? now : Counters();
    own_ = first ? own_kills : last_own_;
  }
  last_own_ = own_kills;
  const auto tell = [&](int64_t count, int64_t* told, const char* what) {
    if (count <= *told) return;
    RingEvent e;
    e.kind = RingEvent::Kind::kKill;
    e.count = count - *told;
    e.object = what;
    out->events.push_back(std::move(e));
    *told = count;
  };
  // Own ones may be counted before the server's counters were read again: then the sum is right a turn later.
  tell(now.kill_calls - (own_kills - own_), &told_.kill_calls, "CLIENT KILL");
  tell(now.evicted, &told_.evicted, "maxmemory-clients");
}

}  // namespace mainstay::engine::redis
