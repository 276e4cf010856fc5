#include "lib/maintenance/memory.h"

#include <algorithm>
#include <array>
#include <limits>

#include "absl/strings/str_cat.h"
#include "lib/base/json.h"
#include "lib/base/result.h"
#include "lib/base/strings.h"
#include "lib/maintenance/facts.h"
#include "lib/maintenance/words.h"

namespace mainstay::maintenance {
namespace {

constexpr std::array<const char*, 2> kStates = {"joining", "member"};
constexpr std::array<const char*, 5> kRepairSteps = {"forget", "join", "grow", "sync", "rebalance"};
constexpr std::array<const char*, 3> kTokenPhases = {"granted", "returned", "rebalance"};
constexpr std::array<const char*, 4> kRemovalSteps = {"drain", "shrink", "stop", "forget"};

std::string CheckOf(Json json) {
  json.erase("check");
  return std::string(absl::StrCat(absl::Hex(Fnv1a64(DumpJson(json)), absl::kZeroPad16)));
}

template <typename T>
absl::Status ReadNamedDisk(const JsonView& from, T* out) {
  MAINSTAY_ASSIGN_OR_RETURN(out->name, from.String("name", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out->disk, from.String("disk", kMaxText));
  return absl::OkStatus();
}

absl::Status ReadMembers(const JsonView& in, Memory* out) {
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<JsonView> members, in.Array("members", kMaxMembers));
  for (const JsonView& m : members) {
    MemberEntry e;
    MAINSTAY_RETURN_IF_ERROR(ReadNamedDisk(m, &e));
    MAINSTAY_ASSIGN_OR_RETURN(e.node, m.String("node", kMaxText));
    MAINSTAY_ASSIGN_OR_RETURN(e.start, m.StringOr("start", kMaxText, ""));
    MAINSTAY_RETURN_IF_ERROR(ReadWord(m, "state", kStates, &e.state));
    out->members.push_back(std::move(e));
  }
  MAINSTAY_ASSIGN_OR_RETURN(const std::vector<JsonView> forgotten, in.Array("forgotten", kMaxForgotten));
  for (const JsonView& f : forgotten) {
    MAINSTAY_RETURN_IF_ERROR(ReadNamedDisk(f, &out->forgotten.emplace_back()));
  }
  return absl::OkStatus();
}

absl::Status ReadUnderWay(const JsonView& in, Memory* out) {
  if (in.Has("founding")) {
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView v, in.Object("founding"));
    Founding& f = out->founding.emplace();
    MAINSTAY_RETURN_IF_ERROR(ReadNamedDisk(v, &f));
    MAINSTAY_ASSIGN_OR_RETURN(f.nonce, v.String("nonce", kMaxText));
    MAINSTAY_ASSIGN_OR_RETURN(f.confirmed, v.Bool("confirmed"));
  }
  if (in.Has("repair")) {
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView v, in.Object("repair"));
    Repair& r = out->repair.emplace();
    MAINSTAY_RETURN_IF_ERROR(ReadNamedDisk(v, &r));
    MAINSTAY_RETURN_IF_ERROR(ReadWord(v, "step", kRepairSteps, &r.step));
  }
  if (in.Has("token")) {
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView v, in.Object("token"));
    Token& t = out->token.emplace();
    MAINSTAY_RETURN_IF_ERROR(ReadNamedDisk(v, &t));
    MAINSTAY_ASSIGN_OR_RETURN(t.start, v.StringOr("start", kMaxText, ""));
    MAINSTAY_ASSIGN_OR_RETURN(t.wish, v.StringOr("wish", kMaxText, ""));
    MAINSTAY_RETURN_IF_ERROR(ReadWord(v, "phase", kTokenPhases, &t.phase));
  }
  if (in.Has("removal")) {
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView v, in.Object("removal"));
    Removal& r = out->removal.emplace();
    MAINSTAY_RETURN_IF_ERROR(ReadNamedDisk(v, &r));
    MAINSTAY_RETURN_IF_ERROR(ReadWord(v, "step", kRemovalSteps, &r.step));
  }
  if (in.Has("force_boot")) {
    MAINSTAY_ASSIGN_OR_RETURN(const JsonView v, in.Object("force_boot"));
    MAINSTAY_RETURN_IF_ERROR(ReadNamedDisk(v, &out->force_boot.emplace()));
  }
  return absl::OkStatus();
}

OrderedJson MembersJson(const Memory& m) {
  OrderedJson out = OrderedJson::array();
  for (const MemberEntry& e : m.members)
    out.push_back({{"name", e.name},
                   {"node", e.node},
                   {"disk", e.disk},
                   {"start", e.start},
                   {"state", WordOf(kStates, e.state)}});
  return out;
}

absl::StatusOr<Memory> Read(const Json& json) {
  const JsonView in(&json, "memory");
  MAINSTAY_RETURN_IF_ERROR(in.Int("v", 1, 1).status());
  MAINSTAY_ASSIGN_OR_RETURN(const std::string check, in.String("check", kMaxText));
  if (check != CheckOf(json)) return in.Wrong("check", "the sum over the rest: it was edited by hand");
  Memory out;
  MAINSTAY_ASSIGN_OR_RETURN(out.epoch, in.Int("epoch", 0, std::numeric_limits<int64_t>::max()));
  MAINSTAY_ASSIGN_OR_RETURN(out.cluster_id, in.String("cluster_id", kMaxText));
  MAINSTAY_ASSIGN_OR_RETURN(out.rebalance_due, in.Bool("rebalance_due"));
  MAINSTAY_RETURN_IF_ERROR(ReadMembers(in, &out));
  MAINSTAY_RETURN_IF_ERROR(ReadUnderWay(in, &out));
  return out;
}

}  // namespace

const char* ToString(RepairStep step) { return WordOf(kRepairSteps, step); }
const char* ToString(RemovalStep step) { return WordOf(kRemovalSteps, step); }
const char* ToString(TokenPhase phase) { return WordOf(kTokenPhases, phase); }

const MemberEntry* Memory::Find(const std::string& name) const {
  const auto it =
      std::find_if(members.begin(), members.end(), [&](const MemberEntry& m) { return m.name == name; });
  return it == members.end() ? nullptr : &*it;
}

MemberEntry* Memory::Find(const std::string& name) {
  return const_cast<MemberEntry*>(static_cast<const Memory*>(this)->Find(name));
}

bool Memory::Forgotten(const std::string& name, const std::string& disk) const {
  return std::find(forgotten.begin(), forgotten.end(), NamedDisk{name, disk}) != forgotten.end();
}

std::string EncodeMemory(const Memory& m) {
  OrderedJson out = {{"v", 1},
                     {"epoch", m.epoch},
                     {"cluster_id", m.cluster_id},
                     {"rebalance_due", m.rebalance_due},
                     {"members", MembersJson(m)}};
  OrderedJson forgotten = OrderedJson::array();
  const size_t skip = m.forgotten.size() > kMaxForgotten ? m.forgotten.size() - kMaxForgotten : 0;
  for (size_t i = skip; i < m.forgotten.size(); ++i)
    forgotten.push_back({{"name", m.forgotten[i].name}, {"disk", m.forgotten[i].disk}});
  out["forgotten"] = std::move(forgotten);
  if (m.founding)
    out["founding"] = {{"name", m.founding->name},
                       {"disk", m.founding->disk},
                       {"nonce", m.founding->nonce},
                       {"confirmed", m.founding->confirmed}};
  if (m.repair)
    out["repair"] = {{"name", m.repair->name}, {"disk", m.repair->disk}, {"step", ToString(m.repair->step)}};
  if (m.token)
    out["token"] = {{"name", m.token->name},
                    {"disk", m.token->disk},
                    {"start", m.token->start},
                    {"wish", m.token->wish},
                    {"phase", ToString(m.token->phase)}};
  if (m.removal)
    out["removal"] = {
        {"name", m.removal->name}, {"disk", m.removal->disk}, {"step", ToString(m.removal->step)}};
  if (m.force_boot) out["force_boot"] = {{"name", m.force_boot->name}, {"disk", m.force_boot->disk}};
  out["check"] = CheckOf(Json(out));
  return DumpJson(out);
}

absl::StatusOr<Memory> DecodeMemory(absl::string_view text) {
  absl::StatusOr<Json> json = ParseJson(text, kMaxMemoryBytes);
  absl::StatusOr<Memory> out = json.ok() ? Read(*json) : json.status();
  if (out.ok()) return out;
  return absl::DataLossError(absl::StrCat(
      out.status().message(),
      "; put the former text back or, if it is lost, delete the object: the leader writes it anew from what "
      "the members know"));
}

}  // namespace mainstay::maintenance
