#include "lib/engine/redis/held.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lib/base/json.h"
#include "lib/base/result.h"

namespace mainstay::engine::redis {
namespace {

constexpr size_t kMaxBytes = 64 * 1024;
constexpr size_t kMaxText = 300;

absl::Status ReadTexts(const JsonView& view, Held* out) {
  MAINSTAY_ASSIGN_OR_RETURN(out->cluster_id, view.String("cluster_id", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->nonce, view.String("nonce", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->run_id, view.String("run_id", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->replids, view.Strings("replids", kMaxHistories, kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->leader, view.String("leader", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->leader_address, view.String("leader_address", kMaxText));
  return absl::OkStatus();
}

absl::StatusOr<Held> Read(const JsonView& view) {
  Held out;
  MAINSTAY_RETURN_IF_ERROR(view.Int("v", 1, 1).status());
  MAINSTAY_RETURN_IF_ERROR(ReadTexts(view, &out));
  MAINSTAY_ASSIGN_OR_RETURN(out.unopened, view.Bool("unopened"));
  MAINSTAY_ASSIGN_OR_RETURN(out.reinit, view.Bool("reinit"));
  MAINSTAY_ASSIGN_OR_RETURN(out.keys, view.Bool("keys"));
  MAINSTAY_ASSIGN_OR_RETURN(out.floor, view.Uint("floor", UINT64_MAX));
  MAINSTAY_ASSIGN_OR_RETURN(out.aof.seq, view.IntOr("aof_seq", 0, INT64_MAX, 0));
  MAINSTAY_ASSIGN_OR_RETURN(const int64_t aof_size, view.IntOr("aof_size", 0, INT64_MAX, 0));
  out.aof.size = static_cast<uint64_t>(aof_size);
  MAINSTAY_ASSIGN_OR_RETURN(out.floor_ms, view.IntOr("floor_ms", 0, INT64_MAX, 0));
  MAINSTAY_ASSIGN_OR_RETURN(out.epoch, view.Int("epoch", 0, INT64_MAX));
  MAINSTAY_ASSIGN_OR_RETURN(out.following, view.Int("following", 0, INT64_MAX));
  MAINSTAY_ASSIGN_OR_RETURN(out.reign, view.Int("reign", 0, INT64_MAX));
  MAINSTAY_ASSIGN_OR_RETURN(out.reign_from, view.Uint("reign_from", UINT64_MAX));
  return out;
}

bool Knows(const Held& held, const std::string& replid) {
  return !replid.empty() && std::find(held.replids.begin(), held.replids.end(), replid) != held.replids.end();
}

// A full resync has thrown the old data away and did not bring new ones. Without a cached primary (offset 0
// or 1) a resync was begun, or the process is new; data that were there and are not any more were flushed.
bool LostToResync(const Held& held, const ReplicationFacts& r, int64_t keys) {
  return r.role == Role::kReplica && !r.link_up && r.applied_offset <= 1 && keys == 0 && held.keys;
}

}  // namespace

std::string EncodeHeld(const Held& held) {
  OrderedJson j;
  j["v"] = 1;
  j["cluster_id"] = held.cluster_id;
  j["nonce"] = held.nonce;
  j["unopened"] = held.unopened;
  j["reinit"] = held.reinit;
  j["run_id"] = held.run_id;
  j["replids"] = held.replids;
  j["floor"] = held.floor;
  j["aof_seq"] = held.aof.seq;
  j["aof_size"] = held.aof.size;
  j["floor_ms"] = held.floor_ms;
  j["keys"] = held.keys;
  j["epoch"] = held.epoch;
  j["leader"] = held.leader;
  j["leader_address"] = held.leader_address;
  j["following"] = held.following;
  j["reign"] = held.reign;
  j["reign_from"] = held.reign_from;
  return DumpJson(j) + "\n";
}

absl::StatusOr<Held> DecodeHeld(absl::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text, kMaxBytes);
  absl::StatusOr<Held> out = json.ok() ? Read(JsonView(&*json, "state")) : json.status();
  if (out.ok()) return out;
  return absl::DataLossError(
      absl::StrCat("the file that tells what data this member holds is damaged (", out.status().message(),
                   "): move it away and the member counts as empty and is copied anew"));
}

bool AddHistory(Held* held, const std::string& replid) {
  if (replid.empty() || (!held->replids.empty() && held->replids.back() == replid)) return false;
  std::vector<std::string>& ids = held->replids;
  ids.erase(std::remove(ids.begin(), ids.end(), replid), ids.end());
  ids.push_back(replid);
  if (ids.size() > kMaxHistories) ids.erase(ids.begin());
  return true;
}

Verdict JudgeData(const Held& held, const Info& info, uint64_t grown) {
  Verdict v;
  const ReplicationFacts r = info.replication.value_or(ReplicationFacts{});
  const int64_t keys = info.keys.value_or(0);
  const bool same = info.server.has_value() && !held.run_id.empty() && info.server->run_id == held.run_id;
  v.position = ToPosition(r.offset);
  if (held.cluster_id.empty() || held.reinit) {
    v.empty = true;
  } else if (held.unopened) {
    // Founded here: nothing was acknowledged in it yet.
  } else if (same) {
    v.empty = LostToResync(held, r, keys);
  } else if (Knows(held, r.replid)) {
    v.rolled_back = true;  // an RDB file: it tells where in the history it was taken
  } else if (keys > 0 || !held.keys) {
    // An append-only file, or an RDB of a primary that had no replica: it does not say how far it reaches.
    // What was noted a while before the end is in it, and what was appended since.
    v.rolled_back = true;
    v.position = std::max<uint64_t>(held.floor, 1) + grown;
  } else {
    v.empty = true;
  }
  if (v.empty) v.position = 0;
  // (Epoch 1 is the least that there is: it loses against every reign that anybody can tell.)
  if (!v.empty && !held.unopened) v.reign = v.rolled_back && v.position < held.reign_from ? 1 : held.reign;
  return v;
}

}  // namespace mainstay::engine::redis
