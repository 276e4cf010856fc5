// YAML of own queries. yaml-cpp throws: nothing leaves this file.
#include "agent/config_queries.h"

#include <yaml-cpp/yaml.h>

#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lib/base/file.h"
#include "lib/base/strings.h"

namespace mainstay::agent {
namespace {

using engine::postgres::QueryColumn;
using engine::postgres::QueryUse;
using engine::postgres::UserQuery;

constexpr size_t kMaxFile = 256 * 1024;
constexpr size_t kMaxProblems = 20;

class Reader {
 public:
  Reader(std::string name, std::string prefix, LoadedQueries* out)
      : name_(std::move(name)), prefix_(std::move(prefix)), out_(out) {}

  void Document(const YAML::Node& node) {
    if (node.IsNull()) return;
    if (!node.IsMap())
      return Problem(node, "", "is no mapping", "write 'name:' and the query's settings under it");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const std::string key = Text(entry.first);
      if (!seen.insert(key).second)
        Problem(entry.first, key, "is there twice", "give each query its own name");
      if (out_->queries.size() >= engine::postgres::kMaxQueries) {
        return Problem(entry.first, key, "is one query too many", "use at most 64 in a file");
      }
      Query(key, entry.first, entry.second);
    }
  }

  void Problem(const YAML::Node& where, const std::string& path, const std::string& what,
               const std::string& remedy) {
    if (out_->problems.size() >= kMaxProblems) return;
    const int line = where.IsDefined() ? where.Mark().line + 1 : 0;
    out_->problems.push_back(absl::StrCat(name_, line > 0 ? absl::StrCat(":", line) : "", ": ",
                                          Cut(path, 120), path.empty() ? "" : " ", what, "; ", remedy));
  }

 private:
  static std::string Text(const YAML::Node& node) { return node.IsScalar() ? node.Scalar() : ""; }

  void Query(const std::string& key, const YAML::Node& where, const YAML::Node& node) {
    if (!node.IsMap()) return Problem(where, key, "is no mapping", "write 'query:' and 'metrics:' under it");
    UserQuery q;
    q.name = key;
    YAML::Node metrics;
    for (const auto& entry : node) {
      const std::string field = Text(entry.first);
      if (field == "metrics") {
        metrics.reset(entry.second);
      } else {
        Field(&q, field, entry.first, entry.second);
      }
    }
    if (q.sql.empty()) Problem(where, key, "has no query", "give it 'query:'");
    if (!engine::postgres::IsMetricName(prefix_ + q.name)) {
      Problem(where, q.name, "cannot begin a metric's name", "use letters, digits and _, and no digit first");
    }
    if (!metrics.IsSequence()) {
      Problem(where, key, "has no list of metrics",
              "write under 'metrics:' one '- column: {usage: GAUGE}' a line");
    } else {
      Columns(&q, metrics);
    }
    out_->queries.push_back(std::move(q));
  }

  void Field(UserQuery* q, const std::string& field, const YAML::Node& where, const YAML::Node& node) {
    const std::string path = absl::StrCat(q->name, ".", field);
    if (field == "query" || field == "predicate_query") {
      return Sql(path, where, node, field == "query" ? &q->sql : &q->predicate);
    }
    if (field == "name") {
      if (const std::string name = Text(node); !name.empty()) q->name = name;
    } else if (field == "primary" || field == "master") {
      // postgres_exporter's `master` means its main server, of which there is one here: nothing to tell
      // apart.
      bool yes = false;
      if (!absl::SimpleAtob(Text(node), &yes))
        return Problem(where, path, "is no truth", "write true or false");
      if (field == "primary") q->primary_only = yes;
    } else if (field == "runonserver") {
      const absl::Status status = engine::postgres::ParseVersionRange(Text(node), &q->versions);
      if (!status.ok()) Problem(where, path, std::string(status.message()), "write \">=13.0.0 <17\"");
    } else if (field == "cache_seconds") {
      int seconds = 0;
      if (!absl::SimpleAtoi(Text(node), &seconds) || seconds < 0 || seconds > 86400) {
        return Problem(where, path, "is no number of seconds", "write 0 to 86400");
      }
      q->cache = std::chrono::seconds(seconds);
    } else if (field == "target_databases") {
      Databases(q, path, where, node);
    } else {
      Problem(where, path, "is not known", "remove it");
    }
  }

  void Sql(const std::string& path, const YAML::Node& where, const YAML::Node& node, std::string* out) {
    const std::string text = Text(node);
    absl::string_view sql = absl::StripAsciiWhitespace(text);
    while (absl::ConsumeSuffix(&sql, ";")) sql = absl::StripAsciiWhitespace(sql);
    if (sql.empty() || sql.size() > engine::postgres::kMaxQueryBytes ||
        sql.find('\0') != absl::string_view::npos) {
      return Problem(where, path, "is no statement", "write one SELECT of at most 16 KiB");
    }
    *out = std::string(sql);
  }

  void Databases(UserQuery* q, const std::string& path, const YAML::Node& where, const YAML::Node& node) {
    if (!node.IsSequence() || node.size() > 64) {
      return Problem(where, path, "is no list of at most 64", "write [app, \"tenant_*\"]");
    }
    for (const auto& entry : node) {
      const std::string name = Text(entry);
      if (name.empty() || name.size() > 63)
        return Problem(entry, path, "has an empty name", "name a database");
      q->databases.push_back(name);
    }
  }

  void Columns(UserQuery* q, const YAML::Node& node) {
    for (const auto& item : node) {
      if (!item.IsMap() || item.size() != 1) {
        Problem(item, absl::StrCat(q->name, ".metrics"), "has an entry that is not one column",
                "write '- column: {usage: GAUGE}'");
        continue;
      }
      if (q->columns.size() >= engine::postgres::kMaxQueryColumns) {
        return Problem(item, absl::StrCat(q->name, ".metrics"), "has too many columns", "use at most 64");
      }
      Column(q, item.begin()->first, item.begin()->second);
    }
  }

  void Column(UserQuery* q, const YAML::Node& where, const YAML::Node& node) {
    QueryColumn c;
    c.column = Text(where);
    std::string name = c.column;
    const std::string path = absl::StrCat(q->name, ".", c.column);
    if (!node.IsMap()) return Problem(where, path, "has no usage", "write {usage: GAUGE, description: ...}");
    std::string usage;
    for (const auto& entry : node) {
      const std::string field = Text(entry.first);
      if (field == "usage") {
        usage = Text(entry.second);
      } else if (field == "description") {
        c.help = Cut(Text(entry.second), 500);
      } else if (field == "name") {
        name = Text(entry.second);
      } else if (field == "metric_mapping") {
        Mapping(path, entry.second, &c);
      } else {
        Problem(entry.first, absl::StrCat(path, ".", field), "is not known", "remove it");
      }
    }
    const auto use = engine::postgres::ParseQueryUse(usage);
    if (!use.has_value()) {
      return Problem(where, path, absl::StrCat("has the usage '", Cut(usage, 40), "'"),
                     "use LABEL, GAUGE, COUNTER, HISTOGRAM, MAPPEDMETRIC, DURATION or DISCARD");
    }
    c.use = *use;
    c.name = c.use == QueryUse::kLabel ? name : absl::StrCat(prefix_, q->name, "_", name);
    if (c.use == QueryUse::kDuration) c.name += "_milliseconds";
    if (c.use == QueryUse::kMapped && c.mapping.empty()) {
      Problem(where, path, "has no metric_mapping", "write metric_mapping: {text: number}");
    }
    const bool fits =
        c.use == QueryUse::kDiscard || (c.use == QueryUse::kLabel ? engine::postgres::IsLabelName(c.name)
                                                                  : engine::postgres::IsMetricName(c.name));
    if (!fits) Problem(where, path, "makes no name for Prometheus", "set 'name:' to letters, digits and _");
    q->columns.push_back(std::move(c));
  }

  void Mapping(const std::string& path, const YAML::Node& node, QueryColumn* c) {
    if (!node.IsMap() || node.size() > 64) {
      return Problem(node, path, "has a metric_mapping that is no mapping of at most 64",
                     "write {on: 1, off: 0}");
    }
    for (const auto& entry : node) {
      double value = 0;
      if (!absl::SimpleAtod(Text(entry.second), &value)) {
        return Problem(entry.second, path, "maps to something that is no number", "write {on: 1, off: 0}");
      }
      c->mapping[Text(entry.first)] = value;
    }
  }

  const std::string name_;
  const std::string prefix_;
  LoadedQueries* const out_;
};

}  // namespace

LoadedQueries LoadQueriesText(const std::string& text, const std::string& name, const std::string& prefix) {
  LoadedQueries out;
  if (text.size() > kMaxFile) {
    out.problems.push_back(absl::StrCat(name, ": is larger than 256 KiB; ask less"));
    return out;
  }
  Reader reader(name, prefix, &out);
  try {
    reader.Document(YAML::Load(text));
  } catch (const YAML::Exception& e) {
    out.problems.push_back(absl::StrCat(name, e.mark.is_null() ? "" : absl::StrCat(":", e.mark.line + 1),
                                        ": is no YAML: ", Cut(e.msg, 200), "; correct the line"));
  }
  if (out.ok()) {
    const absl::Status status = engine::postgres::CheckQueries(out.queries);
    if (!status.ok()) out.problems.push_back(absl::StrCat(name, ": ", status.message()));
  }
  if (!out.ok()) out.queries.clear();
  return out;
}

LoadedQueries LoadQueries(const std::string& file, const std::string& prefix) {
  const absl::StatusOr<std::string> text = ReadFile(file, kMaxFile + 1);
  if (text.ok()) return LoadQueriesText(*text, file, prefix);
  LoadedQueries out;
  out.problems.push_back(absl::StrCat(file, ": ", text.status().message()));
  return out;
}

}  // namespace mainstay::agent
