#include "lib/election/table.h"

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "lib/election/core_internal.h"

namespace mainstay::election {
namespace {

std::vector<std::string> FromPhases(const Row& row) {
  std::vector<std::string> out;
  if (row.from == kAnyPhase) return {"any"};
  for (int i = 0; i < kPhases; ++i)
    if ((row.from & (1u << i)) != 0) out.emplace_back(ToString(static_cast<Phase>(i)));
  return out;
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> out;
  for (std::string w; in >> w;) out.push_back(w);
  return out;
}

std::string Join(const std::vector<std::string>& words, const char* between) {
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : between) + w;
  return out;
}

std::vector<Row> Build() {
  std::vector<Row> t;
  AddHolderRows(&t);
  AddOpenRows(&t);
  AddAdminRows(&t);
  AddPrimaryRows(&t);
  AddReplicaRows(&t);
  AddCandidateRows(&t);
  AddHouseRows(&t);
  return t;
}

}  // namespace

const std::vector<Row>& Table() {
  static const std::vector<Row>* table = new std::vector<Row>(Build());
  return *table;
}

std::string TableAsText() {
  std::string out;
  for (const Row& row : Table()) {
    const std::string to = Join(Words(row.to), ", ");
    out += std::string(row.id) + "\n  in    " + Join(FromPhases(row), ", ") + "\n  when  " + row.when +
           "\n  then  " + row.sentence + (to.empty() ? "" : "\n  to    " + to) + "\n\n";
  }
  return out;
}

std::string TableAsJson() {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Row& row : Table())
    rows.push_back({{"id", row.id},
                    {"from", FromPhases(row)},
                    {"when", row.when},
                    {"sentence", row.sentence},
                    {"to", Words(row.to)},
                    {"quiet", row.quiet}});
  return rows.dump(2) + "\n";
}

std::string TableAsMermaid() {
  std::string out = "stateDiagram-v2\n  [*] --> joining\n";
  std::set<std::string> arrows;
  for (const Row& row : Table())
    for (const std::string& from : FromPhases(row))
      for (const std::string& to : Words(row.to))
        if (from != to && from != "any") arrows.insert("  " + from + " --> " + to + ": " + row.id + "\n");
  for (const std::string& a : arrows) out += a;
  return out;
}

}  // namespace mainstay::election
