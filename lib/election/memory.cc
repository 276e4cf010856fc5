#include <algorithm>
#include <nlohmann/json.hpp>

#include "lib/election/action.h"

namespace mainstay::election {

std::string EncodeMemory(const Memory& m) {
  nlohmann::ordered_json j;
  j["v"] = 1;
  j["max_epoch"] = m.max_epoch;
  j["promised"] = m.promised;
  j["promised_to"] = m.promised_to;
  j["lineage"] = m.lineage;
  j["held"] = m.held;
  j["detached"] = m.detached;
  if (m.rolled_back) j["rolled_back"] = true;  // (an older agent can still read what has no need of it)
  j["fenced"] = m.fenced;
  j["record_epoch"] = m.record_epoch;
  j["record_change"] = m.record_change;
  j["durability"] = ToString(m.durability);
  j["cluster_id"] = m.cluster_id;
  j["known"] = m.known;
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

namespace {

using Json = nlohmann::json;

bool Int(const Json& j, const char* name, int64_t* out) {
  auto it = j.find(name);
  if (it == j.end() || !it->is_number_integer() ||
      (it->is_number_unsigned() && it->get<uint64_t>() > INT64_MAX))
    return false;
  *out = it->get<int64_t>();
  return *out >= 0;
}
bool Bool(const Json& j, const char* name, bool* out) {
  auto it = j.find(name);
  if (it == j.end() || !it->is_boolean()) return false;
  *out = it->get<bool>();
  return true;
}
bool Text(const Json& j, const char* name, std::string* out) {
  auto it = j.find(name);
  if (it == j.end() || !it->is_string() || it->get_ref<const std::string&>().size() > 256) return false;
  *out = it->get<std::string>();
  return true;
}
bool Names(const Json& j, const char* name, std::vector<Name>* out) {
  auto it = j.find(name);
  if (it == j.end() || !it->is_array() || it->size() > 256) return false;
  for (const Json& n : *it) {
    if (!n.is_string() || n.get_ref<const std::string&>().size() > 64) return false;
    out->push_back(n.get<std::string>());
  }
  std::sort(out->begin(), out->end());
  return true;
}

}  // namespace

std::optional<Memory> DecodeMemory(const std::string& text, std::string* problem) {
  constexpr size_t kMaxBytes = 64 * 1024;
  auto bad = [&](const std::string& what) -> std::optional<Memory> {
    *problem = "the election's memory file is damaged (" + what +
               "): it holds promises that keep acknowledged writes safe; restore it, or re-initialise this "
               "member with `mainstay reinit`";
    return std::nullopt;
  };
  if (text.size() > kMaxBytes) return bad("larger than 64 KiB");
  const Json j = Json::parse(text, nullptr, false);
  if (!j.is_object()) return bad("not a JSON object");
  int64_t v = 0;
  if (!Int(j, "v", &v) || v != 1) return bad("v: version 1 expected");
  Memory m;
  std::string durability;
  if (!Int(j, "max_epoch", &m.max_epoch)) return bad("max_epoch");
  if (!Int(j, "promised", &m.promised)) return bad("promised");
  if (!Text(j, "promised_to", &m.promised_to)) return bad("promised_to");
  if (!Int(j, "lineage", &m.lineage)) return bad("lineage");
  if (!Int(j, "held", &m.held)) return bad("held");
  if (!Bool(j, "detached", &m.detached)) return bad("detached");
  if (j.contains("rolled_back") && !Bool(j, "rolled_back", &m.rolled_back)) return bad("rolled_back");
  if (!Bool(j, "fenced", &m.fenced)) return bad("fenced");
  if (!Int(j, "record_epoch", &m.record_epoch)) return bad("record_epoch");
  if (!Int(j, "record_change", &m.record_change)) return bad("record_change");
  if (!Text(j, "durability", &durability) || !ParseDurability(durability)) return bad("durability");
  m.durability = *ParseDurability(durability);
  if (!Text(j, "cluster_id", &m.cluster_id)) return bad("cluster_id");
  if (!Names(j, "known", &m.known)) return bad("known");
  return m;
}

}  // namespace mainstay::election
