#include "lib/election/record.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lib/base/json.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/base/wall_clock.h"

namespace mainstay::election {
namespace {

constexpr int kSchema = 1;
constexpr size_t kMaxNameBytes = 40;
constexpr size_t kMaxTextBytes = 1024;   // identities, addresses, ids
constexpr size_t kMaxReasonBytes = 256;  // cut when written: for people only
constexpr size_t kMaxLeaderBytes = 16 * 1024;
constexpr int64_t kMaxLeaseMs = 24 * 3600 * 1000;

constexpr char kUndo[] =
    "; put the former value back or, if it is lost, delete the lock object: the members write it anew from "
    "what they "
    "remember";

// ---- writing ----

int64_t LeaseMs(const Record& record) {  // rounded up: a candidate may wait longer, never shorter
  return std::chrono::ceil<std::chrono::milliseconds>(record.lease).count();
}

int64_t LeaseSeconds(int64_t lease_ms) { return std::max<int64_t>(1, (lease_ms + 999) / 1000); }

// What others than our members shall wait: electors of client-go see whole seconds, so of two renewals within
// one second they count from the first. A second more makes up for it. Released: client-go's own 1.
int64_t AdvertisedSeconds(const Record& record) {
  return record.holder.empty() ? 1 : LeaseSeconds(LeaseMs(record)) + 1;
}

OrderedJson ToJson(const Position& p) {
  return {{"lineage", p.lineage}, {"offset", p.offset}, {"timeline", p.timeline}};
}

OrderedJson ToJson(const Member& m) {
  OrderedJson out = {{"name", m.name},
                     {"incarnation", m.incarnation},
                     {"data_nonce", m.data_nonce},
                     {"peer_address", m.peer_address},
                     {"db_address", m.db_address},
                     {"priority", m.priority}};
  if (m.no_failover) out["no_failover"] = true;
  return out;
}

OrderedJson ToJson(const HistoryEntry& h) {
  return {{"epoch", h.epoch},
          {"holder", h.holder},
          {"reason", Cut(h.reason, kMaxReasonBytes)},
          {"unix_ms", h.unix_ms}};
}

template <typename T>
OrderedJson ToJsonArray(const std::vector<T>& items, size_t skip = 0) {
  OrderedJson out = OrderedJson::array();
  for (size_t i = skip; i < items.size(); ++i) out.push_back(ToJson(items[i]));
  return out;
}

OrderedJson StateJson(const Record& r) {
  OrderedJson out = {{"v", kSchema},
                     {"cluster", r.cluster},
                     {"cluster_id", r.cluster_id},
                     {"holder_name", r.holder_name},
                     {"epoch", r.epoch},
                     {"base", r.base},
                     {"change", r.change},
                     {"lease_ms", LeaseMs(r)},
                     {"durability", ToString(r.durability)},
                     {"voters", r.voters},
                     {"freeze", r.freeze}};
  out["members"] = ToJsonArray(r.members);
  if (r.paused) out["paused"] = true;
  if (r.pending) out["pending"] = {{"id", r.pending->id}, {"target", r.pending->target}};
  if (!(r.release == Release{})) {
    out["release"] = {
        {"released", r.release.released}, {"complete", r.release.complete}, {"from", r.release.from}};
    out["release"]["final"] = ToJson(r.release.final);
  }
  const size_t excess = r.history.size() > kMaxHistory ? r.history.size() - kMaxHistory : 0;
  if (!r.history.empty()) out["history"] = ToJsonArray(r.history, excess);
  return out;
}

// ---- the check ----

// Three sums, so that a reader can say which part was edited. The state's sum is taken over its JSON with
// sorted keys and without spaces, so that a tool that only formats it anew does no harm, and it covers fields
// that this version does not know. Holder and renewal are summed on top of it, so that parts of two different
// writes do not fit together.
struct Check {
  std::string state, holder, renewal;
};

uint64_t StateSum(Json state) {
  state.erase("check");
  return Fnv1a64(DumpJson(state));
}

Check CheckOf(uint64_t sum, absl::string_view holder, absl::string_view renewal) {
  const auto hex = [](uint64_t v) { return std::string(absl::StrCat(absl::Hex(v, absl::kZeroPad16))); };
  return {hex(sum), hex(Fnv1a64(holder, sum)), hex(Fnv1a64(renewal, ~sum))};
}

std::string Join(const Check& c) { return absl::StrCat(c.state, "-", c.holder, "-", c.renewal); }

// "" when it fits.
std::string CompareCheck(absl::string_view found, const Check& want) {
  if (found == Join(want)) return "";
  const bool shaped = found.size() == 50 && found[16] == '-' && found[33] == '-';
  if (!shaped || found.substr(0, 16) != want.state)
    return absl::StrCat("state: does not fit its check: it was edited", kUndo);
  if (found.substr(17, 16) != want.holder) {
    return absl::StrCat("leader.holderIdentity: does not fit the check in state: the holder was edited",
                        kUndo);
  }
  return absl::StrCat("renewal: does not fit the check in state: the counter was edited", kUndo);
}

// ---- reading ----

bool IsName(absl::string_view s) {
  return !s.empty() && s.size() <= kMaxNameBytes && std::all_of(s.begin(), s.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

absl::StatusOr<Name> ReadName(const JsonView& from, const char* key, bool may_be_empty) {
  MAINSTAY_ASSIGN_OR_RETURN(Name name, from.StringOr(key, kMaxTextBytes, ""));
  if (IsName(name) || (may_be_empty && name.empty())) return name;
  return from.Wrong(key, "a name of 1 to 40 characters of a-z, 0-9 and -");
}

absl::StatusOr<Position> ReadPosition(const JsonView& from) {
  Position p;
  MAINSTAY_ASSIGN_OR_RETURN(p.lineage, from.Int("lineage", 0, INT64_MAX));
  MAINSTAY_ASSIGN_OR_RETURN(p.offset, from.Uint("offset", UINT64_MAX));
  MAINSTAY_ASSIGN_OR_RETURN(const int64_t timeline, from.IntOr("timeline", 0, UINT32_MAX, 0));
  p.timeline = static_cast<uint32_t>(timeline);
  return p;
}

absl::StatusOr<Member> ReadMember(const JsonView& from) {
  Member m;
  MAINSTAY_ASSIGN_OR_RETURN(m.name, ReadName(from, "name", false));
  MAINSTAY_ASSIGN_OR_RETURN(m.incarnation, from.StringOr("incarnation", kMaxTextBytes, ""));
  MAINSTAY_ASSIGN_OR_RETURN(m.data_nonce, from.StringOr("data_nonce", kMaxTextBytes, ""));
  MAINSTAY_ASSIGN_OR_RETURN(m.peer_address, from.StringOr("peer_address", kMaxTextBytes, ""));
  MAINSTAY_ASSIGN_OR_RETURN(m.db_address, from.StringOr("db_address", kMaxTextBytes, ""));
  MAINSTAY_ASSIGN_OR_RETURN(const int64_t priority, from.IntOr("priority", INT32_MIN, INT32_MAX, 100));
  m.priority = static_cast<int32_t>(priority);
  MAINSTAY_ASSIGN_OR_RETURN(m.no_failover, from.BoolOr("no_failover", false));
  return m;
}

absl::Status ReadMembers(const JsonView& from, Record* out) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<JsonView> members, from.Array("members", kMaxMembers));
  for (const JsonView& one : members) {
    MAINSTAY_ASSIGN_OR_RETURN(Member m, ReadMember(one));
    if (out->FindMember(m.name) != nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(one.path(), ".name: ", m.name, " is there twice"));
    }
    out->members.push_back(std::move(m));
  }
  std::sort(out->members.begin(), out->members.end(),
            [](const Member& a, const Member& b) { return a.name < b.name; });
  MAINSTAY_ASSIGN_OR_RETURN(out->voters, from.Strings("voters", kMaxMembers, kMaxNameBytes));
  for (const Name& name : out->voters) {
    if (!IsName(name)) return from.Wrong("voters", "names of a-z, 0-9 and -");
  }
  std::sort(out->voters.begin(), out->voters.end());
  if (std::adjacent_find(out->voters.begin(), out->voters.end()) != out->voters.end()) {
    return from.Wrong("voters", "each name once");
  }
  MAINSTAY_ASSIGN_OR_RETURN(const int64_t freeze, from.Int("freeze", 0, kMaxMembers));
  out->freeze = static_cast<int32_t>(freeze);
  return absl::OkStatus();
}

absl::Status ReadRequests(const JsonView& from, Record* out) {
  MAINSTAY_ASSIGN_OR_RETURN(out->paused, from.BoolOr("paused", false));
  if (from.Has("pending")) {
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView pending, from.Object("pending"));
    Pending p;
    MAINSTAY_ASSIGN_OR_RETURN(p.id, pending.String("id", kMaxTextBytes));
    MAINSTAY_ASSIGN_OR_RETURN(p.target, ReadName(pending, "target", true));
    out->pending = std::move(p);
  }
  if (from.Has("release")) {
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView release, from.Object("release"));
    MAINSTAY_ASSIGN_OR_RETURN(out->release.released, release.Bool("released"));
    MAINSTAY_ASSIGN_OR_RETURN(out->release.complete, release.Bool("complete"));
    MAINSTAY_ASSIGN_OR_RETURN(out->release.from, ReadName(release, "from", true));
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView final, release.Object("final"));
    MAINSTAY_ASSIGN_OR_RETURN(out->release.final, ReadPosition(final));
  }
  return absl::OkStatus();
}

absl::Status ReadHistory(const JsonView& from, Record* out) {
  if (!from.Has("history")) return absl::OkStatus();
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<JsonView> entries, from.Array("history", kMaxHistory));
  for (const JsonView& one : entries) {
    HistoryEntry h;
    MAINSTAY_ASSIGN_OR_RETURN(h.epoch, one.Int("epoch", 0, INT64_MAX));
    MAINSTAY_ASSIGN_OR_RETURN(h.holder, ReadName(one, "holder", true));
    MAINSTAY_ASSIGN_OR_RETURN(h.reason, one.StringOr("reason", kMaxReasonBytes, ""));
    MAINSTAY_ASSIGN_OR_RETURN(h.unix_ms, one.IntOr("unix_ms", INT64_MIN, INT64_MAX, 0));
    out->history.push_back(std::move(h));
  }
  return absl::OkStatus();
}

absl::Status ReadState(const JsonView& from, Record* out) {
  MAINSTAY_ASSIGN_OR_RETURN(out->cluster, from.String("cluster", kMaxTextBytes));
  MAINSTAY_ASSIGN_OR_RETURN(out->cluster_id, from.StringOr("cluster_id", kMaxTextBytes, ""));
  MAINSTAY_ASSIGN_OR_RETURN(out->holder_name, ReadName(from, "holder_name", true));
  MAINSTAY_ASSIGN_OR_RETURN(out->epoch, from.Int("epoch", 0, INT64_MAX));
  MAINSTAY_ASSIGN_OR_RETURN(out->base, from.Int("base", 0, INT64_MAX));
  MAINSTAY_ASSIGN_OR_RETURN(out->change, from.Int("change", 0, INT64_MAX));
  MAINSTAY_ASSIGN_OR_RETURN(const int64_t lease_ms, from.Int("lease_ms", 1, kMaxLeaseMs));
  out->lease = std::chrono::milliseconds(lease_ms);
  MAINSTAY_ASSIGN_OR_RETURN(const std::string durability, from.String("durability", 16));
  const std::optional<Durability> mode = ParseDurability(durability);
  if (!mode) return from.Wrong("durability", "async, guarded or strict");
  out->durability = *mode;
  MAINSTAY_RETURN_IF_ERROR(ReadMembers(from, out));
  MAINSTAY_RETURN_IF_ERROR(ReadRequests(from, out));
  return ReadHistory(from, out);
}

absl::Status CheckSchema(const JsonView& state) {
  MAINSTAY_ASSIGN_OR_RETURN(const int64_t v, state.Int("v", 1, INT64_MAX));
  if (v == kSchema) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "state.v: ", v, " was written by a newer version, this one reads ", kSchema, "; upgrade this member"));
}

// What the leader annotation says besides the holder must fit the state: it is written from it.
absl::Status CheckLeader(const JsonView& leader, const Record& record) {
  const int64_t seconds = AdvertisedSeconds(record);
  MAINSTAY_ASSIGN_OR_RETURN(const int64_t transitions, leader.Int("leaderTransitions", 0, INT64_MAX));
  if (transitions != record.epoch) {
    return leader.Wrong("leaderTransitions", absl::StrCat(record.epoch, " as in state.epoch"));
  }
  MAINSTAY_ASSIGN_OR_RETURN(const int64_t duration, leader.Int("leaseDurationSeconds", 1, INT64_MAX));
  // Written before 0.2: without the second more.
  if (duration != seconds && duration != LeaseSeconds(LeaseMs(record)))
    return leader.Wrong("leaseDurationSeconds", absl::StrCat(seconds, " as state.lease_ms has it"));
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ReadRenewal(const std::string& text) {
  int64_t value = -1;
  // Written back it must be the same text: no signs, spaces or leading zeros.
  if (text.size() > 19 || !absl::SimpleAtoi(text, &value) || value < 0 || absl::StrCat(value) != text) {
    return absl::InvalidArgumentError(
        absl::StrCat("renewal: want a whole number of at least 0, got \"", Cut(text, 40), "\""));
  }
  return value;
}

absl::Status Prefixed(absl::string_view part, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(part, ": ", status.message()));
}

absl::Status DecodeInto(const Document& doc, Decoded* out) {
  const size_t bytes = doc.leader.size() + doc.renewal.size() + doc.state.size();
  if (bytes > kMaxDocumentBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the document has ", bytes, " bytes, more than ", kMaxDocumentBytes));
  }
  const absl::StatusOr<Json> leader_json = ParseJson(doc.leader, kMaxLeaderBytes);
  if (!leader_json.ok()) return Prefixed("leader", leader_json.status());
  const JsonView leader(&*leader_json, "leader");
  Record record;
  MAINSTAY_ASSIGN_OR_RETURN(record.holder, leader.StringOr("holderIdentity", kMaxTextBytes, ""));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string acquired, leader.StringOr("acquireTime", kMaxTextBytes, ""));
  MAINSTAY_ASSIGN_OR_RETURN(record.renewal, ReadRenewal(doc.renewal));
  const absl::StatusOr<Json> state_json = ParseJson(doc.state, kMaxDocumentBytes);
  if (!state_json.ok()) return Prefixed("state", state_json.status());
  const JsonView state(&*state_json, "state");
  MAINSTAY_RETURN_IF_ERROR(CheckSchema(state));
  MAINSTAY_ASSIGN_OR_RETURN(const std::string check, state.String("check", kMaxTextBytes));
  const std::string edited = CompareCheck(check, CheckOf(StateSum(*state_json), record.holder, doc.renewal));
  if (!edited.empty()) return absl::DataLossError(edited);
  MAINSTAY_RETURN_IF_ERROR(ReadState(state, &record));
  MAINSTAY_RETURN_IF_ERROR(CheckLeader(leader, record));
  // A time that cannot be read does no harm: no decision rests on it.
  out->acquire_unix_ms = ParseUtc(acquired).value_or(0);
  out->record = std::move(record);
  return absl::OkStatus();
}

}  // namespace

const Member* Record::FindMember(const Name& name) const {
  const auto it =
      std::find_if(members.begin(), members.end(), [&](const Member& m) { return m.name == name; });
  return it == members.end() ? nullptr : &*it;
}

bool Record::HasVoter(const Name& name) const {
  return std::find(voters.begin(), voters.end(), name) != voters.end();
}

StateText EncodeState(const Record& record) {
  StateText out;
  out.json = DumpJson(StateJson(record));
  // Summed over what a reader will parse, not over what was meant (a byte that is not UTF-8 is replaced on
  // the way).
  out.sum = StateSum(Json::parse(out.json, nullptr, /*allow_exceptions=*/false));
  return out;
}

Document Encode(const Record& record, const StateText& state, int64_t unix_ms, int64_t acquire_unix_ms) {
  Document out;
  const OrderedJson leader = {
      {"holderIdentity", record.holder},
      {"leaseDurationSeconds", AdvertisedSeconds(record)},
      // Released: both times now, as client-go has it.
      {"acquireTime", FormatUtcSeconds(record.holder.empty() ? unix_ms : acquire_unix_ms)},
      {"renewTime", FormatUtcSeconds(unix_ms)},
      {"leaderTransitions", record.epoch}};
  out.leader = DumpJson(leader);
  out.renewal = absl::StrCat(record.renewal);
  const Json holder_back = Json::parse(out.leader, nullptr, /*allow_exceptions=*/false);
  const std::string holder = JsonView(&holder_back, "").StringOr("holderIdentity", SIZE_MAX, "").value();
  out.state = absl::StrCat(absl::string_view(state.json).substr(0, state.json.size() - 1), ",\"check\":\"",
                           Join(CheckOf(state.sum, holder, out.renewal)), "\"}");
  return out;
}

Document Encode(const Record& record, int64_t unix_ms, int64_t acquire_unix_ms) {
  return Encode(record, EncodeState(record), unix_ms, acquire_unix_ms);
}

Decoded Decode(const Document& document) {
  Decoded out;
  const absl::Status status = DecodeInto(document, &out);
  if (status.ok()) return out;
  out.problem = std::string(status.message());
  if (out.problem.find(';') == std::string::npos) out.problem += kUndo;
  return out;
}

const char* ToString(Durability d) {
  switch (d) {
    case Durability::kAsync:
      return "async";
    case Durability::kGuarded:
      return "guarded";
    case Durability::kStrict:
      return "strict";
  }
  return "guarded";
}

std::optional<Durability> ParseDurability(const std::string& text) {
  for (Durability d : {Durability::kAsync, Durability::kGuarded, Durability::kStrict}) {
    if (text == ToString(d)) return d;
  }
  return std::nullopt;
}

}  // namespace mainstay::election
